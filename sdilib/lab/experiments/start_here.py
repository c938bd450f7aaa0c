"""Section 4's argument in the plane, where everything is in closed form, and on images."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from sdilib.distillation import distill
from sdilib.guidance import SDS, View
from sdilib.lab.claims import Exact, Less, Within
from sdilib.lab.experiments.shared.drawing import COLOURS, WIDTH, Figure, draw_mean, finish
from sdilib.lab.experiments.shared.images import SAME_SAMPLER, Measures
from sdilib.lab.experiments.shared.plane import METHODS, Paths, ddim_steps
from sdilib.lab.practice import SDS_TIMES
from sdilib.oracle import GaussianMixture
from sdilib.scenes import ImageScene
from sdilib.seeds import generator

CACHED, INVERSION, RANDOM = METHODS

LEARNING_RATE = 0.02
"""Adam's, for SDS as practised in the plane, where the 0.1 used for latents would be two thirds of a mode's width."""

ONE_UPDATE = "one update's distance to DDIM's (mean over t)"
END, LATE_END = "distance to DDIM's end", "distance to DDIM's end, from a late t on"
TO_MODE = "distance to the nearest mode"


def practised_sds(
    mixture: GaussianMixture, *, num_points: int, num_steps: int, seed: int = 0
) -> Float[Tensor, "points 2"]:
    """Return where SDS as practised ends: t uniformly random, small steps of Adam (Algorithm 1).

    Args:
        mixture: in the plane.
        num_points: paths.
        num_steps: optimiser steps.
        seed: point i has this seed plus i.
    """
    prompt, steps, _ = ddim_steps(mixture, num_points=num_points, num_steps=3, seed=seed)
    scene = ImageScene(steps[0].x0)
    adam = torch.optim.Adam(list(scene.parameters()), LEARNING_RATE, betas=(0.9, 0.99))
    rule, settings = SDS(mixture, 1.0), {"num_steps": num_steps, "seeds": seed, **SDS_TIMES}
    for _ in distill(scene, rule, prompt=prompt, optimizer=adam, **settings):
        pass
    return scene.values.detach().flatten(1)


def update_errors(
    mixture: GaussianMixture, *, num_points: int, num_steps: int, seed: int = 0
) -> dict[str, Float[Tensor, "points steps"]]:
    """Return the distance of each rule's update of x0(t) from DDIM's own (eq. 6), at the points of DDIM's paths.

    Args:
        mixture: in the plane.
        num_points: paths.
        num_steps: equal steps from t = 1 to 0, at least 3; the first has no update before it.
        seed: point i has this seed plus i.
    """
    every = {"num_points": num_points, "num_steps": num_steps, "seed": seed}
    prompt, steps, _ = ddim_steps(mixture, **every)
    errors: dict[str, list[Tensor]] = {name: [] for name in METHODS}
    for number, (before, after) in enumerate(pairwise(steps)):
        t = torch.full((num_points,), after.t, dtype=torch.float64)
        for name, rule in METHODS.items():
            draws = [generator(seed + i, number, "guidance") for i in range(num_points)]
            target = rule(mixture, before.eps)(before.x0, t, View(prompt), draws).target
            errors[name].append((target - after.x0).flatten(1).norm(dim=1))
    return {name: torch.stack(values, 1) for name, values in errors.items()}


def distance_to_mode(
    mixture: GaussianMixture, points: Float[Tensor, "points 2"]
) -> Float[Tensor, " points"]:
    """Return each point's distance to the nearest component's mean.

    Args:
        mixture: in the plane.
        points: anywhere.
    """
    return torch.cdist(points, mixture.means.flatten(1)).amin(1)


def measures(
    mixture: GaussianMixture,
    paths: Paths,
    late: Paths,
    practised: Float[Tensor, "points 2"],
    errors: Mapping[str, Float[Tensor, "points steps"]],
) -> Measures:
    """Return the numbers of the plane: by measure, then method, one per point.

    Args:
        mixture: what is sampled.
        paths: all methods from t = 1.
        late: the same from a later time.
        practised: where SDS with random t ends.
        errors: from `update_errors`.
    """
    ends = {"DDIM": paths.x0["DDIM"][-1], "SDS": practised}
    return {
        ONE_UPDATE: {name: each.mean(1) for name, each in errors.items()},
        END: {name: paths.distances(name) for name in METHODS},
        LATE_END: {name: late.distances(name) for name in METHODS},
        TO_MODE: {name: distance_to_mode(mixture, points) for name, points in ends.items()},
    }


PLANE_CLAIMS = (
    Exact("With the cached κ, SDI is DDIM (eq. 6 ≡ eq. 2)", END, CACHED, at_most=1e-9),
    Less(
        "One update with κ from inversion lies closer to DDIM's than one with a random κ",
        ONE_UPDATE,
        lower=INVERSION,
        higher=RANDOM,
    ),
    Less(
        "From a late t on, SDI by inversion ends closer to DDIM's end than SDS does",
        LATE_END,
        lower=INVERSION,
        higher=RANDOM,
        note="the t of panel c",
    ),
    Within(
        "From t = 1 on, SDI by inversion ends within 0.2 of DDIM's end",
        END,
        INVERSION,
        at_most=0.2,
        note="each x0(1) is nearly the average: no inversion can find the noise it came from",
    ),
    Less(
        "SDS as practised ends further from the nearest mode than DDIM: it averages",
        TO_MODE,
        lower="DDIM",
        higher="SDS",
    ),
)

IMAGE_CLAIMS = (SAME_SAMPLER,)


def draw(
    paths: Paths,
    late: Paths,
    practised: Float[Tensor, "points 2"],
    errors: Mapping[str, Float[Tensor, "points steps"]],
) -> Figure:
    """Draw the plane: paths, ends, and the error of a single update.

    Args:
        paths: all methods from t = 1.
        late: the same from a later time.
        practised: where SDS with random t ends.
        errors: from `update_errors`.
    """
    figure = Figure(figsize=(WIDTH, 4.9), layout="constrained")
    (ddim, sds, sdi), (ddim_ends, sds_ends, updates) = figure.subplots(2, 3)
    _paths(ddim, paths, CACHED, "a  DDIM's x₀(t), and SDI's on top of it")
    _paths(sds, paths, RANDOM, "b  SDS: the same step, random κ", count=2)
    _paths(sdi, late, INVERSION, f"c  SDI by inversion from t = {float(late.times[0]):.2g}")
    _plane(ddim_ends, paths.truth, "d  ends of DDIM")
    ddim_ends.scatter(*paths.x0["DDIM"][-1].T.tolist(), s=6, color=COLOURS["DDIM"])
    _plane(sds_ends, paths.truth, "e  ends of SDS: random t, Adam")
    sds_ends.scatter(*practised.T.tolist(), s=6, color=COLOURS["SDS"])
    for name, values in errors.items():
        draw_mean(updates, paths.times[1:].tolist(), values, COLOURS[name], label=name)
    updates.legend(fontsize=7, frameon=False)
    finish(updates, "f  one update's distance to DDIM's", "t  (a run goes from right to left)")
    return figure


def _plane(axes: Axes, truth: Float[Tensor, "points 2"], title: str) -> None:
    axes.scatter(*truth.T.tolist(), s=5, color="#c9c9c9", linewidths=0, zorder=0)
    axes.set_title(title, fontsize=8, loc="left")
    axes.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _paths(axes: Axes, paths: Paths, method: str, title: str, *, count: int = 6) -> None:
    """Draw the first paths of DDIM and of a method as lines."""
    _plane(axes, paths.truth, title)
    for name in ("DDIM", method):
        line: dict[str, Any] = {"linestyle": (0, (2, 2)) if name == CACHED else "-"}
        x, y = paths.x0[name][:, :count].unbind(-1)
        labels = [name, *[None] * (x.shape[1] - 1)]
        axes.plot(x, y, color=COLOURS[name], linewidth=1.1, label=labels, **line)
        axes.plot(x[-1], y[-1], "o", color=COLOURS[name], markersize=3)
    axes.legend(fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, -0.1), ncols=2)
