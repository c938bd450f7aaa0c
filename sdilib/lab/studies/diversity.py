"""Figure 15 in 2D: how much a prompt's images differ between seeds."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.checks import reject
from sdilib.lab.claims import Claim, bound_claim, paired_claim

__all__ = ["diversity_claims", "seed_distance"]


def seed_distance(
    images: Float[Tensor, "items 3 height width"], prompts: Sequence[str], *, factor: int = 4
) -> Float[Tensor, " prompts"]:
    """Mean distance between a prompt's images: root mean square of pixels, over all pairs of seeds.

    The images are averaged over `factor` × `factor` pixels first, so that shape and colour count
    and grain does not.

    Args:
        images: in [0, 1], at least `factor` pixels high and wide; clamped.
        prompts: one an image, each at least twice.
        factor: of the downsampling, at least 1.

    Returns:
        One number in [0, 1] for each distinct prompt, in order of appearance; 0 where all its
        images are equal.

    Raises:
        ValueError: a prompt with a single image.
    """
    small = functional.avg_pool2d(images.clamp(0, 1), factor).flatten(1)
    distances = []
    for prompt in dict.fromkeys(prompts):
        mine = small[torch.tensor([other == prompt for other in prompts])]
        if len(mine) < 2:
            reject("prompts", prompt, "at least two images of each prompt")
        distances.append(functional.pdist(mine).mean() / small.shape[1] ** 0.5)
    return torch.stack(distances)


def diversity_claims(distances: Mapping[str, Float[Tensor, " prompts"]]) -> list[Claim]:
    """Check what is expected of diversity; the prompt is the unit that counts.

    Args:
        distances: from `seed_distance`, by method: DDIM, SDS at both gammas, SDI.
    """
    ddim, sdi = distances["DDIM"], distances["SDI"]
    low, high = distances["SDS, γ = 7.5"], distances["SDS, γ = 100"]
    return [
        paired_claim(
            "At γ = 100, SDS is less diverse than DDIM",
            smaller=high,
            larger=ddim,
            names=("SDS", "DDIM"),
        ),
        bound_claim(
            "SDI is at least as diverse as SDS at γ = 7.5",
            sdi / low.clamp_min(1e-6),
            at_least=1.0,
            name="SDI's distance over SDS's",
        ),
        paired_claim(
            "SDI is less diverse than DDIM",
            smaller=sdi,
            larger=ddim,
            names=("SDI", "DDIM"),
        ),
    ]
