"""The plane, where the denoiser is exact: mixtures of Gaussians, and paths of x0(t) among them.

DDIM, SDI and SDS differ in the noise kappa alone: the previous prediction, one found by inversion, or a fresh random one.
All runs are at gamma = gamma_inv = 1, where DDIM's samples follow the mixture itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import in_range, positive_int
from sdilib.denoiser import PromptEmbeddings
from sdilib.distillation import distill
from sdilib.guidance import SDI, SDS, Rule
from sdilib.inversion import Cached, DDIMInversion
from sdilib.oracle import GaussianMixture
from sdilib.sampling import DDIMStep, ddim
from sdilib.scenes import ImageScene
from sdilib.schedule import spread, time_grid
from sdilib.seeds import generator, normal

METHODS: dict[str, Callable[[GaussianMixture, Tensor], Rule]] = {
    "SDI, cached κ": lambda mixture, eps: SDI(mixture, 1.0, Cached(eps)),
    "SDI, inversion": lambda mixture, eps: SDI(mixture, 1.0, DDIMInversion(guidance_scale=1.0)),
    "SDS, random κ": lambda mixture, eps: SDS(mixture, 1.0),
}
"""The rules compared with DDIM: each is made from the mixture and DDIM's last prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """Paths of x0(t) by DDIM and by each of `METHODS`, all leaving DDIM's at the same point.

    Attributes:
        times: of the steps, falling.
        x_bar: DDIM's noisy point x(t) / sqrt(alpha(t)) before each step, the variable of eq. 1.
        x0: by method, "DDIM" first: the point after each step.
        truth: exact samples of the mixture, one per path.
    """

    times: Float[Tensor, " steps"]
    x_bar: Float[Tensor, "steps points 2"]
    x0: dict[str, Float[Tensor, "steps points 2"]]
    truth: Float[Tensor, "points 2"]

    def distances(self, method: str) -> Float[Tensor, " points"]:
        """Return how far a method's ends lie from DDIM's, path by path.

        Args:
            method: a key of `x0`.
        """
        return (self.x0[method][-1] - self.x0["DDIM"][-1]).norm(dim=1)

    def since(self, t: float) -> "Paths":
        """Return the part of the paths from time t on.

        Args:
            t: at least that of the last step.
        """
        kept = self.times <= t + 1e-9
        x0 = {name: each[kept] for name, each in self.x0.items()}
        return Paths(self.times[kept], self.x_bar[kept], x0, self.truth)


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


def three_blobs() -> GaussianMixture:
    """Return three unequal Gaussians, in float64."""
    means = torch.tensor([[-2.2, 0.4], [2.0, 0.9], [0.3, -2.0]], dtype=torch.float64)
    stds = torch.tensor([0.4, 0.36, 0.44], dtype=torch.float64)
    weights = torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64)
    return GaussianMixture(means.reshape(-1, 2, 1, 1), stds, weights)


def ddim_steps(
    mixture: GaussianMixture, *, num_points: int, num_steps: int, seed: int = 0
) -> tuple[PromptEmbeddings, list[DDIMStep], Float[Tensor, "points 2"]]:
    """Sample by DDIM from the exact marginal at t = 1.

    Args:
        mixture: in the plane.
        num_points: samples.
        num_steps: equal steps from t = 1 to 0, at least 3.
        seed: point i has this seed plus i.

    Returns:
        Prompts that allow every component, the steps, and as many exact samples of the mixture.
    """
    count = len(mixture.weights)
    prompt = mixture.prompt([range(count)] * num_points)
    blank = torch.zeros(num_points, 2, *mixture.means.shape[1:], dtype=torch.float64)
    noise = normal(blank, [generator(seed + i, 0, "start") for i in range(num_points)])
    labels = torch.arange(num_points) % count
    x_1 = mixture.sample(labels, 1.0, noise)
    steps = list(ddim(x_1, mixture.guided(prompt, 1.0), times=time_grid(num_steps)))
    return prompt, steps, mixture.sample(labels, 0.0, noise).flatten(1)


def follow(
    mixture: GaussianMixture, *, num_points: int, num_steps: int, t_from: float = 1.0, seed: int = 0
) -> Paths:
    """Follow DDIM from t = 1, and each rule of `METHODS` from DDIM's x0(t_from), in steps of size one (eq. 10).

    Args:
        mixture: in the plane.
        num_points: paths per method.
        num_steps: equal steps from t = 1 to 0, at least 3.
        t_from: where the rules take over from DDIM, in (0, 1]; they take at least two steps.
        seed: point i has this seed plus i.

    Raises:
        ValueError: `t_from` outside its range.
    """
    in_range("t_from", t_from, 1 / num_steps, 1)
    every = {"num_points": num_points, "num_steps": num_steps, "seed": seed}
    prompt, steps, truth = ddim_steps(mixture, **every)
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
    scale = [mixture.schedule.alpha_cumprod(step.t).sqrt() for step in steps]
    bars = [step.x_t / spread(each, step.x_t) for step, each in zip(steps, scale, strict=True)]
    times = torch.tensor([step.t for step in steps], dtype=torch.float64)
    return Paths(times, torch.stack(bars).flatten(2), x0, truth)


def log_density(
    mixture: GaussianMixture, x_t: Float[Tensor, "points 2 1 1"], t: float
) -> Float[Tensor, " points"]:
    """Return the log density of the model's own noisy data at some points.

    Args:
        mixture: in the plane.
        x_t: points.
        t: in [0, 1].
    """
    log_weights = mixture.weights.log().expand(len(x_t), -1)
    return mixture.log_density(x_t, t, log_weights)


def density_map(
    mixture: GaussianMixture, *, t: float = 0.0, extent: float = 4.0, size: int = 160
) -> tuple[Float[Tensor, " size"], Float[Tensor, "size size"]]:
    """Return the log density over a square in the variable x_bar = x / sqrt(alpha), in which renders stay where they are.

    Args:
        mixture: in the plane.
        t: in [0, 1].
        extent: the square reaches from -extent to extent.
        size: points per side.

    Returns:
        The coordinates, the same along both axes, and `log_density` by (y, x).
    """
    at = torch.linspace(-extent, extent, size).double()
    y, x = torch.meshgrid(at, at, indexing="ij")
    root = float(mixture.schedule.alpha_cumprod(t)) ** 0.5
    points = root * torch.stack([x, y], -1).reshape(-1, *mixture.means.shape[1:])
    return at, log_density(mixture, points, t).reshape(size, size)
