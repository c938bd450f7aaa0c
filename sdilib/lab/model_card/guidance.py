"""The noise that inversion finds where score distillation looks for it: on a model's own single-step denoised images."""

from collections.abc import Sequence

import torch

from sdilib.ddim import ddim
from sdilib.inversion import DDIMInversion
from sdilib.schedule import time_grid
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import noisy_start

TIMES = (0.9, 0.7, 0.5, 0.3)

_STEPS = 20


def inverted_noise(
    model: StableDiffusion, prompts: Sequence[str], seeds: Sequence[int], *, scale: float = 7.5
) -> dict[str, dict[str, float]]:
    """Return the deviation of the noise that DDIM inversion finds along DDIM's own x0(t), by t.

    It is 1 where guidance leaves amplitudes as they were: the noise of an inversion grows with its image's amplitude.
    About 2 * (20 + 4 * 10) sample-forwards per prompt.

    Args:
        model: frozen.
        prompts: one per sample.
        seeds: one per sample.
        scale: gamma of the path; the inversion has the opposite (the paper's -7.5).
    """
    denoise = model.guided(model.embed(prompts), scale)
    inversion, found = DDIMInversion(-scale), {}
    for step in ddim(noisy_start(model, seeds), denoise, times=time_grid(_STEPS)):
        if any(abs(step.t - t) < 1e-6 for t in TIMES):
            t = torch.full((len(prompts),), step.t, dtype=torch.float64)
            noise = inversion(step.x0, t, denoise, generator(0, 0, "inversion")).noise
            each = noise.flatten(1).std(1)
            found[f"{step.t:.1f}"] = {
                "mean": float(each.mean()),
                "least": float(each.min()),
                "most": float(each.max()),
                "rms of x0": float(step.x0.square().mean().sqrt()),
            }
    return found
