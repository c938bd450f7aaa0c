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

BLURRY, BURNT = "SDS", "SDS, high γ"
INVERTED, BEGUN = "SDI, inverted κ", "SDI, begun κ"

measures = images.measures

_OURS = {"SDI": INVERTED, "SDI, begun at t = 0.1,": BEGUN}

CLAIMS = (
    Less("At SDI's γ, SDS has less fine detail than DDIM", DETAIL, BLURRY, "DDIM"),
    Less("At a high γ, SDS is more saturated than DDIM", COLOUR, "DDIM", BURNT),
    *(
        Less(f"{said} is closer to DDIM's {what} than {rival}", off, ours, rival)
        for said, ours in _OURS.items()
        for off, what in ((OFF_DETAIL, "fine detail"), (OFF_COLOUR, "saturation"))
        for rival in (BLURRY, BURNT)
    ),
    *(
        Less(f"{said} is closer to DDIM's image than SDS (PSNR)", CLOSENESS, BLURRY, ours)
        for said, ours in _OURS.items()
    ),
    Less(
        "Begun at t = 0.1 with drawn noise, the inversion leads closer to DDIM's image (PSNR)",
        CLOSENESS,
        INVERTED,
        BEGUN,
        note="not the paper's",
    ),
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
