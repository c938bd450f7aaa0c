"""Figure 8 changes one thing at a time, and finds the main improvement where it is."""

import pytest
from made_up import ahead

from sdilib.lab import presets
from sdilib.lab.experiments import fig08_ablation as study
from sdilib.lab.experiments.shared.objects import run_of

SETTINGS = presets.resolve("run3d", "laptop")


def run(name, settings=SETTINGS):
    return run_of(settings, "a red mug", **study.variants(settings)[name])


def test_equal_cost_gives_a_random_kappa_as_many_forwards():
    # int(n (t + tau)) steps of inversion, at least one, and one of denoising; t falls from 0.6 to 0.02, tau is up to 1/30.
    plain, later = (
        study.variants(SETTINGS | {"tau_max": tau_max})[study.EQUAL_COST]["steps"]
        for tau_max in (0.0, 1 / 30)
    )
    steps = run(study.OURS).steps
    assert plain == pytest.approx(steps * (1 + 2.73), rel=0.02)
    # A view above t = 0.1 makes a step more where tau takes it past a tenth: with probability 10 / 60.
    assert later - plain == pytest.approx(steps * 0.5 / 0.58 / 6, rel=0.15)


@pytest.mark.parametrize("size", [64, 512])
def test_half_the_size_is_half_of_what_the_model_sees(size):
    assert run(study.HALF_SIZE, SETTINGS | {"size": size}).render_size == size // 2


@pytest.mark.parametrize(("inverted", "holds"), [(5.0, True), (7.5, False)])
def test_the_main_improvement_is_the_larger_gain(inverted, holds):
    levels = {"SDS": 9.0, study.RANDOM: 8.0, study.OURS: inverted}
    means = dict.fromkeys(study.variants(SETTINGS), 9.0) | levels
    *_, last = study.claims(ahead(means))
    assert "main improvement" in last.claim
    assert last.holds is holds
