"""SDS and its relatives: all add random noise, and differ in what they subtract and how they weight it.

SDS       w(t) (eps - noise)
SJC       the same with w = 1
NFSD      w(t) (delta_D + gamma (e_y - e_∅))
CSD       w(t) gamma (e_y - e_neg)
StableSD  w(t) times the terms of (gamma - 1) (e_y - e_∅) + (e_y - noise), each in its own range of t
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from sdilib.checks import in_range, setting
from sdilib.guidance.base import (
    AUTO_WORDS,
    Direction,
    Predictions,
    View,
    WeightedRule,
    embedded,
    own_words,
)
from sdilib.schedule import Latents, Times, spread
from sdilib.seeds import Generators, normal


@dataclass(frozen=True, eq=False)
class SDS(WeightedRule):
    """Score distillation sampling: w(t) (eps(x_t, t, y) - noise) (eq. 4).

    The noise ~ N(0, I) is the first thing drawn from the generators at each update. Costs 2 UNet
    sample-forwards per item.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma; DreamFusion uses 100, DDIM sampling 7.5.
        weight: w(t), one of `WEIGHTS`.

    Raises:
        ValueError: gamma not finite, or an unknown weight.

    Source: eq. 4; DreamFusion, 2209.14988.
    """

    guidance_scale: float = 100.0

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return eps - noise; see `WeightedRule`."""
        denoise = self.guided(view)
        noise = normal(x0, generator)
        x_t = denoise.schedule.add_noise(x0, noise, t)
        return Direction(noise, denoise(x_t, t))


@dataclass(frozen=True, eq=False)
class SJC(SDS):
    """Score Jacobian chaining: eps(x_t, t, y) - noise, which for each sample is SDS with w = 1.

    Averaged over noises it is SJC's -(D - x0) / sigma, with D the denoised image of x0 + sigma noise. Costs 2 UNet
    sample-forwards per item. SJC's own scene is a voxel grid of latents, kept empty by a loss over the samples of all
    rays, 1e4 mean log(1 + 10 w): the run's penalty `emptiness`. (Penalties here are added to a mean over latents, SJC's
    to a sum: for 4 x 64 x 64 latents, 1e4 is 0.6 here.)

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.

    Source: 2212.00774, its default, variance-reduced form.
    """

    weight: str = field(default="1", kw_only=True)


@dataclass(frozen=True, eq=False)
class _Avoiding(WeightedRule):
    """What NFSD and CSD share: a negative prompt of their own."""

    NEGATIVE: ClassVar[str]

    avoided_prompt: str = AUTO_WORDS
    weight: str = field(default="1-alpha", kw_only=True)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        super().__post_init__()
        _ = self.negative

    @property
    def negative(self) -> str:
        """The negative prompt as text; "" for none."""
        return own_words(self.denoiser, "avoided_prompt", self.avoided_prompt, self.NEGATIVE)

    def with_negative(self, x_t: Latents, t: Times, view: View) -> tuple[Predictions, Latents]:
        """Return the predictions, and e_neg, which is e_∅ if there is no negative prompt.

        Args:
            x_t: noisy latents.
            t: one time per item.
            view: supplies the prompt.
        """
        if not self.negative:
            e = self.predict(x_t, t, view)
            return e, e.unconditional
        words = embedded(self.denoiser, "avoided_prompt", [self.negative] * len(x_t))
        e = self.predict(x_t, t, view, words)
        return e, e.others[0]


@dataclass(frozen=True, eq=False)
class NFSD(_Avoiding):
    """Noise-free score distillation: w(t) (delta_D + gamma (e_y - e_∅)); no noise is subtracted.

    delta_D approximates the part of e_∅ that points towards the data: e_∅ itself at t < 0.2, where it contains little
    noise, and above that e_∅ - e_neg, where the noise cancels. Costs 3 UNet sample-forwards per item, or 2 without a
    negative prompt, when delta_D is 0 at t ≥ 0.2.

    The authors published no code; like independent implementations, this one uses w = 1 - alpha, item by item.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.
        avoided_prompt: prompt of e_neg; "" is the empty prompt, "auto" the paper's `NEGATIVE` if the model knows it.
        threshold: the t below which delta_D is e_∅, in [0, 1].

    Raises:
        ValueError: a setting outside its range, or a negative prompt that cannot be embedded.

    Source: 2310.17590, eqs. 8 and 9.
    """

    NEGATIVE: ClassVar[str] = (
        "unrealistic, blurry, low quality, out of focus, ugly, low contrast, dull, dark, "
        "low-resolution, gloomy"
    )

    threshold: float = setting(0.2, in_range, 0, 1)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return delta_D + gamma (e_y - e_∅); see `WeightedRule`."""
        noise = normal(x0, generator)
        e, e_neg = self.with_negative(self.denoiser.schedule.add_noise(x0, noise, t), t, view)
        low = spread((t < self.threshold).double(), x0)
        return Direction(noise, e.guided, e.guidance + e.unconditional - (1 - low) * e_neg)


@dataclass(frozen=True, eq=False)
class CSD(_Avoiding):
    """Classifier score distillation: w(t) gamma (e_y - e_∅), the guidance alone.

    With a negative prompt the subtracted prediction moves towards e_neg: e_∅ + share (e_neg - e_∅), where the share
    grows from 0 to `negative_share` over the first half of the run. Costs 2 UNet sample-forwards per item, 3 with a
    negative prompt.

    The growing share follows the published first stage (DeepFloyd), which also uses w = 1 and `normalise`. Normalising
    makes the gradient's size meaningless, which suits Adam, and couples the items of a batch. w = 1 - alpha without it
    follows the second stage (Stable Diffusion), whose share falls from 1 to 1/2.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma; 1 in the paper, where it only scales the gradient.
        weight: w(t), one of `WEIGHTS`.
        avoided_prompt: prompt of e_neg; "" is none, "auto" the paper's `NEGATIVE` if the model knows it.
        negative_share: largest share of e_neg, in [0, 1].
        normalise: whether to divide the gradient by its norm over the whole batch.

    Raises:
        ValueError: a setting outside its range, or a negative prompt that cannot be embedded.

    Source: 2310.19415.
    """

    NEGATIVE: ClassVar[str] = "oversaturated color, ugly, tiling, low quality, noisy"

    guidance_scale: float = 1.0
    negative_share: float = setting(1.0, in_range, 0, 1)
    normalise: bool = False

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return gamma (e_y - e_∅ - share (e_neg - e_∅)); see `WeightedRule`."""
        noise = normal(x0, generator)
        e, e_neg = self.with_negative(self.denoiser.schedule.add_noise(x0, noise, t), t, view)
        share = self.negative_share * min(1.0, 2 * view.done)
        along = e.guidance - self.guidance_scale * share * (e_neg - e.unconditional)
        if self.normalise:
            w = spread(self.weights(t), x0)
            along = along / torch.linalg.vector_norm(w * along).clamp_min(1e-12)
        return Direction(noise, e.guided, along)


@dataclass(frozen=True, eq=False)
class StableSD(SDS):
    """Stable score distillation, *reconstructed*: the terms of SDS, each in its own range of t.

    SDS is (gamma - 1) (e_y - e_∅), which leaves modes, plus e_y, which seeks them, minus the noise, which reduces
    variance. At high t only the first acts, at low t only the other two, and in between all three. Costs 2 UNet
    sample-forwards per item.

    There is no official code: the terms are from the paper, the two bounds from its adaptation to editing
    (InstructHumans, 2404.04037). The paper also matches the norms of the terms, which is not done here.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.
        high: the t above which the guidance acts alone, in [0, 1].
        low: the t up to which the guidance does not act, in [0, high].

    Raises:
        ValueError: a setting outside its range.

    Source: 2312.09305; with high = 1 and low = 0 it is SDS.
    """

    weight: str = field(default="1-alpha", kw_only=True)
    high: float = setting(0.8, in_range, 0, 1)
    low: float = 0.15

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        super().__post_init__()
        in_range("low", self.low, 0, self.high)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return the terms that act at t; see `WeightedRule`."""
        noise = normal(x0, generator)
        e = self.predict(self.denoiser.schedule.add_noise(x0, noise, t), t, view)
        leaves, seeks = (spread(at.double(), x0) for at in (t > self.low, t <= self.high))
        along = leaves * (e.guided - e.conditional) + seeks * (e.conditional - noise)
        return Direction(noise, e.guided, along)
