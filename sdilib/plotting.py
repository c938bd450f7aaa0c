"""Figures: numbers in, a matplotlib `Figure` out; nothing is computed here that is drawn."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from torch import Tensor

from sdilib.toy import ToyPaths

__all__ = ["image_rows", "teaser", "toy_argument"]

COLOURS = {
    "DDIM": "#1b1b1b",
    "SDI, cached κ": "#e08214",
    "SDI, inversion": "#1b7837",
    "SDS, random κ": "#762a83",
    "SDS": "#762a83",
    "SDI": "#1b7837",
}
"""One colour a method, the same in every figure."""

WIDTH = 7.2
"""Of every figure, in inches: two columns of a paper."""

LABELS, TITLES = 0.95, 0.5
"""Room left of rows of images and above them, in inches."""


MOST_COLUMNS = 8
"""More would leave no room to read their titles."""


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)


def _plane(axes: Axes, truth: Float[Tensor, "points 2"], title: str) -> None:
    axes.scatter(*truth.T.tolist(), s=5, color="#c9c9c9", linewidths=0, zorder=0)
    axes.set_title(title, fontsize=8, loc="left")
    axes.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def toy_argument(
    paths: ToyPaths,
    late: ToyPaths,
    practised: Float[Tensor, "points 2"],
    times: Float[Tensor, " steps"],
    errors: Mapping[str, Float[Tensor, "steps points"]],
    *,
    num_drawn: int = 6,
) -> Figure:
    """Draw section 4's argument in the plane: paths, ends, and the error of a single update.

    Args:
        paths: all methods from t = 1.
        late: the same from a later time.
        practised: where SDS with random t ends.
        times: of `errors`.
        errors: distance of each rule's update from DDIM's.
        num_drawn: how many paths are drawn as lines.
    """
    figure = Figure(figsize=(WIDTH, 4.9), layout="constrained")
    grid = figure.subplots(2, 3)
    panels = [
        (
            grid[0, 0],
            paths,
            ("DDIM", "SDI, cached κ"),
            num_drawn,
            "a  DDIM's x₀(t), and SDI's on top of it",
        ),
        (grid[0, 1], paths, ("DDIM", "SDS, random κ"), 2, "b  SDS: the same step, random κ"),
        (
            grid[0, 2],
            late,
            ("DDIM", "SDI, inversion"),
            num_drawn,
            f"c  SDI by inversion from t = {float(late.times[0]):.2g}",
        ),
    ]
    for axes, drawn, names, count, title in panels:
        _plane(axes, drawn.truth, title)
        for name in names:
            dashed = (0, (2, 2)) if name == "SDI, cached κ" else "-"
            x0 = drawn.x0[name][:, :count]
            for point in range(x0.shape[1]):
                label = name if point == 0 else None
                axes.plot(
                    *x0[:, point].T.tolist(),
                    color=COLOURS[name],
                    linestyle=dashed,
                    linewidth=1.1,
                    label=label,
                )
                axes.plot(*x0[-1, point].tolist(), "o", color=COLOURS[name], markersize=3)
        axes.legend(
            fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, -0.1), ncols=2
        )
    _plane(grid[1, 0], paths.truth, "d  ends of DDIM")
    grid[1, 0].scatter(*paths.x0["DDIM"][-1].T.tolist(), s=6, color=COLOURS["DDIM"])
    _plane(grid[1, 1], paths.truth, "e  ends of SDS: random t, Adam")
    grid[1, 1].scatter(*practised.T.tolist(), s=6, color=COLOURS["SDS"])
    axes = grid[1, 2]
    for name, values in errors.items():
        axes.plot(
            times.tolist(), values.mean(1).tolist(), color=COLOURS[name], label=name, linewidth=1.4
        )
        low, high = torch.quantile(values, torch.tensor([0.25, 0.75], dtype=values.dtype), dim=1)
        axes.fill_between(
            times.tolist(),
            low.tolist(),
            high.tolist(),
            color=COLOURS[name],
            alpha=0.15,
            linewidth=0,
        )
    axes.set_title("f  one update's distance to DDIM's", fontsize=8, loc="left")
    axes.set_xlabel("t  (a run goes from right to left)", fontsize=8)
    axes.legend(fontsize=7, frameon=False)
    _quiet(axes)
    return figure


def image_rows(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]], columns: Sequence[str]
) -> Figure:
    """Draw rows of images, a label at each row's left and a title over each column.

    Args:
        rows: images in [0, 1] by label.
        columns: titles; long ones are broken into lines.
    """
    figure = Figure(figsize=(WIDTH, _rows_height(rows, columns)))
    _draw_rows(figure, rows, columns)
    return figure


def _rows_height(rows: Mapping[str, Tensor], columns: Sequence[str]) -> float:
    return (WIDTH - LABELS) / len(columns) * len(rows) + TITLES


def _draw_rows(figure: FigureBase, rows: Mapping[str, Tensor], columns: Sequence[str]) -> None:
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    top = 1 - TITLES / _rows_height(rows, columns)
    figure.subplots_adjust(
        left=LABELS / WIDTH, right=1, bottom=0, top=top, wspace=0.03, hspace=0.03
    )
    for line, (label, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(line, images, strict=True):
            axes.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="lanczos")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        line[0].set_ylabel(
            label.replace(", ", "\n"), rotation=0, ha="right", va="center", labelpad=6, fontsize=8
        )
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(_broken(title), fontsize=6.5, pad=3)


def _broken(title: str, length: int = 14) -> str:
    lines = [""]
    for word in title.split():
        if lines[-1] and len(lines[-1]) + len(word) >= length:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


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
    upper, lower = _rows_height(rows, columns), 0.35 + 0.17 * len(rows) + 0.3
    figure = Figure(figsize=(WIDTH, upper + lower))
    halves = figure.add_gridspec(2, 1, height_ratios=(upper, lower), hspace=0)
    above, below = (figure.add_subfigure(half) for half in halves)
    _draw_rows(above, rows, columns)
    panels = below.subplots(1, len(measured), squeeze=False)[0]
    left = 1.4 * LABELS / WIDTH
    below.subplots_adjust(
        left=left, right=0.98, bottom=0.3 / lower, top=1 - 0.3 / lower, wspace=0.12
    )
    for axes, (metric, methods) in zip(panels, measured.items(), strict=True):
        values = [items.tolist() for items in methods.values()]
        colours = [COLOURS[_family(name)] for name in methods]
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
        _quiet(axes)
    return figure


def _family(name: str) -> str:
    return next(family for family in ("SDI", "SDS", "DDIM") if name.startswith(family))
