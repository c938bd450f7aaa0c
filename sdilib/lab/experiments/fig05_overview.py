"""Figure 5: one step of SDI on a scene in the middle of its run, and SDS's step at the same point, as a diagram."""

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

from sdilib.checks import in_range, positive_int
from sdilib.guidance import SDI, SDS, Rule, Update, View
from sdilib.inversion import Cached, DDIMInversion, invert
from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared.canvas import canvas, noise_images, picture
from sdilib.lab.experiments.shared.drawing import COLOURS, Figure, pixels
from sdilib.lab.experiments.shared.path import root_mean_square
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import distilled_steps

__all__ = ["CLAIMS", "Overview", "draw", "images", "measures", "one_step"]

RESIDUAL, DISTANCE = "residuals", "distances to DDIM"

CLAIMS = (
    Less(
        "At the step drawn, the inverted κ solves eq. 8 better than a random one",
        RESIDUAL,
        "SDI",
        "SDS",
        note="residual r(t)",
    ),
    Less(
        "At the step drawn, SDI's target lies closer to DDIM's next x0(t) than SDS's does",
        DISTANCE,
        "SDI",
        "SDS",
        note="root mean square over latents",
    ),
)

GREEN, PURPLE, INK, PALE = COLOURS["SDI"], COLOURS["SDS"], "#333333", "#666666"
GROUND = {
    "scene": ("#f4efe6", "#b8a888"),
    "inversion": ("#e9f3ea", GREEN),
    "network": ("#e6eaf2", "#5b6f95"),
    "prompt": ("#fdf6d8", "#c9b458"),
}
"""Of each box, and of its edge."""

HEIGHT, UPPER, LOWER, SIDE = 3.58, 1.96, 0.7, 0.8
"""Of the figure, of the middles of SDI's lane and of SDS's, and of an image, in inches."""

SCENE, RENDER, INVERSION, NOISED, NETWORK, TARGET = 0.76, 2.04, 3.28, 4.66, 5.64, 6.7
"""The middle of each station on both lanes, from the left."""

NOISE, WAIST = 0.56, 0.28
"""Side of SDS's noise, and half the network's width, in inches."""

DASHED = {"linestyle": (0, (3, 2)), "linewidth": 1.0}

Latents = Float[Tensor, "items channels h w"]


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A step of SDI and what belongs to it.

    Attributes:
        t: what the renders are noised to.
        x0: the renders before the step, latents.
        x_t: by rule, "SDI" and "SDS": the renders noised by its kappa (eq. 7).
        updates: by rule.
        ladder: the first item's noisy latents after each step of the inversion.
        ladder_times: their times, rising to t.
        ddim: DDIM's own x0 after the step (eq. 6).
    """

    t: float
    x0: Latents
    x_t: dict[str, Latents]
    updates: dict[str, Update]
    ladder: Float[Tensor, "steps channels h w"]
    ladder_times: tuple[float, ...]
    ddim: Latents


def one_step(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    num_steps: int = 30,
    t: float = 0.8,
    guidance_scale: float = 7.5,
    inversion: DDIMInversion | None = None,
) -> Overview:
    """Bring latent scenes to some t by eq. 10 with the cached kappa, and ask SDI and SDS for a step.

    At 30 steps and t = 0.8 it costs 34 sample-forwards per prompt, and 16 more for the first.

    Args:
        model: frozen.
        prompts: one per item; all are one batch.
        seeds: one per item.
        num_steps: of a whole run, from t = 1 to 0, at least 2.
        t: of the step; the nearest of the run's times is taken, and not its first.
        guidance_scale: gamma of both rules.
        inversion: SDI's; the paper's if None.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a tensor on the way is not finite.
    """
    positive_int("num_steps", num_steps, at_least=2)
    in_range("t", t, 0, 1, open_low=True)
    number = min(max(round((1 - t) * num_steps), 1), num_steps - 1)
    inversion = inversion or DDIMInversion()
    prompt = model.embed(prompts)
    run = distilled_steps(
        model,
        prompt,
        seeds,
        rule=lambda m, eps: SDI(m, guidance_scale, Cached(eps)),
        num_steps=num_steps,
        start_guidance_scale=guidance_scale,
    )
    *_, step = islice(run, number)
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
    inverse = model.guided(prompt.select(torch.tensor([0])), inversion.guidance_scale)
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
        "ladder" with a picture per step of the inversion; "render", and by rule "x(t), SDI", "target, SDI" and so on,
        with one each.
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
    *,
    scales: tuple[float, float] = (-7.5, 7.5),
) -> Figure:
    """Draw one step of SDI as a diagram, with the first item's own pictures in its boxes.

    Args:
        shown: from `images`.
        made: from `one_step`.
        prompt: y.
        scales: gamma_inv and gamma.
    """
    figure, axes = canvas(HEIGHT)
    noise = {name: noise_images(each.kappa[:1])[0] for name, each in made.updates.items()}
    _scene(axes, shown["render"][0])
    picture(axes, shown["render"][0], RENDER, UPPER, SIDE, frame=INK)
    _below(axes, "render $x_0$", f"at t = {made.t:.2g}", RENDER, UPPER)
    _inversion(axes, shown["ladder"], made.ladder_times, noise["SDI"])
    picture(axes, noise["SDS"], INVERSION, LOWER, NOISE, frame=PURPLE)
    under = {"color": PURPLE, "va": "top"}
    _text(axes, INVERSION, LOWER - NOISE / 2 - 0.05, r"random noise $\epsilon$", **under)
    for name, lane, colour, target in (
        ("SDI", UPPER, GREEN, "target"),
        ("SDS", LOWER, PURPLE, "SDS's target"),
    ):
        picture(axes, shown[f"x(t), {name}"][0], NOISED, lane, SIDE, frame=colour)
        picture(axes, shown[f"target, {name}"][0], TARGET, lane, SIDE, frame=colour)
        residual = f"residual {float(made.updates[name].residual[0]):.2g}"
        _below(axes, "noised $x(t)$", residual, NOISED, lane, colour)
        _below(axes, "denoised", target, TARGET, lane, colour)
    _network(axes)
    _arrows(axes)
    _prompt(axes, prompt, scales)
    _update(axes)
    return figure


def _text(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, **{"fontsize": 7, "ha": "center", "color": INK, **style})


def _below(axes: Axes, first: str, second: str, x: float, lane: float, colour: str = INK) -> None:
    y = lane - SIDE / 2 - 0.05
    _text(axes, x, y, first, va="top", color=colour)
    _text(axes, x, y - 0.12, second, va="top", color=PALE, fontsize=6.5)


def _box(axes: Axes, name: str, x: float, y: float, width: float, height: float) -> None:
    ground, edge = GROUND[name]
    style = {"boxstyle": "round,pad=0,rounding_size=0.07", "linewidth": 0.8, "zorder": 1}
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(FancyBboxPatch(corner, width, height, facecolor=ground, edgecolor=edge, **style))


def _arrow(axes: Axes, points: Sequence[tuple[float, float]], colour: str, **style: Any) -> None:
    """Draw an arrow along a line of straight pieces."""
    drawn = {"arrowstyle": "-|>", "mutation_scale": 8, "linewidth": 1.2, "zorder": 2}
    drawn |= {"joinstyle": "round", "capstyle": "butt"} | style
    axes.add_patch(FancyArrowPatch(path=Path(list(points)), color=colour, **drawn))


def _scene(axes: Axes, image: Tensor) -> None:
    """The parameters as a picture in space, and a camera that looks at it."""
    height = 1.3
    _box(axes, "scene", SCENE, UPPER, 1.36, height)
    _text(axes, SCENE, UPPER + height / 2 - 0.05, r"scene $\psi$", va="top")
    # A square seen from the side: sheared, and its depth shortened.
    slanted = Affine2D.from_values(0.5, 0.22, 0, 0.62, SCENE - 0.56, UPPER - 0.44)
    style = {"extent": (0, 1, 0, 1), "interpolation": "lanczos", "zorder": 3}
    axes.imshow(pixels(image), transform=slanted + axes.transData, **style)
    corners = slanted.transform([[0, 0], [1, 0], [1, 1], [0, 1]])
    axes.add_patch(Polygon(corners, fill=False, edgecolor=INK, linewidth=0.8, zorder=4))
    x, y = eye = (SCENE + 0.36, UPPER - 0.02)
    for corner in corners[1:3]:
        axes.plot(*zip(corner, eye, strict=True), color=PALE, linewidth=0.6, zorder=2)
    lens = [(x - 0.05, y + 0.06), (x + 0.04, y), (x - 0.05, y - 0.06)]
    axes.add_patch(Rectangle((x + 0.02, y - 0.07), 0.17, 0.14, facecolor=INK, zorder=4))
    axes.add_patch(Polygon(lens, facecolor=INK, zorder=4))
    _text(axes, x + 0.03, y - 0.14, "camera $c$", va="top", fontsize=6.5, color=PALE)


def _inversion(axes: Axes, ladder: Tensor, times: Sequence[float], kappa: Tensor) -> None:
    """A step half-way and the last, and the noise that they end in."""
    height, side, middle = 0.98, 0.36, UPPER - 0.02
    _box(axes, "inversion", INVERSION, UPPER, 1.32, height)
    title = {"va": "top", "color": GREEN}
    _text(axes, INVERSION, UPPER + height / 2 - 0.06, "DDIM inversion, 0 → t", **title)
    left, right = INVERSION - side - 0.06, INVERSION + side + 0.06
    chosen = sorted({(len(ladder) - 1) // 2, len(ladder) - 1})
    for x, k in zip((left, INVERSION), chosen, strict=False):
        picture(axes, ladder[k], x, middle, side, frame=GREEN)
        label = {"va": "top", "fontsize": 6.5}
        _text(axes, x, middle - side / 2 - 0.05, f"t = {times[k]:.2g}", **label)
    picture(axes, kappa, right, middle, side, frame=GREEN)
    _text(axes, right, middle - side / 2 - 0.05, r"noise $\kappa$", **title)


def _network(axes: Axes) -> None:
    """The denoiser, an hourglass that both lanes pass."""
    low, high, middle = LOWER - 0.42, UPPER + 0.42, (UPPER + LOWER) / 2
    left, right = NETWORK - WAIST, NETWORK + WAIST
    bottom = [(left, low), (NETWORK, low + 0.3), (right, low)]
    top = [(right, high), (NETWORK, high - 0.3), (left, high)]
    ground, edge = GROUND["network"]
    style = {"facecolor": ground, "edgecolor": edge, "linewidth": 0.8, "zorder": 1}
    axes.add_patch(Polygon([*bottom, *top], joinstyle="round", **style))
    _text(axes, NETWORK, middle + 0.16, "UNet", va="center", fontsize=8)
    _text(axes, NETWORK, middle, r"$\epsilon(x, t, y)$", va="center")
    _text(axes, NETWORK, middle - 0.16, "frozen", va="center", color=PALE, fontsize=6.5)


def _arrows(axes: Axes) -> None:
    half, gap = SIDE / 2, 0.03
    noised, network = (NOISED - half, NOISED + half), (NETWORK - WAIST, NETWORK + WAIST)
    target = (TARGET - half, TARGET + half)
    render, box = (RENDER - half, RENDER + half), (INVERSION - 0.66, INVERSION + 0.66)
    for (_, start), (end, _) in pairwise(((0.08, 1.44), render, box, noised, network, target)):
        _arrow(axes, [(start + gap, UPPER), (end - gap, UPPER)], GREEN)
    noise = (INVERSION - NOISE / 2, INVERSION + NOISE / 2)
    for (_, start), (end, _) in pairwise((noise, noised, network, target)):
        _arrow(axes, [(start + gap, LOWER), (end - gap, LOWER)], PURPLE, **DASHED)
    corner = [(RENDER, UPPER - half - 0.33), (RENDER, LOWER), (noise[0] - gap, LOWER)]
    _arrow(axes, corner, PURPLE, **DASHED)
    beside = {"ha": "right", "va": "center", "color": PURPLE}
    _text(axes, RENDER - 0.07, LOWER + 0.02, "SDS instead", **beside)


def _prompt(axes: Axes, prompt: str, scales: tuple[float, float]) -> None:
    shown = shorten(prompt, 32, placeholder="…")
    width = 0.78 + 0.056 * len(shown)
    middle, y = (INVERSION + NETWORK) / 2, UPPER + 0.82
    _box(axes, "prompt", middle, y, width, 0.22)
    _text(axes, middle, y, f"prompt $y$: {shown}", va="center")
    inverse, forward = scales
    for x, end, sign, side, label in (
        (INVERSION, UPPER + 0.52, -1, "right", rf"$\gamma_\mathrm{{inv}} = {inverse:g}$"),
        (NETWORK, UPPER + 0.17, 1, "left", rf"$\gamma = {forward:g}$"),
    ):
        _arrow(axes, [(middle + sign * width / 2, y), (x, y), (x, end)], "#a8923a", linewidth=1)
        _text(axes, x + sign * 0.06, y - 0.1, label, ha=side, va="center")


def _update(axes: Axes) -> None:
    """SDI's way back into the scene, over the top."""
    y = HEIGHT - 0.24
    way = [(TARGET, UPPER + SIDE / 2 + 0.03), (TARGET, y), (SCENE, y), (SCENE, UPPER + 0.68)]
    _arrow(axes, way, GREEN)
    formula = r"update  $\nabla_\psi = \sigma(t)\,[\,\epsilon(x(t), t, y) - \kappa\,]\;\partial g / \partial \psi$"
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    style = {"va": "center", "color": GREEN, "fontsize": 8, "bbox": ground}
    _text(axes, (SCENE + TARGET) / 2, y, formula, **style)
