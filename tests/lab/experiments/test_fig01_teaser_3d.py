"""Figure 1's claims in 3D come out as the numbers are."""

import pytest
import torch
from made_up import PROMPTS, held, of_runs

from sdilib.lab.evaluator import Evaluator
from sdilib.lab.experiments import fig01_teaser_3d as study
from sdilib.lab.experiments.fig01_teaser_3d import BLURRY, BURNT, CLAIMS
from sdilib.lab.experiments.shared.objects import WORLD, own_object


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


def test_the_worlds_own_objects_stand_beside_the_methods():
    prompts = ["a red mug", "a blue rocket"]
    looked = {name: [own_object(y, 1, 64) for y in prompts] for name in ("SDI", BLURRY, BURNT)}
    made = of_runs(prompts, looked=looked, evaluator=Evaluator.from_pretrained())
    own = study.worlds_own(made)
    assert not torch.equal(own[0].images, looked["SDI"][0].images)  # another draw
    numbers = study.reference(made, own)
    assert float(numbers["object"].min()) > 0.9
    assert float(numbers["IoU"].min()) > 0.9
    figure = study.draw(made, own, numbers)
    assert WORLD in [each.get_text() for each in figure.findobj() if hasattr(each, "get_text")]


def test_without_a_judge_nothing_stands_beside_the_methods():
    made = of_runs(["a red mug"], looked={"SDI": [own_object("a red mug", 0, 64)]})
    assert study.worlds_own(made) == []
    assert study.reference(made, []) == {}
