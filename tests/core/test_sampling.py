import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdilib.checks import NonFiniteError
from sdilib.denoiser import GuidedDenoiser
from sdilib.oracle import GaussianMixture
from sdilib.sampling import ddim, ddim_step, denoise_back
from sdilib.schedule import NoiseSchedule, time_grid
from sdilib.seeds import generator as generator_at

SCHEDULE = NoiseSchedule.scaled_linear()


def test_a_step_is_equation_2(generator):
    x_t, eps = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    t = torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64)
    after = torch.tensor([0.9, 0.45, 0.0], dtype=torch.float64)
    x_next = ddim_step(x_t, eps, t=t, t_next=after, schedule=SCHEDULE)
    # The other way to write it: denoise, then noise again with the same eps.
    expected = SCHEDULE.add_noise(SCHEDULE.denoised(x_t, eps, t), eps, after)
    torch.testing.assert_close(x_next, expected)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 10))
def test_a_step_back_with_the_same_eps_returns(t, t_next, seed):
    generator = generator_at(seed, 0, "round trip")
    x_t, eps = torch.randn(2, 2, 4, 2, 2, dtype=torch.float64, generator=generator)
    there = ddim_step(x_t, eps, t=t, t_next=t_next, schedule=SCHEDULE)
    back = ddim_step(there, eps, t=t_next, t_next=t, schedule=SCHEDULE)
    torch.testing.assert_close(back, x_t, rtol=1e-9, atol=1e-9)


def test_the_last_sample_is_the_last_clean_prediction(oracle, generator):
    x_t = torch.randn(2, 4, 2, 2, dtype=torch.float64, generator=generator)
    *_, last = ddim(x_t, oracle.guided(oracle.prompt([[0], [1]]), 7.5), times=time_grid(10))
    assert last.t_next == 0
    torch.testing.assert_close(last.x_next, last.x0)


def test_steps_follow_one_another_and_call_the_denoiser_once_each(oracle, generator):
    x_t = torch.randn(2, 4, 2, 2, dtype=torch.float64, generator=generator).requires_grad_()
    steps = list(ddim(x_t, oracle.guided(oracle.prompt([[0], [1]]), 1.0), times=time_grid(5)))
    assert oracle.num_forwards == 2 * 5
    assert [step.t for step in steps] == time_grid(5)[:-1]
    for before, after in itertools.pairwise(steps):
        assert after.x_t is before.x_next
    assert not any(s.x_next.requires_grad or s.eps.requires_grad for s in steps)


def test_times_that_do_not_fall_are_refused(oracle):
    denoise = oracle.guided(oracle.prompt([[0]]))
    for times in ([1.0], [0.5, 0.5], [0.2, 0.7]):
        with pytest.raises(ValueError, match=r"^times=.*: expected at least two falling times"):
            next(ddim(torch.zeros(1, 4, 2, 2), denoise, times=times))


def test_a_prediction_that_is_not_finite_is_named_with_its_time(scripted, rows):
    denoiser = scripted(lambda x_t, t, condition: x_t * (math.nan if float(t[0]) < 0.7 else 0))
    steps = ddim(torch.ones(1, 3), GuidedDenoiser(denoiser, rows(1), 1.0), times=time_grid(2))
    assert next(steps).t == 1
    with pytest.raises(
        NonFiniteError, match=r"^eps=3 of 3 values not finite at t = 0\.5: expected"
    ):
        next(steps)


def test_a_way_back_of_one_step_is_the_single_step_denoised_image(oracle, generator):
    x_t = torch.randn(2, 4, 2, 2, dtype=torch.float64, generator=generator)
    denoise, t = oracle.guided(oracle.prompt([[0], [1]]), 7.5), torch.tensor([0.9, 0.3]).double()
    clean, eps = denoise_back(x_t, denoise, t=t, num_steps=[1, 1])
    torch.testing.assert_close(clean, oracle.schedule.denoised(x_t, denoise(x_t, t), t))
    torch.testing.assert_close(eps, denoise(x_t, t))


def test_on_the_way_back_each_item_makes_its_own_steps_and_pays_for_them(oracle, generator):
    x_t = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator)
    prompt, t = oracle.prompt([[0], [1], [2]]), torch.tensor([1.0, 0.5, 0.2]).double()
    counts = [4, 2, 1]
    clean, _ = denoise_back(x_t, oracle.guided(prompt, 7.5), t=t, num_steps=counts)
    assert oracle.num_forwards == 2 * sum(counts)
    for i, count in enumerate(counts):
        one = torch.tensor([i])
        alone = oracle.guided(prompt.select(one), 7.5)
        *_, last = ddim(x_t[one], alone, times=time_grid(count, float(t[i]), 0.0))
        torch.testing.assert_close(clean[one], last.x_next)


def test_the_way_back_with_all_of_ddpms_noise_draws_for_each_item_alone(oracle, generator):
    x_t = torch.randn(2, 4, 2, 2, dtype=torch.float64, generator=generator)
    prompt, t = oracle.prompt([[0], [1]]), torch.tensor([0.9, 0.3]).double()
    draws = lambda: [generator_at(0, 0, "x", item) for item in range(2)]  # noqa: E731
    how = {"t": t, "num_steps": [4, 2], "eta": 1.0}
    both, _ = denoise_back(x_t, oracle.guided(prompt, 1.0), **how, generator=draws())
    alone, _ = denoise_back(
        x_t[1:],
        oracle.guided(prompt.select(torch.tensor([1])), 1.0),
        t=t[1:],
        num_steps=[2],
        eta=1.0,
        generator=draws()[1:],
    )
    torch.testing.assert_close(both[1:], alone)
    plain, _ = denoise_back(x_t, oracle.guided(prompt, 1.0), t=t, num_steps=[4, 2])
    assert float((both - plain).abs().max()) > 0.01


def test_ddpms_noise_keeps_the_marginals_of_a_gaussian(generator):
    # From the exact marginal at t the exact score leads, with eta = 1 too, to the data's deviation.
    one = GaussianMixture(torch.zeros(1, 1), torch.tensor([0.5]), torch.ones(1))
    count = 10_000
    t = torch.full((count,), 0.8, dtype=torch.float64)
    alpha = float(one.schedule.alpha_cumprod(0.8))
    draw = torch.randn(count, 1, dtype=torch.float64, generator=generator)
    x_t = (alpha * 0.25 + 1 - alpha) ** 0.5 * draw
    denoise = one.guided(one.prompt([[0]] * count), 1.0)
    clean, _ = denoise_back(
        x_t, denoise, t=t, num_steps=[240] * count, eta=1.0, generator=generator
    )
    # One standard error is 0.7 %; 240 steps err by 2.5 %, half as many by 3.5 %, without noise by 0.3 %.
    assert abs(float(clean.std()) / 0.5 - 1) < 0.05


def test_each_step_but_the_last_adds_ddpms_noise(scripted, rows, generator):
    # Where no noise is found, the clean image is the scaled x_t and what the first of two steps added.
    denoiser = scripted(lambda x_t, t, condition: torch.zeros_like(x_t))
    x_t = torch.randn(1, 4, 2, 2, dtype=torch.float64, generator=generator)
    denoise, t = GuidedDenoiser(denoiser, rows(1), 1.0), torch.tensor([0.8], dtype=torch.float64)
    draw, same = generator_at(0, 0, "x"), generator_at(0, 0, "x")
    clean, _ = denoise_back(x_t, denoise, t=t, num_steps=[2], eta=0.5, generator=draw)
    noise = torch.randn(x_t.shape, dtype=torch.float64, generator=same)
    before, after = (float(SCHEDULE.alpha_cumprod(time)) for time in (0.8, 0.4))
    posterior = (1 - after) / (1 - before) * (1 - before / after)  # DDPM, 2006.11239, eq. 7
    added = 0.5 * posterior**0.5 * noise / after**0.5
    torch.testing.assert_close(clean, x_t / before**0.5 + added)
