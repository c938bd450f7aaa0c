"""The distillation step: render, encode, apply the rule, backpropagate its gradient into the scene.

`distill_step` takes one step with any scene; `distill` repeats it for a scene with a single view,
such as an image, and `text_to_3d` for a scene seen by cameras.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.cameras import Camera
from sdilib.checks import NonFiniteError, positive_int, reject
from sdilib.denoiser import PromptEmbeddings, not_finite, require_finite
from sdilib.guidance.base import Rule, Update, View, checked
from sdilib.scenes import Rendering, Scene
from sdilib.schedule import Images, Latents, Times, TimeSchedule
from sdilib.seeds import Generators, generator

THROUGH = ("encoder", "decoder")
MOST_SKIPPED = 5
"""A run stops after this many non-finite steps in a row; fewer are skipped."""

_log = logging.getLogger(__name__)


@runtime_checkable
class Codec(Protocol):
    """Converts between pixels and latents; `StableDiffusion` is one."""

    def encode(self, images: Images) -> Latents:
        """Return latents; gradients pass through.

        Args:
            images: in [0, 1].
        """
        ...

    def decode(self, latents: Latents) -> Images:
        """Return images.

        Args:
            latents: as from `encode`.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Enlarged:
    """A codec for renders smaller than the images that the model sees.

    Attributes:
        codec: converts between images of `size` and latents.
        size: height and width that renders are enlarged to, bilinearly, in pixels.
        render_size: height and width that images are shrunk to, by the mean over each pixel's area.

    Source: DreamFusion, 2209.14988, which renders at 64² and enlarges, as the paper does for figure 8.
    """

    codec: Codec
    size: int
    render_size: int

    def encode(self, images: Images) -> Latents:
        """Return the latents of enlarged images; gradients pass through.

        Args:
            images: in [0, 1], of `render_size`.
        """
        size = (self.size, self.size)
        return self.codec.encode(functional.interpolate(images, size, mode="bilinear"))

    def decode(self, latents: Latents) -> Images:
        """Return shrunk images.

        Args:
            latents: as from `encode`.
        """
        size = (self.render_size, self.render_size)
        return functional.interpolate(self.codec.decode(latents), size, mode="area")


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One completed step of a distillation; its tensors carry no autograd graph.

    Attributes:
        step: its number, from 0.
        t: the time of each item.
        x0: the latents the rule saw, before the step.
        update: the rule's result.
        gradient_norm: root mean square of the gradient backpropagated into the scene, one number per
            item; in latents, or in pixels when the render is regressed onto a decoded target.
        measured: by name, what the scene measured in its last render, such as its mean opacity, its
            penalties and their sum; and "image_loss", where there is a loss in the image: half the
            weighted mean squared distance between the first render and its target.
        skipped: 0 for a step that was taken. For one skipped because a number was not finite, how
            many have been skipped in a row, this one included; the optimiser then changed nothing,
            except in the `updates` before the one that failed.
        render: returns the scene's render *now*, after the step, detached; call it only if an image
            is wanted.
        camera: the views; None for a scene with a single view.
    """

    step: int
    t: Times
    x0: Latents
    update: Update
    gradient_norm: Float[Tensor, " batch"]
    measured: Mapping[str, Float[Tensor, ""]]
    render: Callable[[], Tensor]
    camera: Camera | None = None
    skipped: int = 0


class _Pull(NamedTuple):
    """What pulls the scene: the gradient weight · (head - target) at one of its heads, latents or image.

    For the first update the gradient is given: the rule's is exact, while the target has been rounded.
    """

    head: int
    gradient: Tensor
    target: Tensor
    weight: float = 1.0


def distill_step(
    scene: Scene,
    rule: Rule,
    view: View,
    t: Times,
    generators: Generators,
    *,
    step: int,
    optimizer: torch.optim.Optimizer,
    codec: Codec | None = None,
    through: str = "encoder",
    updates: int = 1,
    image_weight: float = 0.0,
    skipped: int = 0,
) -> Step:
    """Take one step of Algorithm 1 or 2, and return it once complete.

    Settings are checked where a run begins, not here. Each update first checks that all numbers are
    finite, with one synchronisation with the device; if not, the step is skipped with a warning.

    Args:
        scene: what is optimised, in place; its views are those set last.
        rule: guidance.
        view: the prompt and the camera; the render is added here.
        t: one time per item.
        generators: source of the rule's randomness.
        step: number of the step, for messages.
        optimizer: over the scene's parameters.
        codec: converts between pixels and latents, for a scene in pixels.
        through: for a scene in pixels, how the update reaches it: its gradient backpropagated
            through the "encoder", or the render regressed onto the update's target, passed through
            the "decoder" and clamped to [0, 1].
        updates: optimiser steps towards the rule's targets; the rule is called only once.
        image_weight: for a scene in pixels, weight of a second loss, in the image: half the squared
            distance between the render and the decoded target, which is not clamped (lambda_rgb of
            HiFA, 2305.18766, 0.1 there). Costs a decoding; 0 turns it off.
        skipped: how many steps in a row were skipped before this one.

    Raises:
        ValueError: the numbers of prompts and views differ, or the rule returns no `Update`.
        NonFiniteError: the latents, the rule's gradient or the parameters' gradients are not finite
            for the fifth step in a row; or at once if the parameters are not, since no later step
            can repair them.
    """
    encoder, decoder = (
        codec if scene.space == "pixels" and through == way else None for way in THROUGH
    )

    def look() -> tuple[Rendering, list[Tensor]]:
        """The render, and where gradients enter: the head of the update, and the image."""
        with torch.enable_grad():
            seen = scene.render()
            head = seen.image if encoder is None else encoder.encode(seen.image)
        return seen, [head, seen.image]

    seen, heads = look()
    image = seen.image.detach()
    if len(image) != len(view.prompt):
        expected = f"one for each of the scene's {len(image)} images"
        reject("prompt", f"{len(view.prompt)} prompts", expected)
    x0 = heads[0].detach() if decoder is None else decoder.encode(image).detach()
    x0 = x0.clone()  # a latent scene's own parameters change in place
    shown = image if scene.space == "pixels" else None
    looked = replace(view, image=shown, depth=seen.depth)
    update = checked(rule(x0, t, looked, generators), rule, x0)
    between = codec if scene.space == "pixels" else None
    pulls = _pulls(update, image, between, through, image_weight)
    gradients = [pull.gradient for pull in pulls]
    norm = gradients[0].flatten(1).square().mean(1).sqrt()
    parameters, where, problem = list(scene.parameters()), _where(step, t, skipped), ""
    for again in range(updates):
        if again:
            seen, heads = look()
            gradients = [p.weight * (heads[p.head].detach() - p.target) for p in pulls]
        optimizer.zero_grad(set_to_none=True)
        _push([heads[pull.head] for pull in pulls], gradients, seen.penalty)
        slopes = [each.grad for each in parameters if each.grad is not None]
        known = {"x0": x0, "gradient": gradients, "parameters": parameters}
        problem = not_finite(where, **known, parameter_gradients=slopes)
        if problem:
            _skip(problem, skipped + 1, parameters)
            optimizer.zero_grad(set_to_none=True)
            break
        optimizer.step()
    measured = {name: value.detach() for name, value in seen.measured.items()}
    if in_image := pulls[1:]:
        losses = [pull.gradient.square().mean() / (2 * pull.weight) for pull in in_image]
        measured["image_loss"] = torch.stack(losses).sum()
    now = torch.no_grad()(lambda: scene.render().image.clone())
    row = skipped + 1 if problem else 0
    return Step(step, t, x0, update, norm, measured, now, view.camera, row)


@torch.no_grad()
def _pulls(
    update: Update, image: Tensor, codec: Codec | None, through: str, image_weight: float
) -> list[_Pull]:
    """The pulls of an update on a render; without a codec, on latents."""
    pulls, decoded = [_Pull(0, update.gradient, update.target)], image
    if codec is not None and (through == "decoder" or image_weight):
        decoded = codec.decode(update.target)
    if codec is not None and through == "decoder":
        target = decoded.clamp(0, 1)
        pulls = [_Pull(0, image - target, target)]
    if update.image_gradient is not None:
        pulls.append(_Pull(1, update.image_gradient, image - update.image_gradient))
    if codec is not None and image_weight:
        pulls.append(_Pull(1, image_weight * (image - decoded), decoded, image_weight))
    return pulls


def _where(step: int, t: Tensor, skipped: int) -> str:
    times = f"{float(t.min()):.3g}" + (f" … {float(t.max()):.3g}" if len(t) > 1 else "")
    return f"at step {step} (t = {times})" + (f", {skipped + 1} steps in a row" if skipped else "")


def _skip(problem: str, row: int, parameters: list[Tensor]) -> None:
    """Warn that a step is skipped, or stop the run."""
    lost = not bool(torch.stack([each.isfinite().all() for each in parameters]).all())
    if lost or row >= MOST_SKIPPED:
        raise NonFiniteError(problem)
    _log.warning("skipped, with the optimiser as it was: %s", problem)


def _push(heads: list[Tensor], gradients: list[Tensor], penalty: Tensor | None) -> None:
    """Backpropagate the gradients of the render, or of its latents, and of the penalty into the scene.

    The penalty is weighed against half the *mean* squared distance to the target; the gradient is that
    of half the sum, so the penalty is multiplied by the number of elements.
    """
    if penalty is not None:
        held = penalty * heads[0].numel()
        heads, gradients = [*heads, held], [*gradients, torch.ones_like(held)]
    torch.autograd.backward(heads, gradients)


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
    first_step: int = 0,
    skipped: int = 0,
) -> Iterator[Step]:
    """Distil a rule's denoiser into a scene with one view, one optimiser step per iteration.

    A step is yielded once complete, so that stopping there, or saving scene, optimiser and rule, is
    consistent; its random draws depend only on its number and the seeds.

    Args:
        scene: what is optimised, in place.
        rule: guidance; any callable with `Rule`'s signature.
        prompt: embeddings, one row per item of the scene's batch.
        num_steps: length of the whole run; annealing ends with it.
        optimizer: over the scene's parameters, kept by the caller. None is a plain step of size
            one: with w(t) = sigma(t) and a latent scene each render becomes its single-step
            denoised image (eq. 10).
        t_schedule: how t varies, see `TimeSchedule`; some draw it for each item.
        t_start: highest t.
        t_end: lowest t; the paper anneals from 1 to 0.2.
        seeds: one per item, or a single number: item i then has that number plus i.
        codec: converts between pixels and latents, for scenes in pixels.
        first_step: where a resumed run continues; `num_steps` means a finished run, with no step left.
        skipped: `Step.skipped` of the step before, in a resumed run.

    Yields:
        Each step, detached, including those skipped because a number was not finite.

    Raises:
        ValueError: an argument outside its range, or a scene in pixels without a codec.
        NonFiniteError: the scene's parameters are not finite, or the latents or gradients of
            `MOST_SKIPPED` steps in a row; the message names the tensor and the step.
    """
    times = TimeSchedule(t_schedule, t_start, t_end)
    check_run(scene, rule, num_steps=num_steps, first_step=first_step, codec=codec)
    batch = len(prompt)
    each = list(range(seeds, seeds + batch)) if isinstance(seeds, int) else list(seeds)
    if len(each) != batch:
        reject("seeds", each, f"one number, or one for each of the {batch} prompts")
    optimizer = optimizer or torch.optim.SGD(list(scene.parameters()), lr=1.0)
    for step in range(first_step, num_steps):
        time, guidance = (
            [generator(seed, step, purpose) for seed in each] for purpose in ("time", "guidance")
        )
        t = times.at(step, num_steps, generator=time, batch=batch)
        made = {"step": step, "optimizer": optimizer, "codec": codec, "skipped": skipped}
        view = View(prompt, done=step / num_steps)
        done = distill_step(scene, rule, view, t, guidance, **made)
        skipped = done.skipped
        yield done
    require_finite(f"after step {num_steps - 1}", parameters=list(scene.parameters()))


def check_run(
    scene: Scene,
    rule: Rule,
    *,
    num_steps: int,
    first_step: int = 0,
    codec: Codec | None = None,
) -> None:
    """Check a run's arguments, before any work.

    Args:
        scene: what is optimised.
        rule: guidance.
        num_steps: length of the whole run.
        first_step: where the run continues.
        codec: converts between pixels and latents.

    Raises:
        ValueError: an argument that cannot be used; the message names it.
    """
    positive_int("num_steps", num_steps)
    if positive_int("first_step", first_step, at_least=0) > num_steps:
        reject("first_step", first_step, f"a number of at most num_steps={num_steps}")
    if isinstance(rule, type) or not callable(rule):
        reject("rule", rule, "a rule: an object that is called as rule(x0, t, view, generator)")
    if scene.space == "pixels" and codec is None:
        expected = "an object with encode and decode, such as the model, for a scene in pixels"
        reject("codec", codec, expected)
