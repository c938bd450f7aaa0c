"""Figure 14 in 3D: from interval score matching (ISM) to SDI, one change at a time."""

from itertools import pairwise
from typing import Any

from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared.objects import nearer

_ISM: dict[str, Any] = {"rule": "ism"}
_WIDE = {"t_start": 0.98, "t_end": 0.1}

WALK: dict[str, dict[str, Any]] = {
    "ISM": _ISM | {"t_schedule": "random", "t_start": 0.5, "t_end": 0.02},
    "+ wide t": _ISM | _WIDE | {"t_schedule": "random"},
    "+ annealed t": _ISM | _WIDE,
    "+ conditional, γ = -7.5": _ISM | _WIDE | {"inversion_guidance_scale": -7.5},
    "+ full κ": _WIDE | {"entropy": 0.0, "tau_max": 0.0},
}
"""Figure 14's changes in its order: what each row changes of SDI's settings."""

OURS = "SDI"

VARIANTS = WALK | {OURS: {}}
"""The walk, and where it leads: SDI as in figure 1, with its own lowest t, H(t) and τ."""

CHANGES = (
    "A wide range of t",
    "Annealing t",
    "A conditional inversion at a negative γ",
    "The full κ",
)

_, _, ANNEALED, CONDITIONAL, FULL = WALK

CLAIMS = (
    *(
        nearer(f"{change} improves on what it is made to", after, before)
        for change, (before, after) in zip(CHANGES, pairwise(WALK), strict=True)
    ),
    nearer("The whole walk improves on ISM", FULL, "ISM"),
    Less(
        "The prompt in the inversion lowers the saturation",
        "saturation",
        lower=CONDITIONAL,
        higher=ANNEALED,
        note="section 4 expects it to avoid over-saturation",
    ),
)
