"""What score distillation does with a model: the noise that inversion finds, and what one update changes."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.guidance import SDI, View
from sdilib.inversion import DDIMInversion, KappaChoice, RandomNoise
from sdilib.lab import metrics
from sdilib.sampling import ddim
from sdilib.schedule import time_grid
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import noisy_start

TIMES = (0.9, 0.7, 0.5, 0.3)

UPDATED, SCALES = (0.2, 0.4, 0.6, 0.8), (3.0, 7.5)

_STEPS = 20


def inverted_noise(
    model: StableDiffusion, prompts: Sequence[str], seeds: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Return the deviation of the noise that DDIM inversion finds along DDIM's own x0(t), by t.

    The path is at γ = 7.5, the inversion at -7.5.

    The deviation is 1 where guidance preserves amplitudes: the noise of an inversion grows with its image's amplitude.
    Costs about 2 * (20 + 4 * 10) sample-forwards per prompt.

    Args:
        model: frozen.
        prompts: one per sample.
        seeds: one per sample.
    """
    denoise = model.guided(model.embed(prompts), 7.5)
    inversion, found = DDIMInversion(-7.5), {}
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


def one_update(
    model: StableDiffusion, images: Float[Tensor, "batch 3 height width"], prompts: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the factor by which one update of SDI changes the saturation of images, by gamma and kappa, then by t.

    If it is above 1 for images of the world, updates add up to colours that the world does not have, as no later one
    takes them back. Costs about 200 sample-forwards per image.

    Args:
        model: frozen.
        images: in [0, 1].
        prompts: one per image.
    """
    view, found = View(model.embed(prompts)), {}
    with torch.no_grad():
        x0 = model.encode(images)
        before = float(metrics.saturation(model.decode(x0).clamp(0, 1)).mean())
        for scale in SCALES:
            kappas: dict[str, KappaChoice] = {
                "random": RandomNoise(),
                "inverted": DDIMInversion(-scale),
                "inverted from t = 0.1": DDIMInversion(-scale, inversion_start=0.1),
            }
            for name, kappa in kappas.items():
                rule, row = SDI(model, scale, kappa=kappa), {}
                for t in UPDATED:
                    times = torch.full((len(x0),), t, dtype=torch.float64)
                    draws = [generator(0, 0, "inversion", k) for k in range(len(x0))]
                    after = model.decode(rule(x0, times, view, draws).denoised).clamp(0, 1)
                    row[f"{t:g}"] = float(metrics.saturation(after).mean()) / before
                found[f"γ = {scale:g}, {name}"] = row
    return found
