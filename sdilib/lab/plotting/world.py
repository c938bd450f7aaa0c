"""The world's objects with their ground truth, and samples at each guidance scale beside renders."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import (
    LABELS,
    MOST_COLUMNS,
    WIDTH,
    Figure,
    draw_rows,
    rows_height,
)
from sdilib.lab.plotting.guidance_scale import draw_against, scale_axis
from sdilib.lab.studies.world import Row

__all__ = ["sweep_figure", "world_figure"]

_SHARES = {"object": "#1b1b1b", "colour": "#d6604d", "pattern": "#4393c3", "view": "#1b7837"}
_TITLE, _GAP = 0.17, 0.06  # inches


def world_figure(rows: Sequence[Row]) -> Figure:
    """Draw rows of pictures and maps, a label at each row's left, a title over each picture that has one.

    Args:
        rows: all of the same number of columns.
    """
    columns = len(rows[0].values)
    side = (WIDTH - LABELS) / columns
    heights = [side + (_TITLE if any(row.titles) else _GAP) for row in rows]
    figure = Figure(figsize=(WIDTH, sum(heights)))
    top = 1.0
    for row, height in zip(rows, heights, strict=True):
        top -= height / sum(heights)
        for column, (title, values) in enumerate(zip(row.titles, row.values, strict=True)):
            left = (LABELS + column * side) / WIDTH
            axes = figure.add_axes(
                (left, top, 0.97 * side / WIDTH, 0.97 * side / sum(heights)), xticks=[], yticks=[]
            )
            axes.spines[:].set_visible(False)
            _draw(axes, row, values)
            axes.set_title(title, fontsize=6.5, pad=2)
        middle = top + 0.5 * side / sum(heights)
        label = "\n".join(wrap(row.label, 10))
        figure.text((LABELS - 0.08) / WIDTH, middle, label, ha="right", va="center", fontsize=8)
    return figure


def _draw(axes: Axes, row: Row, values: np.ndarray) -> None:
    if row.kind == "picture":
        axes.imshow(values.clip(0, 1), interpolation="lanczos")
    elif row.kind == "silhouette":
        axes.imshow(values, cmap="gray", vmin=0, vmax=1)
    elif row.kind == "depth":
        axes.imshow(np.where(np.isinf(values), np.nan, values), cmap="viridis_r")
        axes.set_facecolor("#f2f2f2")
    else:
        axes.imshow(values, cmap="RdBu", vmin=-0.8, vmax=0.8)
        axes.contour(values, levels=[0.0], colors="black", linewidths=0.8)


def sweep_figure(
    samples: Mapping[float, Float[Tensor, "columns 3 height width"]],
    renders: Float[Tensor, "columns 3 height width"],
    columns: Sequence[str],
    measures: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
) -> Figure:
    """Draw renders and samples of the same prompts, and below them numbers against gamma.

    Args:
        samples: one image a prompt, by guidance scale; the first eight are drawn.
        renders: one image a prompt.
        columns: the prompts.
        measures: see `sdilib.lab.studies.world.sweep_measures`.
    """
    titles = columns[:MOST_COLUMNS]
    rows = {"renders": renders[:MOST_COLUMNS]}
    rows |= {f"γ = {scale:g}": images[:MOST_COLUMNS] for scale, images in samples.items()}
    upper, lower = rows_height(rows, titles), 1.75
    figure = Figure(figsize=(WIDTH, upper + lower))
    halves = figure.add_gridspec(2, 1, height_ratios=(upper, lower), hspace=0)
    above, below = (figure.add_subfigure(half) for half in halves)
    draw_rows(above, rows, titles)
    _draw_numbers(below, list(samples), measures, lower)
    return figure


def _draw_numbers(
    figure: FigureBase,
    scales: Sequence[float],
    measures: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
    height: float,
) -> None:
    """Three panels against gamma: saturation, fit to the prompt, shares of right attributes."""
    panels = figure.subplots(1, 3)
    figure.subplots_adjust(
        left=0.5 / WIDTH, right=0.985, bottom=0.42 / height, top=1 - 0.3 / height, wspace=0.26
    )
    for axes, metric in zip(panels, ("saturation", "fit to the prompt"), strict=False):
        of = measures[metric]
        draw_against(axes, scales, of)
        axes.axhline(float(of["renders"].mean()), color="#e08214", linewidth=1, linestyle="--")
        axes.annotate(
            "renders",
            (1.0, float(of["renders"].mean())),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            fontsize=6.5,
            color="#e08214",
        )
        axes.set_title(metric, fontsize=8, loc="left")
    for name, colour in _SHARES.items():
        if all(len(measures[name][f"{scale:g}"]) for scale in scales):
            means = [float(measures[name][f"{scale:g}"].mean()) for scale in scales]
            panels[2].plot(scales, means, "o-", color=colour, markersize=4, linewidth=1, label=name)
    panels[2].set_title("share that is right", fontsize=8, loc="left")
    panels[2].set_ylim(-0.03, 1.03)
    panels[2].legend(
        loc="lower left", ncols=2, fontsize=6.5, frameon=False, handlelength=1.2, columnspacing=0.8
    )
    for axes in panels:
        scale_axis(axes, scales)
