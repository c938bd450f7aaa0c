"""What all figures share: colours, sizes, rows of images, and the numbers of items below them."""

import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib.figure
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from torch import Tensor

__all__ = [
    "COLOURS",
    "WIDTH",
    "Figure",
    "colour_of",
    "draw_curves",
    "draw_items",
    "draw_rows",
    "image_rows",
    "images_and_items",
    "items_height",
    "legend",
    "quiet",
    "rows_height",
    "stacked",
]

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

LABELS, TITLES, ONE_LINE = 0.95, 0.5, 0.24
"""Room left of rows of images and above them, in inches: for three lines of titles, and for one."""


SMALL = {"fontsize": 6.5, "frameon": False, "handlelength": 1.2, "labelspacing": 0.25}
"""Of legends."""

MOST_COLUMNS = 8
"""More would leave no room to read their titles."""


EDGE = 0.3
"""Room above the panels and below them, in inches."""

LETTER = 0.056
"""Width of a method's name, a letter, in inches."""


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook shows: matplotlib's own does so only where pyplot was imported."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=110)
        return drawn.getvalue()


def legend(axes: Axes, *, columns: int = 2, room: float = 0.35) -> None:
    """Draw a legend in room made for it above the lines.

    Args:
        axes: their upper limit is raised.
        columns: of the legend.
        room: how much is added to the axes' height, as a share of it.
    """
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + room * (high - low))
    axes.legend(
        loc="upper center",
        ncols=columns,
        columnspacing=1.0,
        borderaxespad=0.1,
        **SMALL,
    )


def quiet(axes: Axes) -> None:
    """Take away what a panel does not need: two of its frame's sides, large numbers.

    Args:
        axes: changed in place.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)


def stacked(*heights: float) -> tuple[Figure, list[FigureBase]]:
    """Return a figure of full width, and its parts of some heights, one below the other.

    Args:
        *heights: in inches.
    """
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=0)
    return figure, [figure.add_subfigure(part) for part in parts]


def image_rows(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]], columns: Sequence[str]
) -> Figure:
    """Draw rows of images, a label at each row's left and a title over each column.

    Args:
        rows: images in [0, 1] by label.
        columns: titles; long ones are broken into lines.
    """
    figure = Figure(figsize=(WIDTH, rows_height(rows, columns)))
    draw_rows(figure, rows, columns)
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
        rows: images in [0, 1] by label.
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


def colour_of(method: str) -> str:
    """Return a method's colour: its own, or that of the family it begins with.

    Args:
        method: e.g. "SDS, γ = 7.5".
    """
    family = next(family for family in ("SDI", "SDS", "DDIM") if method.startswith(family))
    return COLOURS.get(method, COLOURS[family])


def draw_curves(
    axes: Axes,
    times: Sequence[float],
    named: Mapping[str, Float[Tensor, "items times"]],
    colours: Mapping[str, str],
) -> None:
    """Draw curves over t, which falls to the right: the mean over items, and their middle half.

    Args:
        axes: changed in place.
        times: of all curves.
        named: a number for each item and time, by name.
        colours: by name.
    """
    for name, each in named.items():
        values, colour = each.double(), colours[name]
        if len(values) > 1:
            low, high = values.quantile(torch.tensor([0.25, 0.75]).double(), dim=0)
            band = {"color": colour, "alpha": 0.18, "linewidth": 0}
            axes.fill_between(list(times), low.tolist(), high.tolist(), **band)
        axes.plot(list(times), values.mean(0).tolist(), color=colour, linewidth=1.3)
    axes.set_xlim(1, 0)
    axes.set_xticks([1, 0.5, 0], ["1", "0.5", "0"])
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_xlabel("t", fontsize=8, labelpad=1)
    axes.locator_params(axis="y", nbins=4)
    quiet(axes)


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
    figure, (above, below) = stacked(rows_height(shown, columns), items_height(rows))
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
