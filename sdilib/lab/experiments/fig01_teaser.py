"""Figure 1 in 2D: DDIM, SDS and SDI from the same noise."""

from collections.abc import Mapping, Sequence
from typing import Any

from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared import images
from sdilib.lab.experiments.shared.drawing import Figure, images_and_items
from sdilib.lab.experiments.shared.images import (
    CLOSENESS,
    COLOUR,
    DETAIL,
    OFF_COLOUR,
    OFF_DETAIL,
    Made,
)

BLURRY, BURNT = "SDS, γ = 7.5", "SDS, γ = 100"
INVERTED, UNIT = "SDI, inverted κ", "SDI, inverted unit κ"

measures = images.measures

CLAIMS = (
    Less("At γ = 7.5, SDS has less fine detail than DDIM", DETAIL, BLURRY, "DDIM"),
    Less("At γ = 100, SDS is more saturated than DDIM", COLOUR, "DDIM", BURNT),
    Less("SDI is closer to DDIM's fine detail than SDS at γ = 7.5", OFF_DETAIL, INVERTED, BLURRY),
    Less("SDI is closer to DDIM's saturation than SDS at γ = 100", OFF_COLOUR, INVERTED, BURNT),
    Less("SDI, unit κ, is closer to DDIM's detail than SDS at γ = 7.5", OFF_DETAIL, UNIT, BLURRY),
    Less(
        "SDI, unit κ, is closer to DDIM's saturation than SDS at γ = 100", OFF_COLOUR, UNIT, BURNT
    ),
    Less("SDI is closer to DDIM's image than SDS at γ = 7.5 (PSNR)", CLOSENESS, BLURRY, INVERTED),
    images.SAME_SAMPLER,
)


def draw(made: Made, prompts: Sequence[str], numbers: Mapping[str, Any]) -> Figure:
    """Draw a row of images per method, and below them the numbers of all items.

    Args:
        made: images by method.
        prompts: one per image.
        numbers: from `measures`.
    """
    drawn = {name: numbers[name] for name in (DETAIL, COLOUR)}
    return images_and_items(*images.firsts(made, prompts), drawn)
