"""A preset is a set of literal values; what is given goes before it."""

import pytest

from sdilib.lab.practice import SAMPLED
from sdilib.lab.presets import NOTEBOOKS, fitting, resolve
from sdilib.lab.prompts import NUM_EXAMPLES, PAPER_PROMPTS, WORLD_PROMPTS


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_parameter_has_a_value_of_one_type_at_every_preset(notebook):
    for setting in NOTEBOOKS[notebook].values():
        *choices, least = setting
        if notebook == "run3d" and choices[:3] == [None] * 3:  # the paper's alone
            continue
        if notebook == "run" and choices[3] is None:  # the bundled model's alone
            continue
        assert len({type(choice) for choice in choices}) == 1
        assert all(choice not in ("", 0) for choice in choices)  # they stand for the preset
        assert not isinstance(choices[0], int) or min(choices) >= least


def test_given_goes_before_the_preset():
    assert resolve("fig01_teaser", "smoke", num_prompts=7)["num_prompts"] == 7


@pytest.mark.parametrize("nothing", ["", 0])
def test_empty_and_zero_stand_for_the_preset(nothing):
    assert resolve("fig01_teaser", "smoke", num_seeds=nothing) == resolve("fig01_teaser", "smoke")


def test_the_model_comes_from_the_preset_too():
    assert resolve("fig01_teaser", "laptop", model="")["model"] == "mini"
    assert resolve("fig01_teaser", "laptop", model="a/folder")["model"] == "a/folder"


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (("fig01_tease", "smoke"), {}, "notebook='fig01_tease'.*did you mean fig01_teaser?"),
        (("fig01_teaser", "smok"), {}, "preset='smok'.*did you mean smoke?"),
        (
            ("fig01_teaser", "smoke"),
            {"num_prompt": 2},
            "parameter='num_prompt': expected one of fig01_teaser's: .*did you mean num_prompts?",
        ),
    ],
)
def test_unknown_names_are_refused_and_the_known_ones_said(arguments, given, message):
    with pytest.raises(ValueError, match=message):
        resolve(*arguments, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_prompts": -1}, r"num_prompts=-1: expected a number in \[1, 16\]"),
        ({"num_prompts": 17}, r"num_prompts=17: expected a number in \[1, 16\]"),
        ({"num_seeds": -1}, "num_seeds=-1: expected an integer of at least 1"),
    ],
)
def test_numbers_that_cannot_be_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        resolve("fig01_teaser", "smoke", **given)


def test_each_number_has_its_own_least():
    with pytest.raises(ValueError, match=r"^num_steps=4: expected an integer of at least 5$"):
        resolve("00_start_here", "laptop", num_steps=4)
    assert resolve("fig03_guidance_scale", "laptop", num_steps=2)["num_steps"] == 2


def test_the_papers_gamma_is_that_of_practice():
    assert resolve("fig01_teaser", "gpu")["guidance_scale"] == SAMPLED


def test_every_model_has_as_many_prompts_to_show():
    assert len(WORLD_PROMPTS) == len(PAPER_PROMPTS) == NUM_EXAMPLES


@pytest.mark.parametrize("value", ["8", 8.0, True, None])
def test_another_type_is_refused(value):
    with pytest.raises(TypeError, match=r"num_prompts=.*: expected int"):
        resolve("fig01_teaser", "smoke", num_prompts=value)


def test_prompts_to_try_are_distinct():
    for prompts in (WORLD_PROMPTS, PAPER_PROMPTS):
        assert len(set(prompts)) == len(prompts) >= 8


def test_a_rule_without_a_gamma_is_given_none(tmp_path):
    path = tmp_path / "plain.py"
    path.write_text(
        "class Plain:\n    def __init__(self, denoiser):\n        self.denoiser = denoiser\n\n"
        "    def __call__(self, x0, t, view, generator):\n        raise NotImplementedError\n"
    )
    settings = resolve("run3d", "laptop")
    assert fitting(settings, "sds") == settings
    assert settings.keys() - fitting(settings, str(path)).keys() == {"guidance_scale"}
