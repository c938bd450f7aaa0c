"""Figure 9 in 3D: how kappa is chosen."""

from sdilib.lab.experiments.shared.objects import nearer

OURS, BEGUN = "inversion", "begun, at t = 0.1"

VARIANTS = {
    "random": {"kappa": "random"},
    "fixed": {"kappa": "fixed"},
    "fixed point": {"kappa": "fixed point"},
    "descent": {"kappa": "gradient descent"},
    OURS: {},
    "inversion, unit": {"unit": True},
    BEGUN: {"inversion_start": 0.1},
}

CLAIMS = (
    *(
        nearer(f"Inversion improves on {rival} κ", OURS, rival)
        for rival in ("random", "fixed", "fixed point", "descent")
    ),
    nearer("An inversion begun at t = 0.1 with drawn noise improves on the paper's", BEGUN, OURS),
)
