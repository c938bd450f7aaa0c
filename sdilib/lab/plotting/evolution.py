"""Figure 4: the variables of a run over t, and one run in the plane."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import COLOURS, WIDTH, Figure, draw_curves
from sdilib.lab.studies.evolution import PlaneTrajectory

__all__ = ["evolution"]

HUES = ("#3b6fb6", COLOURS["SDI, inversion"], COLOURS["SDI, cached κ"])
"""Of x(t), the scene and x0(t); further rows take the last ones of `MORE`."""

SPELLED = {"x(t)": "noisy\n$x(t)$", "scene": "scene ψ\nby SDI", "x0(t)": "denoised\n$x_0(t)$"}
"""How a variable is called beside its row."""

MORE = ("#762a83", "#8c510a")

NAME, TOP, PLANE, GAP, TICKS = 0.72, 0.4, 2.0, 0.16, 0.38
"""Room for names at the left, for times above, for the plane, before it, and for ticks, in inches."""

CURVES, UNDER = 1.0, 0.42
"""Height of the panels below the images and of the room for their labels, in inches."""

LEGEND = 0.62
"""Height of the plane's legend, in inches."""


def evolution(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[float],
    curves: Mapping[str, tuple[Sequence[float], Mapping[str, Float[Tensor, "_ _"]]]],
    plane: PlaneTrajectory,
    contours: tuple[Float[Tensor, " size"], Float[Tensor, "size size"]],
) -> Figure:
    """Draw figure 4: rows of images over t, curves below them, and a run in the plane at the right.

    Args:
        rows: images in [0, 1] by variable, "x(t)" first and "x0(t)" last, scenes between them.
        columns: the times of the images, falling.
        curves: by what is measured: the times, and by variable a number for each (item, time).
            The mean is drawn, and the middle half of the items. At most three.
        plane: from `plane_trajectory`, the part that is drawn.
        contours: coordinates and density, from `studies.evolution.density`.
    """
    side = (WIDTH - NAME - GAP - PLANE) / len(columns)
    height = TOP + len(rows) * side + 0.36 + CURVES + UNDER
    figure = Figure(figsize=(WIDTH, height))
    hues = _hues(list(rows))

    def write(text: str, left: float, top: float, **style: Any) -> None:
        figure.text(left / WIDTH, 1 - top / height, text, **style)

    def panel(left: float, bottom: float, width: float, tall: float) -> Axes:
        return figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, tall / height))

    write("a  one run in its variables", 0.04, 0.05, fontsize=8, va="top")
    write("t =", NAME - 0.07, TOP - 0.04, fontsize=7, ha="right")
    for column, t in enumerate(columns):
        write(f"{t:.2f}", NAME + (column + 0.48) * side, TOP - 0.04, fontsize=7, ha="center")
    for row, (name, images) in enumerate(rows.items()):
        top = TOP + row * side
        style = {"fontsize": 7.5, "ha": "right", "va": "center", "color": hues[name]}
        write(SPELLED.get(name, name), NAME - 0.07, top + 0.48 * side, **style)
        for column, image in enumerate(images):
            left, edge = NAME + column * side, 0.96 * side
            axes = panel(left, height - top - edge, edge, edge)
            axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="lanczos")
            axes.axis("off")
    width = (WIDTH - GAP - PLANE - len(curves) * TICKS) / len(curves)
    for k, (measured, (times, by_variable)) in enumerate(curves.items()):
        axes = panel(k * (width + TICKS) + TICKS, UNDER, width, CURVES)
        draw_curves(axes, times, by_variable, hues)
        axes.set_title(f"{'bcd'[k]}  {measured}", fontsize=8, loc="left", pad=4)
    write(
        f"{'abcde'[len(curves) + 1]}  the same in the plane",
        WIDTH - PLANE,
        0.05,
        fontsize=8,
        va="top",
    )
    shape = (PLANE - 0.04, height - LEGEND - 0.24)
    _draw_plane(panel(WIDTH - PLANE, LEGEND, *shape), shape[1] / shape[0], plane, contours)
    return figure


def _hues(names: Sequence[str]) -> dict[str, str]:
    first, *between, last = names
    noisy, scene, clean = HUES
    return {first: noisy, last: clean} | dict(zip(between, (scene, *MORE), strict=False))


def _draw_plane(
    axes: Axes,
    tall: float,
    run: PlaneTrajectory,
    contours: tuple[Float[Tensor, " size"], Float[Tensor, "size size"]],
) -> None:
    noisy, _, clean = HUES
    at, density = contours
    levels = [0.02, 0.08, 0.18, 0.32, 0.5, 0.7, 0.9, 1.01]
    axes.contourf(at, at, density.numpy(), levels=levels, cmap="Greys", vmin=-0.2, vmax=2.4)
    axes.contour(at, at, density.numpy(), levels=levels, colors="white", linewidths=0.5)
    for start, end in zip(run.x_bar.tolist(), run.x0.tolist(), strict=True):
        ray = {"color": noisy, "linewidth": 0.7, "linestyle": (0, (3, 2)), "alpha": 0.6}
        axes.plot(*zip(start, end, strict=True), **ray)
    path = {"color": noisy, "linewidth": 1.4, "markersize": 3.6, "zorder": 4}
    axes.plot(*run.x_bar.T.tolist(), "o-", **path)
    axes.plot(*run.x0.T.tolist(), "o", color=clean, markersize=3.6, zorder=4)
    arrow = {"arrowstyle": "-|>", "color": clean, "linewidth": 1.4, "mutation_scale": 8}
    for start, end in pairwise(run.updated.tolist()):
        axes.annotate("", end, start, arrowprops=arrow | {"shrinkA": 0, "shrinkB": 0}, zorder=5)
    k = int(run.x0.diff(dim=0).norm(dim=1).argmax())
    beside = {"textcoords": "offset points", "fontsize": 7.5, "zorder": 6}
    for text, point, colour, shift, side in (
        (r"$\bar{x}(t)$", run.x_bar[k], noisy, (5, 1), "left"),
        (r"$\bar{x}(t-\tau)$", run.x_bar[k + 1], noisy, (-4, 5), "right"),
        ("$x_0(t)$", run.x0[k], clean, (-4, -11), "left"),
        (r"$x_0(t-\tau)$", run.x0[k + 1], clean, (-2, -12), "center"),
    ):
        x, y = point.tolist()
        axes.annotate(text, (x, y), shift, color=colour, ha=side, **beside)
    # Room for the labels, then the panel's own shape, so that both axes have one scale.
    points = torch.cat([run.x_bar, run.x0])
    low, high = (points.amin(0) - 0.9).tolist(), (points.amax(0) + 0.5).tolist()
    across = max(high[0] - low[0], (high[1] - low[1]) / tall)
    axes.set_xlim(high[0] - across, high[0])
    axes.set_ylim(high[1] - across * tall, high[1])
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color="#bbbbbb", linewidth=0.6)
    handles = [
        Line2D(
            [], [], color=noisy, marker="o", markersize=3.6, label=r"DDIM's $\bar{x}(t)$ (eq. 2)"
        ),
        Line2D(
            [],
            [],
            linestyle=(0, (3, 2)),
            color=noisy,
            linewidth=0.8,
            label="denoised in one step (eq. 5)",
        ),
        Line2D(
            [],
            [],
            color=clean,
            marker=">",
            markersize=5,
            label=r"SDI's update of $x_0(t)$ (eq. 10)",
        ),
    ]
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "borderaxespad": 0.3}
    axes.legend(handles=handles, fontsize=7, frameon=False, **place, handlelength=2)
