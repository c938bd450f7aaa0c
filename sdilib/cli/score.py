"""`sdilib score` ranks a rule of your own beside the others; `sdilib cite` prints what to cite for a run."""

import argparse
import sys
from pathlib import Path

from sdilib.checks import positive_int, reject
from sdilib.cli.arguments import Command, add_preset, integer, pairs
from sdilib.cli.runs import whole_name

_SCENES = {"ring": "image", "image": "image", "nerf": "nerf"}
"""The scene of each stage: on the ring, as in an image, methods that differ in 3D only are one."""


def add_score(command: Command) -> None:
    """Add the command to the program.

    Args:
        command: adds a command to it.
    """
    parser = command("score", _score, "rank a rule of your own beside the others")
    add = parser.add_argument
    add("rule", help="where it is: my_rule.py, my_rule.py:Rule or module:Rule")
    add_preset(parser, model=True)
    add(
        "--stages",
        nargs="*",
        default=["ring", "image"],
        help="of ring, image (default: both), nerf",
    )
    add("--methods", default="paper", help="beside it: paper (default), all, or names with commas")
    add("--prompts", type=integer, default=0, help="how many; 0: the preset's")
    add("--seeds", type=integer, default=1, help="of each prompt; 1 (default)")
    add("--workers", type=integer, default=1, help="processes; 1 (default)")
    add("--root", default="runs", help="folder of all runs")
    add("--out", default="build/score", help="folder of the tables and pictures")
    many = {"nargs": "*", "action": "extend", "default": [], "metavar": "name=value"}
    add("--set", **many, help="of the rule, or of its runs")


def _score(options: argparse.Namespace) -> int:
    for stage in options.stages or [""]:
        if stage not in _SCENES:
            reject("stages", stage, f"some of {', '.join(_SCENES)}", known=_SCENES)
    for name, least in (("prompts", 0), ("seeds", 1), ("workers", 1)):
        positive_int(name, getattr(options, name), least)
    words = pairs("set", options.set)

    from sdilib.lab.benchmark.comparing import benchmark_at
    from sdilib.lab.benchmark.scoring import check_rule, draw_ring, my_method, ring_ranking
    from sdilib.lab.benchmark.table import write_tables
    from sdilib.lab.methods import known_methods
    from sdilib.lab.sweeps import value_of
    from sdilib.storage import atomic_write, write_json

    given = {name: value_of(name, text) for name, text in words.items()}
    wanted = {stage: _SCENES[stage] for stage in _SCENES if stage in options.stages}
    mine, method = my_method(options.rule, given, list(wanted))
    beside = {stage: known_methods(options.methods, scene) for stage, scene in wanted.items()}
    for methods in beside.values():
        if mine in methods:
            reject("rule", options.rule, f"a file with another name, since {mine} is a method's")
    sizes = {"num_prompts": options.prompts, "num_seeds": options.seeds}
    for number, (stage, scene) in enumerate(wanted.items()):
        name, out = f"{mine}-{stage}", Path(options.out)
        where = {"root": options.root, "workers": options.workers, "sizes": sizes}
        bench = benchmark_at(options.preset, scene, model=options.model, **where)
        if number == 0:
            for each in dict.fromkeys(wanted.values()):
                check_rule(options.rule, given, bench.model, each)
        # Published gammas are for Stable Diffusion; a user's own is taken as given.
        own = {mine: method.settings(stage)}
        if stage == "ring":
            ranking = ring_ranking({n: {"rule": of.rule} for n, of in beside[stage].items()} | own)
            drawn = draw_ring(ranking)
        else:
            scored = bench.compared(bench.authors(beside[stage]) | own)
            ranking = scored.ranking(f"{stage}, authors' settings, equal optimiser steps")
            drawn = scored.draw()
        write_tables([ranking], out, name)
        write_json(out / f"{name}.json", ranking.record)
        atomic_write(out / f"{name}.png", drawn._repr_png_())
        sys.stdout.write(f"{ranking.table.markdown()}\n\n{out / name}.png\n\n")
        sys.stdout.flush()
    return 0


def add_cite(command: Command) -> None:
    """Add the command to the program.

    Args:
        command: adds a command to it.
    """
    parser = command(
        "cite", _cite, "print the BibTeX of what a run used: its rule, scene and model"
    )
    parser.add_argument("name", help="of the run, or the beginning of it")
    parser.add_argument("--root", default="runs", help="folder of all runs")


def _cite(options: argparse.Namespace) -> int:
    from sdilib.lab.citations import bibtex, cited
    from sdilib.lab.runs import known_runs

    known = {run["name"]: run for run in known_runs(options.root)}
    config = known[whole_name(options.name, list(known), options.root)]["config"]
    sys.stdout.write("\n\n".join(bibtex(key) for key in cited(config)) + "\n")
    return 0
