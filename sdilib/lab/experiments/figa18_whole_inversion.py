"""Figure 18: an image inverted all the way to noise, and regenerated from it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.denoiser import GuidedDenoiser
from sdilib.inversion import invert
from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared.drawing import Figure, images_and_items
from sdilib.lab.experiments.shared.path import batched
from sdilib.lab.experiments.shared.scales import STRATEGIES, strategies
from sdilib.lab.metrics import psnr
from sdilib.sampling import ddim
from sdilib.schedule import time_grid
from sdilib.stable_diffusion import StableDiffusion

BEST = "(0, 0)"
"""The pair (gamma_inv, gamma_fwd) that the paper finds best here, unlike in 3D."""

CLAIMS = tuple(
    Less(
        f"Inverted all the way, (γ_inv, γ_fwd) = {BEST} reconstructs better than {other}",
        "psnr",
        other,
        BEST,
        note="PSNR to the original, dB",
    )
    for other in STRATEGIES
    if other != BEST
)


def there_and_back(
    x0: Float[Tensor, " items *shape"],
    inverse: GuidedDenoiser,
    forward: GuidedDenoiser,
    *,
    num_steps: int,
) -> Float[Tensor, " items *shape"]:
    """Invert clean latents to t = 1 and sample from there again, in the same number of steps.

    Args:
        x0: clean latents.
        inverse: denoiser at gamma_inv; called once per step.
        forward: the same at gamma_fwd; called once per step.
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
    *,
    num_steps: int,
    guidance_scale: float = 7.5,
) -> tuple[dict[str, Float[Tensor, "items 3 height width"]], dict[str, dict[str, Any]]]:
    """Invert images all the way to noise and regenerate them, by each of `STRATEGIES`.

    Args:
        model: frozen.
        prompts: one per image.
        latents: of the originals.
        num_steps: each way.
        guidance_scale: gamma of the originals.

    Returns:
        The images in [0, 1] by strategy, on CPU; and, by measure, then strategy, their PSNR to the originals in dB (at
        most 200) and UNet sample-forwards per image.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """
    embedded = model.embed(prompts)

    def rows(items: Tensor, strategy: tuple[float, float]) -> Iterator[tuple[Tensor, Tensor]]:
        x0, prompt = latents[items].to(model.device), embedded.select(items)
        ways = (model.guided(prompt, gamma) for gamma in strategy)
        again = there_and_back(x0, *ways, num_steps=num_steps)
        with torch.no_grad():
            original, image = (model.decode(each).clamp(0, 1).float().cpu() for each in (x0, again))
        yield image, psnr(image, original).clamp(max=200)

    made, numbers = {}, {"psnr": {}, "cost": {}}
    for name, strategy in strategies(guidance_scale).items():
        before, ask = model.num_forwards, partial(rows, strategy=strategy)
        images, scores = batched(len(prompts), ask, total=1, name=name)
        made[name], numbers["psnr"][name] = images[:, 0], scores[:, 0]
        numbers["cost"][name] = (model.num_forwards - before) / len(prompts)
    return made, numbers


def draw(
    original: Float[Tensor, "items 3 height width"],
    made: Mapping[str, Float[Tensor, "items 3 height width"]],
    psnr: Mapping[str, Float[Tensor, " items"]],
    columns: Sequence[str],
) -> Figure:
    """Draw rows of images, and how far each item is from its original.

    Args:
        original: images in [0, 1].
        made: images by strategy, from `regenerated`.
        psnr: to the originals, by strategy.
        columns: the prompts; the first item of each of the first eight is drawn.
    """
    first = slice(None, None, len(original) // len(columns))
    rows = {"original": original[first]}
    rows |= {name: each[first] for name, each in made.items()}
    return images_and_items(rows, columns, {"PSNR to the original (dB)": psnr})
