"""A table of methods by measures: means with intervals; the best, and what cannot be told from it, in bold.

An item is one run, of a prompt and a seed, or one ring; all methods have the same items. The unit is the prompt, whose
mean over seeds is one observation, or the ring. A method ties with the best of a column if a two-sided sign-flip test of
their difference, paired by item, does not tell them apart at 5 %; each pair is tested by itself, without a correction for
the number of pairs. With fewer than eight units, nothing is ranked.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sdilib.checks import reject
from sdilib.lab.claims import (
    MINIMUM_N,
    SIGNIFICANCE,
    group_means,
    interval,
    markdown_row,
    sign_flip,
)
from sdilib.lab.methods import PAPERS
from sdilib.storage import atomic_write


@dataclass(frozen=True, slots=True)
class Column:
    """A measure as a column of a table.

    Attributes:
        measure: its name among the numbers.
        better: 1 if more is better, -1 if less is, 0 if neither; then nothing is bold.
        digits: after the decimal point.
        scale: factor for the numbers, such as 100 for a share in percent.
        unit: shown after the name.
    """

    measure: str
    better: int = 1
    digits: int = 2
    scale: float = 1.0
    unit: str = ""

    @property
    def title(self) -> str:
        """The heading of the column, with an arrow for what is better."""
        arrow = {1: " ↑", -1: " ↓", 0: ""}[self.better]
        return f"{self.measure}{f' ({self.unit})' if self.unit else ''}{arrow}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's entry for a method and a measure.

    Attributes:
        mean: over units, a prompt's being its mean over seeds.
        low: lower end of its 95 % bootstrap interval over units.
        high: upper end of that interval.
        best: whether no method's mean is better.
        tied: whether it is the best or cannot be told from it; never with too few units.
        p: of the difference from the best; 1 for the best itself, and with too few units.
    """

    mean: float
    low: float
    high: float
    best: bool
    tied: bool
    p: float


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text, with the notes below it.

    Attributes:
        title: what it shows.
        rows: each text, and whether it is bold; first the headings.
        notes: for the reader.
    """

    title: str
    rows: Sequence[Sequence[tuple[str, bool]]]
    notes: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """Return the table in Markdown, with the notes below it."""
        heads, *rows = (
            markdown_row([f"**{text}**" if bold else text for text, bold in row])
            for row in self.rows
        )
        under = markdown_row(["---"] * len(self.rows[0]))
        return "\n".join([f"**{self.title}**", "", heads, under, *rows, "", *self.notes])

    def latex(self) -> str:
        """Return the table in LaTeX, for `booktabs`, with the notes as comments above it."""
        heads, *rows = (" & ".join(_tex(*cell) for cell in row) + r" \\" for row in self.rows)
        begin = r"\begin{tabular}{l" + "c" * (len(self.rows[0]) - 1) + "}"
        lines = [begin, r"\toprule", heads, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
        return "\n".join([*(f"% {line}" for line in (self.title, *self.notes)), *lines])


def _tex(text: str, bold: bool) -> str:
    """A cell in LaTeX."""
    signs = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$"}
    signs |= {c: f"\\{c}" for c in "&%$#_{}"}
    written = "".join(signs.get(c, c) for c in text)
    return rf"\textbf{{{written}}}" if bold else written


@dataclass(frozen=True, slots=True)
class Ranking:
    """Methods compared on the same items.

    Attributes:
        title: what all were given, such as equal steps.
        columns: from left to right; those that were not measured are left out.
        numbers: by measure, then method: one number per item.
        groups: the unit that each item belongs to, such as its prompt.
        notes: for the reader, below the table: the encoder, the pool, the search.
        unit: what a group is; items of one prompt differ in their seeds.
    """

    title: str
    columns: Sequence[Column]
    numbers: Mapping[str, Mapping[str, ArrayLike]]
    groups: Sequence[Hashable]
    notes: Sequence[str] = field(default=())
    unit: str = "prompt"

    @property
    def measured(self) -> list[Column]:
        """The columns with numbers."""
        return [column for column in self.columns if column.measure in self.numbers]

    @property
    def cells(self) -> dict[str, dict[str, Cell]]:
        """The cells by method, then measure.

        Raises:
            ValueError: methods that were not measured on the same items.
        """
        columns = {column.measure: self._column(column) for column in self.measured}
        methods = list(next(iter(columns.values()))) if columns else []
        for measure, cells in columns.items():
            if list(cells) != methods:
                reject(measure, list(cells), f"a number of each method: {', '.join(methods)}")
        return {name: {m: cells[name] for m, cells in columns.items()} for name in methods}

    @property
    def record(self) -> dict[str, Any]:
        """What JSON keeps: every number, and each cell."""
        cells = {
            name: {measure: asdict(cell) for measure, cell in row.items()}
            for name, row in self.cells.items()
        }
        numbers = {
            measure: {name: np.asarray(values).tolist() for name, values in of.items()}
            for measure, of in self.numbers.items()
        }
        groups = {f"{self.unit}s": [str(group) for group in self.groups]}
        return {"numbers": numbers, "cells": cells, **groups, "notes": [*self.notes]}

    @property
    def table(self) -> Table:
        """Means with intervals, method by method."""
        rows = [[(text, False) for text in ("method", *(c.title for c in self.measured))]]
        for name, cells in self.cells.items():
            row = [(name, False)]
            for column in self.measured:
                cell = cells[column.measure]
                mean, low, high = (
                    f"{column.scale * each:.{column.digits}f}"
                    for each in (cell.mean, cell.low, cell.high)
                )
                row.append((f"{mean} [{low}, {high}]", cell.tied))
            rows.append(row)
        return Table(self.title, rows, [self._said(), *self.notes])

    def _said(self) -> str:
        count, unit = len(set(self.groups)), f"{self.unit}s"
        seeds = f" and seeds ({len(self.groups) // max(1, count)})" if unit == "prompts" else ""
        said = f"Means over {unit} ({count}){seeds}, with 95 % intervals over {unit}. "
        if count < MINIMUM_N:
            return said + f"Fewer than {MINIMUM_N} {unit}: nothing is ranked."
        tied = "Bold: the best of a column, and what cannot be told from it at 5 %, pair by pair."
        return said + tied

    def _column(self, column: Column) -> dict[str, Cell]:
        means = {
            name: group_means(np.asarray(values, dtype=np.float64), self.groups)
            for name, values in self.numbers[column.measure].items()
        }
        average = {name: float(each.mean()) for name, each in means.items()}
        sign = column.better or 1
        best = max(average.values(), key=lambda mean: sign * mean)
        leader = next(name for name in average if average[name] == best)
        enough = len(means[leader]) >= MINIMUM_N
        ps = {
            name: sign_flip(each - means[leader]) if enough and name != leader else 1.0
            for name, each in means.items()
        }
        return {
            name: Cell(
                average[name],
                *interval(each),
                best=average[name] == best,
                tied=bool(column.better) and enough and ps[name] > SIGNIFICANCE,
                p=ps[name],
            )
            for name, each in means.items()
        }


def write_tables(
    rankings: Sequence[Ranking], folder: Path, name: str, theirs: Table | None = None
) -> None:
    """Write tables as Markdown and LaTeX.

    Args:
        rankings: one below the other.
        folder: of the files.
        name: of the files, without suffix.
        theirs: a further table, such as the paper's own numbers.
    """
    tables = [*(each.table for each in rankings), *([theirs] if theirs else [])]
    atomic_write(folder / f"{name}.md", "\n\n".join(each.markdown() for each in tables) + "\n")
    atomic_write(folder / f"{name}.tex", "\n\n".join(each.latex() for each in tables) + "\n")


def _papers() -> Table:
    heads = ["method, in the paper", *PAPERS["SDI"]]
    means = {name: [" ± ".join(map(str, x)) for x in row.values()] for name, row in PAPERS.items()}
    rows = [heads, *([name, *row] for name, row in means.items())]
    of = "Stable Diffusion 2.1, 43 prompts × 50 views, 10,000 or 25,000 steps; ± is a standard deviation over views."
    return Table("The paper's own numbers", [[(text, False) for text in row] for row in rows], [of])


PAPERS_TABLE = _papers()
"""The paper's Table 1, labelled as the paper's."""
