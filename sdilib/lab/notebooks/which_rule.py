"""Which rule should I use? A page that follows from records: of exact models, and of methods side by side where they were made."""

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

SIDE_BY_SIDE = "fig07_methods"
"""The figure of one object per method and prompt."""

MEASURES = {
    "CLIP Score": "CLIP Score ↑",
    "kernel distance": "distance to real renders ↓",
    "deviation of saturation": "saturation, off by ↓",
    "deviation of fine detail": "fine detail, off by ↓",
}
"""Those of a table that a choice may rest on, in words."""

_DISTANCE, _COST = "distance, ", "sample-forwards, perfect"
_TO_RENDERS = "kernel distance"
_OURS = "SDI"
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
    asked = TABLES | {SIDE_BY_SIDE: "objects beside SDI's"}
    missing = [f"{what} (`{figure}`)" for figure, what in asked.items() if figure not in made]
    if RING not in made and len(missing) == len(asked):
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
        beside=_beside_ours(made.get(SIDE_BY_SIDE, {})),
        missing=", ".join(missing),
    )


def shown(choice: Mapping[str, str], numbers: Mapping[str, Any]) -> dict[bool | None, list[str]]:
    """Return the exact models by what was shown there: that the rule ends nearer, that the other does, or neither.

    Args:
        choice: one of `choices`.
        numbers: of the ring's record.
    """
    found: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for measure in numbers:
        if measure.startswith(_DISTANCE):
            nearer = _nearer(numbers, measure, choice["rule"], choice["than"])
            found[nearer].append(measure.removeprefix(_DISTANCE))
    return found


def _nearer(numbers: Mapping[str, Any], measure: str, rule: str, than: str) -> bool | None:
    """Whether a rule has less of a measure than another, or more; None where neither was shown."""
    rows = [Less("", measure, *pair, unit="item") for pair in ((rule, than), (than, rule))]
    less, more = (bool(claim.holds) for claim in verdicts(rows, numbers))
    return less if less or more else None


def _chosen(choice: Mapping[str, str], numbers: Mapping[str, Any]) -> str:
    cost = numbers[_COST][choice["rule"]] / numbers[_COST][choice["than"]]
    models = [", ".join(each) for each in shown(choice, numbers).values()]
    return markdown_row([choice["if"], choice["prefer"], choice["to"], f"{cost:.2g} ×", *models])


def _leaders(tables: Mapping[str, Any]) -> list[str]:
    """A row per measure: the methods that lead it, with a column per table; none where too few prompts rank nothing."""
    leading = {title: _leading(table["cells"]) for title, table in tables.items()}
    rows = [
        markdown_row([said, *(_means(of.get(measure, {})) for of in leading.values())])
        for measure, said in MEASURES.items()
        if any(measure in of for of in leading.values())
    ]
    if not rows:
        return []
    cells = [table["cells"] for table in tables.values()]
    spent = markdown_row(["calls of the model, from the least", *map(_cheapest, cells)])
    failed = markdown_row(["runs that diverged", *map(_diverged, cells)])
    heads = [markdown_row(["the best by", *tables]), markdown_row(["---"] * (1 + len(tables)))]
    return [*heads, *rows, spent, failed]


def _leading(cells: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By measure, the best method and those that tie with it, from there on, with their means."""
    found = {}
    for measure in MEASURES:
        of = {name: row[measure] for name, row in cells.items() if measure in row}
        if tied := {name: cell["mean"] for name, cell in of.items() if cell["tied"]}:
            (best,) = {cell["mean"] for cell in of.values() if cell["best"]}
            found[measure] = dict(sorted(tied.items(), key=lambda each: abs(each[1] - best)))
    return found


def _cheapest(cells: Mapping[str, Any]) -> str:
    """The methods by what they cost."""
    cost = {name: row["sample-forwards"]["mean"] for name, row in cells.items()}
    return ", ".join(f"{name} {cost[name]:,.0f}" for name in sorted(cost, key=cost.__getitem__))


def _diverged(cells: Mapping[str, Any]) -> str:
    shares = {name: row["diverged"]["mean"] for name, row in cells.items()}
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share) or "none"


def _means(of: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {mean:.3g}" for name, mean in of.items())


def _beside_ours(numbers: Mapping[str, Any]) -> list[str]:
    """The other methods by what was shown of their distance to real renders: that SDI's is less, more, or neither."""
    found: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    others = [name for name in numbers.get(_TO_RENDERS, {}) if name != _OURS]
    for name in others:
        found[_nearer(numbers, _TO_RENDERS, _OURS, name)].append(name)
    return [", ".join(each) or "none" for each in found.values()] if others else []
