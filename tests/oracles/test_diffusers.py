"""The library's sampling against diffusers' own schedulers and pipeline, on the same noise.

Times. diffusers' "trailing" spacing of n steps visits the timesteps 999, 999 - 1000/n, …; in t these
are 1, 1 - 1/n, …, our `time_grid(n)`. The step before the first timestep is -1, where
`set_alpha_to_one` makes alpha 1: our t = 0. `DDIMInverseScheduler` is called with the timestep that a
step goes *to* and takes its sample to lie 1000/n timesteps below; its trailing timesteps are
99, 199, …, 999 for n = 10, so the first of its steps starts at -1, t = 0, as ours does. Which eps it
is given is the caller's choice: diffusers' pipelines evaluate at that destination, the paper and
`invert` at the source.

Tolerance. diffusers keeps its alphas in float32, after a thousand float32 multiplications.
"""

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler

from sdilib.sampling import ddim, ddim_step
from sdilib.schedule import NoiseSchedule, time_grid
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.loading import random_pipeline

CONFIG = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": True,
    "timestep_spacing": "trailing",
}


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("num_steps", [10, 50])
def test_a_forward_step_is_diffusers(num_steps, prediction_type, generator):
    theirs = DDIMScheduler(**CONFIG, prediction_type=prediction_type)
    theirs.set_timesteps(num_steps)
    schedule = NoiseSchedule.from_config(dict(theirs.config))
    for timestep, t, t_next in zip(
        theirs.timesteps.tolist(), time_grid(num_steps), time_grid(num_steps)[1:], strict=False
    ):
        assert float(schedule.timestep(t)) == pytest.approx(timestep, abs=1e-9)
        x_t, output = torch.randn(2, 2, 4, 2, 2, generator=generator)
        expected = theirs.step(output, timestep, x_t)
        eps = schedule.eps(output, x_t, t)
        x_next = ddim_step(x_t, eps, t=t, t_next=t_next, schedule=schedule)
        torch.testing.assert_close(x_next, expected.prev_sample, rtol=2e-4, atol=2e-4)
        torch.testing.assert_close(
            schedule.denoised(x_t, eps, t), expected.pred_original_sample, rtol=2e-4, atol=2e-4
        )


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_an_inverse_step_is_diffusers_for_the_same_eps(prediction_type, generator):
    theirs = DDIMInverseScheduler(**CONFIG, prediction_type=prediction_type)
    theirs.set_timesteps(10)
    assert theirs.timesteps.tolist() == [99, 199, 299, 399, 499, 599, 699, 799, 899, 999]
    schedule = NoiseSchedule.from_config(dict(theirs.config))
    grid = time_grid(10, 0.0, 1.0)
    for timestep, t, t_next in zip(theirs.timesteps.tolist(), grid, grid[1:], strict=False):
        x_t, output = torch.randn(2, 2, 4, 2, 2, generator=generator)
        expected = theirs.step(output, timestep, x_t).prev_sample
        # An output in v is turned into eps at the level of the sample: the source again.
        eps = schedule.eps(output, x_t, t)
        if t == 0 and prediction_type == "v_prediction":
            # diffusers reads it as of alpha(0) = 1, we as of the timestep 0 that the network is asked at.
            eps = output
        x_next = ddim_step(x_t, eps, t=t, t_next=t_next, schedule=schedule)
        torch.testing.assert_close(x_next, expected, rtol=2e-4, atol=2e-4)


def model_of(prediction_type: str):
    pipeline = random_pipeline("tiny")
    pipeline.scheduler = DDIMScheduler(**CONFIG, prediction_type=prediction_type)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, StableDiffusion(pipeline)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [1.0, 7.5])
def test_ddim_gives_the_pipelines_latents(gamma, prediction_type, generator):
    # gamma = 1 is the pipeline without guidance: it leaves the empty prompt out, as we do.
    pipeline, model = model_of(prediction_type)
    texts = ["a red mug", "a blue rocket"]
    noise = torch.randn(2, *model.latent_shape, generator=generator)
    expected = pipeline(
        texts, num_inference_steps=10, guidance_scale=gamma, latents=noise, output_type="latent"
    ).images
    *_, last = ddim(noise, model.guided(model.embed(texts), gamma), times=time_grid(10))
    # Relative to the largest value: guided random networks make latents of 10 to 100.
    error = (last.x_next - expected).abs().max() / expected.abs().max()
    assert float(error) < 1e-4


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_clean_predictions_are_those_of_diffusers_loop(prediction_type, generator):
    _, model = model_of(prediction_type)
    scheduler = DDIMScheduler(**CONFIG, prediction_type=prediction_type)
    scheduler.set_timesteps(10)
    prompt = model.embed(["a red mug", "a blue rocket"])
    noise = x_t = torch.randn(2, *model.latent_shape, generator=generator)
    both = torch.cat([prompt.unconditional, prompt.conditional])
    clean = []
    for timestep in scheduler.timesteps:
        with torch.no_grad():
            output = model._unet(torch.cat([x_t] * 2), timestep, encoder_hidden_states=both).sample
        without, with_prompt = output.chunk(2)
        step = scheduler.step(without + 7.5 * (with_prompt - without), timestep, x_t)
        clean.append(step.pred_original_sample)
        x_t = step.prev_sample
    steps = ddim(noise, model.guided(prompt, 7.5), times=time_grid(10))
    for ours, theirs in zip(steps, clean, strict=True):
        assert float((ours.x0 - theirs).abs().max() / theirs.abs().max()) < 1e-4
