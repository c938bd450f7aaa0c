"""Figure 5: a diagram of one step of SDI on a scene in the middle of its run, and of SDS's step at the same point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from textwrap import shorten
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from torch import Tensor

from sdilib.checks import in_range
from sdilib.guidance import SDI, SDS, Rule, Update, View
from sdilib.inversion import Cached, DDIMInversion, invert
from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared.canvas import canvas, noise_images, picture
from sdilib.lab.experiments.shared.drawing import COLOURS, Figure, pixels
from sdilib.lab.experiments.shared.path import root_mean_square, sdi_with
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import distilled_steps

RESIDUAL, DISTANCE = "residuals", "distances to DDIM"

CLAIMS = tuple(
    Less(f"At the step drawn, {said}", measure, "SDI", "SDS", note=note)
    for said, measure, note in (
        ("the inverted κ solves eq. 8 better than a random one", RESIDUAL, "residual r(t)"),
        ("SDI's target lies closer to DDIM's next x0(t) than SDS's", DISTANCE, "RMS over latents"),
    )
)

GREEN, PURPLE, INK = COLOURS["SDI"], COLOURS["SDS"], "#333333"
FAINT = {"color": "#666666", "fontsize": 6.5}

HEIGHT, UPPER, LOWER, MIDDLE = 3.58, 1.96, 0.7, 1.33
"""Height of the figure, and of SDI's lane, SDS's lane and the middle between them, in inches."""

SCENE, RENDER, INVERSION, NOISED, NETWORK, TARGET = 0.76, 2.04, 3.28, 4.66, 5.64, 6.7
"""Centre of each station on both lanes, in inches from the left."""

SIDE, NOISE, RUNG, WAIST = 0.8, 0.56, 0.36, 0.28
"""Side of an image, of SDS's noise and of an image in the inversion, and half the network's width, in inches."""

DASHED: dict[str, Any] = {"linestyle": (0, (3, 2)), "linewidth": 1.0}
ENDS = {NOISED: SIDE / 2, NETWORK: WAIST, TARGET: SIDE / 2}
LANES = (
    ("SDI", "target", UPPER, GREEN, {SCENE: 0.68, RENDER: SIDE / 2, INVERSION: 0.66, **ENDS}, {}),
    ("SDS", "SDS's target", LOWER, PURPLE, {INVERSION: NOISE / 2, **ENDS}, DASHED),
)
"""Each rule's name, caption of its denoised image, height, colour, stations with half their widths, and arrow style."""

_FOOT = ((-WAIST, -0.42), (0.0, -0.12), (WAIST, -0.42))
HOURGLASS = [
    (NETWORK + sign * x, lane + sign * y)
    for sign, lane in ((1, LOWER), (-1, UPPER))
    for x, y in _FOOT
]
"""Corners of the network, which both lanes pass through."""

FORMULA = r"update  $\nabla_\psi = \sigma(t)\,[\,\epsilon(x(t), t, y) - \kappa\,]\;\partial g / \partial \psi$"

TEXTS: tuple[tuple[float, float, str, dict[str, Any]], ...] = (
    (SCENE, UPPER + 0.6, r"scene $\psi$", {"va": "top"}),
    (SCENE + 0.39, UPPER - 0.16, "camera $c$", {"va": "top", **FAINT}),
    (INVERSION, UPPER + 0.43, "DDIM inversion, 0 → t", {"va": "top", "color": GREEN}),
    (NETWORK, MIDDLE + 0.16, "UNet", {"fontsize": 8}),
    (NETWORK, MIDDLE, r"$\epsilon(x, t, y)$", {}),
    (NETWORK, MIDDLE - 0.16, "frozen", FAINT),
    (RENDER - 0.07, LOWER + 0.02, "SDS instead", {"ha": "right", "color": PURPLE}),
    (
        (SCENE + TARGET) / 2,
        HEIGHT - 0.24,
        FORMULA,
        {"color": GREEN, "fontsize": 8, "bbox": {"facecolor": "white", "linewidth": 0, "pad": 2}},
    ),
)
"""Fixed texts: position, text and style. Those that depend on the step are in `draw`."""

Latents = Float[Tensor, "items channels h w"]


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A step of SDI, and SDS's at the same point.

    Attributes:
        t: time to which the renders are noised.
        x0: latents of the renders before the step.
        x_t: by rule, "SDI" and "SDS": the renders noised by its kappa (eq. 9).
        updates: by rule.
        ladder: the first item's noisy latents after each step of the inversion.
        ladder_times: their times, rising to t.
        ddim: DDIM's own x0 after the step (eq. 6).
        scales: gamma_inv of the inversion, and gamma.
    """

    t: float
    x0: Latents
    x_t: dict[str, Latents]
    updates: dict[str, Update]
    ladder: Float[Tensor, "steps channels h w"]
    ladder_times: tuple[float, ...]
    ddim: Latents
    scales: tuple[float, float]


def one_step(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    num_steps: int,
    t: float,
    guidance_scale: float,
    inversion: DDIMInversion | None = None,
) -> Overview:
    """Bring latent scenes to some t by eq. 10 with the cached kappa, and compute a step of SDI and one of SDS.

    At 30 steps and t = 0.8 it costs 34 sample-forwards per prompt, and 16 more for the first.

    Args:
        model: frozen.
        prompts: one per item, all in one batch.
        seeds: one per item.
        num_steps: of a whole run, from t = 1 to 0, at least 2.
        t: of the step; the nearest of the run's times except its first is taken.
        guidance_scale: gamma of both rules.
        inversion: SDI's; None inverts at -gamma, as in the paper.

    Raises:
        ValueError: t outside its range.
        NonFiniteError: a tensor on the way is not finite.
    """
    in_range("t", t, 0, 1, open_low=True)
    number = min(max(round((1 - t) * num_steps), 1), num_steps - 1)
    inversion, prompt = inversion or DDIMInversion(), model.embed(prompts)
    settings = {"num_steps": num_steps, "start_guidance_scale": guidance_scale}
    rule = sdi_with(Cached, guidance_scale)
    *_, step = islice(distilled_steps(model, prompt, seeds, rule=rule, **settings), number)
    x0, times = step.x0, step.t
    rules: dict[str, Rule] = {
        "SDI": SDI(model, guidance_scale, inversion),
        "SDS": SDS(model, guidance_scale),
    }
    updates: dict[str, Update] = {}
    for name, rule in rules.items():
        draws = [generator(seed, number, "overview") for seed in seeds]
        updates[name] = rule(x0, times, View(prompt), draws)
    x_t = {name: model.schedule.add_noise(x0, each.kappa, times) for name, each in updates.items()}
    inverse = inversion.inverse(model.guided(prompt.select(torch.tensor([0])), guidance_scale))
    size = {"num_inversion_steps": inversion.num_inversion_steps}
    ladder = list(invert(x0[:1], inverse, t=times[:1], **size))
    return Overview(
        t=float(times[0]),
        x0=x0,
        x_t=x_t,
        updates=updates,
        ladder=torch.cat([each.x_next for each in ladder]),
        ladder_times=tuple(float(each.t_next[0]) for each in ladder),
        ddim=step.update.target,
        scales=(inverse.guidance_scale, guidance_scale),
    )


def measures(made: Overview) -> dict[str, dict[str, Float[Tensor, " items"]]]:
    """Return eq. 8's residual at the renders, and how far each denoised render is from DDIM's own next x0(t), by rule.

    Args:
        made: from `one_step`.
    """
    off = {name: each.denoised - made.ddim for name, each in made.updates.items()}
    return {
        RESIDUAL: {name: each.residual for name, each in made.updates.items()},
        DISTANCE: {name: root_mean_square(each[:, None])[:, 0] for name, each in off.items()},
    }


@torch.no_grad()
def images(
    model: StableDiffusion, made: Overview
) -> dict[str, Float[Tensor, "pictures 3 height width"]]:
    """Return the first item's pictures, decoded, in [0, 1], on CPU.

    Args:
        model: whose VAE decodes.
        made: from `one_step`.

    Returns:
        "ladder", with a picture per step of the inversion; "render", and for each rule "x(t), SDI", "target, SDI" and so
        on, with one picture each.
    """
    latents = {"render": made.x0[:1], "ladder": made.ladder}
    for name, update in made.updates.items():
        latents[f"x(t), {name}"] = made.x_t[name][:1]
        latents[f"target, {name}"] = update.denoised[:1]
    return {
        name: model.decode(each.to(model.device)).clamp(0, 1).float().cpu()
        for name, each in latents.items()
    }


def draw(
    shown: Mapping[str, Float[Tensor, "pictures 3 height width"]],
    made: Overview,
    prompt: str,
) -> Figure:
    """Draw one step of SDI as a diagram, with the first item's pictures in its boxes.

    Args:
        shown: from `images`.
        made: from `one_step`.
        prompt: y.
    """
    figure, axes = canvas(HEIGHT)
    noise = {name: noise_images(each.kappa[:1])[0] for name, each in made.updates.items()}
    pictures: list[tuple[Tensor, float, float, float, str, dict[str, Any]]] = [
        (noise["SDI"], INVERSION + 0.42, UPPER - 0.02, RUNG, GREEN, {r"noise $\kappa$": {}}),
        (noise["SDS"], INVERSION, LOWER, NOISE, PURPLE, {r"random noise $\epsilon$": {}}),
    ]
    # Of the inversion, one step half-way and the last one.
    last = len(made.ladder_times) - 1
    for x, k in zip((INVERSION - 0.42, INVERSION), sorted({last // 2, last}), strict=False):
        caption = {f"t = {made.ladder_times[k]:.2g}": FAINT | {"color": INK}}
        pictures.append((shown["ladder"][k], x, UPPER - 0.02, RUNG, GREEN, caption))
    large = [("render", RENDER, UPPER, INK, "render $x_0$", f"at t = {made.t:.2g}")]
    for name, target, lane, colour, *_ in LANES:
        residual = f"residual {float(made.updates[name].residual[0]):.2g}"
        large.append((f"x(t), {name}", NOISED, lane, colour, "noised $x(t)$", residual))
        large.append((f"target, {name}", TARGET, lane, colour, "denoised", target))
    for name, x, lane, colour, first, second in large:
        pictures.append((shown[name][0], x, lane, SIDE, colour, {first: {}, second: FAINT}))
    for image, x, y, side, colour, caption in pictures:
        picture(axes, image, x, y, side, frame=colour)
        for line, (text, style) in enumerate(caption.items()):
            below = y - side / 2 - 0.05 - 0.12 * line
            _text(axes, x, below, text, **{"va": "top", "color": colour, **style})
    for x, y, text, style in TEXTS:
        _text(axes, x, y, text, **style)
    _box(axes, SCENE, UPPER, 1.36, 1.3, facecolor="#f4efe6", edgecolor="#b8a888")
    _box(axes, INVERSION, UPPER, 1.32, 0.98, facecolor="#e9f3ea", edgecolor=GREEN)
    _scene(axes, shown["render"][0])
    style = {"facecolor": "#e6eaf2", "edgecolor": "#5b6f95", "linewidth": 0.8, "zorder": 1}
    axes.add_patch(Polygon(HOURGLASS, joinstyle="round", **style))
    _arrows(axes)
    _prompt(axes, prompt, made.scales)
    return figure


def _arrows(axes: Axes) -> None:
    """Arrows from station to station, from the render down to SDS's noise, and from SDI's target back to the scene."""
    for *_, lane, colour, stations, style in LANES:
        for (before, left), (after, right) in pairwise(stations.items()):
            ends = before + left + 0.03, after - right - 0.03
            _arrow(axes, [(x, lane) for x in ends], colour, **style)
    down = [(RENDER, UPPER - 0.73), (RENDER, LOWER), (INVERSION - NOISE / 2 - 0.03, LOWER)]
    _arrow(axes, down, PURPLE, **DASHED)
    top = HEIGHT - 0.24
    back = [(TARGET, UPPER + 0.43), (TARGET, top), (SCENE, top), (SCENE, UPPER + 0.68)]
    _arrow(axes, back, GREEN)


def _text(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, **{"fontsize": 7, "ha": "center", "va": "center", "color": INK, **style})


def _box(axes: Axes, x: float, y: float, width: float, height: float, **colours: Any) -> None:
    style = {"boxstyle": "round,pad=0,rounding_size=0.07", "linewidth": 0.8, "zorder": 1}
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(FancyBboxPatch(corner, width, height, **style, **colours))


def _arrow(axes: Axes, points: Sequence[tuple[float, float]], colour: str, **style: Any) -> None:
    """Draw an arrow along a polyline."""
    shape = {"path": Path(list(points)), "arrowstyle": "-|>", "mutation_scale": 8}
    line = {"color": colour, "linewidth": 1.2, "joinstyle": "round", "capstyle": "butt", **style}
    axes.add_patch(FancyArrowPatch(zorder=2, **shape, **line))


def _scene(axes: Axes, image: Tensor) -> None:
    """The parameters as a picture in space, and a camera looking at it."""
    # A square seen from the side: sheared, and its depth shortened.
    slanted = Affine2D.from_values(0.5, 0.22, 0, 0.62, SCENE - 0.56, UPPER - 0.44)
    style = {"extent": (0, 1, 0, 1), "interpolation": "lanczos", "zorder": 3}
    axes.imshow(pixels(image), transform=slanted + axes.transData, **style)
    corners = slanted.transform([[0, 0], [1, 0], [1, 1], [0, 1]])
    axes.add_patch(Polygon(corners, fill=False, edgecolor=INK, linewidth=0.8, zorder=4))
    x, y = eye = (SCENE + 0.36, UPPER - 0.02)
    for corner in corners[1:3]:
        axes.plot(*zip(corner, eye, strict=True), color=FAINT["color"], linewidth=0.6, zorder=2)
    lens = [(x - 0.05, y + 0.06), (x + 0.04, y), (x - 0.05, y - 0.06)]
    axes.add_patch(Rectangle((x + 0.02, y - 0.07), 0.17, 0.14, facecolor=INK, zorder=4))
    axes.add_patch(Polygon(lens, facecolor=INK, zorder=4))


def _prompt(axes: Axes, prompt: str, scales: tuple[float, float]) -> None:
    """The prompt in its box, and gamma on its way to the inversion and to the network."""
    shown = shorten(prompt, 32, placeholder="…")
    half = 0.39 + 0.028 * len(shown)
    middle, y = (INVERSION + NETWORK) / 2, UPPER + 0.82
    _box(axes, middle, y, 2 * half, 0.22, facecolor="#fdf6d8", edgecolor="#c9b458")
    _text(axes, middle, y, f"prompt $y$: {shown}")
    for gamma, name, x, end, sign, side in (
        (scales[0], r"\gamma_\mathrm{inv}", INVERSION, UPPER + 0.52, -1, "right"),
        (scales[1], r"\gamma", NETWORK, UPPER + 0.17, 1, "left"),
    ):
        _arrow(axes, [(middle + sign * half, y), (x, y), (x, end)], "#a8923a", linewidth=1)
        _text(axes, x + sign * 0.06, y - 0.1, f"${name} = {gamma:g}$", ha=side)
