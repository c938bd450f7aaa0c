"""The published code's variant beside eq. 10."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import (
    COLOURS,
    LABELS,
    MOST_COLUMNS,
    WIDTH,
    Figure,
    draw_items,
    draw_rows,
    items_height,
    legend,
    quiet,
    rows_height,
)

__all__ = ["published_code"]

HUES = {
    "DDIM": COLOURS["DDIM"],
    "eq. 10, τ = 0": COLOURS["SDI"],
    "eq. 10, τ ≤ 0.1": "#74b66c",
    "published, τ ≤ 0.1": "#b2182b",
    "published, τ ≤ 1/30": "#ef8a62",
}
CURVES = 1.9
"""Height of the panels over t, in inches."""


def published_code(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
    *,
    times: Sequence[float],
    deviations: Mapping[str, Float[Tensor, "items steps"]],
    expected: Float[Tensor, "items steps"],
    kept: Mapping[str, Float[Tensor, " steps"]],
) -> Figure:
    """Draw images by variant, x(t)'s deviation over t, what a step keeps of x0, and the numbers.

    Args:
        rows: one image a prompt, by variant, one of `HUES`; the first eight are drawn.
        columns: the prompts.
        measured: by metric, then variant, the number of each item.
        times: falling, those of the steps.
        deviations: standard deviation of x(t), by variant; the mean over items is drawn.
        expected: what the network was trained on.
        kept: factor that x0 is scaled by in the published variant, by variant.
    """
    columns = columns[:MOST_COLUMNS]
    rows = {name: images[:MOST_COLUMNS] for name, images in rows.items()}
    heights = (rows_height(rows, columns), CURVES, items_height(rows))
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts = figure.add_gridspec(3, 1, height_ratios=heights, hspace=0)
    above, middle, below = (figure.add_subfigure(part) for part in parts)
    draw_rows(above, rows, columns)
    draw_items(below, measured, {name: HUES[name] for name in rows})
    panels = middle.subplots(1, 2)
    middle.subplots_adjust(
        left=LABELS / WIDTH, right=0.98, bottom=0.48 / CURVES, top=1 - 0.3 / CURVES, wspace=0.2
    )
    for name, each in deviations.items():
        panels[0].plot(times, each.mean(0), color=HUES[name], label=name, linewidth=1.2)
    panels[0].plot(times, expected.mean(0), "--", color="#1b1b1b", label="expected", linewidth=1)
    for name, factor in kept.items():
        panels[1].plot(times, factor, color=HUES[name], label=name, linewidth=1.2)
    panels[1].axhline(1, color=HUES["eq. 10, τ = 0"], label="eq. 10", linewidth=1.2)
    titles = ("standard deviation of x(t)", "what a step keeps of x0:  √(α(t+τ) / α(t)), mean")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=8, loc="left")
        axes.set_xlim(1, 0)
        axes.set_xlabel("t", fontsize=8)
        legend(axes)
        quiet(axes)
    return figure
