"""Rules whose noise is found by inversion.

    SDI     w(t) (eps(x_t, t, y) - kappa), kappa by inversion at gamma_inv
    ISM     w(t) (eps(x_t, t, y) - the inversion's last prediction)
    MV-SDI  SDI, with views in pairs from opposite sides
    PFD     w(t) (x0 - x0_hat) / sigma(t), x0_hat reached from x_t in several steps of DDIM

With w = sigma(t), a step of SDI of size one takes x0 to its denoised image.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from sdilib.checks import finite, positive_int, reject, setting
from sdilib.guidance.base import Direction, View, WeightedRule
from sdilib.inversion import DDIMInversion, KappaChoice, full_kappa
from sdilib.sampling import denoise_back
from sdilib.schedule import Latents, Times, spread, whole_steps
from sdilib.seeds import Generators


@dataclass(frozen=True, eq=False)
class SDI(WeightedRule):
    """Score distillation via inversion: w(t) (eps(x_t, t, y) - kappa) (eq. 10).

    How nearly kappa solves eq. 8 depends on how it is chosen. t here is eq. 10's t - tau, the time
    that the image is noised to and denoised from. Costs 2 UNet sample-forwards per item, plus the
    cost of kappa.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma_fwd.
        weight: w(t), one of `WEIGHTS`; "sigma" is eq. 10.
        kappa: how the noise is chosen (see `sdilib.inversion`); by default inversion at -gamma_fwd, as in the paper.
        renoise: True is eq. 10 and Algorithm 2. False, like the published code, gives the network
            the inversion's endpoint, at t + tau, as if it were at t: kappa is then never used, and
            with tau > 0 contrast is damped.

    Raises:
        ValueError: gamma not finite, an unknown weight, or a kappa of another type.

    Source: eq. 10, Algorithm 2.
    """

    kappa: KappaChoice = field(default_factory=DDIMInversion)
    renoise: bool = True

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        super().__post_init__()
        if not isinstance(self.kappa, KappaChoice):
            reject("kappa", self.kappa, "a KappaChoice, such as DDIMInversion()")

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return eps - kappa; see `WeightedRule`."""
        denoise = self.guided(view)
        kappa = self.kappa(x0, t, denoise, generator)
        x_t = denoise.schedule.add_noise(x0, kappa.noise, t if self.renoise else kappa.t)
        eps = denoise(x_t, t)
        self.kappa.observe(eps)
        # With renoise this is kappa.noise; without, the noise that x_t would hold if it were at t.
        subtracted = kappa.noise if self.renoise else full_kappa(x0, x_t, t=t, denoise=denoise)
        return Direction(subtracted, eps)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the noise choice's state."""
        return self.kappa.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state.

        Args:
            state: from `state_dict`.
        """
        self.kappa.load_state_dict(state)


@dataclass(frozen=True, eq=False)
class MVSDI(SDI):
    """Multi-view SDI: SDI with views in pairs from opposite sides of the object.

    Of a run's K `cameras`, every second one is placed opposite the one before it, at the same elevation. With one camera,
    and in 2D, this is SDI. The authors take 10,000 / K steps with K = 2 or 4, for the same number of UNet calls.

    Attributes:
        antipodal: tells a run to use such pairs.

    Source: 2606.29964; the other attributes are those of SDI.
    """

    antipodal: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class PFD(WeightedRule):
    """Probability-flow distillation: SDI with several denoising steps instead of one.

    Inversion at gamma_inv takes x0 to x_t, DDIM at gamma takes x_t to x0_hat (in `num_denoising_steps` for the whole
    range of t), and the gradient is w(t) (x0 - x0_hat) / sigma(t); with a single denoising step this is SDI. Costs 2
    UNet sample-forwards per item and step, inversion steps included.

    Written from the paper's description, since no code is published. The paper's solver is DPM-Solver++; ours is DDIM.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.
        inversion_guidance_scale: gamma_inv; None is the paper's, 1 - gamma.
        num_inversion_steps: n, for the whole range of t.
        num_denoising_steps: denoising steps, for the whole range of t.

    Raises:
        ValueError: a gamma that is not finite, a number of steps below 1, or an unknown weight.

    Source: 2605.09071.
    """

    inversion_guidance_scale: float | None = None
    num_inversion_steps: int = 10
    num_denoising_steps: int = setting(10, positive_int)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        super().__post_init__()
        DDIMInversion(self.inversion_guidance_scale, self.num_inversion_steps)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return (x0 - x0_hat) / sigma(t); see `WeightedRule`."""
        denoise, gamma = self.guided(view), self.inversion_guidance_scale
        gamma = 1 - self.guidance_scale if gamma is None else gamma
        kappa = DDIMInversion(gamma, self.num_inversion_steps)(x0, t, denoise, generator)
        x_t = denoise.schedule.add_noise(x0, kappa.noise, t)
        counts = [whole_steps(time, self.num_denoising_steps) for time in t.tolist()]
        back, eps = denoise_back(x_t, denoise, t=t, num_steps=counts)
        along = (x0 - back) / spread(denoise.schedule.sigma(t), x0)
        return Direction(kappa.noise, eps, along)


@dataclass(frozen=True, eq=False)
class ISM(WeightedRule):
    """Interval score matching: w(t) (eps(x_t, t, y) - the inversion's last prediction).

    The inversion is unconditional unless another gamma_inv is given; x_t is its endpoint. With the
    full kappa instead of the last interval's prediction this would be SDI; for an inversion of one
    step the two coincide. Costs 2 UNet sample-forwards per item, plus 1 per step of the inversion.
    Differences from the published code: the empty prompt instead of a long negative one, and equal
    inversion steps instead of two strides.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.
        num_inversion_steps: n, for the whole range of t.
        inversion_guidance_scale: gamma_inv; SDI's -7.5 is figure 14's "conditional inversion".

    Raises:
        ValueError: a gamma that is not finite, n below 1, or an unknown weight.

    Source: LucidDreamer, 2311.11284; for another gamma_inv, appendix B and figure 14.
    """

    num_inversion_steps: int = setting(10, positive_int)
    inversion_guidance_scale: float = setting(0.0, finite)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return eps - the inversion's last prediction; see `WeightedRule`."""
        denoise = self.guided(view)
        inversion = DDIMInversion(self.inversion_guidance_scale, self.num_inversion_steps)
        kappa = inversion(x0, t, denoise, generator)
        eps = denoise(denoise.schedule.add_noise(x0, kappa.noise, t), t)
        return Direction(kappa.noise, eps, eps - kappa.eps_last)
