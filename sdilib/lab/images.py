"""Many images in batches, every prompt with every seed: sampled by DDIM, or distilled by a rule."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.checks import positive_int, reject
from sdilib.denoiser import PromptEmbeddings
from sdilib.sampling import ddim
from sdilib.schedule import time_grid
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import RuleFrom, beginning_step, distilled_steps, noisy_start

BATCH = 16
"""Items at a time; changes memory, not results (to rounding)."""


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """A set of images and what they cost.

    Attributes:
        images: in [0, 1], clamped, on CPU.
        latents: from which they were decoded, on CPU.
        num_forwards: UNet sample-forwards per image.
        seconds: wall time per image.
    """

    images: Float[Tensor, "batch 3 height width"]
    latents: Float[Tensor, "batch channels h w"]
    num_forwards: float
    seconds: float


def items(
    prompts: Sequence[str], num_seeds: int, *, first_seed: int = 0
) -> tuple[list[str], list[int]]:
    """Return every prompt with seeds of its own, as two lists of equal length, prompt by prompt.

    Prompts that shared a seed would share its noise, and count as independent without being so.

    Args:
        prompts: at least one.
        num_seeds: seeds per prompt.
        first_seed: the seeds count up from this one.

    Examples:
        >>> items(["a", "b"], 2)
        (['a', 'a', 'b', 'b'], [0, 1, 2, 3])
    """
    of = [prompt for prompt in prompts for _ in range(num_seeds)]
    return of, list(range(first_seed, first_seed + len(of)))


def ddim_images(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    num_steps: int = 50,
    guidance_scale: float = 7.5,
) -> Generated:
    """Sample images by DDIM (eq. 2).

    Args:
        model: frozen.
        prompts: one per image.
        seeds: one per image.
        num_steps: equal steps from t = 1 to 0, with one UNet call each.
        guidance_scale: gamma.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """
    positive_int("num_steps", num_steps, at_least=2)

    def steps(prompt: PromptEmbeddings, seeds: Sequence[int]) -> Iterator[Tensor]:
        denoise, times = model.guided(prompt, guidance_scale), time_grid(num_steps)
        for step in ddim(noisy_start(model, seeds), denoise, times=times):
            yield step.x_next

    return _generated(model, prompts, seeds, num_steps, "DDIM", steps)


def distilled_images(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    rule: RuleFrom,
    num_steps: int,
    t_schedule: str = "linear",
    name: str = "distill",
    **settings: Any,
) -> Generated:
    """Distil images, in latent space, by a guidance rule; see `distilled_steps`.

    Args:
        model: frozen.
        prompts: one per image.
        seeds: one per image.
        rule: makes the rule of a batch; see `RuleFrom`.
        num_steps: of the distillation.
        t_schedule: see `TimeSchedule`.
        name: of the progress bar.
        **settings: further arguments of `distilled_steps`, such as learning_rate, t_end or latents.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a tensor on the way is not finite; names the step.
    """
    positive_int("num_steps", num_steps, at_least=2)
    try:
        signature(rule).bind(None, None)
    except (TypeError, ValueError):
        reject("rule", rule, "what makes a rule, such as lambda model, eps: SDI(model)")

    every = {"rule": rule, "num_steps": num_steps, "t_schedule": t_schedule, **settings}

    def steps(prompt: PromptEmbeddings, seeds: Sequence[int]) -> Iterator[Tensor]:
        for step in distilled_steps(model, prompt, seeds, **every):
            yield step.render()

    return _generated(model, prompts, seeds, num_steps - beginning_step(t_schedule), name, steps)


def _generated(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    total: int,
    name: str,
    steps: Callable[[PromptEmbeddings, Sequence[int]], Iterator[Tensor]],
) -> Generated:
    """Images from the last latents that `steps` yields for each batch; it yields `total` times."""
    if len(seeds) != len(prompts):
        reject("seeds", list(seeds), f"one for each of the {len(prompts)} prompts")
    embedded = model.embed(prompts)
    before, began = model.num_forwards, time.perf_counter()
    batches = torch.arange(len(prompts)).split(BATCH)
    made: list[Tensor] = []
    with tqdm(total=total * len(batches), desc=name, leave=False) as bar:
        for batch in batches:
            latents = torch.empty(0)
            for after in steps(embedded.select(batch), [seeds[i] for i in batch.tolist()]):
                latents = after  # only the last step's: all of them would fill the memory
                bar.update()
            made.append(latents.cpu())
    seconds = (time.perf_counter() - began) / len(prompts)
    with torch.no_grad():
        images = torch.cat([model.decode(some.to(model.device)) for some in made])
    return Generated(
        images=images.clamp(0, 1).float().cpu(),
        latents=torch.cat(made),
        num_forwards=(model.num_forwards - before) / len(prompts),
        seconds=seconds,
    )
