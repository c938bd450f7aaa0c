"""Figure 9 in 3D: how kappa is chosen."""

from sdilib.lab.experiments.shared.objects import nearer

OURS = "inversion"

VARIANTS = {
    "random": {"kappa": "random"},
    "fixed": {"kappa": "fixed"},
    "fixed point": {"kappa": "fixed point"},
    "descent": {"kappa": "gradient descent"},
    OURS: {},
    "inversion, unit": {"unit": True},
}

CLAIMS = tuple(
    nearer(f"Inversion improves on {rival} κ", OURS, rival)
    for rival in ("random", "fixed", "fixed point", "descent")
)
