"""Choices of kappa along DDIM's path: what eq. 8 says must hold, and claims that follow numbers."""

from functools import partial

import pytest
import torch
from matplotlib.figure import Figure

from sdilib.ddim import ddim
from sdilib.inversion import DDIMInversion, FixedNoise, GradientDescent, RandomNoise
from sdilib.lab.plotting.patterns import as_colours, patterns
from sdilib.lab.plotting.residuals import guidance_scales, noise_choice
from sdilib.lab.studies import residuals as study
from sdilib.schedule import time_grid
from sdilib.seeds import generator, normal
from sdilib.text_to_image import ddim_images, distilled_images

PROMPTS = [f"prompt {i}" for i in range(8)]
SEEDS = (3, 4, 5)


@pytest.fixture
def denoise(oracle):
    """The oracle, an item a component."""
    return oracle.guided(oracle.prompt([[0], [1], [2]]), 7.5)


@pytest.fixture
def path(denoise):
    noise = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator(0, 0, "x"))
    x_1 = denoise.schedule.add_noise(torch.zeros_like(noise), noise, 1.0)
    return study.ddim_path(denoise, x_1, SEEDS, num_steps=20, batch_size=2)


def test_the_path_keeps_equally_spaced_times_and_ends_at_the_sample(path, denoise):
    assert path.times == pytest.approx([1 - k / 10 for k in range(10)])
    assert path.x0.shape == path.eps.shape == (3, 10, 4, 2, 2)
    # From its last kept point, t = 0.1, two steps of eq. 2 remain to the sample.
    x_t = denoise.schedule.add_noise(path.x0[:, -1], path.eps[:, -1], 0.1)
    torch.testing.assert_close(denoise(x_t, 0.1), path.eps[:, -1])
    *_, last = ddim(x_t, denoise, times=time_grid(2, t_start=0.1))
    torch.testing.assert_close(last.x_next, path.samples)


def test_the_cached_noise_solves_eq_8_exactly(path, denoise):
    kappa = study.noises(path, denoise, study.CHOICES["cached"], batch_size=2).kappa
    assert study.residuals(path, denoise, kappa).max() < 1e-9
    random = study.noises(path, denoise, RandomNoise).kappa
    assert study.residuals(path, denoise, random).min() > 1e-3
    again = study.denoised(path, denoise, kappa, batch_size=2)
    torch.testing.assert_close(again, path.x0)
    assert study.cached_claim(path, again).holds
    assert not study.cached_claim(path, study.denoised(path, denoise, random)).holds


def test_fixed_noise_is_kept_over_t_and_is_not_the_noise_that_the_path_began_with(path, denoise):
    fixed = study.noises(path, denoise, FixedNoise).kappa
    torch.testing.assert_close(fixed, fixed[:, :1].expand_as(fixed))
    fresh = study.noises(path, denoise, RandomNoise).kappa
    assert (fresh[:, 1:] != fixed[:, 1:]).all()
    began = normal(fixed[:, 0], [generator(seed, 0, "start") for seed in SEEDS])
    assert (began != fixed[:, 0]).all()


def test_descent_lowers_the_residual_of_the_noise_it_begins_with(path, denoise):
    random = study.noises(path, denoise, RandomNoise).kappa
    few = study.noises(path, denoise, partial(GradientDescent, num_iterations=1)).kappa
    many = study.noises(path, denoise, GradientDescent).kappa
    r = [study.residuals(path, denoise, kappa).mean() for kappa in (random, few, many)]
    assert r[0] > r[1] > r[2]


def test_a_batch_answers_what_its_items_would_alone(path, denoise):
    make = study.CHOICES["inversion, n = 10"]
    together = study.noises(path, denoise, make, batch_size=3)
    apart = study.noises(path, denoise, make, batch_size=1)
    torch.testing.assert_close(together.kappa, apart.kappa)
    assert together.num_forwards == apart.num_forwards == 11  # 2 (1 + … + 10) / 10
    r = study.residuals(path, denoise, together.kappa, batch_size=1)
    torch.testing.assert_close(r, study.residuals(path, denoise, together.kappa))


def test_costs_are_counted_in_forwards_and_a_backward_pass_as_one(path, denoise):
    makes = {**study.CHOICES, **study.CHEAPER}
    found = {name: study.noises(path, denoise, make) for name, make in makes.items()}
    costs = study.costs(found)
    assert costs["random"] == costs["fixed"] == costs["cached"] == 0
    assert [costs[f"fixed point, ×{k}"] for k in (1, 2, 5, 10)] == [2, 4, 10, 20]
    assert [costs[f"descent, ×{k}"] for k in (1, 2, 5, 10)] == [4, 8, 20, 40]
    assert costs["inversion, n = 1"] == 2


def test_a_strategy_is_its_inversion_asked_at_its_own_gamma(path, denoise, oracle):
    some = path.at([0.6, 0.3])
    assert some.times == pytest.approx([0.6, 0.3])
    by_name = study.strategy_residuals(some, denoise)
    kappa = study.noises(some, denoise, partial(DDIMInversion, guidance_scale=0.0)).kappa
    for name, gamma in (("(0, 0)", 0.0), ("(0, 7.5)", 7.5)):
        expected = study.residuals(some, oracle.guided(denoise.prompt, gamma), kappa)
        torch.testing.assert_close(by_name[name], expected)
    grid = study.grid_residuals(some, denoise, [-7.5, 0.0], [0.0, 7.5])
    assert grid.shape == (2, 2, 2)
    torch.testing.assert_close(grid[1, 0], by_name["(0, 0)"].mean(0))
    torch.testing.assert_close(grid[0, 1], by_name["(-7.5, 7.5)"].mean(0))


def test_one_whole_inversion_passes_through_those_up_to_each_t(path, denoise, oracle):
    inverse = oracle.guided(denoise.prompt, -7.5)
    passed = study.clean_deviations(path.samples, inverse, batch_size=2)
    for t in (0.3, 1.0):
        times = torch.full((3,), t, dtype=torch.float64)
        kappa = DDIMInversion()(path.samples, times, denoise, generator(0, 0, "x")).noise
        torch.testing.assert_close(
            passed[:, round(10 * t) - 1], study.deviation(kappa[:, None])[:, 0]
        )


def test_a_run_with_the_cached_choice_is_ddim(tiny):
    items = ["a red mug", "a blue rocket"], [0, 1]
    rule = study.sdi_with(study.CHOICES["cached"])
    run = distilled_images(tiny, *items, rule=rule, num_steps=4)
    torch.testing.assert_close(
        run.latents, ddim_images(tiny, *items, num_steps=4).latents, rtol=1e-3, atol=1e-3
    )


def test_the_path_begins_where_ddim_images_does(tiny):
    prompts, seeds = ["a red mug", "a blue rocket"], [0, 1]
    denoise = tiny.guided(tiny.embed(prompts), 7.5)
    path = study.ddim_path(denoise, study.start(tiny, seeds), seeds, num_steps=4, num_times=2)
    made = ddim_images(tiny, prompts, seeds, num_steps=4)
    torch.testing.assert_close(path.samples, made.latents)
    torch.testing.assert_close(study.decoded(tiny, path.samples[:, None])[:, 0], made.images)


def test_strategies_are_rules_with_their_own_gammas(tiny):
    rules = study.strategy_rules()
    made = {name: rule(tiny, torch.zeros(1, *tiny.latent_shape)) for name, rule in rules.items()}
    gammas = {name: (each.kappa.guidance_scale, each.guidance_scale) for name, each in made.items()}
    assert gammas == study.STRATEGIES


def made_up(low: str, values: dict[str, float], generator: torch.Generator) -> dict:
    """Residuals of 8 items at 3 times, jittered; `low` is pressed below all others."""
    jitter = 0.01 * torch.rand(8, 3, generator=generator)
    r = {name: value + jitter for name, value in values.items()}
    return r | {low: 0.1 + jitter}


COSTS = {
    "random": 0.0,
    "fixed": 0.0,
    "cached": 0.0,
    **{f"fixed point, ×{k}": 2.0 * k for k in (1, 2, 5, 10)},
    **{f"descent, ×{k}": 4.0 * k for k in (1, 2, 5, 10)},
    **{f"inversion, n = {n}": 1.1 * n for n in (1, 3, 10)},
}


def test_claims_of_figure_9_hold_for_numbers_as_the_paper_has_them(generator):
    r = made_up("inversion, n = 10", dict.fromkeys(COSTS, 1.0), generator) | {
        "cached": torch.zeros(8, 3)
    }
    claims = study.choice_claims(r, COSTS, PROMPTS)
    assert len(claims) == 8
    assert {claim.holds for claim in claims} == {True}
    notes = " ".join(claim.note for claim in claims)
    assert "fixed point, ×5: 10" in notes  # the closest to inversion's 11
    assert "descent, ×2: 8" in notes


def test_claims_of_figure_9_fail_where_inversion_is_worst(generator):
    r = made_up("random", dict.fromkeys(COSTS, 1.0), generator)
    r["inversion, n = 10"] = 2 + r["fixed"]
    claims = study.choice_claims(r, COSTS, PROMPTS)
    assert {claim.holds for claim in claims} == {False}
    one = {name: each[:1] for name, each in r.items()}
    *tested, exact = study.choice_claims(one, COSTS, PROMPTS[:1])
    assert {claim.holds for claim in tested} == {None}
    assert not exact.holds


def test_claims_of_figure_10_follow_the_numbers(generator):
    jitter = 0.001 * torch.rand(8, 3, generator=generator)
    as_in_paper = {"(7.5, 7.5)": 2.0, "(0, 0)": 0.9, "(0, 7.5)": 1.0, "(-7.5, 7.5)": 0.95}
    opposite = {"(7.5, 7.5)": 0.5, "(0, 0)": 0.7, "(0, 7.5)": 1.0, "(-7.5, 7.5)": 3.0}
    for values, expected in ((as_in_paper, True), (opposite, False)):
        r = {name: value + jitter for name, value in values.items()}
        assert {claim.holds for claim in study.guidance_claims(r, PROMPTS)} == {expected}


@pytest.mark.parametrize("count", [1, 8])
def test_the_figures_can_be_drawn(count, generator):
    columns, image = (
        [f"a green striped object {i}" for i in range(count)],
        torch.rand(count, 3, 8, 8),
    )
    r = {name: 1 + torch.rand(count, 3, generator=generator) for name in COSTS}
    rows = dict.fromkeys(study.CHOICES, image)
    times = [1.0, 0.6, 0.3]
    figures = [noise_choice(rows, columns, times=times, r=r, costs=COSTS)]
    by_strategy = {name: r["random"] for name in study.STRATEGIES}
    scales = [-30.0, -15.0, -10.0, -7.5, -5.0, 0.0, 3.0], [0.0, 7.5]
    figures.append(
        guidance_scales(
            dict.fromkeys(["DDIM", *by_strategy], image),
            columns,
            times=times,
            r=by_strategy,
            deviations={gamma: torch.rand(count, 10) for gamma in scales[0]},
            grid_times=times,
            grid=torch.rand(7, 2, 3),
            scales=scales,
        )
    )
    noise = {name: torch.randn(3, 4, 4, 4) for name in study.PATTERNS}
    images = {name: torch.rand(3, 3, 8, 8) for name in noise}
    deviations = {name: each.flatten(1).std(1) for name, each in noise.items()}
    figures.append(patterns(noise, images, times, deviations))
    for figure in figures:
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()


def test_a_pattern_is_shown_free_of_its_scale_and_offset(generator, on_a_device):
    kappa = torch.randn(2, 4, 6, 6, generator=generator)
    shown = as_colours(kappa)
    assert shown.shape == (2, 3, 6, 6)
    torch.testing.assert_close(as_colours(3 * kappa - 1), shown)
    assert as_colours(on_a_device(kappa)).numpy().tolist() == shown.tolist()
    assert ((shown >= 0) & (shown <= 1)).all()
    assert shown.mean() == pytest.approx(0.5, abs=0.01)
