"""Figure 14 in 2D: from interval score matching (ISM) to SDI, one change at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import finite, in_range
from sdilib.denoiser import Denoiser, GuidedDenoiser
from sdilib.guidance import Rule, Update, View
from sdilib.inversion import DDIMInversion
from sdilib.lab.claims import Claim, paired_claim
from sdilib.lab.metrics import high_frequency_energy, psnr, saturation
from sdilib.seeds import Generators
from sdilib.text_to_image import Generated

__all__ = ["ConditionalISM", "InRange", "from_ism_claims", "from_ism_measures"]

DISTANCE = "PSNR to DDIM's image (dB)"

CHANGES = {
    "+ wide t": "Drawing t from U(0.1, 0.98) instead of U(0.02, 0.5)",
    "+ annealed t": "Annealing t linearly",
    "+ conditional inversion": "Conditional inversion at a negative γ",
    "+ full κ = SDI": "The full κ in place of the last interval's prediction",
}
"""Figure 14's changes, in its order: what each is called in the figure and in a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class InRange:
    """A rule that sees the run's t, from 0 to 1, squeezed into a range.

    With t drawn from U(0, 1) the rule's own is U(t_low, t_high), and linear annealing stays linear.

    Attributes:
        rule: called with the squeezed t.
        t_low: what t = 0 becomes, in [0, 1].
        t_high: what t = 1 becomes, in [t_low, 1].

    Raises:
        ValueError: a range outside [0, 1], or upside down.
    """

    rule: Rule
    t_low: float
    t_high: float

    def __post_init__(self) -> None:
        """Check the range; see the class."""
        in_range("t_high", self.t_high, 0, 1, open_low=True)
        in_range("t_low", self.t_low, 0, self.t_high)

    def __call__(
        self,
        x0: Float[Tensor, " batch *shape"],
        t: Float[Tensor, " batch"],
        view: View,
        generator: Generators,
    ) -> Update:
        """Return the rule's update; see `Rule`."""
        return self.rule(x0, self.t_low + (self.t_high - self.t_low) * t, view, generator)


@dataclass(frozen=True, slots=True, eq=False)
class ConditionalISM:
    """ISM with SDI's inversion: sigma(t) (eps(x_t, t, y) - the last interval's prediction).

    x_t is the end of a *conditional* inversion at a negative gamma. At gamma_inv = 0 it is `ISM`;
    with the full kappa in place of the last interval's prediction it is `SDI`.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        inversion: gamma_inv and n; SDI's by default.

    Raises:
        ValueError: gamma not finite.

    Source: appendix B, figure 14's fourth variant.
    """

    denoiser: Denoiser
    guidance_scale: float = 7.5
    inversion: DDIMInversion = field(default_factory=DDIMInversion)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        finite("guidance_scale", self.guidance_scale)

    @torch.no_grad()
    def __call__(
        self,
        x0: Float[Tensor, " batch *shape"],
        t: Float[Tensor, " batch"],
        view: View,
        generator: Generators,
    ) -> Update:
        """Return the update; see `Rule`."""
        schedule, before = self.denoiser.schedule, self.denoiser.num_forwards
        denoise = GuidedDenoiser(self.denoiser, view.prompt, self.guidance_scale)
        kappa = self.inversion(x0, t, denoise, generator)
        return Update.from_noises(
            x0,
            t,
            kappa=kappa.noise,
            subtracted=kappa.eps_last,
            eps=denoise(schedule.add_noise(x0, kappa.noise, t), t),
            schedule=schedule,
            num_forwards=self.denoiser.num_forwards - before,
        )


def from_ism_measures(
    made: Mapping[str, Generated],
) -> dict[str, dict[str, Float[Tensor, " items"]]]:
    """Return figure 14's numbers: by measure, then method, one an image.

    Args:
        made: images by method, "DDIM" among them; it has no distance from itself.
    """
    reference = made["DDIM"].images
    return {
        "fine detail": {name: high_frequency_energy(run.images) for name, run in made.items()},
        "saturation": {name: saturation(run.images) for name, run in made.items()},
        DISTANCE: {
            name: psnr(run.images, reference).clamp(max=200)
            for name, run in made.items()
            if name != "DDIM"
        },
    }


def from_ism_claims(
    measures: Mapping[str, Mapping[str, Float[Tensor, " items"]]], prompts: Sequence[str]
) -> list[Claim]:
    """Check what each change does; the prompt is the unit that counts.

    Args:
        measures: from `from_ism_measures`, of DDIM, ISM and the four changes in turn.
        prompts: of the images.

    Source: appendix B; section 4, which expects the prompt in the inversion to avoid
        over-saturation.
    """
    names = ["ISM", *CHANGES]
    claims = [
        paired_claim(
            f"{change} brings the image closer to DDIM's of the same noise (PSNR, dB)",
            smaller=measures[DISTANCE][names[i]],
            larger=measures[DISTANCE][name],
            names=("before", "after"),
            groups=prompts,
        )
        for i, (name, change) in enumerate(CHANGES.items())
    ]
    sdi = names[-1]
    for what, before, after, change in (
        (
            "saturation",
            "+ annealed t",
            "+ conditional inversion",
            CHANGES["+ conditional inversion"],
        ),
        ("saturation", "ISM", sdi, "The whole way from ISM to SDI"),
        ("fine detail", "ISM", sdi, "The whole way from ISM to SDI"),
    ):
        of = measures[what]
        claims.append(
            paired_claim(
                f"{change} brings the {what} closer to DDIM's",
                smaller=(of[after] - of["DDIM"]).abs(),
                larger=(of[before] - of["DDIM"]).abs(),
                names=("off after", "off before"),
                groups=prompts,
            )
        )
    return claims
