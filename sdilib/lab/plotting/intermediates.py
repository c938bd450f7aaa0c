"""Figure 6: the variables of SDS and of SDI side by side over t."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import (
    ONE_LINE,
    SMALL,
    WIDTH,
    Figure,
    colour_of,
    draw_curves,
    draw_rows,
    rows_height,
)

__all__ = ["intermediate_rows"]

_BELOW = 1.55
"""Height of the panels with their labels, in inches."""


def intermediate_rows(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[float],
    curves: Mapping[str, tuple[Sequence[float], Mapping[str, Float[Tensor, "_ _"]]]],
) -> Figure:
    """Draw rows of images by rule and variable, a column a time, and below them curves over t.

    Args:
        rows: images in [0, 1], labelled "SDS, noised" and so on.
        columns: the times of the images.
        curves: by what is measured: the times, and by rule a number for each (item, time). The mean
            is drawn, and the middle half of the items.
    """
    titles = ["render" if t == 0 else f"t = {t:.2g}" for t in columns]
    above = rows_height(rows, titles, titles=ONE_LINE)
    figure = Figure(figsize=(WIDTH, above + _BELOW))
    parts = figure.add_gridspec(2, 1, height_ratios=(above, _BELOW), hspace=0)
    upper, lower = (figure.add_subfigure(part) for part in parts)
    draw_rows(upper, rows, titles, titles=ONE_LINE)
    panels = lower.subplots(1, len(curves), squeeze=False)[0]
    lower.subplots_adjust(
        left=0.5 / WIDTH, right=0.985, bottom=0.4 / _BELOW, top=1 - 0.3 / _BELOW, wspace=0.28
    )
    for axes, (name, (times, by_rule)) in zip(panels, curves.items(), strict=True):
        draw_curves(axes, times, by_rule, {rule: colour_of(rule) for rule in by_rule})
        axes.set_title(name, fontsize=8, loc="left")
        axes.set_xlim(0, 1)  # as the columns run
    rules = list(next(iter(curves.values()))[1])
    panels[0].legend(panels[0].lines, rules, loc="lower left", **SMALL)
    return figure
