"""What a sweep costs besides its runs: handing out runs that do nothing to many workers, and a folder of finished ones.

Scheduler and workers share one process, so that its seconds are those of both sides. Prints seconds of one core per
thousand runs, no judgement; `make bench-sweep` writes them down, too.
"""

import argparse
import contextlib
import io
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client, Scheduler, SpecCluster, Worker

from sdilib.cli import main as command
from sdilib.lab import sweeps
from sdilib.lab.claims import markdown_row
from sdilib.lab.runs.folders import CONFIG, address, settings_of
from sdilib.storage import atomic_write, write_json
from sdilib.text_to_image import Text2D

ONE_PROCESS = {
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.comm.timeouts.connect": "600s",
    "distributed.comm.timeouts.tcp": "600s",
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.worker-ttl": None,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.profile.enabled": False,
}
"""A thousand workers, each of which looks after the whole process, would do little else."""

HANDED, READ, LISTED, FOUND, SPED = (
    "a run is handed out, and its end comes back",
    "a table (.csv) is read and checked",
    "`sdilib runs` lists finished runs",
    "a worker finds a finished run again",
    "runs per second, of those by one worker",
)


def idle(settings: dict[str, Any], root: str, threads: int, version: str) -> sweeps.Outcome:
    """Do nothing, in place of a run."""
    return sweeps.Outcome("", "done", "", 0.0)


def runs(count: int) -> list[Text2D]:
    """Return different small runs."""
    return [Text2D("a red mug", rule="sds", model="tiny", steps=2, seed=k) for k in range(count)]


@contextlib.contextmanager
def measured(what: str, count: int, records: list[dict[str, Any]], **more: Any) -> Iterator[None]:
    """Note the seconds of a block per thousand runs, and print them."""
    began, spent = time.perf_counter(), time.process_time()
    yield
    record = {"what": what, "runs": count} | more
    record |= {"cpu_seconds": 1e3 * (time.process_time() - spent) / count}
    record |= {"seconds": 1e3 * (time.perf_counter() - began) / count}
    record |= {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    record |= {"load": os.getloadavg()[0]}
    records.append(record)
    sys.stdout.write(f"{record}\n")
    sys.stdout.flush()


def hand_out(count: int, workers: int, protocol: str, records: list[dict[str, Any]]) -> None:
    """Hand runs that do nothing to workers, as a sweep does."""
    every = {sweeps._name(config): settings_of(config) for config in runs(count)}
    here: dict[str, Any] = {"protocol": protocol, "dashboard": False}
    if protocol == "tcp":
        here["host"] = "127.0.0.1"
    each = {k: {"cls": Worker, "options": here | {"nthreads": 1}} for k in range(workers)}
    scheduler: Any = {"cls": Scheduler, "options": here}
    with (
        dask.config.set(ONE_PROCESS),
        SpecCluster(workers=each, scheduler=scheduler, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        with measured(HANDED, count, records, workers=workers, protocol=protocol):
            states = [outcome.state for outcome in sweeps._outcomes(client, every, "", 1)]
        assert states == ["done"] * count


def finished(count: int, root: Path) -> list[Text2D]:
    """Make one run, and write it down as many."""
    configs = runs(count)
    made = root / sweeps._make(settings_of(configs[0]), str(root), 1).name
    files = {p.relative_to(made): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    model = sweeps._model("tiny", "auto")
    for config in configs[1:]:
        folder = root / address(config, model.identity)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        write_json(folder / CONFIG, settings_of(config) | {"model_hash": model.hash})
    return configs


def look_through(count: int, records: list[dict[str, Any]]) -> None:
    """Read a table of runs, list them, and find each of them again."""
    root = Path(tempfile.mkdtemp())
    try:
        configs = finished(count, root)
        table = root / "table.csv"
        lines = [f"image,tiny,a red mug,sds,2,{config.seed}\n" for config in configs]
        table.write_text("scene,model,prompt,rule,steps,seed\n" + "".join(lines))
        with measured(READ, count, records):
            assert sweeps.runs_of(table) == configs
        with measured(LISTED, count, records), contextlib.redirect_stdout(io.StringIO()) as said:
            command(["runs", "--root", str(root)])
        assert f"{count} runs" in said.getvalue()
        with measured(FOUND, count, records):
            for config in configs:
                sweeps._make(settings_of(config), str(root), 1)
    finally:
        shutil.rmtree(root)


def speed(workers: int, count: int) -> float:
    """Return runs per second, from the moment when every worker has ended its first."""
    configs = [Text2D("a red mug", model="mini", steps=10, seed=k) for k in range(count)]
    with tempfile.TemporaryDirectory() as root:
        ends = [time.perf_counter() for _ in sweeps.sweep(configs, root=root, workers=workers)]
    return (count - workers) / (ends[-1] - ends[workers - 1])


def page(records: list[dict[str, Any]]) -> str:
    """Return the records as a page."""
    heads = ["", "runs", "workers", "they talk by", "seconds of one core per 1,000", "peak MiB"]
    lines = [markdown_row(heads), markdown_row(["---"] * len(heads))]
    for each in records:
        if each["what"] != SPED:
            workers, spent = each.get("workers", ""), each["cpu_seconds"]
            cells = [f"{each['runs']:,}", f"{workers:,}" if workers else ""]
            cells += [each.get("protocol", ""), f"{spent:.1f}"]
            lines.append(markdown_row([each["what"], *cells, f"{each['mib']:.0f}"]))
    sped = [
        f"{each['workers']} workers: {each['ratio']:.2f} times the runs per second of one "
        f"(1 thread each, {os.cpu_count()} cores, load {each['load']:.1f})."
        for each in records
        if each["what"] == SPED
    ]
    told = (
        "Written by `make bench-sweep`: what a sweep costs besides its runs, which do nothing here."
    )
    loads = [each["load"] for each in records]
    note = (
        "The scheduler and all workers share one process; its memory holds them all. Measured beside other work: "
        f"a load of {min(loads):.0f} to {max(loads):.0f} on {os.cpu_count()} cores."
    )
    return "\n\n".join(["# Sweeps", told, "\n".join(lines), note, *sped]) + "\n"


def main() -> None:
    """Print a line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[100, 1_000])
    parser.add_argument(
        "--scaling", type=int, default=12, help="real runs by 1 and 2 workers; 0: none"
    )
    parser.add_argument("--protocol", default="inproc", choices=("inproc", "tcp"))
    parser.add_argument("--out", default="build/sweeps.json")
    parser.add_argument("--page", default="", help="where to write them as Markdown")
    options = parser.parse_args()
    records: list[dict[str, Any]] = []
    for count in options.runs:
        look_through(count, records)
        write_json(options.out, records)
    if options.scaling:
        one, two = (speed(workers, options.scaling) for workers in (1, 2))
        ratio = {"what": SPED, "workers": 2, "ratio": two / one, "load": os.getloadavg()[0]}
        records.append(ratio)
        sys.stdout.write(f"{ratio}\n")
    # Found by its name by all workers, as a run is.
    idle.__module__, idle.__qualname__ = sweeps.__name__, "_make"
    sweeps._make = idle
    for workers in options.workers:
        for count in options.runs:
            hand_out(count, workers, options.protocol, records)
            write_json(options.out, records)
    sys.stdout.write(f"{write_json(options.out, records)}\n")
    if options.page:
        sys.stdout.write(f"{atomic_write(options.page, page(records))}\n")


if __name__ == "__main__":
    main()
