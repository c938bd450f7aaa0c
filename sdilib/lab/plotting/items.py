"""Rows of images by method, and below them the number of each item, and its mean."""

from collections.abc import Callable, Mapping, Sequence

from jaxtyping import Float
from matplotlib.figure import FigureBase
from torch import Tensor

from sdilib.lab.plotting.style import (
    LABELS,
    MOST_COLUMNS,
    WIDTH,
    Figure,
    draw_rows,
    quiet,
    rows_height,
)

__all__ = ["draw_items", "images_and_items", "items_height"]

EDGE = 0.3
"""Room above the panels and below them, in inches."""

LETTER = 0.056
"""Width of a method's name, a letter, in inches."""


def images_and_items(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
    colour: Callable[[str], str],
) -> Figure:
    """Draw rows of images by method, and below them the numbers of all items.

    Args:
        rows: one image a prompt, by method; the first eight are drawn.
        columns: the prompts.
        measured: by metric, then method, the number of each item; a metric may lack a method.
        colour: of a method.
    """
    columns = columns[:MOST_COLUMNS]
    shown = {name: images[:MOST_COLUMNS] for name, images in rows.items()}
    heights = (rows_height(shown, columns), items_height(rows))
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts = figure.add_gridspec(2, 1, height_ratios=heights, hspace=0)
    above, below = (figure.add_subfigure(part) for part in parts)
    draw_rows(above, shown, columns)
    draw_items(below, measured, {name: colour(name) for name in rows})
    return figure


def items_height(methods: Mapping[str, object]) -> float:
    """Return the height in inches that `draw_items` needs.

    Args:
        methods: by name.
    """
    return 2 * EDGE + 0.17 * len(methods) + 0.05


def draw_items(
    figure: FigureBase,
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
    colours: Mapping[str, str],
) -> None:
    """Draw a panel a metric: a tick an item, a dot for the mean, a line a method.

    Args:
        figure: of the width `WIDTH` and the height `items_height`, or a part of one.
        measured: by metric, then method, the number of each item; a metric may lack a method.
        colours: by method; its order is that of the lines.
    """
    height, names = items_height(colours), list(colours)
    panels = figure.subplots(1, len(measured), squeeze=False)[0]
    figure.subplots_adjust(
        left=max(1.4 * LABELS, 0.15 + LETTER * max(map(len, names))) / WIDTH,
        right=0.98,
        bottom=EDGE / height,
        top=1 - EDGE / height,
        wspace=0.12,
    )
    for axes, (metric, methods) in zip(panels, measured.items(), strict=True):
        for name, items in methods.items():
            place, style = names.index(name), {"color": colours[name]}
            axes.plot(items, [place] * len(items), "|", alpha=0.5, markersize=7, **style)
            axes.plot(float(items.mean()), place, "o", markersize=4.5, **style)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), names if axes is panels[0] else [""] * len(names))
        axes.set_title(metric, fontsize=8, loc="left")
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="y", color="#eeeeee", linewidth=0.6)
        quiet(axes)
