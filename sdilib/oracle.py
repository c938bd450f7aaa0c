"""A Gaussian mixture: its noise prediction is known in closed form, in any dimension.

It is the oracle of the tests and the subject of the first notebook. Noised to time t, a component
N(mean, std² I) becomes N(sqrt(alpha) mean, (alpha std² + 1 - alpha) I), so the density p_t, its
score, and eps = -sqrt(1 - alpha) ∇ log p_t are exact. A prompt picks components: conditions are log
weights.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sdilib.checks import reject
from sdilib.denoiser import GuidedDenoiser, PromptEmbeddings
from sdilib.schedule import NoiseSchedule, Time, spread

__all__ = ["GaussianMixture"]


class GaussianMixture:
    """A `Denoiser` without a network.

    Attributes:
        schedule: Stable Diffusion's by default, with eps prediction.
        num_forwards: samples denoised so far, times conditions.
        means: of the components.
        stds: of the components, isotropic.
        weights: of the unconditional mixture, summing to 1.
    """

    def __init__(
        self,
        means: Float[Tensor, " components *shape"],
        stds: Float[Tensor, " components"],
        weights: Float[Tensor, " components"],
        *,
        schedule: NoiseSchedule | None = None,
    ) -> None:
        """Define the mixture; its type and device are those of the points it is asked about.

        Args:
            means: one point a component, of any shape.
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
        self,
        x_t: Float[Tensor, " batch *shape"],
        t: Time,
        log_weights: Float[Tensor, "batch components"],
    ) -> Float[Tensor, " batch"]:
        """Return log p_t(x_t), up to a constant of the dimension.

        Args:
            x_t: points at time t.
            t: one time for all, or one per item.
            log_weights: conditions; -inf leaves a component out.
        """
        return torch.logsumexp(self._log_terms(x_t, t, log_weights), dim=1)

    def _moments(self, x_t: Tensor, t: Time) -> tuple[Tensor, Tensor]:
        """x_t - noised means (batch, components, *shape); variances (batch or 1, components)."""
        alpha = self.schedule.alpha_cumprod(t).reshape(-1, 1).to(x_t)
        means, stds = self.means.to(x_t)[None], self.stds.to(x_t)[None]
        root = alpha.sqrt().reshape(-1, *[1] * (means.ndim - 1))
        # A component without width is a point: at t = 0 its variance is 0, and nothing may divide by that.
        variance = (alpha * stds**2 + 1 - alpha).clamp_min(torch.finfo(x_t.dtype).tiny)
        return x_t[:, None] - root * means, variance

    def _log_terms(self, x_t: Tensor, t: Time, log_weights: Tensor) -> Tensor:
        difference, variance = self._moments(x_t, t)
        squared = (difference**2).flatten(2).sum(2)
        dimension = self.means[0].numel()
        return log_weights.to(x_t) - squared / (2 * variance) - dimension / 2 * variance.log()

    def branches(
        self,
        x_t: Float[Tensor, " batch *shape"],
        t: Time,
        conditions: Sequence[Float[Tensor, "batch components"]],
    ) -> tuple[Float[Tensor, " batch *shape"], ...]:
        """Return the exact eps under each condition; see `Denoiser`.

        Args:
            x_t: points at time t.
            t: one time for all, or one per item.
            conditions: log weights.
        """
        difference, variance = self._moments(x_t, t)
        pull = difference / variance.reshape(*variance.shape, *[1] * (x_t.ndim - 1))
        noise = spread((1 - self.schedule.alpha_cumprod(t)).sqrt(), x_t)
        self.num_forwards += len(conditions) * len(x_t)
        each = []
        for log_weights in conditions:
            share = self._log_terms(x_t, t, log_weights).softmax(1)
            each.append(noise * (share.reshape(*share.shape, *[1] * (x_t.ndim - 1)) * pull).sum(1))
        return tuple(each)

    def sample(
        self, labels: Int[Tensor, " batch"], t: Time, noise: Float[Tensor, "batch 2 *shape"]
    ) -> Float[Tensor, " batch *shape"]:
        """Return points of the exact marginal p_t, from components and standard normal numbers.

        Args:
            labels: the component of each point.
            t: one time for all, or one per item.
            noise: two draws of N(0, I) a point: for the component and for the noising.
        """
        stds = spread(self.stds.to(noise)[labels], noise[:, 0])
        x0 = self.means.to(noise)[labels] + stds * noise[:, 0]
        return self.schedule.add_noise(x0, noise[:, 1], t)
