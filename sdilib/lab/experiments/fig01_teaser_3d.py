"""Figure 1 in 3D, panels d and e: SDS at a high γ and SDI at the γ of sampling; also SDS at SDI's γ.

With Stable Diffusion, the high γ is 100 and the other one 7.5.
"""

from collections.abc import Mapping
from typing import Any

from sdilib.lab.claims import Less
from sdilib.lab.practice import SDS_3D, high_sds

BURNT, BLURRY = "SDS, high γ", "SDS"


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes that each method makes to SDI's settings.

    Args:
        settings: those of SDI.
    """
    return {BURNT: high_sds(settings), BLURRY: SDS_3D, "SDI": {}}


CLAIMS = (
    Less("SDS at SDI's γ has less fine detail than SDI", "fine detail", BLURRY, "SDI"),
    Less("SDS at a high γ is more saturated than SDI", "saturation", "SDI", BURNT),
    *(
        Less(f"SDI's {what} than {whose}", measure, "SDI", rival)
        for rival, whose in ((BLURRY, "SDS's"), (BURNT, "SDS's at a high γ"))
        for measure, what in (
            ("deviation of saturation", "saturation is nearer the true object's"),
            ("deviation of fine detail", "fine detail is nearer the true object's"),
            ("kernel distance", "views are nearer to real renders (kernel distance)"),
        )
    ),
)
