"""Figure 9 in 3D: inversion's objects are the better ones where they are."""

import torch

from sdilib.lab.claims import verdicts
from sdilib.lab.experiments.fig09_noise_choice_3d import BEGUN, CLAIMS, OURS, VARIANTS


def checked(ours, others):
    # The one begun later is as far from ours as ours is from the others.
    values = dict.fromkeys(VARIANTS, others) | {OURS: ours, BEGUN: 2 * ours - others}
    return verdicts(CLAIMS, {"distance": {name: torch.full((8,), v) for name, v in values.items()}})


def test_the_better_one_is_found_and_not_the_other_way_round():
    assert all(claim.holds for claim in checked(0.1, 0.5))
    assert not any(claim.holds for claim in checked(0.5, 0.1))
