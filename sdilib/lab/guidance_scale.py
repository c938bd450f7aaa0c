"""A model's own guidance scale: which γ its samples look best at, so that "7.5" can be said in units of it.

Another model's 7.5 may be this one's 3: γ multiplies a difference whose size is each model's own. `guidance_profile` has that
size over t; here is what it does to samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import finite, reject
from sdilib.lab.images import ddim_images
from sdilib.lab.metrics import kernel_distance
from sdilib.stable_diffusion import StableDiffusion

Images = Float[Tensor, "batch 3 height width"]

ENOUGH = 0.95
"""Share of the most that is ever shown, from which on a γ shows its words."""


@runtime_checkable
class Judge(Protocol):
    """What sees pictures' contents; `Evaluator` is one."""

    def features(self, images: Images) -> Float[Tensor, "batch width"]:
        """Return what sets of images are compared by.

        Args:
            images: in [0, 1].
        """
        ...

    def accuracy(
        self, images: Images, prompts: Sequence[str]
    ) -> Mapping[str, Float[Tensor, " batch"]]:
        """Return, by attribute, 1 where an image shows what its prompt asks for, nan where it asks for nothing.

        Args:
            images: in [0, 1].
            prompts: one per image.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class GuidanceSweep:
    """Samples of the same noises at several guidance scales, judged.

    Attributes:
        scales: rising values of γ.
        shown: 1 where a sample shows all looks that its prompt names, by item and scale.
        distance: kernel distance of the samples to real renders, by scale.
        num_forwards: UNet sample-forwards that it cost.
    """

    scales: tuple[float, ...]
    shown: Float[Tensor, "items scales"]
    distance: Float[Tensor, " scales"]
    num_forwards: int

    @property
    def best(self) -> float:
        """The γ whose samples are nearest to real renders."""
        return self.scales[int(self.distance.argmin())]

    @property
    def least(self) -> float:
        """The least γ that shows its words: in `ENOUGH` of as many samples as the γ that shows most."""
        share = self.shown.mean(0)
        return self.scales[int(torch.nonzero(share >= ENOUGH * share.max()).flatten()[0])]

    def table(self) -> dict[str, list[float]]:
        """Return the scales and each quantity's mean over items, by its name in words."""
        named = {"words shown": self.shown.mean(0), "kernel distance": self.distance}
        return {"γ": list(self.scales)} | {name: of.tolist() for name, of in named.items()}


def guidance_sweep(
    model: StableDiffusion,
    evaluator: Judge,
    prompts: Sequence[str],
    seeds: Sequence[int],
    references: Float[Tensor, "renders 3 height width"],
    *,
    scales: Sequence[float] = (1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0),
    num_steps: int = 30,
) -> GuidanceSweep:
    """Sample by DDIM at each guidance scale, from the same noises, and judge the samples.

    Costs 2 · `num_steps` sample-forwards per item and scale, half of that at γ = 1: 450 per item as it is.

    Args:
        model: frozen.
        evaluator: judges; prompts are in its words.
        prompts: one per item; what they name of object, colour and pattern is asked for.
        seeds: one per item.
        references: real renders of such prompts, in [0, 1], two at least.
        scales: rising values of γ.
        num_steps: of DDIM.

    Raises:
        ValueError: scales that do not rise, or no scale.
    """
    rising = [finite("scales", scale) for scale in scales]
    if not rising or rising != sorted(set(rising)):
        reject("scales", list(scales), "rising numbers, one at least")
    before, real = model.num_forwards, evaluator.features(references)
    shown, distances = [], []
    for scale in rising:
        made = ddim_images(model, prompts, seeds, num_steps=num_steps, guidance_scale=scale)
        right = evaluator.accuracy(made.images, prompts)
        looks = [right[name].nan_to_num(1.0) for name in ("object", "colour", "pattern")]
        shown.append(torch.stack(looks).prod(0).double())
        distances.append(kernel_distance(evaluator.features(made.images), real))
    return GuidanceSweep(
        tuple(rising),
        torch.stack(shown, 1),
        torch.tensor(distances, dtype=torch.float64),
        model.num_forwards - before,
    )
