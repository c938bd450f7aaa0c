"""Figure 13: interval score matching (ISM) beside SDI, in 3D."""

from collections.abc import Mapping
from typing import Any

from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared.objects import nearer
from sdilib.lab.methods import METHODS

ISM, ANNEALED, OURS = "ISM", "ISM, t annealed", "SDI"


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes to SDI's settings for ISM as in figure 7 and Table 1, for ISM with SDI's times, and for SDI.

    Args:
        settings: those of SDI.
    """
    ism = METHODS["ISM"].settings("nerf", settings["guidance_scale"])
    return {ISM: ism, ANNEALED: {"rule": "ism"}, OURS: {}}


CLAIMS = (
    nearer("SDI's views are nearer to real renders than ISM's", OURS, ISM),
    nearer("So they are where ISM has SDI's times", OURS, ANNEALED),
    Less("ISM is more saturated than SDI", "saturation", OURS, ISM),
    *(
        Less(
            f"SDI's {what} is nearer the true object's than ISM's",
            f"deviation of {what}",
            OURS,
            ISM,
        )
        for what in ("saturation", "fine detail")
    ),
)
