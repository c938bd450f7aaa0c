"""Noised renders beside the model's own noisy data: exact where DDIM's own noise is, and claims that follow the numbers."""

import pytest
import torch
from made_up import held

from sdilib.lab.experiments import figa19_in_distribution as experiment
from sdilib.lab.experiments.figa19_in_distribution import (
    BETWEEN,
    CLAIMS,
    INVERTED,
    MOVED,
    OFF,
    OUTSIDE,
    OWN,
    RANDOM,
    SPREAD,
    noised,
)

SIZES = {"num_points": 96, "num_steps": 12}


@pytest.fixture(scope="module")
def both():
    mixture = experiment.blobs()
    return noised(mixture, **SIZES), noised(mixture, lag=0.8, **SIZES)


def test_ddims_own_noise_samples_the_models_noisy_data(both):
    own = {measure: of[OWN] for measure, of in both[0].numbers.items()}
    assert own[OFF].max() < 1e-12
    assert float(own[OUTSIDE].mean()) == pytest.approx(0.05, abs=0.03)
    assert float(own[SPREAD].mean()) == pytest.approx(1.0, abs=0.1)


def test_the_bulk_holds_its_share_and_the_spread_of_exact_samples_is_one(generator):
    mixture, t, count = experiment.blobs(), 0.3, 6000
    noise = torch.randn(count, 2, 2, 1, 1, dtype=torch.float64, generator=generator)
    x_t = mixture.sample(torch.arange(count) % 3, t, noise)
    edge = experiment._edge(mixture, t, generator)
    denoise = mixture.guided(mixture.prompt([[0, 1, 2]] * count), 1.0)
    found = dict(experiment._measured(mixture, denoise, x_t, {"x": x_t}, t, edge, x_t))
    assert float(found[OUTSIDE]["x"].mean()) == pytest.approx(0.05, abs=0.012)
    assert float(found[SPREAD]["x"].mean()) == pytest.approx(1.0, abs=0.03)


def test_a_step_is_as_long_as_the_denoised_image_is_far(both):
    pace = both[0]
    mixture, k, name = experiment.blobs(), 5, RANDOM
    t = float(pace.times[k])
    x_t = pace.x_t[name][k].reshape(-1, 2, 1, 1)
    denoise = mixture.guided(mixture.prompt([[0, 1, 2]] * len(x_t)), 1.0)
    back = mixture.schedule.denoised(x_t, denoise(x_t, t), t).flatten(1)
    torch.testing.assert_close(
        pace.numbers[MOVED][name][:, k], (back - pace.x0[k]).norm(dim=1), rtol=1e-9, atol=0
    )


def test_a_render_that_lags_is_one_render_and_has_no_noise_of_ddims_own(both):
    pace, late = both
    assert OWN not in late.x_t
    assert bool((late.x0 == late.x0[0]).all())
    assert float(late.times[0]) < 0.8
    assert set(pace.x_t) == {OWN, INVERTED, BETWEEN, RANDOM}


def test_the_verdicts_are_what_the_notebook_says_in_words(both):
    found = held(CLAIMS, experiment.measures(*both))
    assert found == [True, True, False, True, False, True]


def test_other_numbers_give_other_verdicts(both):
    numbers = experiment.measures(*both)
    for measure in (OUTSIDE, MOVED):
        of = numbers[measure]
        of[INVERTED], of[RANDOM] = of[RANDOM], of[INVERTED]
    assert held(CLAIMS, numbers) == [True, False, False, False, False, True]


def test_the_figure_shows_each_noise_and_four_curves(both):
    figure = experiment.draw(experiment.blobs(), *both, t=0.4)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title[0] for title in titles] == list("abcdefgh")
    assert [title[3:] for title in titles[:4]] == list(both[0].x_t)
    outside = figure.axes[4].lines[0].get_ydata()
    expected = both[0].numbers[OUTSIDE][OWN].mean(0).tolist()
    assert list(outside) == pytest.approx(expected)


@pytest.mark.parametrize("lag", [0.0, 0.1, 1.5])
def test_a_lag_that_leaves_nothing_is_refused(lag):
    with pytest.raises(ValueError, match=rf"lag={lag}: expected a number in \[0.166"):
        noised(experiment.blobs(), lag=lag, **SIZES)


def test_a_time_that_is_none_is_refused(both):
    with pytest.raises(ValueError, match=r"t=2.0: expected a number in \[0, 1\]"):
        experiment.draw(experiment.blobs(), *both, t=2.0)
