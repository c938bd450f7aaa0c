"""The argument of section 4 where everything is known in closed form: paths of x0(t) on a mixture in the plane.

DDIM, SDI and SDS differ in the noise kappa alone: the previous prediction, one found by inversion, or a fresh random one.
All runs are at gamma = gamma_inv = 1, where DDIM's samples follow the mixture itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import in_range, positive_int
from sdilib.ddim import DDIMStep, ddim
from sdilib.denoiser import PromptEmbeddings
from sdilib.distill import distill
from sdilib.guidance import SDI, SDS, Rule, View
from sdilib.inversion import Cached, DDIMInversion
from sdilib.oracle import GaussianMixture
from sdilib.scenes import ImageScene
from sdilib.schedule import time_grid
from sdilib.seeds import generator, normal

__all__ = [
    "METHODS",
    "ToyPaths",
    "distance_to_mode",
    "practised_sds",
    "ring",
    "toy_paths",
    "update_errors",
]

METHODS: dict[str, Callable[[GaussianMixture, Tensor], Rule]] = {
    "SDI, cached κ": lambda mixture, eps: SDI(mixture, 1.0, Cached(eps)),
    "SDI, inversion": lambda mixture, eps: SDI(mixture, 1.0, DDIMInversion(guidance_scale=1.0)),
    "SDS, random κ": lambda mixture, eps: SDS(mixture, 1.0),
}
"""The rules compared with DDIM: each is made from the mixture and DDIM's last prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class ToyPaths:
    """Paths of x0(t), one a method, all leaving DDIM's at the same point.

    Attributes:
        times: of the steps, falling.
        x0: by method, "DDIM" first: (steps, points, 2), the point after each step.
        truth: exact samples of the mixture, one a path.
    """

    times: Float[Tensor, " steps"]
    x0: dict[str, Float[Tensor, "steps points 2"]]
    truth: Float[Tensor, "points 2"]

    def distances(self, method: str) -> Float[Tensor, " points"]:
        """Return how far from DDIM's end a method's ends, path by path.

        Args:
            method: a key of `x0`.
        """
        return (self.x0[method][-1] - self.x0["DDIM"][-1]).norm(dim=1)


def ring(num_components: int = 5, *, radius: float = 1.0, std: float = 0.15) -> GaussianMixture:
    """Return a mixture of equal Gaussians on a circle, in float64.

    Args:
        num_components: at least 1.
        radius: of the circle.
        std: of each Gaussian.

    Raises:
        ValueError: no component.
    """
    positive_int("num_components", num_components)
    angles = torch.arange(num_components, dtype=torch.float64) / num_components * 2 * torch.pi
    means = radius * torch.stack([angles.sin(), angles.cos()], 1).reshape(-1, 2, 1, 1)
    equal = torch.ones(num_components, dtype=torch.float64)
    return GaussianMixture(means, std * equal, equal)


def _sampled(
    mixture: GaussianMixture, num_points: int, num_steps: int, seed: int
) -> tuple[PromptEmbeddings, list[DDIMStep], Tensor]:
    """Prompts that allow everything, DDIM's steps from the exact marginal at t = 1, and as many exact samples."""
    positive_int("num_points", num_points)
    positive_int("num_steps", num_steps, at_least=3)
    count = len(mixture.weights)
    prompt = mixture.prompt([range(count)] * num_points)
    twice = torch.zeros(num_points, 2, *mixture.means.shape[1:], dtype=torch.float64)
    noise = normal(twice, [generator(seed + i, 0, "start") for i in range(num_points)])
    labels = torch.arange(num_points) % count
    x_1 = mixture.sample(labels, 1.0, noise)
    steps = list(ddim(x_1, mixture.guided(prompt, 1.0), times=time_grid(num_steps)))
    return prompt, steps, mixture.sample(labels, 0.0, noise).flatten(1)


def toy_paths(
    mixture: GaussianMixture, *, num_points: int, num_steps: int, t_from: float = 1.0, seed: int = 0
) -> ToyPaths:
    """Follow DDIM from t = 1, and from DDIM's x0(t_from) on each rule of `METHODS`, by steps of size one (eq. 10).

    Args:
        mixture: in the plane.
        num_points: paths a method.
        num_steps: equal steps from t = 1 to 0, at least 3.
        t_from: where the rules take over from DDIM, in (0, 1].
        seed: point i has this seed plus i.

    Raises:
        ValueError: an argument outside its range.
    """
    in_range("t_from", t_from, 1 / max(num_steps, 1), 1)
    prompt, steps, truth = _sampled(mixture, num_points, num_steps, seed)
    first = min(round((1 - t_from) * num_steps), num_steps - 2)
    steps = steps[first:]
    x0 = {"DDIM": torch.stack([step.x0 for step in steps]).flatten(2)}
    for name, rule in METHODS.items():
        run = distill(
            ImageScene(steps[0].x0),
            rule(mixture, steps[0].eps),
            prompt=prompt,
            num_steps=num_steps,
            t_end=0.0,
            seeds=seed,
            first_step=first + 1,
        )
        x0[name] = torch.stack([steps[0].x0, *(step.update.target for step in run)]).flatten(2)
    return ToyPaths(torch.tensor([step.t for step in steps], dtype=torch.float64), x0, truth)


def practised_sds(
    mixture: GaussianMixture,
    *,
    num_points: int,
    num_steps: int,
    learning_rate: float = 0.02,
    seed: int = 0,
) -> Float[Tensor, "points 2"]:
    """Return where SDS ends as it is practised: t uniformly random, small steps of Adam (Algorithm 1).

    Args:
        mixture: in the plane.
        num_points: paths.
        num_steps: optimiser steps.
        learning_rate: of Adam.
        seed: point i has this seed plus i.
    """
    prompt, steps, _ = _sampled(mixture, num_points, 3, seed)
    scene = ImageScene(steps[0].x0)
    adam = torch.optim.Adam(list(scene.parameters()), learning_rate, betas=(0.9, 0.99))
    run = distill(
        scene,
        SDS(mixture, 1.0),
        prompt=prompt,
        num_steps=num_steps,
        optimizer=adam,
        t_schedule="random",
        t_end=0.02,
        seeds=seed,
    )
    for _ in run:
        pass
    return scene.values.detach().flatten(1)


def update_errors(
    mixture: GaussianMixture, *, num_points: int, num_steps: int, seed: int = 0
) -> tuple[Float[Tensor, " steps"], dict[str, Float[Tensor, "steps points"]]]:
    """Compare each rule's update with DDIM's own, at the points and times of DDIM's paths.

    Args:
        mixture: in the plane.
        num_points: paths.
        num_steps: equal steps from t = 1 to 0, at least 3.
        seed: point i has this seed plus i.

    Returns:
        The times, and for each rule of `METHODS` the distance of its update of x0(t) from eq. 6's.
    """
    prompt, steps, _ = _sampled(mixture, num_points, num_steps, seed)
    errors: dict[str, list[Tensor]] = {name: [] for name in METHODS}
    for number, (before, after) in enumerate(pairwise(steps)):
        t = torch.full((num_points,), after.t, dtype=torch.float64)
        for name, rule in METHODS.items():
            draws = [generator(seed + i, number, "guidance") for i in range(num_points)]
            target = rule(mixture, before.eps)(before.x0, t, View(prompt), draws).target
            errors[name].append((target - after.x0).flatten(1).norm(dim=1))
    times = torch.tensor([step.t for step in steps[1:]], dtype=torch.float64)
    return times, {name: torch.stack(values) for name, values in errors.items()}


def distance_to_mode(
    mixture: GaussianMixture, points: Float[Tensor, "points 2"]
) -> Float[Tensor, " points"]:
    """Return each point's distance to the nearest component's mean.

    Args:
        mixture: in the plane.
        points: anywhere.
    """
    return torch.cdist(points, mixture.means.flatten(1)).amin(1)
