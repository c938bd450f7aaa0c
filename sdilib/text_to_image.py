"""Images in 2D: sampled by DDIM, or distilled from a rule (section 4 of the paper), from the same noise.

All methods begin at the same point: a zero latent noised to t = 1 by the item's own noise. DDIM goes on from there; a
distillation begins at its single-step denoised image x0(1), the variable of eq. 6. So SDI with the cached kappa is DDIM.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.checks import positive_int, reject
from sdilib.ddim import ddim
from sdilib.distill import Step, distill
from sdilib.guidance import Rule
from sdilib.prompts import PromptEmbeddings
from sdilib.scenes import ImageScene
from sdilib.schedule import time_grid
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion

__all__ = ["Generated", "across", "ddim_images", "distilled_images", "distilled_steps", "items"]

RuleFrom = Callable[[StableDiffusion, Tensor], Rule]
"""Makes the rule of one batch, from the model and the noise predicted at t = 1 (a first kappa)."""

Made = tuple[Tensor, Tensor, Tensor]
"""Latents, residuals and gradient norms of one batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """A set of images and what they cost.

    Attributes:
        images: in [0, 1], clamped, on CPU.
        latents: what they were decoded from, on CPU.
        num_forwards: UNet sample-forwards an image.
        seconds: wall time an image.
        residuals: eq. 8's, for each image and step; no steps for DDIM.
        gradient_norms: likewise.
    """

    images: Float[Tensor, "batch 3 height width"]
    latents: Float[Tensor, "batch channels h w"]
    num_forwards: float
    seconds: float
    residuals: Float[Tensor, "batch steps"]
    gradient_norms: Float[Tensor, "batch steps"]


def items(
    prompts: Sequence[str], num_seeds: int, *, first_seed: int = 0
) -> tuple[list[str], list[int]]:
    """Return every prompt with every seed, as two lists of equal length, prompt by prompt.

    Args:
        prompts: at least one.
        num_seeds: seeds a prompt.
        first_seed: each prompt has this one and those after it.

    Raises:
        ValueError: no prompt, or `num_seeds` below 1.

    Examples:
        >>> items(["a", "b"], 2)
        (['a', 'a', 'b', 'b'], [0, 1, 0, 1])
    """
    positive_int("num_seeds", num_seeds)
    if not prompts:
        reject("prompts", list(prompts), "at least one prompt")
    pairs = [(prompt, first_seed + k) for prompt in prompts for k in range(num_seeds)]
    return [prompt for prompt, _ in pairs], [seed for _, seed in pairs]


def across(runs: Iterable[Generated], item: int) -> Float[Tensor, "runs 3 height width"]:
    """Return one item's image of each run.

    Args:
        runs: of the same items.
        item: its number.
    """
    return torch.stack([run.images[item] for run in runs])


def ddim_images(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    num_steps: int = 50,
    guidance_scale: float = 7.5,
    batch_size: int = 16,
) -> Generated:
    """Sample images by DDIM (eq. 2).

    Args:
        model: frozen.
        prompts: one an image.
        seeds: one an image.
        num_steps: equal steps from t = 1 to 0; the UNet is called once each.
        guidance_scale: gamma.
        batch_size: images at a time; changes memory, not results (to rounding).

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """

    def run(prompt: PromptEmbeddings, seeds: Sequence[int], bar: tqdm) -> Made:
        x_t = _x_1(model, seeds)
        for step in ddim(x_t, model.guided(prompt, guidance_scale), times=time_grid(num_steps)):
            x_t = step.x_next
            bar.update()
        return x_t, torch.zeros(len(x_t), 0), torch.zeros(len(x_t), 0)

    return _in_batches(model, prompts, seeds, batch_size, num_steps, "DDIM", run)


def distilled_images(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    rule: RuleFrom,
    num_steps: int,
    learning_rate: float | None = None,
    t_schedule: str = "linear",
    t_end: float = 0.0,
    start_guidance_scale: float = 7.5,
    batch_size: int = 16,
    name: str = "distill",
) -> Generated:
    """Distill images, in latent space, by a guidance rule.

    Args:
        model: frozen.
        prompts: one an image.
        seeds: one an image.
        rule: makes the rule of a batch; see `RuleFrom`.
        num_steps: of the distillation. Annealed runs count the first denoising, at t = 1, as step 0.
        learning_rate: of Adam (betas 0.9 and 0.99); None is the plain step of size one, eq. 10.
        t_schedule: see `annealed_t`.
        t_end: lowest t.
        start_guidance_scale: gamma of the denoising at t = 1 that all begin with.
        batch_size: images at a time.
        name: of the progress bar.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a tensor on the way is not finite; names the step.
    """
    _require_maker(rule)

    def run(prompt: PromptEmbeddings, seeds: Sequence[int], bar: tqdm) -> Made:
        bar.update(_first_step(t_schedule))
        latents, residuals, norms = torch.empty(0), [], []
        for step in distilled_steps(
            model,
            prompt,
            seeds,
            rule=rule,
            num_steps=num_steps,
            learning_rate=learning_rate,
            t_schedule=t_schedule,
            t_end=t_end,
            start_guidance_scale=start_guidance_scale,
        ):
            residuals.append(step.update.residual)
            norms.append(step.gradient_norm)
            latents = step.render()
            bar.update()
        return latents, torch.stack(residuals, 1), torch.stack(norms, 1)

    return _in_batches(model, prompts, seeds, batch_size, num_steps, name, run)


def distilled_steps(
    model: StableDiffusion,
    prompt: PromptEmbeddings,
    seeds: Sequence[int],
    *,
    rule: RuleFrom,
    num_steps: int,
    learning_rate: float | None = None,
    t_schedule: str = "linear",
    t_end: float = 0.0,
    start_guidance_scale: float = 7.5,
) -> Iterator[Step]:
    """Distill one batch of `distilled_images`, each step computed when it is asked for.

    Args:
        model: frozen.
        prompt: embeddings, one row an image.
        seeds: one an image.
        rule: makes the rule; see `RuleFrom`.
        num_steps: as in `distilled_images`, and so on.
        learning_rate: of Adam.
        t_schedule: see `annealed_t`.
        t_end: lowest t.
        start_guidance_scale: gamma of the denoising at t = 1.

    Yields:
        The steps of `distill`.
    """
    x_1 = _x_1(model, seeds)
    with torch.no_grad():
        eps = model.guided(prompt, start_guidance_scale)(x_1, 1.0)
    scene, adam = ImageScene(model.schedule.denoised(x_1, eps, 1.0)), None
    if learning_rate is not None:
        adam = torch.optim.Adam(list(scene.parameters()), learning_rate, betas=(0.9, 0.99))
    yield from distill(
        scene,
        rule(model, eps),
        prompt=prompt,
        num_steps=num_steps,
        optimizer=adam,
        t_schedule=t_schedule,
        t_end=t_end,
        seeds=seeds,
        first_step=_first_step(t_schedule),
    )


def _require_maker(rule: RuleFrom) -> None:
    try:
        signature(rule).bind(None, None)
    except (TypeError, ValueError):
        reject("rule", rule, "what makes a rule, such as lambda model, eps: SDI(model)")


def _first_step(t_schedule: str) -> int:
    """An annealed run's step at t = 1 is the start itself."""
    return 0 if t_schedule == "random" else 1


def _x_1(model: StableDiffusion, seeds: Sequence[int]) -> Tensor:
    """A zero latent noised to t = 1 by each seed's own noise."""
    blank = torch.zeros(len(seeds), *model.latent_shape, device=model.device)
    noise = normal(blank, [generator(seed, 0, "start") for seed in seeds])
    return model.schedule.add_noise(blank, noise, 1.0)


def _in_batches(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    batch_size: int,
    num_steps: int,
    name: str,
    run: Callable[[PromptEmbeddings, Sequence[int], tqdm], Made],
) -> Generated:
    positive_int("batch_size", batch_size)
    positive_int("num_steps", num_steps, at_least=2)
    if len(seeds) != len(prompts):
        reject("seeds", list(seeds), f"one for each of the {len(prompts)} prompts")
    embedded = model.embed(prompts)
    before, began = model.num_forwards, time.perf_counter()
    made: list[Made] = []
    batches = [
        range(i, min(i + batch_size, len(prompts))) for i in range(0, len(prompts), batch_size)
    ]
    with tqdm(total=num_steps * len(batches), desc=name, leave=False) as bar:
        for batch in batches:
            some = [seeds[i] for i in batch]
            latents, *traces = run(embedded.select(torch.tensor(batch)), some, bar)
            made.append((latents.cpu(), traces[0].cpu(), traces[1].cpu()))
    seconds = (time.perf_counter() - began) / len(prompts)
    latents, residuals, norms = (torch.cat(parts) for parts in zip(*made, strict=True))
    with torch.no_grad():
        images = torch.cat(
            [model.decode(some.to(model.device)) for some in latents.split(batch_size)]
        )
    return Generated(
        images=images.clamp(0, 1).float().cpu(),
        latents=latents,
        num_forwards=(model.num_forwards - before) / len(prompts),
        seconds=seconds,
        residuals=residuals,
        gradient_norms=norms,
    )
