"""Figure 11 in 2D: how many steps the inversion needs."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Claim, bound_claim, paired_claim
from sdilib.lab.metrics import high_frequency_energy, psnr
from sdilib.text_to_image import Generated

__all__ = ["NUM_INVERSION_STEPS", "step_claims", "step_labels", "step_measures"]

NUM_INVERSION_STEPS = (1, 3, 5, 10, 20, 30)
"""Values of n; the paper chose 10."""

DISTANCE, DETAIL = "PSNR to DDIM's image (dB)", "fine detail, off DDIM's"


def step_measures(
    made: Mapping[int, Generated], ddim: Generated
) -> dict[str, dict[int, Float[Tensor, " items"]]]:
    """Return quality by measure, then n, one number an item.

    The paper's measure is CLIP-IQA. Here there is a reference, DDIM's image of the same noise.

    Args:
        made: SDI's images by n.
        ddim: DDIM's, of the same noise.
    """
    detail = high_frequency_energy(ddim.images)
    return {
        DISTANCE: {n: psnr(run.images, ddim.images).clamp(max=200) for n, run in made.items()},
        DETAIL: {
            n: (high_frequency_energy(run.images) - detail).abs() / detail.clamp_min(1e-6)
            for n, run in made.items()
        },
    }


def step_labels(made: Mapping[int, Generated], num_steps: int) -> dict[int, str]:
    """Return what one step of SDI costs an image, in words, by n.

    Args:
        made: SDI's images by n.
        num_steps: of each run; what is told is the average over them.
    """
    return {
        n: f"n = {n}, {run.num_forwards / num_steps:.1f} forwards, "
        f"{1000 * run.seconds / num_steps:.0f} ms a step"
        for n, run in made.items()
    }


def step_claims(
    measures: Mapping[str, Mapping[int, Float[Tensor, " items"]]], prompts: Sequence[str]
) -> list[Claim]:
    """Check figure 11's statements in 2D; the prompt is the unit that counts.

    The residual of eq. 8 decides none of them: with n, inversion converges to where DDIM would have
    come from at gamma_inv, which is not eq. 8's fixed point at gamma_fwd.

    Args:
        measures: from `step_measures`, for n = 1, 10 and 30 at least.
        prompts: of the items.
    """
    distance, detail = measures[DISTANCE], measures[DETAIL]
    return [
        paired_claim(
            "n = 10 comes closer to DDIM's image than n = 1 (PSNR, dB)",
            smaller=distance[1],
            larger=distance[10],
            names=("n = 1", "n = 10"),
            groups=prompts,
        ),
        paired_claim(
            "n = 10 comes closer to DDIM's fine detail than n = 1",
            smaller=detail[10],
            larger=detail[1],
            names=("off by, n = 10", "off by, n = 1"),
            groups=prompts,
            note="relative to DDIM's",
        ),
        bound_claim(
            "n = 30 is no closer to DDIM's image than n = 10, by more than 0.5 dB",
            distance[30] - distance[10],
            at_most=0.5,
            name="gain of n = 30 (dB)",
            groups=prompts,
        ),
        bound_claim(
            "n = 30 is no closer to DDIM's fine detail than n = 10, by more than 5 %",
            detail[10] - detail[30],
            at_most=0.05,
            name="gain of n = 30, of DDIM's detail",
            groups=prompts,
        ),
    ]
