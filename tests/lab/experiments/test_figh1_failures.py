"""Failures found by measure: what is broken is told from what is whole, and the worst of all is shown."""

import numpy as np
import pytest
import torch
from made_up import held, of_runs

from sdilib.lab.evaluator import Evaluator
from sdilib.lab.experiments import figh1_failures as experiment
from sdilib.lab.experiments.figh1_failures import BARS, CLAIMS, DRIFT, HOLLOW, JANUS, MISSHAPEN
from sdilib.lab.experiments.shared.objects import Comparison, Looked, true_views

CAT = "a red cat"


@pytest.fixture(scope="module")
def judge():
    return Evaluator.from_pretrained()


def seen(prompts: list[str], looked: list[Looked], evaluator=None) -> Comparison:
    return of_runs(prompts, looked={"SDI": looked}, evaluator=evaluator)


def test_a_front_seen_from_behind_is_janus(judge):
    true = true_views(CAT, 64)
    assert experiment.front_behind(true, CAT, judge) < 0.2
    turned = Looked(true.images.clone(), true.opacity)
    turned.images[6:11] = true.images[:1]
    assert experiment.front_behind(turned, CAT, judge) > BARS[JANUS]
    assert experiment.front_behind(turned, "a red strawberry", judge) == 0.0  # it has none


def test_sides_that_show_other_things_drift(judge):
    true = true_views(CAT, 64)
    assert experiment.drift(true, judge) < 0.1
    other = true_views("a blue car", 64)
    mixed = Looked(torch.cat([true.images[:8], other.images[8:]]), true.opacity)
    assert experiment.drift(mixed, judge) > BARS[DRIFT]
    few = Looked(torch.cat([true.images[:11], other.images[11:]]), true.opacity)
    # Five of 16 show another object and another colour, and all the same pattern.
    assert experiment.drift(few, judge) == pytest.approx((5 + 5 + 0) / 16 / 3, abs=0.05)


def test_light_through_an_outline_is_a_hole_and_a_bay_is_none():
    ring = torch.zeros(2, 8, 8)
    ring[:, 1:7, 1:7] = 1.0
    assert experiment.holes(ring) == 0.0
    ring[0, 3:5, 3:5] = 0.0
    assert experiment.holes(ring) == pytest.approx(4 / 36 / 2)
    ring[0, 3:5, 3:] = 0.0  # open to one side
    assert experiment.holes(ring) == 0.0
    assert experiment.holes(torch.zeros(2, 8, 8)) == 0.0


def test_a_handle_is_no_failure():
    mug = true_views("a red mug", 64)
    assert experiment.holes(mug.opacity) > 0
    assert experiment.hollow(mug, "a red mug") == 0.0
    thin = Looked(mug.images, 0.7 * mug.opacity)
    assert experiment.hollow(thin, "a red mug") == pytest.approx(0.3, abs=0.05)


def test_with_a_judge_all_kinds_are_measured_and_without_one_the_holes(judge):
    looked = [true_views(CAT, 64), true_views("a blue car", 64)]
    found = experiment.measures(seen([CAT, CAT], looked, judge))
    assert list(found) == list(BARS)
    true, wrong = found[MISSHAPEN].tolist()
    assert true < 0.05 < wrong
    assert list(experiment.measures(seen([CAT, CAT], looked))) == [HOLLOW]


def test_the_worst_are_of_different_prompts():
    prompts = ["a cat", "a cat", "a mug", "a car"]
    made = seen(prompts, [])
    assert experiment.worst(torch.tensor([0.8, 0.9, 0.1, 0.3]), made) == [1, 3]
    assert experiment.worst(torch.tensor([0.5]), seen(["a cat"], [])) == [0]


@pytest.mark.parametrize(("count", "holds"), [(0, True), (30, False)])
def test_failures_are_rare_where_few_are_above_the_bar(count, holds):
    values = np.zeros(72)
    values[:count] = 1.0
    found = {kind: torch.from_numpy(values) for kind in BARS}
    assert held(CLAIMS, experiment.failed(found)) == [holds] * 4


def test_the_figure_shows_the_worst_and_where_they_stand():
    looked = [Looked(torch.full((16, 3, 4, 4), k / 10), torch.ones(16, 4, 4)) for k in range(4)]
    made = seen(["a cat", "a mug", "a red spotted mushroom", "a cat"], looked)
    found = {
        JANUS: torch.tensor([0.1, 0.2, 0.3, 0.4]).double(),
        HOLLOW: torch.tensor([0.4, 0.3, 0.2, 0.1]).double(),
    }
    figure = experiment.draw(made, found)
    figure.draw_without_rendering()
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 2 * 2 * 8
    firsts = [float(axes.images[0].get_array().mean()) for axes in drawn[::8]]
    assert firsts == pytest.approx([0.3, 0.2, 0.0, 0.1])
    assert drawn[0].get_ylabel() == "Janus:\na cat #0"
    janus = next(axes for axes in figure.axes if not axes.images)
    assert list(janus.lines[1].get_ydata()) == pytest.approx([0.4, 0.3])
    assert janus.get_title(loc="left").startswith("Janus: front")
