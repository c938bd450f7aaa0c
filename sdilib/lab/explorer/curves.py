"""The explorer's picture: an image, its single-step denoised image, and the run's curves."""

from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import COLOURS, WIDTH, Figure, quiet
from sdilib.lab.explorer.session import Snapshot

__all__ = ["explored", "run_curves"]

CURVES = (4.4, 2.2)
"""Width and height of the live curves, in inches."""


def run_curves(snapshot: Snapshot) -> Figure:
    """Draw a run's curves alone, as they are shown while it goes on.

    Args:
        snapshot: of a run.
    """
    figure = Figure(figsize=CURVES, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    _draw(left, right, snapshot)
    return figure


def explored(images: Mapping[str, Float[Tensor, "3 height width"]], snapshot: Snapshot) -> Figure:
    """Draw images beside the run's curves.

    Args:
        images: in [0, 1], by title; one or two.
        snapshot: of the run.
    """
    figure = Figure(figsize=(WIDTH, 1.9), layout="constrained")
    ratios = (*[1.0] * len(images), 1.6, 0.9)
    *pictures, left, right = figure.subplots(1, len(images) + 2, width_ratios=ratios)
    for axes, (title, image) in zip(pictures, images.items(), strict=True):
        axes.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="lanczos")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(title, fontsize=8)
    _draw(left, right, snapshot)
    return figure


def _draw(left: Axes, right: Axes, snapshot: Snapshot) -> None:
    t, residuals, updates = snapshot.t, snapshot.residuals, snapshot.updates
    steps = range(1, len(t) + 1)
    left.plot(steps, residuals, color=COLOURS["SDI"], linewidth=1.6, label="residual, eq. 8")
    left.plot(steps, updates, "--", color=COLOURS["DDIM"], linewidth=1.0, label="update")
    if any(value > 0 for value in (*residuals, *updates)):
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_formatter(NullFormatter())
    left.legend(fontsize=6.5, frameon=False)
    left.set_title("root mean square, in latents", fontsize=8, loc="left")
    right.plot(steps, t, ".", color=COLOURS["SDS"], markersize=3)
    right.set_ylim(-0.03, 1.03)
    right.set_title("t", fontsize=8, loc="left")
    for axes in (left, right):
        axes.set_xlim(0, snapshot.config.steps if snapshot.config else 1)
        axes.locator_params(axis="x", nbins=5, integer=True)
        axes.set_xlabel("step", fontsize=7, labelpad=1)
        quiet(axes)
