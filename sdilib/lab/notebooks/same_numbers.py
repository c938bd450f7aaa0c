"""Code that changed and makes the same numbers, so that a figure does not go stale by a message or a name.

The same notebooks are run at one preset, best at smoke, by the code before a change and by the code after it. Where all
their numbers agree to the bit, times and memory aside, a table keeps that the one version of a figure's code stands for the
other. That is evidence, not proof: only what the smaller run goes through was compared.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sdilib.lab.notebooks.freshness import TABLE, known_pairs, read_records, version
from sdilib.storage import write_json

_TIMES = {"seconds", "cost", "forwards and seconds"}
_MEASURED = _TIMES | {"memory", "memory (GB)", "peak memory (GiB)"}  # differ from run to run


def add_pairs(before: Path, after: Path, folder: Path) -> dict[str, str]:
    """Compare figures made by two versions of the code, and add those with the same numbers to the table.

    Args:
        before: folder of the figures made before the change.
        after: of those made after it, with the same settings, model and versions of other libraries.
        folder: whose table is extended.

    Returns:
        By notebook, "same", or why it is not.

    Raises:
        ValueError: no such folder.
    """
    old, new = _by_notebook(before), _by_notebook(after)
    table: dict[str, list[list[str]]] = {k: [*v] for k, v in known_pairs(folder).items()}
    said = {}
    for notebook in sorted(old.keys() & new.keys()):
        said[notebook] = _difference(old[notebook], new[notebook]) or "same"
        pair = [version(next(iter(of[notebook].values()))) for of in (old, new)]
        rows = table.setdefault(notebook, [])
        if said[notebook] == "same" and pair[0] != pair[1] and pair not in rows:
            rows.append(pair)
    kept = {notebook: rows for notebook, rows in sorted(table.items()) if rows}
    write_json(folder.resolve().parent / TABLE, kept)
    return said


def _by_notebook(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for record in read_records(folder):
        found[record["notebook"]][record["figure"]] = record
    return found


def _difference(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> str:
    if old.keys() != new.keys():
        return f"other figures: {', '.join(sorted(old.keys() ^ new.keys()))}"
    for name, record in old.items():
        for what in ("model_hash", "evaluator_hash", "seed", "versions"):
            if record[what] != new[name][what]:
                return f"{name} was made with another {what}"
        one, other = (dict(_flat(each[name]["numbers"])) for each in (old, new))
        if differing := [
            path for path in one.keys() | other.keys() if one.get(path) != other.get(path)
        ]:
            return f"{name} has another number: {min(differing)}"
    return ""


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The numbers by their place, as text."""
    if isinstance(value, Mapping):
        for key, of in value.items():
            if key not in _MEASURED:
                yield from _flat(of, f"{path}/{key}")
    elif isinstance(value, list):
        for k, of in enumerate(value):
            yield from _flat(of, f"{path}/{k}")
    else:
        yield path, repr(value)
