"""Figure 14 in 2D: from ISM to SDI."""

import textwrap
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import (
    COLOURS,
    MOST_COLUMNS,
    WIDTH,
    Figure,
    draw_items,
    draw_rows,
    items_height,
    rows_height,
)

__all__ = ["from_ism"]

LADDER = ("#762a83", "#9970ab", "#4393c3", "#5aae61", COLOURS["SDI"])
"""From ISM, a relative of SDS, to SDI."""


def from_ism(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
) -> Figure:
    """Draw figure 14 in 2D: a row of images a change, and below them the numbers of all items.

    Args:
        rows: one image a prompt: DDIM's, ISM's, and those after each of the four changes; the first
            eight are drawn.
        columns: the prompts.
        measured: by metric, then method, the number of each item; DDIM may be left out.
    """
    columns = columns[:MOST_COLUMNS]
    shown = {textwrap.fill(name, 14): images[:MOST_COLUMNS] for name, images in rows.items()}
    colours = dict(zip(rows, (COLOURS["DDIM"], *LADDER), strict=True))
    upper, lower = rows_height(shown, columns), items_height(rows)
    figure = Figure(figsize=(WIDTH, upper + lower))
    halves = figure.add_gridspec(2, 1, height_ratios=(upper, lower), hspace=0)
    above, below = (figure.add_subfigure(half) for half in halves)
    draw_rows(above, shown, columns)
    draw_items(below, measured, colours)
    return figure
