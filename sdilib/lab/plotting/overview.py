"""Figure 5: one step of SDI as a diagram, with the step's own pictures in its boxes."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import shorten
from typing import Any

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from torch import Tensor
from torch.nn import functional

from sdilib.lab.experiments.shared.drawing import COLOURS, WIDTH, Figure
from sdilib.lab.plotting.patterns import as_colours

__all__ = ["overview"]

SDI, SDS, INK, PALE = COLOURS["SDI, inversion"], COLOURS["SDS"], "#333333", "#666666"
GROUND = {"scene": "#f4efe6", "inversion": "#e9f3ea", "network": "#e6eaf2", "prompt": "#fdf6d8"}

HEIGHT, UPPER, LOWER, SIDE = 3.58, 1.96, 0.7, 0.8
"""Of the figure, of the middles of SDI's lane and of SDS's, and of an image, in inches."""

RENDER, INVERSION, NOISED, NETWORK, TARGET = 2.04, 3.28, 4.66, 5.64, 6.7
"""The middle of each station on both lanes, from the left."""

TEXT = 7


def overview(
    images: Mapping[str, Float[Tensor, "pictures 3 height width"]],
    noises: Mapping[str, Float[Tensor, "channels h w"]],
    *,
    prompt: str,
    t: float,
    ladder_times: Sequence[float],
    residuals: Mapping[str, float],
    scales: tuple[float, float] = (-7.5, 7.5),
) -> Figure:
    """Draw figure 5.

    Args:
        images: "render", "ladder", and for SDI and SDS "x(t), SDI", "target, SDI" and so on; see
            `studies.overview.overview_images`.
        noises: kappa for "SDI" and "SDS".
        prompt: y.
        t: of the step.
        ladder_times: of the ladder's pictures.
        residuals: of eq. 8, of what is drawn, for "SDI" and "SDS".
        scales: gamma_inv and gamma.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.add_axes((0, 0, 1, 1))
    _scene(axes, images["render"][0])
    _picture(axes, images["render"][0], RENDER, UPPER, SIDE)
    _below(axes, "render $x_0$", f"at t = {t:.2g}", RENDER, UPPER)
    _inversion(axes, images["ladder"], noises["SDI"], ladder_times)
    side = 0.56
    _picture(axes, _shown(noises["SDS"]), INVERSION, LOWER, side, edge=SDS)
    _text(axes, INVERSION, LOWER - side / 2 - 0.05, r"random noise $\epsilon$", color=SDS, va="top")
    for name, lane, colour in (("SDI", UPPER, SDI), ("SDS", LOWER, SDS)):
        for what, x in (("x(t)", NOISED), ("target", TARGET)):
            _picture(axes, images[f"{what}, {name}"][0], x, lane, SIDE, edge=colour)
        noised = rf"residual {residuals[name]:.2g}"
        _below(axes, "noised $x(t)$", noised, NOISED, lane, colour)
        _below(
            axes, "denoised", "target" if name == "SDI" else "SDS's target", TARGET, lane, colour
        )
    _network(axes)
    _arrows(axes)
    _prompt(axes, prompt, scales)
    _update(axes)
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT), aspect="equal")
    axes.axis("off")
    return figure


def _text(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, **{"fontsize": TEXT, "ha": "center", "color": INK, **style})


def _below(axes: Axes, first: str, second: str, x: float, lane: float, colour: str = INK) -> None:
    y = lane - SIDE / 2 - 0.05
    _text(axes, x, y, first, va="top", color=colour)
    _text(axes, x, y - 0.12, second, va="top", color=PALE, fontsize=6.5)


def _picture(
    axes: Axes, image: Tensor, x: float, y: float, side: float, *, edge: str = INK
) -> None:
    """Draw a square image about (x, y), with a thin frame."""
    extent = (x - side / 2, x + side / 2, y - side / 2, y + side / 2)
    shown = image.permute(1, 2, 0).clamp(0, 1).numpy()
    axes.imshow(shown, extent=extent, interpolation="lanczos", zorder=3)
    frame = {"fill": False, "edgecolor": edge, "linewidth": 0.8, "zorder": 4}
    axes.add_patch(Rectangle((extent[0], extent[2]), side, side, **frame))


def _shown(noise: Tensor) -> Tensor:
    return functional.interpolate(as_colours(noise[None]), scale_factor=4, mode="nearest")[0]


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, ground: str, edge: str
) -> None:
    style = {"boxstyle": "round,pad=0,rounding_size=0.07", "linewidth": 0.8, "zorder": 1}
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(
        FancyBboxPatch(corner, width, height, facecolor=GROUND[ground], edgecolor=edge, **style)
    )


def _arrow(axes: Axes, points: Sequence[tuple[float, float]], colour: str, **style: Any) -> None:
    """Draw an arrow along a line of straight pieces."""
    drawn = {"arrowstyle": "-|>", "mutation_scale": 8, "linewidth": 1.2, "zorder": 2}
    drawn |= {"joinstyle": "round", "capstyle": "butt"} | style
    axes.add_patch(FancyArrowPatch(path=Path(list(points)), color=colour, **drawn))


def _scene(axes: Axes, image: Tensor) -> None:
    """The parameters as a picture in space, and a camera that looks at it."""
    x, y, width, height = 0.76, UPPER, 1.36, 1.3
    _box(axes, x, y, width, height, "scene", "#b8a888")
    _text(axes, x, y + height / 2 - 0.05, r"scene $\psi$", va="top")
    # A square seen from the side: sheared, and its depth shortened.
    left, low, wide, tall, lean = x - 0.56, y - 0.44, 0.5, 0.62, 0.22
    slanted = Affine2D.from_values(wide, lean, 0, tall, left, low)
    shown = image.permute(1, 2, 0).clamp(0, 1).numpy()
    axes.imshow(
        shown,
        extent=(0, 1, 0, 1),
        interpolation="lanczos",
        transform=slanted + axes.transData,
        zorder=3,
    )
    corners = slanted.transform([[0, 0], [1, 0], [1, 1], [0, 1]])
    axes.add_patch(Polygon(corners, fill=False, edgecolor=INK, linewidth=0.8, zorder=4))
    eye = (x + 0.36, y - 0.02)
    for corner in corners[1:3]:
        axes.plot(*zip(corner, eye, strict=True), color=PALE, linewidth=0.6, zorder=2)
    body = Rectangle((eye[0] + 0.02, eye[1] - 0.07), 0.17, 0.14, facecolor=INK, zorder=4)
    lens = [(eye[0] - 0.05, eye[1] + 0.06), (eye[0] + 0.04, eye[1]), (eye[0] - 0.05, eye[1] - 0.06)]
    axes.add_patch(body)
    axes.add_patch(Polygon(lens, facecolor=INK, zorder=4))
    _text(axes, eye[0] + 0.03, eye[1] - 0.14, "camera $c$", va="top", fontsize=6.5, color=PALE)


def _inversion(axes: Axes, ladder: Tensor, kappa: Tensor, ladder_times: Sequence[float]) -> None:
    width, height, side = 1.32, 0.98, 0.36
    _box(axes, INVERSION, UPPER, width, height, "inversion", SDI)
    top = UPPER + height / 2
    _text(axes, INVERSION, top - 0.06, "DDIM inversion, 0 → t", va="top", color=SDI)
    places = [INVERSION + k * (side + 0.06) for k in (-1, 0, 1)]
    middle = UPPER - 0.02
    chosen = sorted({(len(ladder) - 1) // 2, len(ladder) - 1})
    for x, k in zip(places, chosen, strict=False):
        _picture(axes, ladder[k], x, middle, side, edge=SDI)
        _text(
            axes, x, middle - side / 2 - 0.05, f"t = {ladder_times[k]:.2g}", va="top", fontsize=6.5
        )
    _picture(axes, _shown(kappa), places[2], middle, side, edge=SDI)
    _text(axes, places[2], middle - side / 2 - 0.05, r"noise $\kappa$", va="top", color=SDI)


def _network(axes: Axes) -> None:
    """The denoiser, an hourglass that both lanes pass."""
    half, waist = 0.28, 0.3
    low, high = LOWER - 0.42, UPPER + 0.42
    left, right = NETWORK - half, NETWORK + half
    outline = [
        (left, low),
        (NETWORK, low + waist),
        (right, low),
        (right, high),
        (NETWORK, high - waist),
        (left, high),
    ]
    style = {"facecolor": GROUND["network"], "edgecolor": "#5b6f95", "linewidth": 0.8, "zorder": 1}
    axes.add_patch(Polygon(outline, joinstyle="round", **style))
    middle = (UPPER + LOWER) / 2
    _text(axes, NETWORK, middle + 0.16, "UNet", va="center", fontsize=8)
    _text(axes, NETWORK, middle, r"$\epsilon(x, t, y)$", va="center")
    _text(axes, NETWORK, middle - 0.16, "frozen", va="center", color=PALE, fontsize=6.5)


def _arrows(axes: Axes) -> None:
    half, gap = SIDE / 2, 0.03
    ends = {
        "scene": (0.08, 1.44),
        "render": (RENDER - half, RENDER + half),
        "inversion": (INVERSION - 0.66, INVERSION + 0.66),
        "noised": (NOISED - half, NOISED + half),
        "network": (NETWORK - 0.28, NETWORK + 0.28),
        "target": (TARGET - half, TARGET + half),
    }
    stations = list(ends.values())
    for (_, start), (end, _) in pairwise(stations):
        _arrow(axes, [(start + gap, UPPER), (end - gap, UPPER)], SDI)
    dashed = {"linestyle": (0, (3, 2)), "linewidth": 1.0}
    down = UPPER - half - 0.33
    corner = [(RENDER, down), (RENDER, LOWER), (INVERSION - 0.31, LOWER)]
    _arrow(axes, corner, SDS, **dashed)
    for start, end in (
        (INVERSION + 0.28, NOISED - half),
        (NOISED + half, NETWORK - 0.28),
        (NETWORK + 0.28, TARGET - half),
    ):
        _arrow(axes, [(start + gap, LOWER), (end - gap, LOWER)], SDS, **dashed)
    _text(axes, RENDER - 0.07, LOWER + 0.02, "SDS instead", ha="right", color=SDS, va="center")


def _prompt(axes: Axes, prompt: str, scales: tuple[float, float]) -> None:
    shown = shorten(prompt, 32, placeholder="…")
    width = 0.78 + 0.056 * len(shown)
    middle, y = (INVERSION + NETWORK) / 2, UPPER + 0.82
    _box(axes, middle, y, width, 0.22, "prompt", "#c9b458")
    _text(axes, middle, y, f"prompt $y$: {shown}", va="center")
    ends = ((INVERSION, UPPER + 0.52, -1), (NETWORK, UPPER + 0.17, 1))
    names = (r"\gamma_\mathrm{inv}", r"\gamma")
    for (x, end, sign), name, scale in zip(ends, names, scales, strict=True):
        _arrow(axes, [(middle + sign * width / 2, y), (x, y), (x, end)], "#a8923a", linewidth=1)
        style = {"ha": "right" if sign < 0 else "left", "va": "center", "fontsize": TEXT}
        _text(axes, x + sign * 0.06, y - 0.1, f"${name} = {scale:g}$", **style)


def _update(axes: Axes) -> None:
    """SDI's way back into the scene, over the top."""
    y = HEIGHT - 0.24
    way = [(TARGET, UPPER + SIDE / 2 + 0.03), (TARGET, y), (0.76, y), (0.76, UPPER + 0.68)]
    _arrow(axes, way, SDI)
    formula = r"update  $\nabla_\psi = \sigma(t)\,[\,\epsilon(x(t), t, y) - \kappa\,]\;\partial g / \partial \psi$"
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    _text(axes, (0.76 + TARGET) / 2, y, formula, va="center", color=SDI, fontsize=8, bbox=ground)
