"""`sdilib grade`: one line for each student's notebook, saying that it is right or what is wrong."""

import argparse
import sys

from sdilib.cli.arguments import Command, number


def add_grade(command: Command) -> None:
    """Add the command to the program.

    Args:
        command: adds a command to it.
    """
    parser = command("grade", _grade, "run notebooks of exercises, and say what is wrong")
    add = parser.add_argument
    add("notebooks", nargs="+", help=".py or .ipynb; their code is executed, in no sandbox")
    add("--seconds", type=number, default=60.0, help="that each may take; 60 (default)")


def _grade(options: argparse.Namespace) -> int:
    from sdilib.lab.exercises.grading import grade

    right = True
    for notebook in options.notebooks:
        verdict = grade(notebook, seconds=options.seconds)
        sys.stdout.write(f"{notebook}: {verdict}\n")
        sys.stdout.flush()
        right &= verdict.right
    return 0 if right else 1
