"""What each figure asks of its runs: the numbers compared and the paper's claims about them."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.claims import Claim, bound_claim, exact_claim, paired_claim
from sdilib.generate import Generated
from sdilib.metrics import high_frequency_energy, psnr, saturation
from sdilib.oracle import GaussianMixture
from sdilib.toy import ToyPaths, distance_to_mode

__all__ = ["plane_claims", "same_sampler", "teaser_claims", "teaser_measures"]


def plane_claims(
    mixture: GaussianMixture,
    paths: ToyPaths,
    late: ToyPaths,
    practised: Float[Tensor, "points 2"],
    errors: Mapping[str, Float[Tensor, "steps points"]],
) -> list[Claim]:
    """Check section 4's argument in the plane.

    Args:
        mixture: what is sampled.
        paths: all methods from t = 1.
        late: the same from a later time.
        practised: where SDS with random t ends.
        errors: distance of each rule's update from DDIM's.
    """
    inversion, random = "SDI, inversion", "SDS, random κ"
    names = ("inversion", "random κ")
    t_late = f"t = {float(late.times[0]):.2g}"
    return [
        exact_claim(
            "With the cached κ, SDI is DDIM (eq. 6 ≡ eq. 2)",
            paths.distances("SDI, cached κ"),
            at_most=1e-9,
        ),
        paired_claim(
            "One update with κ from inversion lies closer to DDIM's than one with a random κ",
            smaller=errors[inversion].mean(0),
            larger=errors[random].mean(0),
            names=names,
        ),
        paired_claim(
            f"From {t_late} on, SDI by inversion ends closer to DDIM's end than SDS does",
            smaller=late.distances(inversion),
            larger=late.distances(random),
            names=names,
        ),
        bound_claim(
            "From t = 1 on, SDI by inversion ends within 0.2 of DDIM's end",
            paths.distances(inversion),
            at_most=0.2,
            note="each x0(1) is nearly the average: no inversion can find the noise it came from",
        ),
        paired_claim(
            "SDS as practised ends further from the nearest mode than DDIM: it averages",
            smaller=distance_to_mode(mixture, paths.x0["DDIM"][-1]),
            larger=distance_to_mode(mixture, practised),
            names=("DDIM", "SDS"),
        ),
    ]


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


def teaser_claims(made: Mapping[str, Generated], prompts: Sequence[str]) -> list[Claim]:
    """Check figure 1's statements in 2D; the prompt is the unit that counts.

    Args:
        made: images by method: DDIM, SDS at both gammas, SDI with the inverted and the cached kappa.
        prompts: of the images.
    """
    measures = teaser_measures(made)
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
