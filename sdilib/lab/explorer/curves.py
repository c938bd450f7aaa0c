"""The explorer's pictures: the curves of one run or several, and images beside them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import WIDTH, Figure, quiet

HUES = ("#1b7837", "#762a83", "#e08214", "#4393c3", "#b2182b", "#1b1b1b")
"""One per run that stands beside others."""

_LINES = ("-", "-", "-", "-", "--", "--")  # not all eyes tell the fifth hue from the first
_MARKS = (".", ".", ".", ".", "+", "x")

_BESIDE, _ABOVE, _BELOW, _LINE = 0.5, 0.24, 0.42, 0.14
"""Room for the numbers left of a panel, its title, the numbers and the label below, and a line of the legend, in inches."""

_TITLES = {"residual": "residual of eq. 8", "gradient": "update", "t": "t"}

Logs = Mapping[str, Sequence[Mapping[str, Any]]]


def run_curves(logs: Logs) -> Figure:
    """Draw runs over their steps: the residual of eq. 8 and the update, root mean squares, and t.

    Args:
        logs: of the runs, by name: a record per step, as `lab.runs` keeps it. At most six.
    """
    below = _LINE * len(logs) * (len(logs) > 1)
    width, height = 5.6, 1.7 + below
    figure = Figure(figsize=(width, height))
    _draw(list(figure.subplots(1, 3)), logs)
    # Not by a layout engine: a page draws this at each step, it takes half as long, and the panels stand still.
    figure.subplots_adjust(
        left=_BESIDE / width,
        right=1 - 0.1 / width,
        top=1 - _ABOVE / height,
        bottom=(_BELOW + below) / height,
        wspace=0.35,
    )
    if len(logs) > 1:
        figure.legend(loc="lower left", fontsize=7, frameon=False, labelspacing=0.25, borderpad=0)
    return figure


def explored(images: Mapping[str, Float[Tensor, "3 height width"]], logs: Logs) -> Figure:
    """Draw images above the runs' curves.

    Args:
        images: in [0, 1], by title.
        logs: see `run_curves`.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    upper, lower = cast(Sequence[Any], figure.subfigures(2, 1))
    panels = upper.subplots(1, len(images), squeeze=False)[0]
    for axes, (title, image) in zip(panels, images.items(), strict=True):
        axes.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="lanczos")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(title, fontsize=8)
    _draw(list(lower.subplots(1, 3)), logs)
    return figure


def _draw(panels: Sequence[Axes], logs: Logs) -> None:
    for axes, (name, title) in zip(panels, _TITLES.items(), strict=True):
        for (label, log), hue, line, mark in zip(logs.items(), HUES, _LINES, _MARKS, strict=False):
            steps = [record["step"] + 1 for record in log]
            axes.plot(
                steps,
                [record.get(name, math.nan) for record in log],  # a skipped step has neither
                mark if name == "t" else line,
                color=hue,
                linewidth=1.4,
                markersize=3,
                label=label if name == "residual" else None,
            )
        if name == "t":
            axes.set_ylim(-0.03, 1.03)
        elif any(record.get(name, 0) > 0 for log in logs.values() for record in log):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5, integer=True)
        axes.set_title(title, fontsize=8, loc="left")
        axes.set_xlabel("step", fontsize=7, labelpad=1)
        quiet(axes)
