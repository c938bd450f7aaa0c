"""Figure 14 in 3D: from interval score matching (ISM) to SDI, one change at a time."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared.objects import nearer

_ISM: dict[str, Any] = {"rule": "ism"}
_HIGHER = {"t_end": 0.1}  # up to where SDI begins

WALK = ISM, HIGHER, ANNEALED, CONDITIONAL, FULL = (
    "ISM",
    "+ higher t",
    "+ annealed t",
    "+ conditional, at -γ",
    "+ full κ",
)
"""Figure 14's rows, in its order, each with one more change."""

OURS = "SDI"


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes to SDI's settings for each row of the walk, and for its end: SDI as in figure 1, with H(t) and τ.

    Args:
        settings: those of SDI.
    """
    conditional = {"inversion_guidance_scale": -settings["guidance_scale"]}
    return {
        ISM: _ISM | {"t_schedule": "random", "t_start": 0.5, "t_end": 0.02},
        HIGHER: _ISM | _HIGHER | {"t_schedule": "random"},
        ANNEALED: _ISM | _HIGHER,
        CONDITIONAL: _ISM | _HIGHER | conditional,
        FULL: _HIGHER | {"entropy": 0.0, "tau_max": 0.0},
        OURS: {},
    }


CHANGES = (
    "A higher range of t",
    "Annealing t",
    "A conditional inversion at a negative γ",
    "The full κ",
)

CLAIMS = (
    *(
        nearer(f"{change} improves on what it is made to", after, before)
        for change, (before, after) in zip(CHANGES, pairwise(WALK), strict=True)
    ),
    nearer("The whole walk improves on ISM", FULL, ISM),
    Less(
        "The prompt in the inversion lowers the saturation",
        "saturation",
        lower=CONDITIONAL,
        higher=ANNEALED,
        note="section 4 expects it to avoid over-saturation",
    ),
)
