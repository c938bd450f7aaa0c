"""Which rule should I use? A page that follows from records: of exact models, and of tables of methods where they were made."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from sdilib.lab.claims import Less, markdown_row, verdicts

RING = "when_does_inversion_help"
"""The figure of exact models."""

TABLES = {"table1_2d": "images", "table1_3d": "objects"}
"""The figures that rank methods, and what these make there."""

MEASURES = ("CLIP Score", "kernel distance", "deviation of saturation", "deviation of fine detail")
"""Those of a table that a choice may rest on."""

_DISTANCE, _COST = "distance, ", "sample-forwards, perfect"
_BESIDE = Path(__file__)


def choices() -> list[dict[str, str]]:
    """Return what is to be chosen between: "if", "prefer" and "to" in words, and the ring's names for both, "rule" and "than"."""
    with _BESIDE.with_suffix(".csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def which_rule(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the page, or "" where none of its figures was made.

    Args:
        records: of a folder's figures.
    """
    made = {record["figure"]: record["numbers"] for record in records}
    missing = [f"{what} (`{figure}`)" for figure, what in TABLES.items() if figure not in made]
    if RING not in made and len(missing) == len(TABLES):
        return ""
    tables = [
        {"figure": figure, "what": what, "rows": _leaders(made[figure]["tables"])}
        for figure, what in TABLES.items()
        if figure in made
    ]
    filler = Environment(trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)
    return filler.from_string(_BESIDE.with_suffix(".md").read_text(encoding="utf-8")).render(
        rows=[_chosen(each, made[RING]) for each in choices()] if RING in made else [],
        tables=tables,
        missing=", ".join(missing),
    )


def shown(choice: Mapping[str, str], numbers: Mapping[str, Any]) -> dict[bool | None, list[str]]:
    """Return the exact models by what was shown there: that the rule ends nearer, that the other does, or neither.

    Args:
        choice: one of `choices`.
        numbers: of the ring's record.
    """
    found: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    pairs = (choice["rule"], choice["than"]), (choice["than"], choice["rule"])
    for measure in numbers:
        if measure.startswith(_DISTANCE):
            rows = [Less("", measure, *pair, unit="item") for pair in pairs]
            nearer, farther = (bool(claim.holds) for claim in verdicts(rows, numbers))
            found[nearer if nearer or farther else None].append(measure.removeprefix(_DISTANCE))
    return found


def _chosen(choice: Mapping[str, str], numbers: Mapping[str, Any]) -> str:
    cost = numbers[_COST][choice["rule"]] / numbers[_COST][choice["than"]]
    models = [", ".join(each) for each in shown(choice, numbers).values()]
    return markdown_row([choice["if"], choice["prefer"], choice["to"], f"{cost:.2g} ×", *models])


def _leaders(tables: Mapping[str, Any]) -> list[str]:
    """A row per measure: the methods that lead it, with a column per table; none where too few prompts rank nothing."""
    rows = []
    for measure in MEASURES:
        cells = []
        for table in tables.values():
            of = {name: row[measure] for name, row in table["cells"].items() if measure in row}
            cells.append(", ".join(name for name, cell in of.items() if cell["tied"]))
        if any(cells):
            rows.append(markdown_row([measure, *cells]))
    heads = [markdown_row(["by", *tables]), markdown_row(["---"] * (1 + len(tables)))]
    return heads + rows if rows else []
