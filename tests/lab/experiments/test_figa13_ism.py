"""Figure 13's claims come out as the numbers are."""

import pytest
from made_up import ahead

from sdilib.lab.experiments.figa13_ism import ANNEALED, CLAIMS, ISM, OURS


@pytest.mark.parametrize(("sdi", "holds"), [(0.1, True), (0.9, False)])
def test_sdi_is_ahead_of_ism_where_it_is(sdi, holds):
    levels = {ISM: 0.5, ANNEALED: 0.4, OURS: sdi}
    measures = ("distance", "saturation", "deviation of saturation", "deviation of fine detail")
    found = ahead(levels, *measures).check(CLAIMS)
    assert [claim.holds for claim in found] == [holds] * 5
