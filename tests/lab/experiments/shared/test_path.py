"""Choices of kappa along DDIM's path: what eq. 8 says must hold, whatever the batches."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from sdilib.inversion import Cached, DDIMInversion, FixedNoise, GradientDescent, RandomNoise
from sdilib.lab.experiments.shared.path import (
    batched,
    ddim_path,
    decoded,
    denoised,
    fine_detail,
    follow,
    images,
    mean_over_t,
    noises,
    relative_error,
    residuals,
    root_mean_square,
    sdi_with,
)
from sdilib.lab.images import ddim_images
from sdilib.sampling import ddim, ddim_step
from sdilib.schedule import time_grid
from sdilib.seeds import generator, normal

SEEDS = (3, 4, 5)
BATCH = "sdilib.lab.experiments.shared.path.BATCH"


@pytest.fixture
def path(oracle, monkeypatch):
    """Of the oracle, an item a component, in two batches."""
    monkeypatch.setattr(BATCH, 2)
    denoise = oracle.guided(oracle.prompt([[0], [1], [2]]), 7.5)
    noise = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator(0, 0, "x"))
    x_1 = denoise.schedule.add_noise(torch.zeros_like(noise), noise, 1.0)
    return follow(denoise, x_1, SEEDS, num_steps=20, num_times=10)


def test_batches_are_laid_together_item_by_item_and_time_by_time(monkeypatch):
    def rows(items):
        for k in range(2):
            yield 10 * items + k, torch.ones(len(items), 3)

    monkeypatch.setattr(BATCH, 2)
    numbers, ones = batched(3, rows, total=2, name="")
    assert numbers.tolist() == [[0, 1], [10, 11], [20, 21]]
    assert ones.shape == (3, 2, 3)


def test_the_path_keeps_equally_spaced_times_and_ends_at_the_sample(path):
    assert path.times == pytest.approx([1 - k / 10 for k in range(10)])
    assert path.x_t.shape == path.x0.shape == path.eps.shape == (3, 10, 4, 2, 2)
    # From its last kept point, t = 0.1, two steps of eq. 2 remain to the sample.
    x_t = path.denoise.schedule.add_noise(path.x0[:, -1], path.eps[:, -1], 0.1)
    torch.testing.assert_close(x_t, path.x_t[:, -1])
    torch.testing.assert_close(path.denoise(x_t, 0.1), path.eps[:, -1])
    *_, last = ddim(x_t, path.denoise, times=time_grid(2, t_start=0.1))
    torch.testing.assert_close(last.x_next, path.samples)
    some = path.at([0.62, 0.6, 0.3])
    assert some.times == pytest.approx([0.6, 0.3])
    assert torch.equal(some.x0, path.x0[:, [4, 7]])


def test_without_a_number_of_times_all_are_kept_and_eq_2_leads_from_each_to_the_next(path):
    whole = follow(path.denoise, path.x_t[:, 0], SEEDS, num_steps=4)
    assert whole.times == pytest.approx((1.0, 0.75, 0.5, 0.25))
    for k, (t, t_next) in enumerate(zip(whole.times, (*whole.times[1:], 0.0), strict=True)):
        step = {"t": t, "t_next": t_next, "schedule": path.denoise.schedule}
        after = ddim_step(whole.x_t[:, k], whole.eps[:, k], **step)
        torch.testing.assert_close(after, [*whole.x_t.unbind(1), whole.samples][k + 1])
    for wrong in (0, 5):
        with pytest.raises(ValueError, match=f"num_times={wrong}"):
            follow(path.denoise, path.x_t[:, 0], SEEDS, num_steps=4, num_times=wrong)


def test_the_cached_noise_solves_eq_8_exactly(path):
    kappa = noises(path, Cached)
    assert residuals(path, kappa).max() < 1e-9
    random = noises(path, RandomNoise)
    assert residuals(path, random).min() > 1e-3
    torch.testing.assert_close(denoised(path, kappa), path.x0)
    assert relative_error(denoised(path, random), path.x0).max() > 1e-3


def test_fixed_noise_is_kept_over_t_and_is_not_the_noise_that_the_path_began_with(path):
    fixed = noises(path, FixedNoise)
    torch.testing.assert_close(fixed, fixed[:, :1].expand_as(fixed))
    fresh = noises(path, RandomNoise)
    assert (fresh[:, 1:] != fixed[:, 1:]).all()
    began = normal(fixed[:, 0], [generator(seed, 0, "start") for seed in SEEDS])
    assert (began != fixed[:, 0]).all()


def test_descent_lowers_the_residual_of_the_noise_it_begins_with(path):
    makes = RandomNoise, partial(GradientDescent, num_iterations=1), GradientDescent
    r = [residuals(path, noises(path, make)).mean() for make in makes]
    assert r[0] > r[1] > r[2]


def test_a_batch_answers_what_its_items_would_alone(path, monkeypatch):
    found = []
    for size in (3, 1):
        monkeypatch.setattr(BATCH, size)
        kappa = noises(path, DDIMInversion)
        found.append((kappa, residuals(path, kappa)))
    torch.testing.assert_close(*found)


def test_a_residual_can_be_that_of_another_gamma(path, oracle):
    kappa = noises(path, RandomNoise)
    other = replace(path, denoise=oracle.guided(path.denoise.prompt, 0.0))
    torch.testing.assert_close(residuals(path, kappa, guidance_scale=0.0), residuals(other, kappa))
    assert (residuals(path, kappa) - residuals(other, kappa)).abs().max() > 1e-3


def test_a_mean_over_t_is_geometric():
    r = torch.tensor([[1e-4, 1.0], [2.0, 8.0]])
    torch.testing.assert_close(mean_over_t(r), torch.tensor([1e-2, 4.0]))


def test_a_models_path_is_that_of_its_images(tiny, monkeypatch):
    monkeypatch.setattr(BATCH, 1)
    prompts, seeds = ["a red mug", "a blue rocket"], [0, 1]
    path = ddim_path(tiny, prompts, seeds, num_steps=4, num_times=2)
    made = ddim_images(tiny, prompts, seeds, num_steps=4)
    torch.testing.assert_close(path.samples, made.latents, rtol=1e-3, atol=1e-4)
    shown = decoded(tiny, path.samples[:, None])[:, 0]
    torch.testing.assert_close(shown, made.images, rtol=1e-3, atol=1e-3)


def test_images_are_of_whole_runs_and_with_the_cached_choice_they_are_ddims(tiny):
    rules = {"DDIM": None, "cached": sdi_with(Cached), "random": sdi_with(RandomNoise)}
    made = images(tiny, ["a red mug", "a blue rocket"], [0, 1], rules, num_steps=4)
    assert list(made) == list(rules)
    ddim = ddim_images(tiny, ["a red mug", "a blue rocket"], [0, 1], num_steps=4)
    assert torch.equal(made["DDIM"], ddim.images)
    torch.testing.assert_close(made["cached"], made["DDIM"], rtol=1e-3, atol=1e-3)
    assert (made["random"] - made["DDIM"]).abs().max() > 1e-2


def test_fine_detail_is_measured_image_by_image(generator):
    shown = torch.rand(2, 3, 3, 8, 8, generator=generator)
    shown[1, 2] = 0.5
    detail = fine_detail(shown)
    assert detail.shape == (2, 3)
    assert detail[1, 2] < 1e-6 < detail[1, 1]


def test_sizes_of_known_latents():
    both = torch.stack([torch.full((3, 4, 2, 2), 3.0), torch.zeros(3, 4, 2, 2)])
    assert root_mean_square(both).tolist() == [[3.0] * 3, [0.0] * 3]
    assert relative_error(both[:1] + 1.5, both[:1]).tolist() == [[0.5] * 3]
