"""Which runs are compared: shared ones are the same run, and claims come out as the numbers are."""

import pytest
import torch

from sdilib.lab import presets
from sdilib.lab.runs import address
from sdilib.lab.studies import comparisons as study
from sdilib.lab.studies.comparison import compared
from sdilib.lab.studies.comparisons import plan
from sdilib.stable_diffusion import StableDiffusion

SETTINGS = presets.resolve("run3d", "laptop")
PROMPTS = [
    f"a {colour} mug"
    for colour in ("red", "orange", "yellow", "green", "blue", "purple", "pink", "teal")
]


def names(variants):
    return {
        name: address(runs[0], "weights")
        for name, runs in plan(["a red mug"], variants, SETTINGS).items()
    }


def test_seeds_come_one_after_the_other_each_with_all_prompts():
    runs = plan(["a red mug", "a blue cat"], {"one": {}}, SETTINGS, seed=4, num_seeds=2)["one"]
    assert [(run.prompt, run.seed) for run in runs] == [
        ("a red mug", 4),
        ("a blue cat", 4),
        ("a red mug", 5),
        ("a blue cat", 5),
    ]
    with pytest.raises(ValueError, match="num_seeds=0"):
        plan(["a red mug"], {"one": {}}, SETTINGS, num_seeds=0)


def test_every_figure_shares_the_run_that_is_sdi():
    shared = {
        names(variants)[name]
        for variants, name in (
            (study.TEASER, "SDI"),
            (study.ABLATION, "inversion, whole steps"),
            (study.CHOICES, "inversion"),
            (study.STRATEGIES, "(-7.5, 7.5)"),
            (study.NUM_INVERSION_STEPS, "n = 10"),
        )
    }
    assert len(shared) == 1
    assert names(study.TEASER)["SDS, γ = 7.5"] == names(study.ABLATION)["SDS"]
    assert names(study.CHOICES)["random"] == names(study.ABLATION)["annealed t, whole steps"]


def test_no_two_methods_of_a_figure_are_the_same_run():
    for variants in (
        study.TEASER,
        study.at_equal_cost(SETTINGS),
        study.CHOICES,
        study.STRATEGIES,
        study.NUM_INVERSION_STEPS,
    ):
        found = names(variants)
        assert len(set(found.values())) == len(found)


def test_equal_cost_gives_a_random_kappa_as_many_forwards():
    runs = plan(["a red mug"], study.at_equal_cost(SETTINGS), SETTINGS)
    sdi, random = runs["inversion, whole steps"][0], runs[study.EQUAL_COST][0]
    # n t steps of inversion and one of denoising, t falling from 0.98 to 0.2
    assert random.steps == pytest.approx(sdi.steps * (1 + 5.4), rel=0.02)


def test_half_a_run_has_the_times_and_penalties_of_the_whole_ones_first_half():
    (whole,) = plan(["a red mug"], {"": {"z_variance": 0.1}}, SETTINGS)[""]
    settings = SETTINGS | {"z_variance": 0.1}
    (half,) = plan(["a red mug"], study.halfway(settings), settings)[study.SDI]
    assert 2 * half.steps == whole.steps
    for name in ("opaqueness", "z_variance"):  # they grow from 0 to this
        assert getattr(half, name) / half.steps == getattr(whole, name) / whole.steps > 0
    fall = [(run.t_start - run.t_end) / run.steps for run in (half, whole)]
    assert fall[0] == pytest.approx(fall[1])


@pytest.mark.parametrize("size", [64, 512])
def test_half_the_size_is_half_of_what_the_model_sees(size):
    runs = plan(["a red mug"], study.at_equal_cost(SETTINGS), SETTINGS | {"size": size})
    assert runs[study.HALF_SIZE][0].render_size == 32  # of the settings that made the methods
    settings = SETTINGS | {"size": size}
    runs = plan(["a red mug"], study.at_equal_cost(settings), settings)
    assert runs[study.HALF_SIZE][0].render_size == size // 2


def numbers(better, worse, methods):
    """Every method is worse but the last."""
    last = list(methods)[-1]
    values = {
        name: torch.full((8,), better if name == last else worse).double() for name in methods
    }
    return {name: values for name in ("kernel distance", "saturation", "fine detail", "IoU")}


@pytest.mark.parametrize(
    ("methods", "claims"),
    [
        (study.CHOICES | {"inversion": {}}, study.choice_claims),
        (study.STRATEGIES, study.strategy_claims),
    ],
)
def test_the_better_one_is_found_and_not_the_other_way_round(methods, claims):
    methods = dict(methods)
    best = "inversion" if "inversion" in methods else "(-7.5, 7.5)"
    methods = {name: {} for name in methods if name != best} | {best: {}}
    assert all(claim.holds for claim in claims(numbers(0.1, 0.5, methods), PROMPTS))
    assert not any(claim.holds for claim in claims(numbers(0.5, 0.1, methods), PROMPTS))


def test_figure_8s_main_improvement_is_the_larger_gain():
    levels = {"SDS": 9.0, "annealed t": 8.0, "annealed t, whole steps": 6.0}
    spread = torch.linspace(0.9, 1.1, 8).double()

    def said(inverted):
        means = dict.fromkeys(study.ABLATION, 9.0) | levels | {"inversion, whole steps": inverted}
        values = {name: mean * spread for name, mean in means.items()}
        *_, last = study.ablation_claims({"kernel distance": values}, PROMPTS)
        assert "main improvement" in last.claim
        return last.holds

    assert said(3.0) is True
    assert said(5.5) is False


@pytest.mark.parametrize(("beyond", "holds"), [(5.0, True), (4.8, True), (4.0, False)])
def test_figure_11_levels_off_where_the_rest_gains_little(beyond, holds):
    means = {"n = 1": 13.0, "n = 3": 9.0, "n = 5": 7.0, "n = 10": 5.0, "n = 20": 5.0}
    spread = torch.linspace(0.9, 1.1, 8).double()
    values = {name: mean * spread for name, mean in (means | {"n = 30": beyond}).items()}
    *rises, last = study.step_claims({"kernel distance": values}, PROMPTS)
    assert [claim.holds for claim in rises] == [True, True]
    assert (last.holds, "a tenth" in last.claim) == (holds, True)


def test_what_stands_in_for_the_kernel_distance_is_named():
    values = {name: torch.ones(8).double() for name in study.CHOICES}
    for claim in study.choice_claims({"fine detail": values}, PROMPTS):
        assert claim.claim.endswith("(fine detail)")


def test_with_few_prompts_nothing_is_decided():
    few = {k: {m: v[:2] for m, v in e.items()} for k, e in numbers(0.1, 0.5, study.TEASER).items()}
    assert {claim.holds for claim in study.teaser_claims(few, PROMPTS[:2])} == {None}


def test_runs_are_made_once_and_measured(tmp_path):
    tiny = {
        "steps": 1,
        "cameras": 1,
        "size": 16,
        "num_samples": 8,
        "levels": 2,
        "finest_resolution": 16,
    }
    settings = SETTINGS | tiny | {"model": "tiny", "num_inversion_steps": 1}
    variants = {"SDI": {}, "again": {}, "random": {"kappa": "random"}}
    model = StableDiffusion.from_pretrained("tiny")
    options = {"model": model, "evaluator": None, "root": tmp_path}
    made = compared(variants, ["a red mug"], settings, **options)
    assert made.runs["SDI"][0].folder == made.runs["again"][0].folder
    assert len(list(tmp_path.iterdir())) == 2
    assert torch.equal(made.looked["SDI"][0].images, made.looked["again"][0].images)
    assert made.seconds > 0
    assert made.diverged["random"] == [""]
    spent = model.num_forwards
    compared(variants, ["a red mug"], settings, **options)
    assert model.num_forwards == spent
