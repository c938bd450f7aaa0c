"""What all figures share: colours, sizes, and rows of images."""

import io
from collections.abc import Mapping, Sequence

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
    "draw_rows",
    "image_rows",
    "legend",
    "quiet",
    "rows_height",
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
