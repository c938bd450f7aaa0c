"""How much of each rule's update is random, and how far its mean is from that of SDS: on an exact model, in the plane.

Letters: g is a rule's update at a render x0 and a time t, with w = sigma(t); g* is the mean of SDS's over its noise,
sigma(t) E[eps(x_t, t, y)], an integral. A *run* is one life of a rule, with its own state: what the rule learns or
keeps from one update to the next.
"""

from collections.abc import Mapping
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.denoiser import GuidedDenoiser
from sdilib.guidance import View
from sdilib.guidance.named import RULES, make_rule
from sdilib.lab.claims import Exact, Less, Within
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.images import Measures
from sdilib.lab.experiments.shared.plane import ring
from sdilib.lab.practice import SAMPLED
from sdilib.oracle import GaussianMixture
from sdilib.sampling import ddim
from sdilib.schedule import time_grid
from sdilib.seeds import generator, normal

TIMES = (0.8, 0.5, 0.2)
_INVERTED = ("sdi", "ism", "mv-sdi", "pfd")
RANDOM, VARIANCE, APART = "random share", "variance", "distance from SDS's mean, squared"
KEPT = f"{APART}, over SDS's variance"

PROMPT = (0, 1)
"""The components asked for: a prompt that leaves something open."""

LEARNT = {"steindreamer": 40}
"""Updates of a run before the first that counts, for a rule that fits its coefficients to past updates."""

_within, _less = partial(Within, unit="item"), partial(Less, unit="item")

CLAIMS = (
    Exact(
        "SDI has no randomness: at one render and t all its updates are equal", RANDOM, "sdi", 0.0
    ),
    _within("SDI is at least half of SDS's mean away from it", APART, "sdi", at_least=0.25),
    _less("SteinDreamer has a smaller random share than SDS", RANDOM, "steindreamer", "sds"),
    _within("SteinDreamer has SDS's mean, to 10 %", APART, "steindreamer", at_most=0.01),
    *(
        _less(
            f"At t = {t} CSD has a smaller random share than SDS",
            f"{RANDOM}, t = {t}",
            "csd",
            "sds",
        )
        for t in (TIMES[0], TIMES[-1])
    ),
    _within(
        "The squared distance of CFD, which keeps its noise, is SDS's variance, to 15 %",
        *(KEPT, "cfd", 0.85, 1.15),
    ),
)


def blobs() -> GaussianMixture:
    """Return the data: six equal Gaussians on a circle, in float64."""
    return ring(6, radius=2.0, std=0.4)


def _guided(mixture: GaussianMixture, count: int) -> GuidedDenoiser:
    prompt = mixture.prompt([PROMPT]).select(torch.zeros(count, dtype=torch.long))
    return mixture.guided(prompt, SAMPLED)


def mean_of_sds(
    mixture: GaussianMixture, x0: Float[Tensor, "points 2 1 1"], t: float
) -> Float[Tensor, "points 2"]:
    """Return g*, a sum over a grid of noises, which is exact to rounding for what is smooth and decays so.

    Args:
        mixture: in the plane, with the components of `PROMPT`.
        x0: renders.
        t: in (0, 1].
    """
    at = torch.linspace(-7, 7, 141, dtype=torch.float64)
    noise = torch.cartesian_prod(at, at).reshape(-1, 2, 1, 1)
    density, denoise = (-noise.square().sum((1, 2, 3)) / 2).softmax(0), _guided(mixture, len(noise))
    noised = (mixture.schedule.add_noise(each.expand_as(noise), noise, t) for each in x0)
    eps = torch.stack([density @ denoise(x_t, t).flatten(1) for x_t in noised])
    return mixture.schedule.sigma(t) * eps


def measured(
    mixture: GaussianMixture, *, num_points: int, num_runs: int, num_updates: int, seed: int = 0
) -> Measures:
    """Ask every rule for many updates at the renders that DDIM passes through, x0(t).

    Args:
        mixture: in the plane, with the components of `PROMPT`.
        num_points: renders.
        num_runs: of each rule at each render.
        num_updates: of each run, 2 or more.
        seed: of everything drawn.

    Returns:
        By measure, then rule, one number per render: its mean over `TIMES`; a measure whose name ends in ", t = " and a time
        is the number at that time. `VARIANCE` is tr Cov(g) within a run, over |g*|²; `RANDOM` is the same over E|g|²: 0 is
        none, 1 is all. `APART` is the mean over runs of |E g - g*|² / |g*|², less what few updates explain, and so it may
        be a little below 0.
    """
    noise = normal(torch.zeros(num_points, 2, 1, 1).double(), generator(seed, 0, "start"))
    path = ddim(noise, _guided(mixture, num_points), times=time_grid(20))
    renders = {round(step.t, 3): step.x0 for step in path}
    numbers: Measures = {}
    for t in TIMES:
        mean = mean_of_sds(mixture, renders[t], t)
        length = mean.square().sum(1)
        for name in RULES:
            g = _updates(name, mixture, renders[t], t, (num_updates, num_runs), seed)
            variance = g.var(0).sum(2).mean(0)
            apart = (g.mean(0) - mean).square().sum(2).mean(0) - variance / num_updates
            share = variance / g.square().sum(3).mean((0, 1))
            of = {RANDOM: share, VARIANCE: variance / length, APART: apart / length}
            for measure, each in of.items():
                numbers.setdefault(f"{measure}, t = {t}", {})[name] = each
    for measure in (RANDOM, VARIANCE, APART):
        each = [numbers[f"{measure}, t = {t}"] for t in TIMES]
        numbers[measure] = {n: torch.stack([of[n] for of in each]).mean(0) for n in RULES}
    kept = numbers[APART]["cfd"] / numbers[VARIANCE]["sds"]
    return numbers | {KEPT: {"cfd": kept}}


def _updates(
    name: str, mixture: GaussianMixture, x0: Tensor, t: float, counts: tuple[int, int], seed: int
) -> Float[Tensor, "updates runs points 2"]:
    """Updates of one rule at w = sigma(t), after those that it learns from; runs are items of its batch."""
    rule, (updates, runs) = make_rule(name, mixture, {"weight": "sigma"}), counts
    first = LEARNT.get(name, 0)
    points, times = x0.repeat(runs, 1, 1, 1), torch.full((runs * len(x0),), t).double()
    view = View(_guided(mixture, len(points)).prompt)
    draws = (generator(seed, k, "guidance") for k in range(first + updates))
    g = torch.stack([rule(points, times, view, each).gradient for each in draws])
    return g[first:].reshape(updates, runs, len(x0), 2)


def draw(numbers: Mapping[str, Mapping[str, Tensor]]) -> drawing.Figure:
    """Draw the random share and the distance from SDS's mean, one line per rule, the least random at the top.

    Args:
        numbers: from `measured`.
    """
    rows = sorted(numbers[RANDOM], key=lambda name: float(numbers[RANDOM][name].mean()))
    colours = {name: "#1b7837" if name in _INVERTED else "#762a83" for name in rows}
    height = drawing.items_height(rows)
    figure, parts = drawing.stacked(height, height)
    shown = ((RANDOM, RANDOM, 1.0), (APART, "distance of means", 0.5))
    for part, (measure, title, power) in zip(parts, shown, strict=True):
        panels = {}
        for t in TIMES:
            of = numbers[f"{measure}, t = {t}"]
            panels[f"{title}, t = {t}"] = {n: of[n].clamp(min=0) ** power for n in of}
        drawing.draw_items(part, panels, colours)
        if measure == RANDOM:
            for axes in part.axes:
                axes.set_xlim(-0.05, 1.05)
    return figure
