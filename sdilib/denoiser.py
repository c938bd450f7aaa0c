"""The frozen denoiser: raw noise predictions, classifier-free guidance (eq. 3), and Perp-Neg.

Letters: eps is a noise prediction, y the prompt, ∅ the empty prompt, gamma = `guidance_scale`: 0 is
unconditional, 1 is conditional, 7.5 the usual. One network call serves all the branches a step
needs; one that gamma gives no weight is left out. What is counted everywhere is UNet
sample-forwards: one sample through the network once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sdilib.checks import NonFiniteError, finite
from sdilib.prompts import PromptEmbeddings
from sdilib.schedule import NoiseSchedule, Time

__all__ = [
    "Denoiser",
    "GuidedDenoiser",
    "classifier_free_guidance",
    "perp_neg",
]


@runtime_checkable
class Denoiser(Protocol):
    """A noise predictor with its schedule.

    Attributes:
        schedule: what its times mean.
        num_forwards: sample-forwards made so far.
    """

    schedule: NoiseSchedule
    num_forwards: int

    def branches(
        self,
        x_t: Float[Tensor, " batch *shape"],
        t: Time,
        conditions: Sequence[Float[Tensor, " batch *condition"]],
    ) -> tuple[Float[Tensor, " batch *shape"], ...]:
        """Return eps under each condition, by one call of len(conditions) · batch samples.

        Args:
            x_t: noisy images at time t.
            t: one time for all, or one an item.
            conditions: rows as in `PromptEmbeddings`.
        """
        ...


def classifier_free_guidance(
    conditional: Float[Tensor, "*shape"],
    unconditional: Float[Tensor, "*shape"],
    guidance_scale: float,
) -> Float[Tensor, "*shape"]:
    """Return e_∅ + gamma (e_y - e_∅) (eq. 3).

    Args:
        conditional: e_y.
        unconditional: e_∅.
        guidance_scale: gamma.
    """
    return unconditional + guidance_scale * (conditional - unconditional)


def perp_neg(
    conditional: Float[Tensor, " batch *shape"],
    unconditional: Float[Tensor, " batch *shape"],
    negatives: Sequence[Float[Tensor, " batch *shape"]],
    weights: Sequence[float],
    guidance_scale: float,
) -> Float[Tensor, " batch *shape"]:
    """Return eq. 3 with the negatives' part perpendicular to the prompt's direction taken away.

    e_∅ + gamma (d_y - Σ w_i (d_i - its projection on d_y)), d = e - e_∅. Without negatives it is
    eq. 3.

    Args:
        conditional: e_y.
        unconditional: e_∅.
        negatives: e of each negative prompt.
        weights: of at least 0, one a negative.
        guidance_scale: gamma. Where it is negative, as in an inversion, the negatives attract.

    Source: Perp-Neg, Armandpour et al., 2304.04968.
    """
    direction = conditional - unconditional
    guided = direction
    dims = tuple(range(1, direction.ndim))
    length = (direction**2).sum(dims, keepdim=True).clamp_min(torch.finfo(direction.dtype).tiny)
    for negative, weight in zip(negatives, weights, strict=True):
        away = negative - unconditional
        guided = guided - weight * (
            away - (away * direction).sum(dims, keepdim=True) / length * direction
        )
    return unconditional + guidance_scale * guided


@dataclass(frozen=True, slots=True, eq=False)
class GuidedDenoiser:
    """The paper's eps(x, t, y): a denoiser with its prompt and guidance scale fixed.

    Attributes:
        denoiser: the frozen network.
        prompt: conditions, one row an item.
        guidance_scale: gamma of eq. 3, any finite number.

    Raises:
        ValueError: `guidance_scale` is not finite.
    """

    denoiser: Denoiser
    prompt: PromptEmbeddings
    guidance_scale: float

    def __post_init__(self) -> None:
        """Check gamma; see the class."""
        finite("guidance_scale", self.guidance_scale)

    @property
    def schedule(self) -> NoiseSchedule:
        """The denoiser's schedule."""
        return self.denoiser.schedule

    def select(self, items: Int[Tensor, " items"]) -> "GuidedDenoiser":
        """Return the same for some items of the batch.

        Args:
            items: indices into the batch.
        """
        return GuidedDenoiser(self.denoiser, self.prompt.select(items), self.guidance_scale)

    def __call__(
        self, x_t: Float[Tensor, " batch *shape"], t: Time
    ) -> Float[Tensor, " batch *shape"]:
        """Return the guided eps.

        It costs 1 sample-forward an item for gamma = 0, 1 for gamma = 1 without negatives, else 2 +
        the number of negatives.

        Args:
            x_t: noisy images at time t.
            t: one time for all, or one an item.

        Raises:
            NonFiniteError: the network's output is not finite.
        """
        prompt, gamma = self.prompt, float(self.guidance_scale)
        if gamma == 0:
            conditions = [prompt.unconditional]
        elif gamma == 1 and not prompt.negatives:
            conditions = [prompt.conditional]
        else:
            conditions = [prompt.conditional, prompt.unconditional, *prompt.negatives]
        e = self.denoiser.branches(x_t, t, conditions)
        if len(e) == 1:
            eps = e[0]
        elif prompt.negatives:
            eps = perp_neg(e[0], e[1], e[2:], prompt.negative_weights, gamma)
        else:
            eps = classifier_free_guidance(e[0], e[1], gamma)
        if not bool(eps.isfinite().all()):
            broken = int((~eps.isfinite()).sum())
            raise NonFiniteError(
                f"eps={broken} of {eps.numel()} values not finite at t={t}: expected finite noise "
                f"predictions (guidance_scale={gamma:g}, "
                f"largest |x_t| {float(x_t.abs().max()):.3g}, {x_t.dtype})"
            )
        return eps
