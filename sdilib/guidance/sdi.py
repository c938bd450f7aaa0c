"""Rules whose noise is found by inversion: SDI and ISM.

Both have the shape w(t) (eps(x_t, t, y) - kappa), as SDS has, and differ in the noise kappa, which
is added and subtracted. With w = sigma(t), a step of size one takes x0 to its single-step denoised
image.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import finite, one_of
from sdilib.denoiser import Denoiser, GuidedDenoiser
from sdilib.guidance.base import WEIGHTS, Update, View
from sdilib.inversion import DDIMInversion, KappaChoice, full_kappa
from sdilib.seeds import Generators

__all__ = ["ISM", "SDI"]


@dataclass(frozen=True, slots=True, eq=False)
class SDI:
    """Score distillation via inversion: w(t) (eps(x_t, t, y) - kappa) (eq. 10).

    kappa solves eq. 8 as well as its choice can. Here t is eq. 10's t - tau: the level that the
    image is noised to and denoised from.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma_fwd.
        kappa: how the noise is chosen, one of `sdilib.inversion`'s.
        weight: w(t), one of `WEIGHTS`; "sigma" is eq. 10.
        renoise: True is eq. 10 and Algorithm 2. False feeds the inversion's end, which lies at t +
            tau, to the network as if it were at t, as the published code does: kappa is then never
            used, and with tau > 0 contrast is damped.

    Raises:
        ValueError: gamma not finite, or an unknown weight.

    Source: eq. 10, Algorithm 2.
    """

    denoiser: Denoiser
    guidance_scale: float = 7.5
    kappa: KappaChoice = field(default_factory=DDIMInversion)
    weight: str = "sigma"
    renoise: bool = True

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
        """Return eq. 10's update; see `Rule`."""
        schedule, before = self.denoiser.schedule, self.denoiser.num_forwards
        denoise = GuidedDenoiser(self.denoiser, view.prompt, self.guidance_scale)
        kappa = self.kappa(x0, t, denoise, generator)
        x_t = schedule.add_noise(x0, kappa.noise, t if self.renoise else kappa.t)
        eps = denoise(x_t, t)
        self.kappa.observe(eps)
        # With renoise this is kappa.noise; without, the noise that x_t would hold if it were at t.
        subtracted = kappa.noise if self.renoise else full_kappa(x0, x_t, t=t, denoise=denoise)
        return Update.from_noises(
            x0,
            t,
            kappa=subtracted,
            eps=eps,
            schedule=schedule,
            weight=self.weight,
            num_forwards=self.denoiser.num_forwards - before,
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Return the noise choice's state."""
        return self.kappa.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore it.

        Args:
            state: from `state_dict`.
        """
        self.kappa.load_state_dict(state)


@dataclass(frozen=True, slots=True, eq=False)
class ISM:
    """Interval score matching: w(t) (eps(x_t, t, y) - an inversion's last interval's prediction).

    The inversion is unconditional, if no other gamma_inv is asked for; x_t is the inversion's end.
    With the full kappa instead of the interval's it is SDI; with an inversion of one step the two
    coincide.
    Differences from the published code: the empty prompt in place of a long negative one, and the
    inversion's equal grid in place of its own two strides.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        num_inversion_steps: n, for the whole range.
        weight: w(t), one of `WEIGHTS`.
        inversion_guidance_scale: gamma_inv; SDI's -7.5 is figure 14's "conditional inversion".

    Raises:
        ValueError: a gamma not finite, n below 1, or an unknown weight.

    Source: LucidDreamer, 2311.11284; with another gamma_inv appendix B, figure 14.
    """

    denoiser: Denoiser
    guidance_scale: float = 7.5
    num_inversion_steps: int = 10
    weight: str = "sigma"
    inversion_guidance_scale: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        finite("guidance_scale", self.guidance_scale)
        one_of("weight", self.weight, WEIGHTS)
        DDIMInversion(self.inversion_guidance_scale, self.num_inversion_steps)

    @torch.no_grad()
    def __call__(
        self,
        x0: Float[Tensor, " batch *shape"],
        t: Float[Tensor, " batch"],
        view: View,
        generator: Generators,
    ) -> Update:
        """Return ISM's update; see `Rule`."""
        schedule, before = self.denoiser.schedule, self.denoiser.num_forwards
        denoise = GuidedDenoiser(self.denoiser, view.prompt, self.guidance_scale)
        inversion = DDIMInversion(self.inversion_guidance_scale, self.num_inversion_steps)
        kappa = inversion(x0, t, denoise, generator)
        return Update.from_noises(
            x0,
            t,
            kappa=kappa.noise,
            subtracted=kappa.eps_last,
            eps=denoise(schedule.add_noise(x0, kappa.noise, t), t),
            schedule=schedule,
            weight=self.weight,
            num_forwards=self.denoiser.num_forwards - before,
        )
