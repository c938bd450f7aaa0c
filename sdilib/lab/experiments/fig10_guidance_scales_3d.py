"""Figure 10 in 3D: γ of the inversion and of the denoising."""

from sdilib.lab.experiments.shared.objects import nearer
from sdilib.lab.experiments.shared.path import STRATEGIES

OURS = "(-7.5, 7.5)"

VARIANTS = {
    name: {"inversion_guidance_scale": inverse, "guidance_scale": forward}
    for name, (inverse, forward) in STRATEGIES.items()
}

CLAIMS = tuple(
    nearer(f"(γ_inv, γ) = {OURS} improves on {rival}", OURS, rival)
    for rival in VARIANTS
    if rival != OURS
)
