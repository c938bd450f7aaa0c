"""Figure 10 in 3D: (-7.5, 7.5) is best where it is."""

import torch

from sdilib.lab.claims import verdicts
from sdilib.lab.experiments.fig10_guidance_scales_3d import CLAIMS, OURS, STRATEGIES


def checked(ours, others):
    values = dict.fromkeys(STRATEGIES, others) | {OURS: ours}
    return verdicts(CLAIMS, {"distance": {name: torch.full((8,), v) for name, v in values.items()}})


def test_the_better_one_is_found_and_not_the_other_way_round():
    assert all(claim.holds for claim in checked(0.1, 0.5))
    assert not any(claim.holds for claim in checked(0.5, 0.1))
