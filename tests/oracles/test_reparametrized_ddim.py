"""The paper's identity: SDI with the cached kappa (eq. 6, 10) is DDIM (eq. 2), for any denoiser.

A latent scene, plain steps of size one, the same times. The bounds are the project's: 1e-8 relative
in float64 and 1e-4 in float32; rounding alone was seen to give 4e-14 and 2e-5.
"""

import pytest
import torch
from diffusers import DDIMScheduler

from sdilib.distillation import distill
from sdilib.guidance import SDI
from sdilib.inversion import Cached
from sdilib.sampling import ddim
from sdilib.scenes import ImageScene
from sdilib.schedule import time_grid
from sdilib.seeds import generator as generator_at
from sdilib.seeds import normal
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.loading import random_pipeline

BOUNDS = {torch.float64: 1e-8, torch.float32: 1e-4}
STEPS = 25


def subject(name: str, dtype: torch.dtype, oracle, tiny, tiny64):
    if name == "mixture":
        return oracle, oracle.prompt([[0], [1], [2]]), (3, 4, 2, 2)
    if name == "v-prediction":
        pipeline = random_pipeline("tiny").to(dtype)
        config = dict(pipeline.scheduler.config) | {"prediction_type": "v_prediction"}
        pipeline.scheduler = DDIMScheduler.from_config(config)
        model = StableDiffusion(pipeline)
    else:
        model = tiny64 if dtype == torch.float64 else tiny
    prompt = model.embed(["a red mug", "a blue rocket", "a cactus"])
    return model, prompt, (3, *model.latent_shape)


def worst(run, steps) -> float:
    """Largest relative difference of the scene after each step to DDIM's x0(t)."""
    return max(
        float((step.render() - ours.x0).abs().max() / ours.x0.abs().max())
        for step, ours in zip(run, steps, strict=True)
    )


@pytest.mark.parametrize("name", ["mixture", "tiny", "v-prediction"])
@pytest.mark.parametrize("dtype", BOUNDS)
def test_cached_kappa_makes_sdi_equal_ddim(name, dtype, oracle, tiny, tiny64):
    model, prompt, shape = subject(name, dtype, oracle, tiny, tiny64)
    kappa = normal(torch.zeros(shape, dtype=dtype), generator_at(0, 0, "start"))
    # A zero image noised to t = 1 is sqrt(1 - alpha_T) kappa, not kappa.
    x_t = model.schedule.add_noise(torch.zeros_like(kappa), kappa, 1.0)
    steps = ddim(x_t, model.guided(prompt, 7.5), times=time_grid(STEPS))
    scene = ImageScene(torch.zeros_like(kappa))
    rule = SDI(model, 7.5, kappa=Cached(kappa))
    run = distill(scene, rule, prompt=prompt, num_steps=STEPS, t_end=0.0)
    assert worst(run, steps) < BOUNDS[dtype]


@pytest.mark.parametrize("name", ["mixture", "tiny"])
@pytest.mark.parametrize("dtype", BOUNDS)
def test_it_goes_on_from_any_ddim_step(name, dtype, oracle, tiny, tiny64):
    # From x0(t) and the eps that DDIM had there, with the run begun at that step.
    model, prompt, shape = subject(name, dtype, oracle, tiny, tiny64)
    x_t = normal(torch.zeros(shape, dtype=dtype), generator_at(0, 0, "start"))
    steps = list(ddim(x_t, model.guided(prompt, 7.5), times=time_grid(STEPS)))
    scene = ImageScene(steps[9].x0)
    rule = SDI(model, 7.5, kappa=Cached(steps[9].eps))
    run = distill(scene, rule, prompt=prompt, num_steps=STEPS, t_end=0.0, first_step=10)
    assert worst(run, steps[10:]) < BOUNDS[dtype]


def test_the_cached_kappa_solves_equation_8_at_the_previous_time(oracle):
    from sdilib.inversion import residual

    prompt = oracle.prompt([[0], [1], [2]])
    denoise = oracle.guided(prompt, 7.5)
    x_t = normal(torch.zeros(3, 4, 2, 2, dtype=torch.float64), generator_at(0, 0, "start"))
    for step in ddim(x_t, denoise, times=time_grid(10)):
        left = residual(step.x0, step.eps, t=step.t, denoise=denoise)
        assert float(left.max() / step.x0.abs().max()) < 1e-10


def test_the_identity_needs_the_cached_kappa(oracle):
    # The same with noise drawn once: not DDIM.
    prompt = oracle.prompt([[0], [1], [2]])
    kappa = normal(torch.zeros(3, 4, 2, 2, dtype=torch.float64), generator_at(0, 0, "start"))
    x_t = oracle.schedule.add_noise(torch.zeros_like(kappa), kappa, 1.0)
    steps = ddim(x_t, oracle.guided(prompt, 7.5), times=time_grid(STEPS))

    class Stuck(Cached):
        def observe(self, eps):
            pass

    rule = SDI(oracle, 7.5, kappa=Stuck(kappa))
    scene = ImageScene(torch.zeros_like(kappa))
    assert worst(distill(scene, rule, prompt=prompt, num_steps=STEPS, t_end=0.0), steps) > 0.1
