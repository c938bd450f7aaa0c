"""Figure 18: an image inverted all the way to noise, and made again from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.checks import positive_int
from sdilib.ddim import ddim
from sdilib.denoiser import GuidedDenoiser, PromptEmbeddings
from sdilib.inversion import invert
from sdilib.lab.claims import Claim, paired_claim
from sdilib.lab.metrics import psnr
from sdilib.schedule import time_grid
from sdilib.stable_diffusion import StableDiffusion

__all__ = ["Regenerated", "regenerated", "there_and_back", "whole_claims"]

BEST = "(0, 0)"
"""The pair (gamma_inv, gamma_fwd) that the paper finds best here, unlike in 3D."""


@dataclass(frozen=True, slots=True, eq=False)
class Regenerated:
    """Images made again from their own inversion, on CPU.

    Attributes:
        images: in [0, 1].
        psnr: to the originals, in dB; at most 200.
        num_forwards: UNet sample-forwards an image.
    """

    images: Float[Tensor, "items 3 height width"]
    psnr: Float[Tensor, " items"]
    num_forwards: float


def there_and_back(
    x0: Float[Tensor, " items *shape"],
    inverse: GuidedDenoiser,
    forward: GuidedDenoiser,
    *,
    num_steps: int,
) -> Float[Tensor, " items *shape"]:
    """Invert clean latents to t = 1 and sample from there again, in equally many steps.

    Args:
        x0: clean latents.
        inverse: denoiser at gamma_inv; called once a step.
        forward: the same at gamma_fwd; called once a step.
        num_steps: each way.

    Raises:
        ValueError: `num_steps` below 1.
        NonFiniteError: a prediction is not finite.
    """
    x_t = x0
    for up in invert(x0, inverse, t=1.0, num_inversion_steps=num_steps):
        x_t = up.x_next
    for down in ddim(x_t, forward, times=time_grid(num_steps)):
        x_t = down.x_next
    return x_t


def regenerated(
    model: StableDiffusion,
    prompts: Sequence[str],
    latents: Float[Tensor, "items channels h w"],
    strategy: tuple[float, float],
    *,
    num_steps: int,
    batch_size: int = 16,
) -> Regenerated:
    """Invert images all the way and make them again.

    Args:
        model: frozen.
        prompts: one an image.
        latents: of the originals.
        strategy: gamma_inv and gamma_fwd.
        num_steps: each way.
        batch_size: images at a time.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """
    positive_int("batch_size", batch_size)
    embedded, before = model.embed(prompts), model.num_forwards
    images, scores = [], []
    for items in tqdm(torch.arange(len(latents)).split(batch_size), str(strategy), leave=False):
        prompt: PromptEmbeddings = embedded.select(items)
        inverse, forward = (model.guided(prompt, gamma) for gamma in strategy)
        x0 = latents[items].to(model.device)
        again = there_and_back(x0, inverse, forward, num_steps=num_steps)
        with torch.no_grad():
            original, image = (model.decode(each).clamp(0, 1).float().cpu() for each in (x0, again))
        images.append(image)
        scores.append(psnr(image, original).clamp(max=200))
    cost = (model.num_forwards - before) / len(latents)
    return Regenerated(torch.cat(images), torch.cat(scores), cost)


def whole_claims(
    distances: Mapping[str, Float[Tensor, " items"]], prompts: Sequence[str]
) -> list[Claim]:
    """Check figure 18's statement; the prompt is the unit that counts.

    Args:
        distances: PSNR to the original in dB, by strategy, "(0, 0)" among them.
        prompts: of the items.
    """
    return [
        paired_claim(
            f"Inverted all the way, (γ_inv, γ_fwd) = {BEST} reconstructs better than {other}",
            smaller=distances[other],
            larger=distances[BEST],
            names=(other, BEST),
            groups=prompts,
            note="PSNR to the original, dB",
        )
        for other in distances
        if other != BEST
    ]
