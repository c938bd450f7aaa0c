"""The one loop: render, encode, ask the rule, push its gradient into the scene."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import NonFiniteError, in_range, one_of, positive_int, reject
from sdilib.guidance import Rule, Update, View
from sdilib.prompts import PromptEmbeddings
from sdilib.scenes import Scene
from sdilib.schedule import T_SCHEDULES, annealed_t
from sdilib.seeds import generator

__all__ = ["Codec", "Step", "distill"]

THROUGH = ("encoder", "decoder")


@runtime_checkable
class Codec(Protocol):
    """Between pixels and latents; `StableDiffusion` is one."""

    def encode(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels h w"]:
        """Return latents; gradients pass.

        Args:
            images: in [0, 1].
        """
        ...

    def decode(
        self, latents: Float[Tensor, "batch channels h w"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Return images.

        Args:
            latents: as from `encode`.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One complete step of a distillation; nothing in it carries a graph.

    Attributes:
        step: its number, from 0.
        t: the time of each item.
        x0: the latents the rule saw, before the step.
        update: the rule's answer.
        gradient_norm: root mean square of the update's gradient, one number an item.
        render: gives the scene's render *now*, after the step, detached; called only where an image
            is wanted.
    """

    step: int
    t: Float[Tensor, " batch"]
    x0: Float[Tensor, " batch *shape"]
    update: Update
    gradient_norm: Float[Tensor, " batch"]
    render: Callable[[], Tensor]


def distill(
    scene: Scene,
    rule: Rule,
    *,
    prompt: PromptEmbeddings,
    num_steps: int,
    optimizer: torch.optim.Optimizer | None = None,
    t_schedule: str = "linear",
    t_start: float = 1.0,
    t_end: float = 0.2,
    seeds: int | Sequence[int] = 0,
    codec: Codec | None = None,
    through: str = "encoder",
    first_step: int = 0,
) -> Iterator[Step]:
    """Distill a rule's denoiser into a scene, one optimiser step an iteration (Algorithms 1 and 2).

    A step is yielded after it is complete, so that stopping there, or saving scene, optimiser and
    rule, is consistent; what it draws depends on its number and the seeds alone.

    Args:
        scene: what is optimised, in place.
        rule: guidance; any callable of `Rule`'s shape.
        prompt: embeddings, one row an item of the scene's batch.
        num_steps: length of the whole run; annealing ends with it.
        optimizer: over the scene's parameters, kept by the caller. None is a plain step of size
            one: with w(t) = sigma(t) and a latent scene each render becomes its single-step
            denoised image (eq. 10).
        t_schedule: how t runs, see `annealed_t`; "random" draws it for each item.
        t_start: highest t.
        t_end: lowest t; the paper anneals from 1 to 0.2.
        seeds: one for each item, or one number: then item i has that number plus i.
        codec: between pixels and latents, for scenes in pixels.
        through: for scenes in pixels, how the update reaches them: its gradient through the
            "encoder", or regression of the render onto the update's target run through the
            "decoder" and clamped to [0, 1].
        first_step: where to go on in a resumed run; `num_steps` is a finished one, with no step left.

    Yields:
        Each step, detached.

    Raises:
        ValueError: an argument outside its range, or a scene in pixels without a codec.
        NonFiniteError: the latents, a prediction, the rule's gradient or the scene's parameters are
            not finite; names the tensor and the step.
    """
    positive_int("num_steps", num_steps)
    if positive_int("first_step", first_step, at_least=0) > num_steps:
        reject("first_step", first_step, f"a number of at most num_steps={num_steps}")
    one_of("t_schedule", t_schedule, T_SCHEDULES)
    in_range("t_start", t_start, 0, 1, open_low=True)
    in_range("t_end", t_end, 0, t_start)
    one_of("through", through, THROUGH)
    if scene.space == "pixels" and codec is None:
        reject(
            "codec",
            codec,
            "an object with encode and decode, such as the model, for a scene in pixels",
        )
    batch = len(prompt)
    each = list(range(seeds, seeds + batch)) if isinstance(seeds, int) else list(seeds)
    if len(each) != batch:
        reject("seeds", each, f"one number, or one for each of the {batch} prompts")
    optimizer = optimizer or torch.optim.SGD(list(scene.parameters()), lr=1.0)
    for step in range(first_step, num_steps):
        draws = {p: [generator(seed, step, p) for seed in each] for p in ("time", "guidance")}
        t = annealed_t(
            t_schedule,
            step,
            num_steps,
            t_start=t_start,
            t_end=t_end,
            generator=draws["time"],
            batch=batch,
        )
        yield _one_step(scene, rule, prompt, optimizer, step, t, draws["guidance"], codec, through)


def _one_step(
    scene: Scene,
    rule: Rule,
    prompt: PromptEmbeddings,
    optimizer: torch.optim.Optimizer,
    step: int,
    t: Tensor,
    draws: list[torch.Generator],
    codec: Codec | None,
    through: str,
) -> Step:
    with torch.enable_grad():
        render = scene.render()
        if len(render) != len(prompt):
            reject(
                "prompt",
                f"{len(prompt)} prompts",
                f"one for each of the scene's {len(render)} images",
            )
        in_pixels = scene.space == "pixels" and codec is not None
        by_encoder = in_pixels and through == "encoder"
        # Without the encoder's graph where its gradient is not wanted.
        source = render if by_encoder else render.detach()
        latents = codec.encode(source) if in_pixels and codec is not None else render
    x0 = latents.detach().clone()  # a latent scene's own parameters change in place
    view = View(prompt, image=render.detach() if in_pixels else None)
    _require_finite("x0", x0, step, t)
    try:
        update = rule(x0, t, view, draws)
    except NonFiniteError as error:
        raise NonFiniteError(f"{error} at step {step}") from error
    _require_finite("gradient", update.gradient, step, t)
    optimizer.zero_grad(set_to_none=True)
    if in_pixels and not by_encoder and codec is not None:
        with torch.no_grad():
            image = codec.decode(update.target).clamp(0, 1)
        render.backward(render.detach() - image)
    else:
        latents.backward(update.gradient)
    optimizer.step()
    for parameter in scene.parameters():
        _require_finite("parameters", parameter, step, t)
    norm = update.gradient.flatten(1).square().mean(1).sqrt()
    return Step(step, t, x0, update, norm, lambda: scene.render().detach().clone())


def _require_finite(name: str, tensor: Tensor, step: int, t: Tensor) -> None:
    if not bool(tensor.isfinite().all()):
        broken = int((~tensor.isfinite()).sum())
        times = f"{float(t.min()):.3g}" + (f" … {float(t.max()):.3g}" if len(t) > 1 else "")
        raise NonFiniteError(
            f"{name}={broken} of {tensor.numel()} values not finite at step {step} (t = {times}): "
            "expected finite numbers; a smaller guidance scale, a smaller learning rate or float32 "
            "may help"
        )
