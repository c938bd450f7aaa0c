"""`sdilib runs`: list, show, export or remove the runs in a folder."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from sdilib.checks import closest, one_of, reject
from sdilib.cli.arguments import Command, integer, number

_ACTIONS = ("list", "show", "export", "remove")
_EXAMPLES = Path(__file__).parents[1] / "examples"
_MESH = ("density", "resolution", "size", "crumbs")


def add_runs(command: Command) -> None:
    """Add the command to the program.

    Args:
        command: adds a command to it.
    """
    parser = command("runs", _runs, "list, show, export or remove runs")
    parser.add_argument("action", nargs="?", default="list", help=", ".join(_ACTIONS))
    parser.add_argument(
        "names",
        nargs="*",
        help="of runs, or the beginning of one run's name; remove unfinished takes all that are; "
        "list takes words of a prompt, rule or state, or setting=value",
    )
    parser.add_argument("--root", default="runs", help="folder of all runs")
    add = parser.add_argument_group("the mesh of an export").add_argument
    add("--density", type=number, help="at its surface; default 15")
    add("--resolution", type=integer, help="cells along each side of the field's cube; default 96")
    add("--size", type=number, help="length of its longest side; default: as in the scene")
    add("--crumbs", action="store_true", default=None, help="keep loose parts, however small")


def _runs(options: argparse.Namespace) -> int:
    one_of("action", options.action, _ACTIONS)
    names, root = list(options.names), options.root
    mesh = {name: getattr(options, name) for name in _MESH}
    mesh = {name: value for name, value in mesh.items() if value is not None}
    if mesh and options.action != "export":
        reject("action", options.action, f"export, which alone takes --{next(iter(mesh))}")

    if root != "runs" and not Path(root).is_dir():
        reject("root", root, "an existing folder")

    from sdilib.lab.filtering import matches
    from sdilib.lab.runs import known_runs

    known = {run["name"]: run for run in known_runs(root)}
    if options.action == "list":
        found = [run for run in known.values() if matches(run, " ".join(names))]
        _list(found, root, among=len(known))
        return 0
    all_unfinished = options.action == "remove" and names == ["unfinished"]
    if all_unfinished:
        names = [name for name, run in known.items() if run["state"] == "unfinished"]
        if not names:
            sys.stdout.write(f"no unfinished run in {root}\n")
    elif not names:
        reject("names", "", "at least one run's name")
    names = list(dict.fromkeys(whole_name(name, list(known), root) for name in names))
    if options.action == "show":
        shown = [known[name] for name in names]
        sys.stdout.write(json.dumps(shown, indent=1, ensure_ascii=False) + "\n")
    if options.action == "remove":
        _remove(names, root, leave_held=all_unfinished)
    if options.action == "export":
        refused = [said for name in names if (said := _refused(known[name], root, mesh))]
        if refused:
            raise ValueError("; ".join(refused))
    return 0


def _refused(run: Mapping[str, Any], root: str, mesh: Mapping[str, Any]) -> str:
    """Export a run, or return why not: the others are exported all the same."""
    try:
        _export(run, root, mesh)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return str(error)
    return ""


def _list(found: Sequence[dict[str, Any]], root: str, *, among: int) -> None:
    for run in found:
        steps, size = f"{run['steps']}/{run['config']['steps']}", run["bytes"] / 2**20
        older = "  settings of an older version" if run["older"] else ""
        sys.stdout.write(f"{run['name']}  {run['state']}  {steps} steps  {size:.1f} MiB{older}\n")
    size = sum(run["bytes"] for run in found) / 2**20
    count = f"{len(found)} of {among}" if len(found) < among else f"{among}"
    plural = "" if among == 1 else "s"
    others = "" if among else f"; finished examples: sdilib runs --root {_EXAMPLES}"
    sys.stdout.write(f"{count} run{plural}, {size:.1f} MiB in {root}{others}\n")


def whole_name(given: str, known: Sequence[str], root: str) -> str:
    """Return the one run with this name, or whose name begins with it.

    Args:
        given: as typed.
        known: the names of all runs.
        root: their folder, for the message.

    Raises:
        ValueError: no such run, or several.
    """
    begun = [name for name in known if given and name.startswith(given)]
    found = [given] if given in known else begun
    if len(found) == 1:
        return found[0]
    if found:
        expected = "the beginning of one run's name, not of several: "
        reject("names", given, expected + ", ".join(found))
    near = [name for name in known if closest(given, [name[: len(given)]])]
    such = ", such as " + ", ".join(near[:5]) if near else ""
    reject("names", given, f"one of the runs in {root}{such}")


def _remove(names: list[str], root: str, *, leave_held: bool) -> None:
    from sdilib.lab.runs import remove

    while names:
        stopped = None
        try:
            remove(names, root)  # all at once, since each call scans the whole folder
        except ValueError as error:
            stopped = error
        gone = list(takewhile(lambda name: not (Path(root) / name).exists(), names))
        sys.stdout.write("".join(f"removed {name}\n" for name in gone))
        if stopped and not leave_held:
            raise stopped
        sys.stdout.write(f"left: {stopped}\n" if stopped else "")
        names = names[len(gone) + 1 :]


def _export(run: Mapping[str, Any], root: str, mesh: Mapping[str, Any]) -> None:
    from sdilib.lab.runs.exporting import export, reopened

    name = run["name"]
    if run["state"] != "done":
        reject("names", name, f"a finished run, not one that is {run['state']}")
    if run["older"]:
        reject("names", name, "a run with the settings of this version")
    for path in export(*reopened(Path(root) / name), mesh=mesh):
        sys.stdout.write(f"{path}\n")
