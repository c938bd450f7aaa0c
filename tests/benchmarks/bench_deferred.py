"""Peak memory of a NeRF's render and backward pass, over image size and samples per ray, plain and deferred.

Run by `make bench-memory`. Each measurement in a process of its own, since a process's peak never
falls; prints MiB above what the process held before and seconds of one thread, beside what
`sdilib.lab.runs.memory` foresees, and writes all as JSON and as two curves; no judgement.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes

from sdilib.cameras import Camera
from sdilib.lab.experiments.shared.drawing import SMALL, WIDTH, Figure, quiet
from sdilib.lab.runs.memory import render_bytes
from sdilib.nerf.field import NeRF
from sdilib.nerf.hash_grid import HashGrid
from sdilib.nerf.regularisers import Penalties
from sdilib.nerf.scene import NeRFScene
from sdilib.storage import write_json


def peak() -> float:
    """Return the process's own peak resident memory in MiB."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS, which counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # Linux's ru_maxrss is at least that of the process that started this one.
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM:"))


def through(setting: dict[str, Any], size: int) -> None:
    """Render one view of a fresh field and push a gradient through it."""
    seen = NeRFScene(
        NeRF(grid=HashGrid(num_levels=setting["levels"], backend=setting["backend"])),
        Camera.around([30]),
        height=size,
        width=size,
        num_samples=setting["num_samples"],
        penalties=Penalties(orientation=float(setting["normals"])),
        rays_per_patch=setting["rays_per_patch"] or None,
    )
    whole = seen.render_all()
    (whole.image.square().sum() + whole.normal.sum()).backward()


def measure(setting: dict[str, Any]) -> dict[str, float]:
    """Return MiB and seconds, after a small render has loaded what is loaded once."""
    torch.set_num_threads(1)
    through(setting, 8)
    before, began = peak(), time.process_time()
    through(setting, setting["size"])
    return {"mib": peak() - before, "seconds": time.process_time() - began}


def measured(setting: dict[str, Any], limit_gib: float) -> dict[str, Any]:
    """Measure in a process of its own what is foreseen to fit."""
    known = {name: value for name, value in setting.items() if name != "size"}
    foreseen = render_bytes(rays=setting["size"] ** 2, **known)
    record = setting | {"foreseen_mib": foreseen / 2**20, "mib": None, "seconds": None}
    if foreseen <= limit_gib * 2**30:
        command = [sys.executable, __file__, "--one", json.dumps(setting)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        record |= json.loads(done.stdout)
    return record


def line(record: dict[str, Any]) -> str:
    """Return a record as a line."""
    patch = record["rays_per_patch"]
    found = "   left out"
    if record["mib"] is not None:
        found = f"{record['mib']:7.0f} MiB {record['seconds']:6.1f} s"
    name = f"patches of {patch}" if patch else "plain"
    return (
        f"{record['size']:4d} x {record['size']:<4d} {record['num_samples']:4d} samples "
        f"{name:16} {found:20} (foreseen {record['foreseen_mib']:6.0f} MiB)\n"
    )


def drawn(records: list[dict[str, Any]], axes: Axes, over: str) -> None:
    """Draw what was measured over size or samples, plain and in patches."""
    for patch, colour in ((0, "#762a83"), (max(r["rays_per_patch"] for r in records), "#1b7837")):
        found = [r for r in records if r["rays_per_patch"] == patch and r["mib"] is not None]
        found.sort(key=lambda record: record[over])
        name = f"in patches of {patch:,} rays" if patch else "graph of all rays"
        values = [record["mib"] for record in found]
        axes.plot([record[over] for record in found], values, "o-", color=colour, ms=3, label=name)
    ticks = sorted({record[over] for record in records})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    quiet(axes)


def plotted(records: list[dict[str, Any]], num_curve: int, path: str) -> None:
    """Write the picture of both curves; the first `num_curve` records are those over size."""
    figure = Figure(figsize=(WIDTH, 2.3), layout="constrained")
    over_size, over_samples = figure.subplots(1, 2, sharey=True)
    drawn(records[:num_curve], over_size, "size")
    size, samples = records[num_curve]["size"], records[0]["num_samples"]
    of_size = [r for r in records if r["size"] == size]
    drawn(of_size, over_samples, "num_samples")
    over_size.set(
        xlabel=f"height and width of the render ({samples} samples per ray)", ylabel="MiB"
    )
    over_samples.set(xlabel=f"samples per ray (a render of {size} x {size})")
    for axes in (over_size, over_samples):
        axes.xaxis.label.set_size(8)
        axes.yaxis.label.set_size(8)
    over_size.legend(loc="upper left", **SMALL)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 192, 256, 384, 512])
    parser.add_argument("--samples", type=int, nargs="+", default=[64, 16, 32, 128, 256])
    parser.add_argument("--samples-size", type=int, default=128, help="size at which samples vary")
    parser.add_argument("--patch", type=int, default=2048, help="rays")
    parser.add_argument("--levels", type=int, default=12)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--normals", action="store_true")
    parser.add_argument("--limit-gib", type=float, default=4.0, help="more is left out")
    parser.add_argument("--out", default="build/memory.json")
    parser.add_argument("--figure", default="", help="where to draw the curves")
    parser.add_argument("--one", default="", help="measure here, one setting")
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(measure(json.loads(options.one))))
        return
    curve = [(size, options.samples[0]) for size in options.sizes]
    curve += [(options.samples_size, samples) for samples in options.samples[1:]]
    records = []
    for size, samples in curve:
        for patch in (0, options.patch):
            setting = {"size": size, "num_samples": samples, "rays_per_patch": patch}
            for name in ("levels", "backend", "normals"):
                setting[name] = getattr(options, name)
            records.append(measured(setting, options.limit_gib))
            sys.stdout.write(line(records[-1]))
            sys.stdout.flush()
    sys.stdout.write(f"{write_json(options.out, records)}\n")
    if options.figure:
        plotted(records, 2 * len(options.sizes), options.figure)


if __name__ == "__main__":
    main()
