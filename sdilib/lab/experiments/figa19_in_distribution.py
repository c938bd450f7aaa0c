"""Figure 19 in the plane, exactly: where each noise takes a render, and whether the model has noisy data there.

A render x0 is noised to x(t) = sqrt(alpha) x0 + sqrt(1 - alpha) kappa; p_t is the density of the model's own noisy data,
whose *bulk* is the smallest region that holds 95 % of them. Everything is at gamma = gamma_inv = 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from sdilib.checks import in_range
from sdilib.inversion import DDIMInversion, KappaChoice, RandomNoise
from sdilib.lab.claims import Exact, Less, Within
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.drawing import Figure
from sdilib.lab.experiments.shared.images import Measures
from sdilib.lab.experiments.shared.plane import ddim_steps, density_map, log_density, ring
from sdilib.oracle import GaussianMixture
from sdilib.seeds import generator, normal

OWN, INVERTED, BETWEEN, RANDOM = "DDIM's own κ", "inverted κ", "inverted κ + H(t)", "random κ"

CHOICES: dict[str, KappaChoice] = {
    INVERTED: DDIMInversion(guidance_scale=1.0),
    BETWEEN: DDIMInversion(guidance_scale=1.0, entropy=0.3),
    RANDOM: RandomNoise(),
}
"""Alternatives to DDIM's own prediction, which does not exist for a render in 3D."""

HUES = dict(zip((OWN, *CHOICES), ("#e08214", "#1b7837", "#8c510a", "#762a83"), strict=True))

OUTSIDE, LATE_OUTSIDE = "share outside the bulk", "share outside the bulk, the render lags"
SPREAD = "spread, over that of the model's noisy data"
MOVED, OFF = "distance of the denoised image", "distance to DDIM's own x(t)"

BULK = 0.95
_DRAWS = 4000
_EXTENT = 5.5

CLAIMS = (
    Exact("DDIM's own κ takes its x0(t) to DDIM's own noisy image (eq. 9)", OFF, OWN, at_most=1e-9),
    Less(
        "Noised with an inverted κ, a render leaves the model's noisy data less often than with a random one",
        OUTSIDE,
        lower=INVERTED,
        higher=RANDOM,
    ),
    Less(
        "The same of a render that lags, blurrier than t says",
        LATE_OUTSIDE,
        lower=INVERTED,
        higher=RANDOM,
    ),
    Less(
        "With an inverted κ it is denoised to what is nearer to the render than with a random one",
        MOVED,
        lower=INVERTED,
        higher=RANDOM,
    ),
    Within(
        "Noised with an inverted κ, renders spread as the model's noisy data do, to 10 %",
        SPREAD,
        INVERTED,
        at_least=0.9,
        at_most=1.1,
        note="not the paper's: each may lie in the bulk, and all in one place of it",
    ),
    Less("H(t) adds to that spread", SPREAD, lower=INVERTED, higher=BETWEEN),
)


@dataclass(frozen=True, slots=True, eq=False)
class Noising:
    """Renders noised to falling times by each κ.

    Attributes:
        times: to which the renders are noised.
        x0: the renders at each of them.
        x_t: by κ, the noised renders.
        bulk: log density of the edge of p_t's bulk.
        numbers: by measure, then κ, one per point and time.
    """

    times: Float[Tensor, " times"]
    x0: Float[Tensor, "times points 2"]
    x_t: dict[str, Float[Tensor, "times points 2"]]
    bulk: Float[Tensor, " times"]
    numbers: dict[str, dict[str, Float[Tensor, "points times"]]]


def blobs() -> GaussianMixture:
    """Return the data: three equal Gaussians around the origin, in float64."""
    return ring(3, radius=2.0, std=0.4)


def noised(
    mixture: GaussianMixture,
    *,
    num_points: int,
    num_steps: int,
    lag: float | None = None,
    seed: int = 0,
) -> Noising:
    """Noise DDIM's x0(t) to the time of its next step by each κ, as eqs. 9 and 10 do.

    Args:
        mixture: in the plane, of equal weights.
        num_points: renders.
        num_steps: equal steps of DDIM from t = 1 to 0, at least 3.
        lag: None, or a time in (0, 1] at which the renders stay while t falls. They are then blurrier than expected at t,
            as when SDS draws t at random, and DDIM has no noise for them.
        seed: of the points.

    Raises:
        ValueError: an argument outside its range.
    """
    every = {"num_points": num_points, "num_steps": num_steps, "seed": seed}
    prompt, steps, _ = ddim_steps(mixture, **every)
    denoise = mixture.guided(prompt, 1.0)
    stays = None
    if lag is not None:
        in_range("lag", lag, 2 / num_steps, 1)
        stays = next(step for step in steps if step.t <= lag + 1e-9)
        steps = [step for step in steps if step.t <= stays.t]
    found: list[tuple[float, Tensor, dict[str, Tensor]]] = []
    edges, numbers = [], []
    for number, step in enumerate(steps[:-1]):
        t, x0 = step.t_next, (stays or step).x0
        at = torch.full((num_points,), t, dtype=torch.float64)
        kappas = {} if stays else {OWN: step.eps}
        for name, choice in CHOICES.items():
            kappas[name] = choice(x0, at, denoise, generator(seed, number, "guidance")).noise
        x_t = {name: mixture.schedule.add_noise(x0, each, t) for name, each in kappas.items()}
        edges.append(_edge(mixture, t, generator(seed, number, "bulk")))
        numbers.append(dict(_measured(mixture, denoise, x0, x_t, t, edges[-1], step.x_next)))
        found.append((t, x0, x_t))
    names = list(found[0][2])
    return Noising(
        torch.tensor([t for t, _, _ in found], dtype=torch.float64),
        torch.stack([x0 for _, x0, _ in found]).flatten(2),
        {name: torch.stack([x_t[name] for _, _, x_t in found]).flatten(2) for name in names},
        torch.stack(edges),
        {
            measure: {name: torch.stack([of[measure][name] for of in numbers], 1) for name in names}
            for measure in numbers[0]
        },
    )


def _edge(mixture: GaussianMixture, t: float, random: torch.Generator) -> Float[Tensor, ""]:
    """The log density that p_t exceeds with probability `BULK`, from exact samples of it."""
    labels = torch.arange(_DRAWS) % len(mixture.weights)
    blank = torch.zeros(_DRAWS, 2, *mixture.means.shape[1:], dtype=torch.float64)
    x_t = mixture.sample(labels, t, normal(blank, random))
    return log_density(mixture, x_t, t).quantile(1 - BULK)


def _measured(
    mixture: GaussianMixture,
    denoise: Any,
    x0: Tensor,
    x_t: Mapping[str, Tensor],
    t: float,
    edge: Tensor,
    own: Tensor,
) -> Iterator[tuple[str, dict[str, Float[Tensor, " points"]]]]:
    """Each measure at one time, by κ."""
    yield OUTSIDE, {n: (log_density(mixture, x, t) < edge).double() for n, x in x_t.items()}
    # Mean and variance of p_t in closed form, for equal Gaussians.
    alpha, means = float(mixture.schedule.alpha_cumprod(t)), mixture.means.flatten(1)
    centre = means.mean(0)
    data = (means - centre).square().sum(1).mean() + 2 * mixture.stds.square().mean()
    whole = alpha * data + 2 * (1 - alpha)
    away = {name: x.flatten(1) - alpha**0.5 * centre for name, x in x_t.items()}
    yield SPREAD, {name: each.square().sum(1) / whole for name, each in away.items()}
    back = {name: mixture.schedule.denoised(x, denoise(x, t), t) for name, x in x_t.items()}
    yield MOVED, {name: (each - x0).flatten(1).norm(dim=1) for name, each in back.items()}
    yield OFF, {name: (x - own).flatten(1).norm(dim=1) for name, x in x_t.items()}


def measures(pace: Noising, late: Noising) -> Measures:
    """Return figure 19's numbers: by measure, then κ, the mean over times for each point.

    Args:
        pace: renders that are DDIM's x0(t).
        late: renders that lag.
    """
    return _means(pace, late, dim=1)


def curves(pace: Noising, late: Noising) -> dict[str, dict[str, Float[Tensor, " times"]]]:
    """Return the curves over t: by measure, then κ, the mean over points.

    Args:
        pace: renders that are DDIM's x0(t).
        late: renders that lag.
    """
    return _means(pace, late, dim=0)


def _means(pace: Noising, late: Noising, dim: int) -> Measures:
    numbers = {**pace.numbers, LATE_OUTSIDE: late.numbers[OUTSIDE]}
    return {m: {n: each.mean(dim) for n, each in of.items()} for m, of in numbers.items()}


def draw(mixture: GaussianMixture, pace: Noising, late: Noising, *, t: float) -> Figure:
    """Draw where each κ takes the renders at one time, and the measures over all times.

    Args:
        mixture: the model.
        pace: renders that are DDIM's x0(t).
        late: renders that lag.
        t: in [0, 1]; the nearest of `pace`'s times is drawn.

    Raises:
        ValueError: `t` out of range.
    """
    in_range("t", t, 0, 1)
    k = int((pace.times - t).abs().argmin())
    figure, (above, below) = drawing.stacked(2.1, drawing.PANELS)
    planes = above.subplots(1, len(pace.x_t))
    above.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.82, wspace=0.05)
    for axes, letter, name in zip(planes, "abcd", pace.x_t, strict=True):
        _plane(axes, mixture, pace, k, name)
        axes.set_title(f"{letter}  {name}", fontsize=8, loc="left", color=HUES[name])
    said = f"renders (black) noised to t = {float(pace.times[k]):.2g}; line: the bulk of the model's noisy data"
    above.text(0.01, 0.985, said, fontsize=8, va="top")
    drawn = (
        (pace, OUTSIDE, "e  outside the bulk"),
        (late, OUTSIDE, "f  the same, the render lags"),
        (pace, SPREAD, "g  spread over the data's"),
        (pace, MOVED, "h  denoised, off x₀"),
    )
    for axes, (of, measure, title) in zip(
        drawing.panels(below, 4, drawing.PANELS, between=0.3), drawn, strict=True
    ):
        means = {name: each.mean(0, keepdim=True) for name, each in of.numbers[measure].items()}
        drawing.draw_curves(axes, of.times.tolist(), means, title, colour=HUES.__getitem__)
    return figure


def _plane(axes: Axes, mixture: GaussianMixture, of: Noising, k: int, name: str) -> None:
    """One κ at one time, in the variable x_bar = x / sqrt(alpha), in which the renders stay where they are."""
    t = float(of.times[k])
    root = float(mixture.schedule.alpha_cumprod(t)) ** 0.5
    at, log = density_map(mixture, t=t, extent=_EXTENT, size=120)
    axes.contourf(at, at, (log - log.max()).exp(), levels=8, cmap="Greys", alpha=0.6)
    axes.contour(at, at, log, levels=[float(of.bulk[k])], colors="#444444", linewidths=0.8)
    first, last = of.x0[k], of.x_t[name][k] / root
    for start, end in zip(first[:24].tolist(), last[:24].tolist(), strict=True):
        axes.plot(*zip(start, end, strict=True), color=HUES[name], linewidth=0.5, alpha=0.6)
    axes.plot(*last[:120].T, ".", color=HUES[name], markersize=2.5)
    axes.plot(*first[:120].T, ".", color="black", markersize=1.8)
    axes.set(
        xlim=(-_EXTENT, _EXTENT), ylim=(-_EXTENT, _EXTENT), aspect="equal", xticks=[], yticks=[]
    )
