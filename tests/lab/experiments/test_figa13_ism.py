"""Figure 13's claims come out as the numbers are."""

import pytest
import torch

from sdilib.lab.experiments.figa13_ism import ANNEALED, CLAIMS, ISM, OURS
from sdilib.lab.experiments.shared.objects import Comparison

PROMPTS = [f"a mug, number {k}" for k in range(8)]


@pytest.mark.parametrize(("sdi", "holds"), [(0.1, True), (0.9, False)])
def test_sdi_is_ahead_of_ism_where_it_is(sdi, holds):
    levels = {ISM: 0.5, ANNEALED: 0.4, OURS: sdi}
    off = {name: torch.full((8,), value).double() for name, value in levels.items()}
    measures = ("distance", "saturation", "deviation of saturation", "deviation of fine detail")
    made = Comparison(PROMPTS, {}, None)
    made.__dict__["numbers"] = dict.fromkeys(measures, off)
    assert [claim.holds for claim in made.check(CLAIMS)] == [holds] * 5
