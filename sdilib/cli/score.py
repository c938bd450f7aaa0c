"""`sdilib score` ranks a rule of your own beside the others; `sdilib cite` prints what to cite for a run."""

import argparse
import sys
from pathlib import Path

from sdilib.checks import positive_int, reject
from sdilib.cli.arguments import Command, add_preset, integer, pairs, plain
from sdilib.cli.runs import whole_name

_STAGES = ("ring", "image", "nerf")


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
    add("--set", nargs="*", default=[], metavar="name=value", help="of the rule, or of its runs")


def _score(options: argparse.Namespace) -> int:
    for stage in options.stages or [""]:
        if stage not in _STAGES:
            reject("stages", stage, f"some of {', '.join(_STAGES)}", known=_STAGES)
    for name, least in (("prompts", 0), ("seeds", 1), ("workers", 1)):
        positive_int(name, getattr(options, name), least)
    given = {name: plain(text) for name, text in pairs("set", options.set).items()}

    from sdilib.lab.benchmark.comparing import benchmark_at
    from sdilib.lab.benchmark.scoring import check_rule, my_method, ring_ranking
    from sdilib.lab.benchmark.table import write_tables
    from sdilib.lab.methods import known_methods
    from sdilib.storage import atomic_write, write_json

    methods, (mine, method) = known_methods(options.methods), my_method(options.rule, given)
    methods[mine] = method
    sizes = {"num_prompts": options.prompts, "num_seeds": options.seeds}
    wanted = [stage for stage in _STAGES if stage in options.stages]
    for stage in wanted:
        name, out = f"{mine}-{stage}", Path(options.out)
        where = {"root": options.root, "workers": options.workers, "sizes": sizes}
        scene = "image" if stage == "ring" else stage
        bench = benchmark_at(options.preset, scene, model=options.model, **where)
        if stage == wanted[0]:
            check_rule(options.rule, given, bench.model)
        scored = None
        if stage == "ring":
            ranking = ring_ranking(methods)
        else:
            variants = bench.authors(methods)
            # Published gammas are for Stable Diffusion; a user's own is taken as given.
            scored = bench.compared(variants | {mine: method.settings(stage)})
            ranking = scored.ranking(f"{stage}, authors' settings, equal optimiser steps")
        write_tables([ranking], out, name)
        write_json(out / f"{name}.json", ranking.record)
        sys.stdout.write(f"{ranking.markdown()}\n\n")
        if scored is not None:
            atomic_write(out / f"{name}.png", scored.draw()._repr_png_())
            sys.stdout.write(f"{out / name}.png\n\n")
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
