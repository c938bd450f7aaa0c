import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdilib.checks import NonFiniteError
from sdilib.ddim import ddim, ddim_step
from sdilib.denoiser import GuidedDenoiser
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
