"""Figure 10: a strategy is its inversion asked at its own gamma, and claims follow numbers."""

from functools import partial

import pytest
import torch
from made_up import PROMPTS, held

from sdilib.inversion import DDIMInversion
from sdilib.lab.experiments import fig10_guidance_scales as experiment
from sdilib.lab.experiments.shared.path import follow, noises, residuals, root_mean_square
from sdilib.lab.experiments.shared.scales import STRATEGIES, strategies
from sdilib.seeds import generator


@pytest.fixture
def path(oracle):
    """Of the oracle, an item a component."""
    denoise = oracle.guided(oracle.prompt([[0], [1], [2]]), 7.5)
    x_1 = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator(0, 0, "x"))
    return follow(denoise, x_1, (3, 4, 5), num_steps=10)


def test_a_strategy_is_its_inversion_asked_at_its_own_gamma(path):
    some = path.at([0.6, 0.3])
    by_name = experiment.measures(some)["r"]
    kappa = noises(some, partial(DDIMInversion, guidance_scale=0.0))
    for name, gamma in (("(0, 0)", 0.0), ("(0, γ)", 7.5)):
        expected = residuals(some, kappa, guidance_scale=gamma)
        torch.testing.assert_close(by_name[name], expected)
    grid = experiment.maps(some, [-1.0, 0.0], [0.0, 1.0])
    assert grid.shape == (2, 2, 2)
    torch.testing.assert_close(grid[1, 0], by_name["(0, 0)"].mean(0))
    torch.testing.assert_close(grid[0, 1], by_name["(-γ, γ)"].mean(0))


def test_one_whole_inversion_passes_through_those_up_to_each_t(path):
    passed = experiment.clean_deviations(path, [-1.0])[-1.0]
    for t in (0.3, 1.0):
        times = torch.full((3,), t, dtype=torch.float64)
        draws = generator(0, 0, "x")
        kappa = DDIMInversion()(path.samples, times, path.denoise, draws).noise
        expected = root_mean_square(kappa[:, None])[:, 0]
        torch.testing.assert_close(passed[:, round(10 * t) - 1], expected)


def test_strategies_are_rules_with_their_own_gammas(tiny):
    eps = torch.zeros(1, *tiny.latent_shape)
    rules = {name: make(tiny, eps) for name, make in experiment.rules(3.0).items()}
    gammas = {
        name: (rule.kappa.guidance_scale, rule.guidance_scale) for name, rule in rules.items()
    }
    assert gammas == strategies(3.0)
    assert gammas["(-γ, γ)"] == (-3.0, 3.0)


def test_claims_follow_the_numbers(generator):
    jitter = 0.001 * torch.rand(8, 3, generator=generator)
    as_in_paper = {"(γ, γ)": 2.0, "(0, 0)": 0.9, "(0, γ)": 1.0, "(-γ, γ)": 0.95}
    opposite = {"(γ, γ)": 0.5, "(0, 0)": 0.7, "(0, γ)": 1.0, "(-γ, γ)": 3.0}
    for values, expected in ((as_in_paper, True), (opposite, False)):
        numbers = experiment.summary({name: value + jitter for name, value in values.items()})
        assert held(experiment.CLAIMS, numbers, PROMPTS) == [expected] * 7


def test_claims_about_images_follow_their_colours(generator):
    grey = 0.5 + 0.01 * torch.rand(8, 3, 8, 8, generator=generator)
    colour = torch.tensor([0.9, 0.1, 0.1])[None, :, None, None] * (0.5 + grey)
    burnt, clean = dict.fromkeys(STRATEGIES, colour), dict.fromkeys(STRATEGIES, grey)
    for negative, expected in ((grey, [True, True, True]), (colour, [False, False, False])):
        rows = (burnt if negative is grey else clean) | {"DDIM": grey, "(-γ, γ)": negative}
        assert held(experiment.OF_IMAGES, experiment.seen(rows), PROMPTS) == expected


@pytest.mark.parametrize("count", [1, 8])
def test_the_figure_can_be_drawn(count, generator):
    inverse, forward = [-30.0, -15.0, -10.0, -7.5, -5.0, 0.0, 3.0], [0.0, 7.5]
    figure = experiment.draw(
        dict.fromkeys(["DDIM", *STRATEGIES], torch.rand(count, 3, 8, 8)),
        [f"a green striped object {i}" for i in range(count)],
        times=[1.0, 0.6, 0.3],
        r={name: torch.rand(count, 3, generator=generator) for name in STRATEGIES},
        deviations={gamma: torch.rand(count, 10) for gamma in inverse},
        grid_times=[1.0, 0.6, 0.3],
        grid=torch.rand(7, 2, 3),
        scales=(inverse, forward),
    )
    figure.draw_without_rendering()
    *_, first, second, third = figure.axes
    assert [len(axes.texts) for axes in (first, second, third)] == [14] * 3
