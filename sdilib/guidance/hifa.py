"""HiFA: latents are pulled to a sample denoised in several steps, and the render to its decoded image."""

import math
from dataclasses import dataclass, field

from torch.nn import functional

from sdilib.checks import in_range, not_negative, positive_int, setting
from sdilib.guidance.base import Direction, View, WeightedRule
from sdilib.sampling import denoise_back
from sdilib.schedule import Latents, Times, spread
from sdilib.seeds import Generators, normal

_PER_LATENT = 48
"""Numbers in an image per number in its latents, in the models that lambda_rgb was chosen for."""


@dataclass(frozen=True, eq=False)
class HiFA(WeightedRule):
    """High-fidelity distillation: w(t)/sigma(t) times x0 - x0_hat, and in the image rgb_weight (image - decode(x0_hat)).

    x0_hat is sampled from the noised x0 in ceil(num_denoising_steps · t) steps of DDIM with DDPM's noise. With one step
    it is the single-step denoised image, and without the image term the rule is then SDS. Costs 2 UNet sample-forwards
    per item and step.

    HiFA also lets t fall with the square root of the step (`t_schedule="sqrt"`) and penalises the variance of depth
    along rays: the run's penalty `z_variance`, a mean over pixels as in threestudio. Differences from the published
    code: steps are equal, instead of strides of 0.25 and a remainder; no estimated depth; no smoothed importance
    sampling.

    Attributes:
        denoiser: frozen; the image term needs its `decode`.
        guidance_scale: gamma; 100 in the paper.
        weight: w(t), one of `WEIGHTS`; "sigma" weights x0 - x0_hat by a constant, as published.
        num_denoising_steps: denoising steps for the whole range of t.
        eta: fraction of DDPM's noise in each step, in [0, 1]; 1 as published.
        rgb_weight: lambda_rgb, the weight of the image term beside that of latents at 512², at least 0; for a codec with
            fewer numbers in the image per latent it is raised as much. Unused for a scene in latents.

    Raises:
        ValueError: a setting outside its range.

    Source: 2305.18766, eqs. 6 to 8.
    """

    guidance_scale: float = 100.0
    num_denoising_steps: int = setting(4, positive_int)
    eta: float = setting(1.0, in_range, 0, 1)
    rgb_weight: float = setting(0.1, not_negative)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return (x0 - x0_hat) / sigma(t), and the same for the image; see `WeightedRule`."""
        schedule, noise = self.denoiser.schedule, normal(x0, generator)
        counts = [math.ceil(self.num_denoising_steps * time - 1e-6) for time in t.tolist()]
        clean, eps = denoise_back(
            schedule.add_noise(x0, noise, t),
            self.guided(view),
            t=t,
            num_steps=[max(1, count) for count in counts],
            eta=self.eta,
            generator=generator,
        )
        sigma, image_along = schedule.sigma(t), None
        decode = getattr(self.denoiser, "decode", None)
        if self.rgb_weight and decode is not None and view.image is not None:
            shown = decode(clean).clamp(0, 1)
            seen = functional.interpolate(shown, view.image.shape[-2:], mode="area")
            weight = self.rgb_weight * _PER_LATENT * x0[0].numel() / view.image[0].numel()
            image_along = weight * (view.image - seen) / spread(sigma, view.image)
        return Direction(noise, eps, (x0 - clean) / spread(sigma, x0), image_along)


@dataclass(frozen=True, eq=False)
class HiFAOneStep(HiFA):
    """HiFA as in threestudio and the paper's Table 1: one step, w = 1 - alpha, rgb_weight = 0.01.

    Costs 2 UNet sample-forwards per item.

    Source: 2305.18766, reduced; the attributes are those of `HiFA`.
    """

    num_denoising_steps: int = 1
    rgb_weight: float = 0.01
    weight: str = field(default="1-alpha", kw_only=True)
