"""Figure 1 in 2D."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from sdilib.plotting.style import (
    LABELS,
    MOST_COLUMNS,
    WIDTH,
    colour_of,
    draw_rows,
    quiet,
    rows_height,
)

__all__ = ["teaser"]


def teaser(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
) -> Figure:
    """Draw figure 1 in 2D: rows of images by method, and below them the numbers of all items.

    Args:
        rows: one image a prompt, by method; the first eight are drawn.
        columns: the prompts.
        measured: by metric, then method, the number of each item; a tick each, and a dot for the mean.
    """
    columns = columns[:MOST_COLUMNS]
    rows = {name: images[:MOST_COLUMNS] for name, images in rows.items()}
    upper, lower = rows_height(rows, columns), 0.35 + 0.17 * len(rows) + 0.3
    figure = Figure(figsize=(WIDTH, upper + lower))
    halves = figure.add_gridspec(2, 1, height_ratios=(upper, lower), hspace=0)
    above, below = (figure.add_subfigure(half) for half in halves)
    draw_rows(above, rows, columns)
    panels = below.subplots(1, len(measured), squeeze=False)[0]
    left = 1.4 * LABELS / WIDTH
    below.subplots_adjust(
        left=left, right=0.98, bottom=0.3 / lower, top=1 - 0.3 / lower, wspace=0.12
    )
    for axes, (metric, methods) in zip(panels, measured.items(), strict=True):
        values = [items.tolist() for items in methods.values()]
        colours = [colour_of(name) for name in methods]
        for place, (items, colour) in enumerate(zip(values, colours, strict=True)):
            axes.plot(items, [place] * len(items), "|", color=colour, alpha=0.5, markersize=7)
            axes.plot(sum(items) / len(items), place, "o", color=colour, markersize=4.5)
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.set_yticks(
            range(len(values)), list(methods) if axes is panels[0] else [""] * len(values)
        )
        axes.set_title(metric, fontsize=8, loc="left")
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="y", color="#eeeeee", linewidth=0.6)
        quiet(axes)
    return figure
