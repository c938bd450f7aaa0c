"""Figure 10 in 3D: γ of the inversion and of the denoising."""

from sdilib.lab.experiments.shared.objects import nearer

OURS = "(-7.5, 7.5)"

VARIANTS = {
    f"({inverse:g}, {forward:g})": {"inversion_guidance_scale": inverse, "guidance_scale": forward}
    for inverse, forward in ((7.5, 7.5), (0.0, 0.0), (0.0, 7.5), (-7.5, 7.5))
}

CLAIMS = tuple(
    nearer(f"(γ_inv, γ) = {OURS} improves on {rival}", OURS, rival)
    for rival in VARIANTS
    if rival != OURS
)
