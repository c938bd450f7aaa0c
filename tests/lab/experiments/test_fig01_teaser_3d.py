"""Figure 1's claims in 3D come out as the numbers are."""

import pytest
import torch
from made_up import PROMPTS, held

from sdilib.lab.experiments.fig01_teaser_3d import BLURRY, BURNT, CLAIMS


def numbers(sdi, blurry, burnt, count=8):
    """Deviations and distances as given; SDS at γ = 100 is as far above the truth as at 7.5 it is below."""
    methods = {"SDI": sdi, BLURRY: blurry, BURNT: burnt}
    off = {name: torch.full((count,), value).double() for name, value in methods.items()}
    plain = {"SDI": 1 - off["SDI"], BLURRY: 1 - off[BLURRY], BURNT: 1 + off[BURNT]}
    deviations = ("deviation of saturation", "deviation of fine detail", "kernel distance")
    return dict.fromkeys(("saturation", "fine detail"), plain) | dict.fromkeys(deviations, off)


@pytest.mark.parametrize(("sdi", "holds"), [(0.1, True), (0.9, False)])
def test_sdi_is_nearer_the_truth_where_it_is(sdi, holds):
    assert held(CLAIMS[2:], numbers(sdi, 0.5, 0.5), PROMPTS) == [holds] * 6


def test_sds_is_blurry_at_a_low_gamma_and_burnt_at_a_high_one():
    assert held(CLAIMS[:2], numbers(0.1, 0.5, 0.5), PROMPTS) == [True] * 2


def test_with_few_prompts_nothing_is_decided():
    assert set(held(CLAIMS, numbers(0.1, 0.5, 0.5, count=2), PROMPTS[:2])) == {None}
