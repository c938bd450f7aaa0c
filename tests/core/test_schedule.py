import itertools
import math

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from sdilib.schedule import DRAWN, T_SCHEDULES, NoiseSchedule, TimeSchedule, time_grid, whole_steps
from sdilib.seeds import generator as generator_at

CONFIGS = {
    "linear": {"beta_schedule": "linear"},
    "stable diffusion": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "given betas": {"trained_betas": [0.01, 0.02, 0.3], "num_train_timesteps": 3},
    "few steps": {"beta_schedule": "linear", "num_train_timesteps": 100, "beta_end": 0.2},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_table_is_diffusers(config):
    theirs = DDIMScheduler(**config)
    ours = NoiseSchedule.from_config(dict(theirs.config))
    # diffusers multiplies up in float32: a thousand roundings of 6e-8, and where the cosine's last
    # beta is capped at 0.999, 1 - beta keeps 4 digits.
    torch.testing.assert_close(
        ours.alphas_cumprod.float(), theirs.alphas_cumprod, rtol=1e-4, atol=1e-9
    )
    timesteps = torch.arange(ours.num_timesteps)
    t = (timesteps + 1).double() / ours.num_timesteps
    torch.testing.assert_close(ours.alpha_cumprod(t), ours.alphas_cumprod, rtol=1e-9, atol=0)
    torch.testing.assert_close(ours.timestep(t), timesteps.double(), rtol=0, atol=1e-9)


def test_defaults_left_out_of_a_config_are_diffusers():
    torch.testing.assert_close(
        NoiseSchedule.from_config({"beta_schedule": "linear"}).alphas_cumprod.float(),
        DDIMScheduler().alphas_cumprod,
        rtol=1e-4,
        atol=0,
    )


def test_time_zero_is_the_clean_image():
    schedule = NoiseSchedule.scaled_linear()
    assert float(schedule.sigma(0.0)) == 0
    assert float(schedule.alpha_cumprod(0.0)) == 1
    assert float(schedule.timestep(0.0)) == 0


def test_sigma_is_the_square_root_of_noise_over_signal():
    schedule = NoiseSchedule.scaled_linear()
    alpha = schedule.alphas_cumprod[599]
    assert float(schedule.sigma(0.6)) == pytest.approx(float(((1 - alpha) / alpha).sqrt()))


def test_between_timesteps_log_sigma_is_interpolated():
    schedule = NoiseSchedule.scaled_linear()
    low, high = schedule.sigma(0.5), schedule.sigma(0.501)
    torch.testing.assert_close(schedule.sigma(0.50025), low**0.75 * high**0.25, rtol=1e-9, atol=0)
    torch.testing.assert_close(schedule.sigma(0.0004), schedule.sigma(0.001) * 0.4)


def test_sigma_rises_without_a_jump():
    sigma = NoiseSchedule.scaled_linear().sigma(torch.linspace(0, 1, 20_001, dtype=torch.float64))
    rises = sigma.diff()
    assert bool((rises > 0).all())
    # The steepest part is below the first timestep: 0.0292 over 1e-3, at 20 points a timestep.
    assert float(rises.max()) < 0.02


def test_noising_then_denoising_with_the_same_noise_returns_the_image(generator):
    schedule = NoiseSchedule.scaled_linear()
    x0, noise = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    t = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    torch.testing.assert_close(schedule.denoised(schedule.add_noise(x0, noise, t), noise, t), x0)


def test_noising_is_diffusers(generator):
    config = CONFIGS["stable diffusion"]
    x0, noise = torch.randn(2, 3, 4, 2, 2, generator=generator)
    timesteps = torch.tensor([0, 499, 999])
    ours = NoiseSchedule.from_config(config).add_noise(x0, noise, (timesteps.double() + 1) / 1000)
    theirs = DDIMScheduler(**config).add_noise(x0, noise, timesteps)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("timestep", [0, 300, 999])
def test_a_v_prediction_is_the_noise_that_went_in(timestep, generator):
    # Ours from v against diffusers' v from the noise, and diffusers' v from ours: both ways.
    config = CONFIGS["stable diffusion"] | {"prediction_type": "v_prediction"}
    schedule, theirs = NoiseSchedule.from_config(config), DDIMScheduler(**config)
    x0, noise = torch.randn(2, 2, 4, 2, 2, generator=generator)
    t, timesteps = (timestep + 1) / 1000, torch.full((2,), timestep)
    v = theirs.get_velocity(x0, noise, timesteps)
    x_t = schedule.add_noise(x0, noise, t)
    torch.testing.assert_close(schedule.eps(v, x_t, t), noise, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        schedule.denoised(x_t, schedule.eps(v, x_t, t), t), x0, rtol=1e-4, atol=1e-4
    )


def test_below_the_first_timestep_a_v_prediction_means_what_it_means_there(generator):
    # An inversion begins at t = 0, where the network is asked at its timestep 0: t = 1/1000. Taken as of t = 0, its noise
    # would be off by sqrt(1 - alpha(1/1000)) x0 = 0.029 x0.
    schedule = NoiseSchedule.scaled_linear("v_prediction")
    x0, noise = torch.randn(2, 2, 4, 2, 2, dtype=torch.float64, generator=generator)
    x_t = schedule.add_noise(x0, noise, 0.001)
    alpha = schedule.alpha_cumprod(0.001)
    v = alpha.sqrt() * noise - (1 - alpha).sqrt() * x0
    for t in (0.001, 0.0004, 0.0, torch.tensor([0.0, 0.0005], dtype=torch.float64)):
        torch.testing.assert_close(schedule.eps(v, x_t, t), noise)


def test_an_eps_prediction_is_left_alone(generator):
    output = torch.randn(2, 4, 2, 2, generator=generator)
    assert NoiseSchedule.scaled_linear().eps(output, 2 * output, 0.5) is output


def test_each_item_has_its_own_time(generator):
    schedule = NoiseSchedule.scaled_linear("v_prediction")
    x0, noise = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    t = torch.tensor([0.05, 0.5, 1.0], dtype=torch.float64)
    for function in (schedule.add_noise, schedule.denoised, schedule.eps):
        together = function(x0, noise, t)
        for i in range(3):
            alone = function(x0[i : i + 1], noise[i : i + 1], float(t[i]))
            torch.testing.assert_close(together[i : i + 1], alone)


def test_linear_annealing_ends_by_the_length_of_the_run_alone():
    for num_steps in (10, 1000):
        times = TimeSchedule("linear", t_end=0.2)
        t = [float(times.at(i, num_steps)) for i in range(num_steps)]
        assert t[0] == 1
        assert t[-1] == pytest.approx(0.2 + 0.8 / num_steps)
        assert t[num_steps // 2] == pytest.approx(0.6)


def test_sqrt_annealing_is_hifas():
    times = TimeSchedule("sqrt", t_start=0.98, t_end=0.02)
    t = [float(times.at(i, 100)) for i in range(100)]
    assert t == pytest.approx([0.98 - 0.96 * math.sqrt(i / 100) for i in range(100)])


def test_dreamtime_falls_and_spends_most_steps_at_middle_times():
    t = torch.cat([TimeSchedule("dreamtime").at(i, 1000) for i in range(1000)])
    assert float(t[0]) == pytest.approx(1, abs=1e-3)
    # Its weight is 1 on [0.5, 0.8] with Gaussian tails of 0.3 above and 0.1 below, by their areas:
    # 0.3 / (0.3 + 0.1861 + 0.1253); the last thousandth begins 2.81 deviations below 0.5.
    assert float(t[-1]) == pytest.approx(0.219, abs=0.005)
    assert bool((t.diff() <= 0).all())
    share = float(((t > 0.5) & (t < 0.8)).double().mean())
    assert share == pytest.approx(0.491, abs=0.005)


def test_pieces_are_cfds():
    times = TimeSchedule("pieces", t_start=0.98, t_end=0.02)
    t = [float(times.at(i, 20)) for i in (0, 1, 2, 10, 15)]
    gone = [0, 0.15, 0.3, 0.6, 0.7]
    assert t == pytest.approx([0.98 - 0.96 * share for share in gone])


@pytest.mark.parametrize("t_schedule", [name for name in T_SCHEDULES if name not in DRAWN])
def test_annealing_stays_between_its_ends_and_falls(t_schedule):
    times = TimeSchedule(t_schedule, t_start=0.9, t_end=0.3)
    t = torch.cat([times.at(i, 50) for i in range(50)])
    assert float(t[0]) == pytest.approx(0.9, abs=1e-3)
    assert bool((t >= 0.3).all())
    assert bool((t.diff() < 0).all())


def test_random_times_fill_the_range_and_each_item_draws_its_own():
    each = [generator_at(0, 0, "time", i) for i in range(2000)]
    times = TimeSchedule("random", t_start=0.98, t_end=0.1)
    t = times.at(0, 10, generator=each, batch=2000)
    assert float(t.min()) == pytest.approx(0.1, abs=0.01)
    assert float(t.max()) == pytest.approx(0.98, abs=0.01)
    assert bool(((t > 0.1) & (t <= 0.98)).all())
    # Uniform: mean 0.54 ± 0.0057; five times that.
    assert float(t.mean()) == pytest.approx(0.54, abs=0.029)
    alone = generator_at(0, 0, "time", 7)
    assert float(times.at(3, 10, generator=alone)) == t[7]


@pytest.mark.parametrize(
    ("kind", "step", "low", "high"),
    [
        ("lowered", 1, 0.02, 0.98),
        ("lowered", 2, 0.02, 0.49),
        ("lowered", 9, 0.02, 0.49),
        ("window", 0, 0.49, 0.98),
        ("window", 5, 0.255, 0.735),
    ],
)
def test_drawn_times_fill_the_part_of_the_range_that_a_run_has_reached(kind, step, low, high):
    each = [generator_at(0, 0, "time", i) for i in range(2000)]
    t = TimeSchedule(kind, t_start=0.98, t_end=0.02).at(step, 10, generator=each, batch=2000)
    assert float(t.min()) == pytest.approx(low, abs=0.01)
    assert float(t.max()) == pytest.approx(high, abs=0.01)
    assert bool(((t > low) & (t <= high)).all())


def test_a_window_above_the_middle_is_what_is_left_of_it(generator):
    for kind in ("lowered", "window"):
        times = TimeSchedule(kind, t_start=0.9, t_end=0.6)
        drawn = torch.cat([times.at(k, 10, generator=generator) for k in range(10)])
        assert bool(((drawn >= 0.6) & (drawn <= 0.9)).all())


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(1, 1000), st.integers(0, 1000))
def test_no_step_is_lost_to_rounding(num_steps, done):
    done = min(done, num_steps)
    for t in (done / num_steps, 1 - (num_steps - done) / num_steps):
        assert whole_steps(t, num_steps) == max(1, done)


def test_a_grid_has_its_ends_exactly_and_equal_steps():
    for start, end in ((1.0, 0.0), (0.0, 0.7), (0.98, 0.02)):
        grid = time_grid(7, start, end)
        assert (grid[0], grid[-1], len(grid)) == (start, end, 8)
        steps = [b - a for a, b in itertools.pairwise(grid)]
        assert steps == pytest.approx([(end - start) / 7] * 7)


def test_a_schedulers_own_table_of_float32_serves_each_item_of_a_batch(generator):
    exact = NoiseSchedule.scaled_linear()
    rounded = NoiseSchedule(exact.alphas_cumprod.float())
    times = torch.tensor([0.2, 0.7], dtype=torch.float64)
    torch.testing.assert_close(rounded.sigma(times), exact.sigma(times), rtol=1e-5, atol=0)
