"""The frozen denoiser: raw noise predictions, classifier-free guidance (eq. 3), and Perp-Neg.

Notation: eps is a noise prediction, y the prompt, ∅ the empty prompt or a negative prompt in its
place, gamma = `guidance_scale`: 0 is unconditional, 1 conditional, 7.5 the usual value. One network
call serves all the branches that a step needs; a branch that gamma gives no weight is left out.
Perp-Neg's negatives are separate, with weights of their own. Costs are counted in UNet
sample-forwards: one sample through the network once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sdilib.checks import NonFiniteError, finite, reject
from sdilib.schedule import Latents, NoiseSchedule, Time, spread

Condition = Any
"""What conditions one branch of a network, one row per item: for Stable Diffusion a tensor (tokens,
width), for the Gaussian mixture log weights (components), for a network with several inputs a mapping
of tensors by name."""


def each_tensor(condition: Condition, change: Callable[[Tensor], Tensor]) -> Condition:
    """Return a condition with its tensor, or each tensor of its mapping, changed.

    Args:
        condition: rows as in `PromptEmbeddings`.
        change: takes one tensor of it to another.
    """
    if isinstance(condition, Tensor):
        return change(condition)
    return {name: change(values) for name, values in condition.items()}


def with_view(prompt: str, view: str) -> str:
    """Return the prompt with a view appended.

    Args:
        prompt: without a view.
        view: for example one of `cameras.VIEWS`.

    Examples:
        >>> with_view("a red mug", "side")
        'a red mug, side view'
    """
    return f"{prompt}, {view} view"


@dataclass(frozen=True, slots=True, eq=False)
class PromptEmbeddings:
    """What a denoiser is conditioned on, one row per item of the batch.

    Attributes:
        conditional: y.
        unconditional: ∅, the empty prompt or a negative prompt in its place.
        negatives: prompts to keep away from, for Perp-Neg.
        negative_weights: at least 0; for each negative one number, or one per item.
        texts: the prompts as text, one per item; () if there was no text.

    Raises:
        ValueError: the numbers of negatives and weights differ, a per-item weight does not fit the
            batch, or a weight is negative or not finite.
    """

    conditional: Condition
    unconditional: Condition
    negatives: tuple[Condition, ...] = ()
    negative_weights: tuple[float | Float[Tensor, " batch"], ...] = ()
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that each negative has its weight; see the class."""
        count = len(self.negatives)
        if count != len(self.negative_weights):
            expected = f"{count} numbers, one per negative prompt"
            reject("negative_weights", self.negative_weights, expected)
        for weight in self.negative_weights:
            given = weight.tolist() if isinstance(weight, Tensor) else weight
            each = given if isinstance(given, list) else [given]
            if isinstance(weight, Tensor) and len(each) != len(self):
                expected = f"one number, or one for each of {len(self)} items"
                reject("negative_weights", given, expected)
            if any(finite("negative_weights", number) < 0 for number in each):
                reject("negative_weights", given, "numbers of at least 0")

    def __len__(self) -> int:
        """Return the batch size."""
        rows = self.conditional
        return len(rows) if isinstance(rows, Tensor) else len(next(iter(rows.values())))

    def select(self, items: Int[Tensor, " items"]) -> "PromptEmbeddings":
        """Return some of the rows, in the order given; rows may repeat.

        Args:
            items: indices into the batch.
        """

        def rows(of: Condition) -> Condition:
            return each_tensor(of, lambda values: values[items.to(values.device)])

        negatives = tuple(map(rows, self.negatives))
        both = rows(self.conditional), rows(self.unconditional)
        weights = tuple(rows(w) if isinstance(w, Tensor) else w for w in self.negative_weights)
        texts = tuple(self.texts[i] for i in items.tolist()) if self.texts else ()
        return PromptEmbeddings(*both, negatives, weights, texts)

    def without_negatives(self) -> "PromptEmbeddings":
        """Return the same embeddings without Perp-Neg's negatives."""
        return PromptEmbeddings(self.conditional, self.unconditional, texts=self.texts)


@runtime_checkable
class Denoiser(Protocol):
    """A noise predictor with its schedule.

    Attributes:
        schedule: its noise schedule.
        num_forwards: sample-forwards made so far.
    """

    schedule: NoiseSchedule
    num_forwards: int

    def branches(
        self, x_t: Latents, t: Time, conditions: Sequence[Condition]
    ) -> tuple[Latents, ...]:
        """Return eps under each condition, from one call on len(conditions) · batch samples.

        Args:
            x_t: noisy images at time t.
            t: one time for all, or one per item.
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
    conditional: Latents,
    unconditional: Latents,
    negatives: Sequence[Latents],
    weights: Sequence[float | Float[Tensor, " batch"]],
    guidance_scale: float,
) -> Latents:
    """Return eq. 3 minus the part of each negative perpendicular to the prompt's direction.

    That is e_∅ + gamma (d_y - Σ w_i (d_i - its projection on d_y)) with d = e - e_∅; without
    negatives, eq. 3.

    Args:
        conditional: e_y.
        unconditional: e_∅.
        negatives: e of each negative prompt.
        weights: at least 0; for each negative one number, or one per item.
        guidance_scale: gamma. Where it is negative, as in an inversion, the negatives attract.

    Source: Perp-Neg, Armandpour et al., 2304.04968.
    """
    direction = conditional - unconditional
    guided = direction
    dims = tuple(range(1, direction.ndim))
    length = (direction**2).sum(dims, keepdim=True).clamp_min(torch.finfo(direction.dtype).tiny)
    for negative, weight in zip(negatives, weights, strict=True):
        away = negative - unconditional
        weight = spread(weight, away) if isinstance(weight, Tensor) else weight
        guided = guided - weight * (
            away - (away * direction).sum(dims, keepdim=True) / length * direction
        )
    return unconditional + guidance_scale * guided


def azimuth_weights(
    shares: Float[Tensor, "batch 4"],
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Return each view's weights for "front view" and "side view" as negative prompts.

    From the front they are 0 and 1.57, from the side 1.57 and 0, from behind 1.97 and 0.39, and from above both 0; in
    between they vary as the exponential of minus half the view's share.

    Args:
        shares: the views' shares, as `Camera.view_shares`.

    Source: Perp-Neg, 2304.04968, with the constants of threestudio.
    """
    front, side, back, overhead = shares.unbind(1)

    def missing(share: Tensor) -> Tensor:
        """0 for a share of 1, 1 - exp(-1/2) for a share of 0."""
        return (-share / 2).exp() - math.exp(-1 / 2)

    behind = (back > 0).to(shares)
    of_front = 4 * missing(front) + behind * missing(side)
    of_side = (4 - 3 * behind) * missing(side)
    return of_front * (1 - overhead), of_side * (1 - overhead)


@dataclass(frozen=True, slots=True, eq=False)
class GuidedDenoiser:
    """The paper's eps(x, t, y): a denoiser with its prompt and guidance scale fixed.

    Attributes:
        denoiser: the frozen network.
        prompt: conditions, one row per item.
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
        """Return the guided denoiser of some items of the batch.

        Args:
            items: indices into the batch.
        """
        return GuidedDenoiser(self.denoiser, self.prompt.select(items), self.guidance_scale)

    def __call__(self, x_t: Latents, t: Time) -> Latents:
        """Return the guided eps.

        It costs 1 sample-forward per item for gamma = 0, or for gamma = 1 without negatives;
        otherwise 2 + the number of negatives.

        Args:
            x_t: noisy images at time t.
            t: one time for all, or one per item.
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
            return e[0]
        if prompt.negatives:
            return perp_neg(e[0], e[1], e[2:], prompt.negative_weights, gamma)
        return classifier_free_guidance(e[0], e[1], gamma)


def require_finite(where: str, **named: Tensor | Sequence[Tensor]) -> None:
    """Refuse tensors that hold nan or infinity; synchronises with the device once.

    Args:
        where: point in the run, for the message.
        **named: tensors to check, in this order.

    Raises:
        NonFiniteError: names the first tensor that is not finite.
    """
    if problem := not_finite(where, **named):
        raise NonFiniteError(problem)


def not_finite(where: str, **named: Tensor | Sequence[Tensor]) -> str:
    """Return a sentence naming the first tensor with nan or infinity, or "" if all are finite; synchronises once.

    Args:
        where: point in the run.
        **named: tensors to check, in this order.
    """
    each = {name: [of] if isinstance(of, Tensor) else list(of) for name, of in named.items()}
    good = [value.isfinite().all() for values in each.values() for value in values]
    if bool(torch.stack(good).all()):
        return ""
    counts = {name: sum(int((~v.isfinite()).sum()) for v in of) for name, of in each.items()}
    name, broken = next((name, count) for name, count in counts.items() if count)
    return (
        f"{name}={broken} of {sum(v.numel() for v in each[name])} values not finite {where}: "
        "expected finite numbers; a smaller guidance scale, a smaller learning rate or "
        "float32 may help"
    )
