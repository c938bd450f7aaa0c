"""What all figures share: colours, sizes, rows of images, and curves or per-item numbers below them."""

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib.figure
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase, SubFigure
from numpy.typing import NDArray
from torch import Tensor

COLOURS = {
    "DDIM": "#1b1b1b",
    "SDI": "#1b7837",
    "SDI, cached κ": "#e08214",
    "SDI, inversion": "#1b7837",
    "SDS": "#762a83",
    "SDS, random κ": "#762a83",
    "random": "#762a83",
    "fixed": "#b08bc0",
    "fixed point": "#b2182b",
    "descent": "#4393c3",
    "inversion": "#1b7837",
    "begun": "#8c510a",
    "cached": "#e08214",
    "(γ, γ)": "#b2182b",
    "(0, 0)": "#4393c3",
    "(0, γ)": "#b08bc0",
    "(-γ, γ)": "#1b7837",
}
"""One colour per family of methods, per choice of kappa and per strategy (gamma_inv, gamma_fwd), in every figure."""

INVERSE, FORWARD = r"$\gamma_\mathrm{inv}$", r"$\gamma_\mathrm{fwd}$"

WIDTH = 7.2
"""Width of every figure, in inches: two columns of a paper."""

LABELS, TITLES, ONE_LINE = 0.95, 0.5, 0.24
"""Space left of rows of images, and above them for three lines of titles and for one, in inches."""


SMALL = {"fontsize": 6.5, "frameon": False, "handlelength": 1.2, "labelspacing": 0.25}
"""Style of legends."""

MOST_COLUMNS = 8
"""With more columns, their titles would not be readable."""


EDGE = 0.3
"""Space above and below the panels, in inches."""

LETTER = 0.056
"""Width of one letter of a method's name, in inches."""

PANELS = 2.3
"""Height of a row of large panels, in inches."""


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook displays; matplotlib's own is displayed only if pyplot was imported."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=110)
        return drawn.getvalue()


def legend(axes: Axes, *, columns: int = 2, room: float = 0.35) -> None:
    """Draw a legend in space added above the lines.

    Args:
        axes: their upper limit is raised.
        columns: of the legend.
        room: how much is added to the axes' range, as a share of it.
    """
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + room * (high - low))
    axes.legend(loc="upper center", ncols=columns, columnspacing=1.0, borderaxespad=0.1, **SMALL)


def quiet(axes: Axes) -> None:
    """Simplify a panel: no frame at the top and right, small tick labels.

    Args:
        axes: changed in place.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)


def finish(axes: Axes, title: str, x: str = "", **label: Any) -> None:
    """Give a panel its title and the label of its horizontal axis, and simplify it.

    Args:
        axes: changed in place.
        title: what its numbers are.
        x: label of the horizontal axis.
        **label: further properties of that label.
    """
    axes.set_title(title, fontsize=8, loc="left")
    axes.set_xlabel(x, **{"fontsize": 8, **label})
    quiet(axes)


def stacked(*heights: float) -> tuple[Figure, list[SubFigure]]:
    """Return a figure of full width, and its parts of the given heights, one below the other.

    Args:
        *heights: in inches.
    """
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=0)
    return figure, [figure.add_subfigure(part) for part in parts]


def image_rows(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    *,
    titles: float = TITLES,
) -> Figure:
    """Draw rows of images, with a label left of each row and a title above each column.

    Args:
        rows: images in [0, 1] by label.
        columns: titles; long ones are broken into lines.
        titles: as in `rows_height`.
    """
    figure = Figure(figsize=(WIDTH, rows_height(rows, columns, titles=titles)))
    draw_rows(figure, rows, columns, titles=titles)
    return figure


def rows_height(
    rows: Mapping[str, Tensor], columns: Sequence[str], *, titles: float = TITLES
) -> float:
    """Return the height in inches that rows of square images need at full width.

    Args:
        rows: by label.
        columns: titles.
        titles: room above the images in inches; three lines by default.
    """
    return (WIDTH - LABELS) / len(columns) * len(rows) + titles


def draw_rows(
    figure: FigureBase,
    rows: Mapping[str, Tensor],
    columns: Sequence[str],
    *,
    titles: float = TITLES,
) -> None:
    """Draw rows of images into a figure or a part of one; see `image_rows`.

    Args:
        figure: of the width `WIDTH` and the height `rows_height`.
        rows: images in [0, 1] by label; a strategy such as "(0, γ)" is spelled out.
        columns: titles.
        titles: as in `rows_height`.
    """
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    top = 1 - titles / rows_height(rows, columns, titles=titles)
    figure.subplots_adjust(
        left=LABELS / WIDTH, right=1, bottom=0, top=top, wspace=0.03, hspace=0.03
    )
    for line, (label, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(line, images, strict=True):
            axes.imshow(pixels(image), interpolation="lanczos")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        spelled = _spelled(label).replace(", ", "\n")
        line[0].set_ylabel(spelled, rotation=0, ha="right", va="center", labelpad=6, fontsize=8)
    for axes, title in zip(grid[0], columns, strict=True):
        broken = fill(title, 14, break_long_words=False, break_on_hyphens=False)
        axes.set_title(broken, fontsize=6.5, pad=3)


def _spelled(label: str) -> str:
    if not label.startswith("("):
        return label
    inverse, forward = label.strip("()").split(", ")
    return f"{INVERSE} = {inverse}, {FORWARD} = {forward}"


def pixels(image: Float[Tensor, "3 height width"]) -> NDArray[np.float32]:
    """Return an image as matplotlib draws it, channels last.

    Args:
        image: clamped to [0, 1], on CPU.
    """
    return image.permute(1, 2, 0).clamp(0, 1).numpy()


def colour_of(method: str) -> str:
    """Return a method's colour: that of the longest key of `COLOURS` with which its name begins.

    Args:
        method: e.g. "SDS, high γ" or "fixed point, ×10".

    Examples:
        >>> colour_of("fixed point, ×10") == COLOURS["fixed point"] != COLOURS["fixed"]
        True
    """
    return COLOURS[max((name for name in COLOURS if method.startswith(name)), key=len)]


def draw_mean(
    axes: Axes,
    at: Sequence[float],
    values: Float[Tensor, "items places"],
    colour: str | Sequence[float],
    **line: Any,
) -> None:
    """Draw the mean over items as a line, and their middle half as a band if there are several.

    Args:
        axes: changed in place.
        at: places on the horizontal axis.
        values: for each item and place.
        colour: of both.
        **line: further properties of the line.
    """
    values = values.double()
    if len(values) > 1:
        low, high = values.quantile(torch.tensor([0.25, 0.75]).double(), dim=0).tolist()
        axes.fill_between(list(at), low, high, color=colour, alpha=0.16, linewidth=0)
    style: dict[str, Any] = {"linewidth": 1.3, "markersize": 3.5} | line
    axes.plot(list(at), values.mean(0).tolist(), color=colour, **style)


def draw_curves(
    axes: Axes,
    times: Sequence[float],
    named: Mapping[str, Float[Tensor, "items times"]],
    title: str,
    *,
    colour: Callable[[str], str] = colour_of,
) -> None:
    """Draw curves over t, which falls to the right, each by `draw_mean`.

    Args:
        axes: changed in place.
        times: of all curves.
        named: a number for each item and time, by name.
        title: what the numbers are.
        colour: of a name.
    """
    for name, values in named.items():
        draw_mean(axes, times, values, colour(name), label=name)
    axes.set_xlim(1, 0)
    axes.set_xticks([1, 0.5, 0], ["1", "0.5", "0"])
    if axes.dataLim.y0 >= 0:
        axes.set_ylim(bottom=0)
    axes.locator_params(axis="y", nbins=4)
    finish(axes, title, "t", labelpad=1)


def images_above(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    *heights: float,
    titles: float = TITLES,
) -> tuple[Figure, list[SubFigure]]:
    """Draw rows of images, and return the figure and its empty parts below them.

    Args:
        rows: by label; the first eight of each are drawn.
        columns: titles.
        *heights: of the empty parts, in inches.
        titles: as in `rows_height`.
    """
    columns = columns[:MOST_COLUMNS]
    shown = {name: images[:MOST_COLUMNS] for name, images in rows.items()}
    figure, (above, *below) = stacked(rows_height(shown, columns, titles=titles), *heights)
    draw_rows(above, shown, columns, titles=titles)
    return figure, below


def panels(
    figure: FigureBase,
    count: int,
    height: float,
    *,
    between: float = 0.17,
    left: float = 0.5 * LABELS,
    bottom: float = 0.45,
) -> list[Axes]:
    """Return panels side by side, with room for their titles and labels.

    Args:
        figure: of full width, or a part of one.
        count: of panels.
        height: of the figure, in inches.
        between: space between two, as a share of a panel's width.
        left: space left of the first, in inches.
        bottom: space below them, in inches.
    """
    line = figure.subplots(1, count, squeeze=False)[0]
    figure.subplots_adjust(
        left=left / WIDTH, right=0.98, bottom=bottom / height, top=1 - EDGE / height, wspace=between
    )
    return list(line)


def images_and_items(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    *measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
    colour: Callable[[str], str] = colour_of,
) -> Figure:
    """Draw rows of images by method, and below them the numbers of all items.

    Args:
        rows: one image per prompt, by method; the first eight are drawn.
        columns: the prompts.
        *measured: for each row of panels, by metric, then method, the number of each item; a metric may lack a method.
        colour: of a method.
    """
    known = {name for line in measured for of in line.values() for name in of}
    colours = {name: colour(name) for name in rows if name in known}
    figure, below = images_above(rows, columns, *[items_height(colours)] * len(measured))
    for part, line in zip(below, measured, strict=True):
        draw_items(part, line, colours)
    return figure


def items_height(methods: Collection[str]) -> float:
    """Return the height in inches that `draw_items` needs.

    Args:
        methods: their names.
    """
    return 2 * EDGE + 0.17 * len(methods) + 0.05


def draw_items(
    figure: FigureBase,
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
    colours: Mapping[str, str],
) -> None:
    """Draw a panel per metric: a tick per item, a dot for the mean, a line per method.

    Args:
        figure: of the width `WIDTH` and the height `items_height`, or a part of one.
        measured: by metric, then method, the number of each item; a metric may lack a method.
        colours: by method, in the order of the lines.
    """
    height, names = items_height(colours), list(colours)
    left = max(1.4 * LABELS, 0.15 + LETTER * max(map(len, names)))
    line = panels(figure, len(measured), height, between=0.12, left=left, bottom=EDGE)
    for axes, (metric, methods) in zip(line, measured.items(), strict=True):
        for name, items in methods.items():
            place, colour = names.index(name), colours[name]
            axes.plot(items, [place] * len(items), "|", alpha=0.5, markersize=7, color=colour)
            axes.plot(float(items.mean()), place, "o", markersize=4.5, color=colour)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), names if axes is line[0] else [""] * len(names))
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="y", color="#eeeeee", linewidth=0.6)
        finish(axes, metric)
