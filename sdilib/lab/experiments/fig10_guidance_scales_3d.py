"""Figure 10 in 3D: γ of the inversion and of the denoising, as multiples of the γ of sampling."""

from collections.abc import Mapping
from typing import Any

from sdilib.lab.experiments.shared.objects import nearer
from sdilib.lab.experiments.shared.scales import STRATEGIES, strategies

OURS = "(-γ, γ)"


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes that each strategy makes to SDI's settings.

    Args:
        settings: those of SDI.
    """
    pairs = strategies(float(settings["guidance_scale"]))
    return {
        name: {"inversion_guidance_scale": inverse, "guidance_scale": forward}
        for name, (inverse, forward) in pairs.items()
    }


CLAIMS = tuple(
    nearer(f"(γ_inv, γ) = {OURS} improves on {rival}", OURS, rival)
    for rival in STRATEGIES
    if rival != OURS
)
