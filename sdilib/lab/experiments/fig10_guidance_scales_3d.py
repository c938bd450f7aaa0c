"""Figure 10 in 3D: γ of the inversion and of the denoising, as multiples of the γ of sampling."""

from collections.abc import Mapping
from typing import Any

from sdilib.lab.experiments.shared.objects import nearer

OURS = "(-γ, γ)"

STRATEGIES = {"(γ, γ)": (1, 1), "(0, 0)": (0, 0), "(0, γ)": (0, 1), OURS: (-1, 1)}


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each strategy changes of SDI's settings.

    Args:
        settings: those of SDI.
    """
    sampled = float(settings["guidance_scale"])
    return {
        name: {"inversion_guidance_scale": a * sampled, "guidance_scale": b * sampled}
        for name, (a, b) in STRATEGIES.items()
    }


CLAIMS = tuple(
    nearer(f"(γ_inv, γ) = {OURS} improves on {rival}", OURS, rival)
    for rival in STRATEGIES
    if rival != OURS
)
