"""HiFA against its formula, and against the rules it reduces to."""

from dataclasses import replace

import pytest
import torch
from made_up import draws

from sdilib.distillation import distill_step
from sdilib.guidance import PFD, SDS, HiFA, HiFAOneStep, View
from sdilib.sampling import ddim, denoise_back
from sdilib.scenes import ImageScene
from sdilib.schedule import time_grid


@pytest.fixture
def seen(tiny64, generator) -> tuple[torch.Tensor, torch.Tensor, View]:
    """Latents, times and what a rule may look at: a render of 8 x 8, half the model's size."""
    image = torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=generator)
    x0 = torch.randn(2, *tiny64.latent_shape, dtype=torch.float64, generator=generator)
    view = View(tiny64.embed(["a red mug", "a blue rocket"]), image=image)
    return x0, torch.tensor([0.9, 0.4], dtype=torch.float64), view


@pytest.mark.parametrize("weight", ["sigma", "1-alpha"])
def test_one_step_and_no_image_is_sds(weight, oracle, x0, times, view):
    sds = SDS(oracle, 7.5, weight=weight)(x0, times, view, draws())
    hifa = HiFA(oracle, 7.5, num_denoising_steps=1, rgb_weight=0.0, weight=weight)(
        x0, times, view, draws()
    )
    torch.testing.assert_close(hifa.gradient, sds.gradient, rtol=1e-8, atol=1e-8)
    assert hifa.image_gradient is None
    assert hifa.num_forwards == sds.num_forwards


def test_its_target_is_a_sample_of_several_steps(oracle, x0, view, drawn):
    # Strides of a quarter, as published: 4 steps at t = .98, 2 at .30, never none.
    t = torch.tensor([0.98, 0.3, 0.01], dtype=torch.float64)
    update = HiFA(oracle, 7.5)(x0, t, view, draws())
    streams = draws()
    for each in streams:
        torch.randn(4, 2, 2, dtype=torch.float64, generator=each)  # the noise itself
    clean, _ = denoise_back(
        oracle.schedule.add_noise(x0, drawn, t),
        oracle.guided(view.prompt, 7.5),
        t=t,
        num_steps=[4, 2, 1],
        eta=1.0,
        generator=streams,
    )
    torch.testing.assert_close(update.target, clean)
    assert update.num_forwards == 2 * (4 + 2 + 1)


def test_without_ddpms_noise_it_is_pfds_way_back(oracle, x0, view, drawn):
    t = torch.full((3,), 0.5, dtype=torch.float64)
    hifa = HiFA(oracle, 7.5, num_denoising_steps=8, eta=0.0)(x0, t, view, draws())
    x_t, denoise = oracle.schedule.add_noise(x0, drawn, t), PFD(oracle, 7.5).guided(view)
    *_, last = ddim(x_t, denoise, times=time_grid(4, 0.5, 0.0))
    torch.testing.assert_close(hifa.target, last.x0)


@pytest.mark.parametrize("weight", ["sigma", "1-alpha", "1"])
def test_the_images_term_is_the_decoded_targets(weight, tiny64, seen):
    x0, t, view = seen
    rule = HiFA(tiny64, 7.5, num_denoising_steps=1, rgb_weight=0.3, weight=weight)
    update = rule(x0, t, view, draws(2))
    decoded = tiny64.decode(update.denoised).clamp(0, 1)
    assert not torch.equal(decoded, tiny64.decode(update.denoised))
    shrunk = torch.nn.functional.avg_pool2d(decoded, decoded.shape[-1] // 8)
    alpha = tiny64.schedule.alpha_cumprod(t).reshape(-1, 1, 1, 1)
    sigma = ((1 - alpha) / alpha).sqrt()
    w = {"sigma": sigma, "1-alpha": 1 - alpha, "1": 1.0}[weight]
    as_at_512 = 0.3 * 48 * x0[0].numel() / view.image[0].numel()
    torch.testing.assert_close(update.image_gradient, w / sigma * as_at_512 * (view.image - shrunk))
    assert not update.image_gradient.requires_grad


def test_threestudios_form_is_one_step_with_a_small_images_term(tiny64, seen):
    x0, t, view = seen
    reduced = HiFAOneStep(tiny64, 7.5)(x0, t, view, draws(2))
    by_hand = HiFA(tiny64, 7.5, num_denoising_steps=1, rgb_weight=0.01, weight="1-alpha")(
        x0, t, view, draws(2)
    )
    assert torch.equal(reduced.image_gradient, by_hand.image_gradient)
    sds = SDS(tiny64, 7.5, weight="1-alpha")(x0, t, view, draws(2))
    torch.testing.assert_close(reduced.gradient, sds.gradient, rtol=1e-8, atol=1e-8)


def test_a_scene_in_latents_has_no_images_term(tiny64, seen):
    x0, t, view = seen
    assert HiFA(tiny64)(x0, t, replace(view, image=None), draws(2)).image_gradient is None


def test_both_gradients_reach_the_scene(tiny64, generator):
    image = torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=generator)
    view, t = View(tiny64.embed(["a red mug", "a blue rocket"])), torch.tensor([0.6, 0.3]).double()
    moved = {}
    for rgb_weight in (0.0, 0.5):
        scene = ImageScene(image, space="pixels")
        optimizer = torch.optim.SGD(list(scene.parameters()), lr=1.0)
        rule = HiFA(tiny64, 7.5, rgb_weight=rgb_weight)
        step = distill_step(
            scene, rule, view, t, draws(2), step=0, optimizer=optimizer, codec=tiny64
        )
        moved[rgb_weight] = scene.values.detach() - image
    torch.testing.assert_close(moved[0.5] - moved[0.0], -step.update.image_gradient)
