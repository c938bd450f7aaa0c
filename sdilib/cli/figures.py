"""The commands for figures: run a notebook, name what make has to run, write the gallery, check figures."""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from sdilib.checks import one_of, reject
from sdilib.cli.arguments import Command, add_preset, pairs

PROMPTS_OF_A_CLAIM = 8
"""`claims.MINIMUM_N`, whose module takes two seconds to import, which `make figures` spends on nothing."""


def add_figures(command: Command) -> None:
    """Add the commands to the program.

    Args:
        command: adds a command to it.
    """
    notebook = command("notebook", _notebook, "run a notebook and keep the figures it makes")
    notebook.add_argument("name", help="a notebook's path, name or figure number")
    notebook.add_argument("parameters", nargs="*", metavar="name=value", help="the notebook's own")
    notebook.add_argument("--build", default="build/notebooks", help="of the executed copy")
    stale = command("stale", _stale, "name the notebooks that make has to run")
    stale.add_argument("name", nargs="?", default="", help="of the only ones asked about")
    stale.add_argument("--again", action="store_true", help="name them all")
    for each in (notebook, stale):
        add_preset(each, model=True)
        each.add_argument(
            "--folder", default="", help="of the figures; default paper_figures/PRESET"
        )
        each.add_argument("--plan", default="", help="file that says how far make is")
    notebooks = command("notebooks", _derive, "derive each notebook's .ipynb from its .py")
    notebooks.add_argument("folder", nargs="?", default="notebooks")
    clean = "instead take the outputs out of the .ipynb on standard input: git's filter"
    notebooks.add_argument("--clean", action="store_true", help=clean)
    gallery = command("gallery", _gallery, "write the README.md of a folder of figures")
    gallery.add_argument("folder")
    check = command("check-figures", _check_figures, "name the figures that are not up to date")
    check.add_argument("folder", nargs="?", default="", help="default paper_figures/PRESET")
    add_preset(check)
    same = command("same-numbers", _same_numbers, "keep which code makes the numbers of other code")
    same.add_argument("before", help="folder of figures made by the one, best at smoke")
    same.add_argument("after", help="folder of the same figures made by the other")
    same.add_argument("folder", nargs="?", default="paper_figures/full", help="whose figures stay")


def _notebook(options: argparse.Namespace) -> int:
    from sdilib.lab.notebooks.freshness import figure_folder
    from sdilib.lab.notebooks.progress import over
    from sdilib.lab.notebooks.runner import run_notebook
    from sdilib.lab.notebooks.sources import find_notebook

    given = pairs("parameters", options.parameters)
    if options.model and not options.folder:
        reject("folder", options.folder, "a folder, so that another model's figures replace none")
    source, began, failed = find_notebook(options.name), time.perf_counter(), True
    folder = options.folder or figure_folder(options.preset)
    how = {"preset": options.preset, "model": options.model, "given": given}
    try:
        run_notebook(source, folder=folder, build=options.build, **how)
        failed = False
    finally:
        if options.plan:
            _say([over(options.plan, source.stem, time.perf_counter() - began, failed=failed)])
    return 0


def _stale(options: argparse.Namespace) -> int:
    from sdilib.lab.notebooks.freshness import figure_folder, stale
    from sdilib.lab.notebooks.progress import foreseen, write_plan
    from sdilib.lab.notebooks.sources import find_notebooks, makes_figures
    from sdilib.lab.presets import MODELS, PRESETS
    from sdilib.stable_diffusion.names import check_name

    preset = one_of("preset", options.preset, PRESETS)
    check_name(options.model or MODELS[preset])
    # The table has its own target in make.
    known = [path for path in sorted(Path("notebooks").glob("*.py")) if path.stem[:5] != "table"]
    every = [path for path in known if makes_figures(path)]
    left = [path.stem for path in every if _tells_nothing(path.stem, preset)]
    whole = [path for path in every if path.stem not in left]
    asked = find_notebooks(options.name, parameter="FIG") if options.name else whole
    folder = figure_folder(preset, options.folder)
    found = asked if options.again else stale(asked, folder, preset=preset, model=options.model)
    names = [path.stem for path in found]
    if options.plan:
        write_plan(options.plan, foreseen(names, preset, reference=figure_folder("full")))
    if left and not options.name:
        sys.stderr.write(
            f"left out, since at {preset} too few prompts are compared to tell: {', '.join(left)}; "
            "make figures FIG=... makes one all the same, PRESET=full all of them\n"
        )
    return _say(names)


def _tells_nothing(notebook: str, preset: str) -> bool:
    """Whether it takes minutes per prompt for no verdict: 3D runs of fewer prompts than a claim needs, at laptop."""
    from sdilib.lab.presets import NOTEBOOKS, resolve

    if preset != "laptop" or "quality" not in NOTEBOOKS.get(notebook, {}):
        return False
    return resolve(notebook, preset)["num_prompts"] < PROMPTS_OF_A_CLAIM


def _derive(options: argparse.Namespace) -> int:
    if options.clean:
        from sdilib.lab.notebooks.cleaning import cleaned

        sys.stdout.buffer.write(cleaned(sys.stdin.buffer.read().decode()).encode())
        return 0
    from sdilib.lab.notebooks.sources import write_derived

    return _say(write_derived(options.folder))


def _gallery(options: argparse.Namespace) -> int:
    from sdilib.lab.notebooks.gallery import gallery

    return _say([gallery(options.folder)])


def _check_figures(options: argparse.Namespace) -> int:
    from sdilib.lab.notebooks.freshness import check, figure_folder
    from sdilib.lab.presets import PRESETS

    preset = one_of("preset", options.preset, PRESETS)
    folder = figure_folder(preset, options.folder)
    if not options.folder and not any(folder.glob("*.json")):
        return _say([f"no figures are made yet at preset {preset}: make figures PRESET={preset}"])
    problems = check(folder)
    _say(problems or ["all figures are up to date"])
    return 1 if problems else 0


def _same_numbers(options: argparse.Namespace) -> int:
    from sdilib.lab.notebooks.same_numbers import add_pairs

    compared = add_pairs(Path(options.before), Path(options.after), Path(options.folder))
    return _say(f"{notebook}: {said}" for notebook, said in compared.items())


def _say(lines: Iterable[object]) -> int:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0
