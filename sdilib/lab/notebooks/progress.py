"""How long `make figures` still takes, said after each figure.

A plan is a file: when it began, then a line "NAME todo SECONDS" for each notebook that make is going to run. Whoever has run
one appends "NAME ended SECONDS" or "NAME failed SECONDS". Lines are short, so that several processes may write at once.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from sdilib.lab.notebooks.freshness import read_records
from sdilib.lab.presets import NOTEBOOKS, resolve
from sdilib.storage import atomic_write

_START = 8.0  # seconds of a kernel and its imports, whatever the preset
_COUNTS = ("num_prompts", "num_seeds", "num_scenes")


def foreseen(notebooks: Iterable[str], preset: str, *, reference: str | Path) -> dict[str, float]:
    """Return about how many seconds notebooks take: what they took at `full`, scaled by the presets.

    Args:
        notebooks: their names, e.g. "fig01_teaser".
        preset: smoke, laptop, full or gpu.
        reference: folder of figures made at `full`. A notebook that made none there is foreseen at a minute.
    """
    taken: dict[str, float] = {}
    for record in read_records(reference) if Path(reference).is_dir() else []:
        taken[record["notebook"]] = taken.get(record["notebook"], 0.0) + record["seconds"]
    return {n: _START + taken.get(n, 60.0) * _share_of_full(n, preset) for n in notebooks}


def _share_of_full(notebook: str, preset: str) -> float:
    """Images and runs multiply; what is done for each of them, by its several numbers of steps, adds up."""
    if notebook not in NOTEBOOKS:
        return 1.0
    now, full = resolve(notebook, preset), resolve(notebook, "full")
    share, steps = 1.0, []
    for name, ratio in _ratios(now, full).items():
        if name in _COUNTS:
            share *= ratio
        else:
            steps.append(ratio)
    if "quality" in full:  # of the 3D runs
        run = _ratios(resolve("run3d", now["quality"]), resolve("run3d", full["quality"]))
        steps.append(run["steps"] * run["cameras"])
    return share * (sum(steps) / len(steps) if steps else 1.0)


def _ratios(now: Mapping[str, float | str], full: Mapping[str, float | str]) -> dict[str, float]:
    return {name: now[name] / of for name, of in full.items() if isinstance(of, int)}  # pyright: ignore[reportOperatorIssue]


def write_plan(plan: str | Path, seconds: Mapping[str, float]) -> None:
    """Note what is going to be run from now on.

    Args:
        plan: file of the plan.
        seconds: foreseen, by notebook.
    """
    lines = [str(time.time()), *(f"{name} todo {value:.1f}" for name, value in seconds.items())]
    atomic_write(plan, "".join(f"{line}\n" for line in lines))


def over(plan: str | Path, notebook: str, seconds: float, *, failed: bool = False) -> str:
    """Note that a notebook is over, and say how far the plan is.

    What is left is foreseen at the pace of those that ended well, by the clock on the wall: what runs beside is in it.

    Args:
        plan: file of the plan.
        notebook: its name.
        seconds: it took.
        failed: whether it ended before its figures were made.

    Returns:
        A line, as in "fig04_evolution: 30 s; 3 of 26, about 12 min left".
    """
    with Path(plan).open("a", encoding="utf-8") as file:
        file.write(f"{notebook} {'failed' if failed else 'ended'} {seconds:.1f}\n")
    began, *lines = Path(plan).read_text(encoding="utf-8").splitlines()
    of: dict[str, dict[str, float]] = {"todo": {}, "ended": {}, "failed": {}}
    for name, word, number in map(str.split, lines):
        of[word][name] = float(number)
    # Another make may have begun since, whose plan is of other notebooks.
    todo, done = of["todo"], (of["ended"] | of["failed"]).keys() & of["todo"].keys()
    said = f"{notebook}: {_spoken(seconds)}; {len(done)} of {len(todo)}"
    left = sum(value for name, value in todo.items() if name not in done)
    well = sum(todo.get(name, 0.0) for name in of["ended"])
    pace = (time.time() - float(began)) / well if well else 1.0
    return f"{said}, about {_spoken(pace * left)} left" if left else said


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
