"""Figure 10 in 3D: (-7.5, 7.5) is best where it is."""

from made_up import ahead

from sdilib.lab.experiments.fig10_guidance_scales_3d import CLAIMS, OURS, STRATEGIES


def checked(ours, others):
    values = dict.fromkeys(STRATEGIES, others) | {OURS: ours}
    return [claim.holds for claim in ahead(values).check(CLAIMS)]


def test_the_better_one_is_found_and_not_the_other_way_round():
    assert set(checked(0.1, 0.5)) == {True}
    assert set(checked(0.5, 0.1)) == {False}
