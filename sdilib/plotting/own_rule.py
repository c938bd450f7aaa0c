"""A rule of one's own beside the known ones."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from sdilib.plotting.items import draw_items, items_height
from sdilib.plotting.style import COLOURS, MOST_COLUMNS, WIDTH, draw_rows, rows_height

__all__ = ["own_rule"]

OWN_COLOUR = "#2166ac"
"""Of whatever is no method of the paper."""


def own_rule(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
) -> Figure:
    """Draw rows of images by method, and below them the numbers of all items.

    Args:
        rows: one image a prompt, by method; the first eight are drawn.
        columns: the prompts.
        measured: by metric, then method, the number of each item; a metric may lack a method.
    """
    columns = columns[:MOST_COLUMNS]
    shown = {name: images[:MOST_COLUMNS] for name, images in rows.items()}
    heights = (rows_height(shown, columns), items_height(rows))
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts = figure.add_gridspec(2, 1, height_ratios=heights, hspace=0)
    above, below = (figure.add_subfigure(part) for part in parts)
    draw_rows(above, shown, columns)
    draw_items(below, measured, {name: COLOURS.get(name, OWN_COLOUR) for name in rows})
    return figure
