"""Figures laid out in inches: one panel over the whole figure, with pictures placed freely."""

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional

from sdilib.lab.experiments.shared.drawing import WIDTH, Figure, pixels


def canvas(height: float) -> tuple[Figure, Axes]:
    """Return a figure of full width, and one panel that covers it, in inches from the lower left.

    Args:
        height: in inches.
    """
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def picture(
    axes: Axes,
    image: Float[Tensor, "3 height width"],
    x: float,
    y: float,
    side: float,
    *,
    frame: str = "",
) -> None:
    """Draw a square image onto a canvas.

    Args:
        axes: from `canvas`.
        image: in [0, 1].
        x: of its centre, in inches.
        y: of its centre, in inches.
        side: its length, in inches.
        frame: colour of a thin frame; none if empty.
    """
    extent = (x - side / 2, x + side / 2, y - side / 2, y + side / 2)
    axes.imshow(pixels(image), extent=extent, interpolation="lanczos", zorder=3)
    if frame:
        style = {"fill": False, "edgecolor": frame, "linewidth": 0.8, "zorder": 4}
        axes.add_patch(Rectangle((extent[0], extent[2]), side, side, **style))


def noise_images(
    kappa: Float[Tensor, "items channels h w"],
) -> Float[Tensor, "items 3 height width"]:
    """Return the first three channels as red, green and blue, each item standardised, enlarged fourfold, on CPU.

    Grey is the mean of all three; black and white lie three standard deviations from it.

    Args:
        kappa: of at least three channels.
    """
    shown = kappa[:, :3].float().cpu()
    centred = shown - shown.mean((1, 2, 3), keepdim=True)
    size = centred.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
    return functional.interpolate((0.5 + centred / size / 6).clamp(0, 1), scale_factor=4.0)
