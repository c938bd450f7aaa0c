"""`sdilib sweep`: make a table of runs in several processes."""

import argparse
import sys
import time
from typing import Any

from sdilib.checks import positive_int, reject
from sdilib.cli.arguments import Command, integer, pairs, plain


def add_sweep(command: Command) -> None:
    """Add the command to the program.

    Args:
        command: adds a command to it.
    """
    parser = command(
        "sweep", _sweep, "make the runs of a table, by as many processes as are wanted"
    )
    add = parser.add_argument
    add(
        "file", help=".toml or .csv: methods, prompts, seeds and settings; see sdilib/lab/sweeps.md"
    )
    add(
        "--workers",
        type=integer,
        default=1,
        help="processes, one for each GPU or core; 1 (default)",
    )
    add("--threads", type=integer, default=1, help="of each run; 1 (default)")
    add(
        "--scheduler",
        default="",
        help="address of a dask scheduler that runs, such as tcp://host:8786",
    )
    add(
        "--slurm",
        nargs="*",
        action="extend",
        default=None,
        metavar="name=value",
        help="submit to Slurm instead; options of submitit, such as timeout_min=240 slurm_partition=gpu",
    )
    add("--root", default="runs", help="folder of all runs, which every worker can write")


def _sweep(options: argparse.Namespace) -> int:
    for name in ("workers", "threads"):
        positive_int(name, getattr(options, name))
    given = pairs("slurm", options.slurm or [])
    if options.slurm is not None and options.scheduler:
        reject("scheduler", options.scheduler, "none with --slurm")

    from sdilib.lab.sweeps import runs_of, submit, sweep

    configs = runs_of(options.file)
    if options.slurm is not None:
        how = {name: plain(text) for name, text in given.items()}
        jobs = submit(configs, root=options.root, threads=options.threads, options=how)
        sys.stdout.write(f"{len(jobs)} jobs submitted: {jobs[0].job_id} to {jobs[-1].job_id}\n")
        return 0
    began, ended = time.monotonic(), []
    how = {"workers": options.workers, "threads": options.threads, "scheduler": options.scheduler}
    for outcome in sweep(configs, root=options.root, **how):
        ended.append(outcome)
        left = (time.monotonic() - began) / len(ended) * (len(configs) - len(ended))
        after = f", about {left / 60:.0f} min left" if left >= 60 else ""
        sys.stdout.write(
            f"{len(ended)} of {len(configs)}{after}: {outcome.name}  {outcome.state}\n"
        )
        sys.stdout.flush()
    return _table(ended)


def _table(ended: list[Any]) -> int:
    """Print how many runs ended in each state, and why some are not done; return the exit code."""
    states = [outcome.state for outcome in ended]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states))]
    sys.stdout.write(f"{', '.join(counts)}\n")
    for outcome in sorted(ended):
        if outcome.reason:
            sys.stdout.write(
                f"  {outcome.name}  {outcome.state}: {' '.join(outcome.reason.split())}\n"
            )
    return 1 if {"failed", "killed"} & set(states) else 0
