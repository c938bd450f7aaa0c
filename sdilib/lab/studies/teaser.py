"""Figure 1: DDIM, SDS and SDI from the same noise."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Claim, exact_claim, paired_claim
from sdilib.lab.metrics import high_frequency_energy, psnr, saturation
from sdilib.text_to_image import Generated

__all__ = ["same_sampler", "teaser_claims", "teaser_measures"]


def same_sampler(sampled: Generated, distilled: Generated) -> Claim:
    """Check that SDI with the cached kappa made DDIM's latents.

    Args:
        sampled: by DDIM.
        distilled: by SDI with the cached kappa, in as many steps.
    """
    difference = (distilled.latents - sampled.latents).flatten(1).norm(dim=1)
    return exact_claim(
        "SDI with the cached κ is DDIM (eq. 6 ≡ eq. 2)",
        difference / sampled.latents.flatten(1).norm(dim=1),
        at_most=1e-3,
        name="largest relative deviation of latents",
        note="rounding in float32 grows along the run",
    )


def teaser_measures(made: Mapping[str, Generated]) -> dict[str, dict[str, Float[Tensor, " items"]]]:
    """Return figure 1's numbers: by measure, then method, one an image.

    Args:
        made: images by method.
    """
    return {
        "fine detail": {name: high_frequency_energy(run.images) for name, run in made.items()},
        "saturation": {name: saturation(run.images) for name, run in made.items()},
    }


def teaser_claims(
    made: Mapping[str, Generated],
    measures: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
    prompts: Sequence[str],
) -> list[Claim]:
    """Check figure 1's statements in 2D; the prompt is the unit that counts.

    Args:
        made: images by method: DDIM, SDS at both gammas, SDI with the inverted and the cached kappa.
        measures: from `teaser_measures`.
        prompts: of the images.
    """
    detail, colour = measures["fine detail"], measures["saturation"]
    ddim, blurry, burnt = "DDIM", "SDS, γ = 7.5", "SDS, γ = 100"
    claims = [
        paired_claim(
            "At γ = 7.5, SDS has less fine detail than DDIM",
            smaller=detail[blurry],
            larger=detail[ddim],
            names=("SDS", "DDIM"),
            groups=prompts,
        ),
        paired_claim(
            "At γ = 100, SDS is more saturated than DDIM",
            smaller=colour[ddim],
            larger=colour[burnt],
            names=("DDIM", "SDS"),
            groups=prompts,
        ),
    ]
    for sdi, said in (("SDI, inverted κ", "SDI"), ("SDI, inverted unit κ", "SDI with unit κ")):
        for what, of, rival in (("fine detail", detail, blurry), ("saturation", colour, burnt)):
            claims.append(
                paired_claim(
                    f"{said} comes closer to DDIM's {what} than {rival.replace(',', ' at')} does",
                    smaller=(of[sdi] - of[ddim]).abs(),
                    larger=(of[rival] - of[ddim]).abs(),
                    names=("off by SDI", "off by SDS"),
                    groups=prompts,
                )
            )
    distance = {
        name: psnr(run.images, made[ddim].images).clamp(max=200) for name, run in made.items()
    }
    claims.append(
        paired_claim(
            "SDI comes closer to DDIM's image of the same noise than SDS at γ = 7.5 does (PSNR, dB)",
            smaller=distance[blurry],
            larger=distance["SDI, inverted κ"],
            names=("SDS", "SDI"),
            groups=prompts,
        )
    )
    return [*claims, same_sampler(made[ddim], made["SDI, cached κ"])]
