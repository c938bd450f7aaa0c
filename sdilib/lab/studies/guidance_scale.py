"""Figure 3: what gamma does to samples of DDIM: the words that they show, their saturation and their diversity."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Claim, paired_claim
from sdilib.lab.evaluator import ATTRIBUTES, Evaluator
from sdilib.lab.metrics import saturation
from sdilib.lab.studies.diversity import seed_distance
from sdilib.text_to_image import Generated

__all__ = [
    "CLIPPED",
    "DISTANCE",
    "SATURATION",
    "SCALES",
    "WORDS",
    "clipped",
    "scale_claims",
    "scale_measures",
    "words_shown",
]

SCALES = (1.0, 2.0, 4.0, 7.5, 15.0, 30.0, 100.0)
"""The gammas of figure 3; at 1 the prompt alone is asked, at half the cost."""

WORDS = "words shown (share)"
SATURATION = "saturation"
CLIPPED = "clipped values (share)"
DISTANCE = "distance of seeds (RMS)"


def clipped(images: Float[Tensor, "items 3 height width"]) -> Float[Tensor, " items"]:
    """Return the share of each image's numbers that lie at an end of their range, where the model asked for more.

    Args:
        images: clamped to [0, 1].
    """
    return ((images <= 0) | (images >= 1)).flatten(1).float().mean(1)


def words_shown(
    evaluator: Evaluator,
    images: Float[Tensor, "items 3 height width"],
    prompts: Sequence[str],
) -> Float[Tensor, " items"]:
    """Return the share of what each prompt names (object, colour, pattern, view) that its image shows.

    Args:
        evaluator: judges.
        images: in [0, 1].
        prompts: one an image, in the world's words.
    """
    right = evaluator.accuracy(images, prompts)
    return torch.stack([right[attribute] for attribute in ATTRIBUTES]).nanmean(0)


def scale_measures(
    made: Mapping[float, Generated], prompts: Sequence[str], evaluator: Evaluator | None = None
) -> dict[str, dict[str, Float[Tensor, " _"]]]:
    """Return figure 3's numbers: by measure, then gamma ("7.5").

    Args:
        made: samples by gamma, from `studies.world.guidance_sweep`.
        prompts: of the samples, each at least twice.
        evaluator: judges; None, for a model of another world, leaves the words out.

    Returns:
        Words, saturation and clipped values one an image, the distance between seeds one a prompt.

    Raises:
        ValueError: a prompt with a single image.
    """
    images = {f"{scale:g}": run.images for scale, run in made.items()}
    measures = {
        SATURATION: {name: saturation(each) for name, each in images.items()},
        CLIPPED: {name: clipped(each) for name, each in images.items()},
        DISTANCE: {name: seed_distance(each, prompts) for name, each in images.items()},
    }
    if evaluator is None:
        return measures
    shown = {name: words_shown(evaluator, each, prompts) for name, each in images.items()}
    return {WORDS: shown} | measures


def scale_claims(
    measures: Mapping[str, Mapping[str, Float[Tensor, " _"]]], prompts: Sequence[str]
) -> list[Claim]:
    """Check figure 3's caption, and what else is said of guidance; the prompt is the unit that counts.

    Args:
        measures: from `scale_measures`.
        prompts: of the samples.
    """
    colour, distance = measures[SATURATION], measures[DISTANCE]
    ignored = "For small values of γ the model ignores words of the prompt: fewer are shown at 1 than at 7.5"
    if WORDS in measures:
        words = measures[WORDS]
        names = ("γ = 1", "γ = 7.5")
        first = paired_claim(
            ignored, smaller=words["1"], larger=words["7.5"], names=names, groups=prompts
        )
    else:
        first = Claim(ignored, {}, 0, "none", None, "no evaluator knows this model's prompts")
    return [
        first,
        paired_claim(
            "For high values of γ images are over-saturated: more at 100 than at 7.5",
            smaller=colour["7.5"],
            larger=colour["100"],
            names=("γ = 7.5", "γ = 100"),
            groups=prompts,
        ),
        paired_claim(
            "... or more of their values are driven out of the range of colours at 100 than at 7.5",
            smaller=measures[CLIPPED]["7.5"],
            larger=measures[CLIPPED]["100"],
            names=("γ = 7.5", "γ = 100"),
            groups=prompts,
            note="what the eye calls burnt; added after the saturation was found not to rise",
        ),
        paired_claim(
            "Guidance costs diversity: seeds differ less at γ = 7.5 than at 1",
            smaller=distance["7.5"],
            larger=distance["1"],
            names=("γ = 7.5", "γ = 1"),
            note="said of guidance in general, not by the paper",
        ),
    ]
