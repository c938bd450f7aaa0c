"""Rules whose noise is drawn: w(t) (eps(x_t, t, y) - noise)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import finite, one_of
from sdilib.denoiser import Denoiser, GuidedDenoiser
from sdilib.guidance.base import WEIGHTS, Update, View
from sdilib.seeds import Generators, normal

__all__ = ["SDS"]


@dataclass(frozen=True, slots=True, eq=False)
class SDS:
    """Score distillation sampling: w(t) (eps(x_t, t, y) - noise) (eq. 4).

    The noise ~ N(0, I) is drawn at each update, the first thing its generators draw. Costs 2 UNet
    sample-forwards per item.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma; 100 is DreamFusion's, 7.5 what DDIM is sampled with.
        weight: w(t), one of `WEIGHTS`.

    Raises:
        ValueError: gamma not finite, or an unknown weight.

    Source: eq. 4; DreamFusion, 2209.14988.
    """

    denoiser: Denoiser
    guidance_scale: float = 100.0
    weight: str = "sigma"

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        finite("guidance_scale", self.guidance_scale)
        one_of("weight", self.weight, WEIGHTS)

    @torch.no_grad()
    def __call__(
        self,
        x0: Float[Tensor, " batch *shape"],
        t: Float[Tensor, " batch"],
        view: View,
        generator: Generators,
    ) -> Update:
        """Return eq. 4's update; see `Rule`."""
        schedule, before = self.denoiser.schedule, self.denoiser.num_forwards
        denoise = GuidedDenoiser(self.denoiser, view.prompt, self.guidance_scale)
        noise = normal(x0, generator)
        return Update.from_noises(
            x0,
            t,
            kappa=noise,
            eps=denoise(schedule.add_noise(x0, noise, t), t),
            schedule=schedule,
            weight=self.weight,
            num_forwards=self.denoiser.num_forwards - before,
        )
