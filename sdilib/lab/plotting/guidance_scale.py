"""Figure 3: samples at each gamma, and numbers against gamma."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import (
    LABELS,
    ONE_LINE,
    WIDTH,
    Figure,
    draw_rows,
    quiet,
    rows_height,
)

__all__ = ["draw_against", "guidance_scales", "scale_axis"]

_BELOW = 1.6
"""Height of the panels with their labels, in inches."""


def guidance_scales(
    rows: Mapping[str, Float[Tensor, "scales 3 height width"]],
    scales: Sequence[float],
    measures: Mapping[str, Mapping[str, Float[Tensor, " _"]]],
) -> Figure:
    """Draw a row of samples a prompt, a column a gamma, and below them a panel a measure.

    Args:
        rows: images in [0, 1] by prompt, from the same noise at each gamma.
        scales: the gammas, rising.
        measures: see `sdilib.lab.studies.guidance_scale.scale_measures`.
    """
    titles = [f"γ = {scale:g}" for scale in scales]
    labels = {_folded(prompt): images for prompt, images in rows.items()}
    above = rows_height(labels, titles, titles=ONE_LINE)
    figure = Figure(figsize=(WIDTH, above + _BELOW))
    parts = figure.add_gridspec(2, 1, height_ratios=(above, _BELOW), hspace=0)
    upper, lower = (figure.add_subfigure(part) for part in parts)
    draw_rows(upper, labels, titles, titles=ONE_LINE)
    panels = lower.subplots(1, len(measures), squeeze=False)[0]
    lower.subplots_adjust(
        left=0.45 * LABELS / WIDTH,
        right=0.985,
        bottom=0.42 / _BELOW,
        top=1 - 0.32 / _BELOW,
        wspace=0.26,
    )
    for axes, (name, of) in zip(panels, measures.items(), strict=True):
        draw_against(axes, scales, of)
        axes.set_title(name, fontsize=8, loc="left")
        axes.set_ylim(bottom=0)
        scale_axis(axes, scales)
    return figure


def draw_against(
    axes: Axes, scales: Sequence[float], of: Mapping[str, Float[Tensor, " _"]]
) -> None:
    """Draw a tick an item and the line of means.

    Args:
        axes: changed in place.
        scales: the gammas.
        of: numbers by gamma ("7.5").
    """
    for scale in scales:
        items = of[f"{scale:g}"].tolist()
        axes.plot([scale] * len(items), items, "_", color="#999999", alpha=0.6, markersize=5)
    means = [float(of[f"{scale:g}"].mean()) for scale in scales]
    axes.plot(scales, means, "o-", color="#1b1b1b", markersize=4, linewidth=1)


def scale_axis(axes: Axes, scales: Sequence[float]) -> None:
    """Make the horizontal axis that of gamma, with a tick each.

    Args:
        axes: changed in place.
        scales: the gammas.
    """
    axes.set_xscale("log")
    axes.set_xticks(scales, [f"{scale:g}" for scale in scales], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("γ", fontsize=7.5, labelpad=1)
    quiet(axes)


def _folded(prompt: str) -> str:
    """`draw_rows` breaks labels at commas."""
    return ", ".join(wrap(prompt, 10))
