"""Exact denoisers: a Gaussian mixture in any dimension, and the ring, 3D distillation in miniature.

The mixture is the oracle of the tests and the subject of the first notebook. Noised to time t, a component
N(mean, std² I) becomes N(sqrt(alpha) mean, (alpha std² + 1 - alpha) I), so the density p_t, its
score, and eps = -sqrt(1 - alpha) ∇ log p_t are exact. A prompt selects components: its condition is
their log weights. The ring is a mixture over textures on a circle; each view sees a window of one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sdilib.checks import finite, positive_int, reject
from sdilib.denoiser import GuidedDenoiser, PromptEmbeddings
from sdilib.schedule import Latents, NoiseSchedule, Time, spread


class GaussianMixture:
    """A `Denoiser` without a network.

    Attributes:
        schedule: Stable Diffusion's by default, with eps prediction.
        num_forwards: samples denoised so far, times conditions.
        means: means of the components.
        stds: standard deviations of the components, which are isotropic.
        weights: weights of the unconditional mixture, summing to 1.
    """

    def __init__(
        self,
        means: Float[Tensor, " components *shape"],
        stds: Float[Tensor, " components"],
        weights: Float[Tensor, " components"],
        *,
        schedule: NoiseSchedule | None = None,
    ) -> None:
        """Define the mixture; it is evaluated in the dtype and on the device of the points given.

        Args:
            means: one point per component, of any shape.
            stds: at least 0.
            weights: positive; scaled to sum to 1.
            schedule: noise schedule; its prediction type plays no role here.

        Raises:
            ValueError: a negative deviation or a weight that is not positive.
        """
        if not bool((stds >= 0).all()):
            reject("stds", stds.tolist(), "numbers of at least 0")
        if not bool((weights > 0).all()):
            reject("weights", weights.tolist(), "positive numbers")
        self.means, self.stds, self.weights = means, stds, weights / weights.sum()
        self.schedule = schedule or NoiseSchedule.scaled_linear()
        self.num_forwards = 0

    def prompt(self, components: Sequence[Sequence[int]]) -> PromptEmbeddings:
        """Return the conditions that restrict each item to some components.

        Args:
            components: for each item, the indices its "prompt" allows.

        Raises:
            ValueError: an item allows none, or an index that does not exist.
        """
        count = len(self.weights)
        logs = self.weights.log()
        rows = []
        for allowed in components:
            if not allowed or any(not 0 <= k < count for k in allowed):
                reject("components", list(allowed), f"at least one index from 0 to {count - 1}")
            row = torch.full_like(logs, -torch.inf)
            row[list(allowed)] = logs[list(allowed)]
            rows.append(row)
        return PromptEmbeddings(torch.stack(rows), logs.expand(len(rows), -1))

    def guided(self, prompt: PromptEmbeddings, guidance_scale: float = 1.0) -> GuidedDenoiser:
        """Return eps(x, t, y) for a prompt.

        Args:
            prompt: from `prompt`.
            guidance_scale: gamma of eq. 3.
        """
        return GuidedDenoiser(self, prompt, guidance_scale)

    def log_density(
        self, x_t: Latents, t: Time, log_weights: Float[Tensor, "batch components"]
    ) -> Float[Tensor, " batch"]:
        """Return log p_t(x_t), up to a constant that depends on the dimension.

        Args:
            x_t: points at time t.
            t: one time for all, or one per item.
            log_weights: conditions; -inf leaves a component out.
        """
        _, _, log = self._terms(x_t, t)
        return torch.logsumexp(log_weights.to(log) + log, dim=1)

    def _terms(self, x_t: Tensor, t: Time) -> tuple[Tensor, Tensor, Tensor]:
        """sqrt(alpha) and the noised variances, by item; log N(x_t; noised mean, variance), by item and component."""
        exact = self.schedule.alpha_cumprod(t).reshape(-1, 1)
        alpha, rest = (
            exact.to(x_t),
            (1 - exact).to(x_t),
        )  # near t = 0 the rest is smaller than alpha's rounding
        variance = alpha * self.stds.to(x_t) ** 2 + rest
        # A component of zero width has zero variance at t = 0, which nothing may divide by.
        variance = variance.clamp_min(torch.finfo(x_t.dtype).eps ** 2)
        points, means = x_t.flatten(1), self.means.to(x_t).flatten(1)
        # Squared distances by one matrix product: thousands of components cost little.
        crossed = alpha.sqrt() * (points @ means.T)
        squared = points.square().sum(1, True) - 2 * crossed + alpha * means.square().sum(1)
        log = -squared / (2 * variance) - means.shape[1] / 2 * variance.log()
        return alpha.sqrt(), variance, log

    def branches(
        self, x_t: Latents, t: Time, conditions: Sequence[Float[Tensor, "batch components"]]
    ) -> tuple[Latents, ...]:
        """Return the exact eps under each condition; see `Denoiser`.

        Args:
            x_t: points at time t.
            t: one time for all, or one per item.
            conditions: log weights.
        """
        root, variance, log = self._terms(x_t, t)
        points, means = x_t.flatten(1), self.means.to(x_t).flatten(1)
        noise = spread((1 - self.schedule.alpha_cumprod(t)).sqrt(), points)
        self.num_forwards += len(conditions) * len(x_t)
        each = []
        for log_weights in conditions:
            pull = (log_weights.to(log) + log).softmax(1) / variance
            eps = noise * (pull.sum(1, keepdim=True) * points - root * (pull @ means))
            each.append(eps.reshape(x_t.shape))
        return tuple(each)

    def sample(
        self, labels: Int[Tensor, " batch"], t: Time, noise: Float[Tensor, "batch 2 *shape"]
    ) -> Latents:
        """Return points of the exact marginal p_t, from components and standard normal numbers.

        Args:
            labels: the component of each point.
            t: one time for all, or one per item.
            noise: two draws of N(0, I) per point: for the component and for the noising.
        """
        stds = spread(self.stds.to(noise)[labels], noise[:, 0])
        x0 = self.means.to(noise)[labels] + stds * noise[:, 0]
        return self.schedule.add_noise(x0, noise[:, 1], t)


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """Textures on a circle, seen through windows: a model of 3D distillation whose truth is known.

    Like 3D distillation, it has overlapping views of one object and a prompt that leaves much open.
    A texture is

        sqrt(2) cos(cycles x + phase) + fine sqrt(2) cos(12 x + its own phase),  x once around.

    Its cycles are its class, which a prompt names; the two phases, with 24 and 4 values, are left
    open. Turning the circle by `STRIDE` points maps the set of textures to itself, so that one
    mixture is exact for the windows at all such turns.

    Attributes:
        textures: textures on the whole circle, float64.
        labels: the class of each texture, and the numbers of its two phases.
        cycles: cycles of each class; the coarse component has root mean square 1.
        fine: amplitude of the fine component.
        denoiser: denoiser of a window; the data are the textures plus independent noise of deviation std.
    """

    textures: Float[Tensor, "textures points"]
    labels: Int[Tensor, "textures 3"]
    cycles: tuple[int, ...]
    fine: float
    denoiser: GaussianMixture

    POINTS = 48
    WINDOW = 24
    STRIDE = 2
    FINE_CYCLES = 12

    @classmethod
    def of(
        cls, cycles: Sequence[int] = (2, 4, 6, 8), *, std: float = 0.1, fine: float = 0.3
    ) -> "Ring":
        """Return a ring.

        Args:
            cycles: cycles of each class, fewer than 12. Even numbers are orthogonal in a window,
                which then tells the classes apart; odd ones look like their neighbours there.
            std: deviation of the data's own noise.
            fine: amplitude of the fine component, at least 0.

        Raises:
            ValueError: a setting outside its range.
        """
        for count in cycles:
            if positive_int("cycles", count) >= cls.FINE_CYCLES:
                reject("cycles", list(cycles), f"integers below {cls.FINE_CYCLES}")
        if finite("fine", fine) < 0:
            reject("fine", fine, "a number of at least 0")
        labels = torch.cartesian_prod(*map(torch.arange, (len(cycles), 24, 4)))
        at = torch.arange(cls.POINTS, dtype=torch.float64) / cls.POINTS
        phases = labels[:, 1:].double() / torch.tensor([24, 4])
        waves = torch.tensor(cycles)[labels[:, :1]] * at + phases[:, :1]
        grain = cls.FINE_CYCLES * at + phases[:, 1:]
        each = [math.sqrt(2) * torch.cos(2 * math.pi * turns) for turns in (waves, grain)]
        textures = each[0] + fine * each[1]
        windows = textures[:, None, None, : cls.WINDOW].clone()
        stds = torch.full((len(textures),), float(std), dtype=torch.float64)
        denoiser = GaussianMixture(windows, stds, torch.ones_like(stds))
        return cls(textures, labels, tuple(cycles), float(fine), denoiser)

    def prompt(self, number: int, count: int) -> PromptEmbeddings:
        """Return the conditions of a class, with both phases left open.

        Args:
            number: number of the class, from 0.
            count: number of views.

        Raises:
            ValueError: a class that does not exist.
        """
        allowed = torch.nonzero(self.labels[:, 0] == number).flatten().tolist()
        return self.denoiser.prompt([allowed] * count)
