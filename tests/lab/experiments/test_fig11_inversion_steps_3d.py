"""Figure 11 in 3D: quality rises with n, and levels off where the rest gains little."""

import pytest
from made_up import ahead

from sdilib.lab.experiments.fig11_inversion_steps_3d import VARIANTS, claims


@pytest.mark.parametrize(("beyond", "holds"), [(5.0, True), (4.8, True), (4.0, False)])
def test_it_levels_off_where_the_rest_gains_little(beyond, holds):
    means = dict(zip(VARIANTS, (13.0, 7.0, 5.0, 5.0, beyond), strict=True))
    assert list(VARIANTS) == [f"n = {n}" for n in (3, 5, 10, 20, 30)]  # the paper's
    *rises, last = claims(ahead(means))
    assert [claim.holds for claim in rises] == [True, True]
    assert (last.holds, "a tenth" in last.claim) == (holds, True)
