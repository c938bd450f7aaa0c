"""Figure 11 in 3D: quality rises with n, and levels off where the rest gains little."""

import pytest
import torch

from sdilib.lab.experiments.fig11_inversion_steps_3d import VARIANTS, claims
from sdilib.lab.experiments.shared.objects import Comparison


@pytest.mark.parametrize(("beyond", "holds"), [(5.0, True), (4.8, True), (4.0, False)])
def test_it_levels_off_where_the_rest_gains_little(beyond, holds):
    means = dict(zip(VARIANTS, (13.0, 9.0, 7.0, 5.0, 5.0, beyond), strict=True))
    spread = torch.linspace(0.9, 1.1, 8).double()
    made = Comparison([f"a mug, number {k}" for k in range(8)], {}, None)
    made.__dict__["numbers"] = {"distance": {name: mean * spread for name, mean in means.items()}}
    *rises, last = claims(made)
    assert [claim.holds for claim in rises] == [True, True]
    assert (last.holds, "a tenth" in last.claim) == (holds, True)
