"""How long `make figures` still takes, said after each figure.

make writes a plan, a line "todo NAME" for each notebook it is going to run; whoever runs one appends "begun NAME TIME" and
"ended NAME TIME", or "failed NAME TIME". Lines are short and appended, so that several processes may write at once.
"""

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sdilib.lab.presets import NOTEBOOKS, PRESETS, resolve
from sdilib.storage import read_json

__all__ = ["begin", "end", "foreseen_seconds"]

_START = 8.0  # seconds of a kernel and its imports, whatever the preset
_COUNTS = ("num_prompts", "num_seeds", "num_scenes")


def foreseen_seconds(notebook: str, preset: str, *, reference: str | Path) -> float:
    """Return about how long a notebook takes: what it took at `full`, scaled by the presets.

    Args:
        notebook: its name, e.g. "fig01_teaser".
        preset: smoke, laptop, full or gpu.
        reference: folder of figures made at `full`. A notebook that made none there is foreseen at a minute.
    """
    if preset not in PRESETS:
        return _START
    taken = _seconds_taken(Path(reference)).get(notebook, 60.0)
    return _START + taken * _share_of_full(notebook, preset)


@cache
def _seconds_taken(reference: Path) -> Mapping[str, float]:
    """By notebook, of all its figures; the records hold megabytes of numbers, and are read once a process."""
    taken: dict[str, float] = {}
    for path in sorted(reference.glob("*.json")):
        record = read_json(path)
        taken[record["notebook"]] = taken.get(record["notebook"], 0.0) + record["seconds"]
    return taken


def _share_of_full(notebook: str, preset: str) -> float:
    """Images and runs multiply; what is done for each of them, by its several numbers of steps, adds up."""
    if notebook not in NOTEBOOKS:
        return 1.0
    now, full = resolve(notebook, preset), resolve(notebook, "full")
    ratios = {name: now[name] / full[name] for name in full if isinstance(full[name], int)}
    share, steps = 1.0, []
    for name, ratio in ratios.items():
        if name in _COUNTS:
            share *= ratio
        else:
            steps.append(ratio)
    if "quality" in full:  # of the 3D runs
        run, whole = resolve("run3d", now["quality"]), resolve("run3d", full["quality"])
        steps.append(run["steps"] * run["cameras"] / (whole["steps"] * whole["cameras"]))
    return share * (sum(steps) / len(steps) if steps else 1.0)


def begin(plan: str | Path, notebook: str) -> None:
    """Note that a notebook begins.

    Args:
        plan: file of the plan.
        notebook: its name.
    """
    _append(plan, "begun", notebook)


def end(
    plan: str | Path,
    notebook: str,
    *,
    preset: str,
    reference: str | Path,
    failed: bool = False,
) -> str:
    """Note that a notebook ended, well or not, and say how far the plan is.

    What is left is foreseen, corrected by how long those that ended well took, and shared by as many as run at this moment.

    Args:
        plan: file of the plan.
        notebook: its name.
        preset: that it ran at.
        reference: see `foreseen_seconds`.
        failed: whether it ended before its figures were made.

    Returns:
        A line, as in "fig04_evolution: 30 s; 3 of 26, about 12 min left".
    """
    _append(plan, "failed" if failed else "ended", notebook)
    todo: set[str] = set()
    times: dict[str, dict[str, float]] = {"begun": {}, "ended": {}, "failed": {}}
    for line in Path(plan).read_text(encoding="utf-8").splitlines():
        word, name, *at = line.split()
        if word == "todo":
            todo.add(name)
        else:
            times[word][name] = float(at[0])
    begun, over = times["begun"], times["ended"] | times["failed"]
    took = {name: over[name] - begun[name] for name in over}
    foreseen = {
        name: foreseen_seconds(name, preset, reference=reference) for name in todo | set(begun)
    }
    well = times["ended"]
    pace = sum(took[name] for name in well) / sum(foreseen[name] for name in well) if well else 1.0
    now = time.time()
    running = set(begun) - set(over)
    left = sum(pace * foreseen[name] for name in todo - set(begun))
    left += sum(max(pace * foreseen[name] - (now - begun[name]), 0.0) for name in running)
    waiting = len((todo | running) - set(over))
    said = f"{notebook}: {_spoken(took[notebook])}; {len(over)} of {len(todo | set(begun))}"
    if not waiting:
        return said
    return f"{said}, about {_spoken(left / min(waiting, len(running) + 1))} left"


def _append(plan: str | Path, word: str, notebook: str) -> None:
    with Path(plan).open("a", encoding="utf-8") as file:
        file.write(f"{word} {notebook} {time.time():.3f}\n")


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
