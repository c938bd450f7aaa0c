"""Figure 9 in 3D: inversion's objects are the better ones where they are."""

from made_up import ahead

from sdilib.lab.experiments.fig09_noise_choice_3d import BEGUN, CLAIMS, OURS, VARIANTS


def checked(ours, others):
    # The one begun later is as far from ours as ours is from the others.
    values = dict.fromkeys(VARIANTS, others) | {OURS: ours, BEGUN: 2 * ours - others}
    return [claim.holds for claim in ahead(values).check(CLAIMS)]


def test_the_better_one_is_found_and_not_the_other_way_round():
    assert set(checked(0.1, 0.5)) == {True}
    assert set(checked(0.5, 0.1)) == {False}
