"""The one loop: render, encode, ask the rule, push its gradient into the scene."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.cameras import Camera
from sdilib.checks import NonFiniteError, in_range, one_of, positive_int, reject
from sdilib.guidance import Rule, Update, View
from sdilib.prompts import PromptEmbeddings
from sdilib.scenes import Scene
from sdilib.schedule import T_SCHEDULES, annealed_t
from sdilib.seeds import generator

__all__ = ["Codec", "Enlarged", "Step", "ViewedScene", "distill"]

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
class Enlarged:
    """A codec for renders smaller than the images it sees.

    Attributes:
        codec: between images of `size` and latents.
        size: height and width that renders are enlarged to, bilinearly, in pixels.
        render_size: height and width that images are shrunk to, by the mean over each pixel's area.

    Source: DreamFusion, 2209.14988, which renders 64² and enlarges, as the paper does for figure 8.
    """

    codec: Codec
    size: int
    render_size: int

    def encode(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels h w"]:
        """Return the latents of enlarged images; gradients pass.

        Args:
            images: in [0, 1], of `render_size`.
        """
        size = (self.size, self.size)
        return self.codec.encode(functional.interpolate(images, size, mode="bilinear"))

    def decode(
        self, latents: Float[Tensor, "batch channels h w"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Return shrunk images.

        Args:
            latents: as from `encode`.
        """
        size = (self.render_size, self.render_size)
        return functional.interpolate(self.codec.decode(latents), size, mode="area")


@runtime_checkable
class ViewedScene(Scene, Protocol):
    """A scene that is seen from somewhere else at each step; `NeRFScene` is one."""

    def look(self, camera: Camera, generator: torch.Generator | None = None) -> None:
        """Choose the views of the next renders.

        Args:
            camera: the views.
            generator: for what the renders draw.
        """
        ...

    def render_all(self) -> Any:
        """Return a render whose `image` is what `render` returns, and more for a penalty."""
        ...


Penalty = Callable[[Any, float], Tensor]
"""From a `Render` and the share of the run that is done, a number to be made small."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One complete step of a distillation; nothing in it carries a graph.

    Attributes:
        step: its number, from 0.
        t: the time of each item.
        x0: the latents the rule saw, before the step.
        update: the rule's answer, shortened by `update_fraction`.
        gradient_norm: root mean square of the update's gradient, one number an item.
        render: gives the scene's render *now*, after the step, detached; called only where an image
            is wanted.
        camera: the views; None for a scene that has one only.
    """

    step: int
    t: Float[Tensor, " batch"]
    x0: Float[Tensor, " batch *shape"]
    update: Update
    gradient_norm: Float[Tensor, " batch"]
    render: Callable[[], Tensor]
    camera: Camera | None = None


def distill(
    scene: Scene,
    rule: Rule,
    *,
    prompt: PromptEmbeddings | Callable[[Camera], PromptEmbeddings],
    num_steps: int,
    cameras: Callable[[torch.Generator], Camera] | None = None,
    penalty: Penalty | None = None,
    updates: int = 1,
    update_fraction: float = 1.0,
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
        prompt: embeddings, one row an item of the scene's batch; with `cameras`, what makes them for
            the views of a step.
        num_steps: length of the whole run; annealing ends with it.
        cameras: draws the views of a step, for a `ViewedScene`, such as `sample_cameras`.
        penalty: for a `ViewedScene`, what keeps it plausible: weighed against half the mean squared
            distance to the target.
        updates: optimiser steps towards each target, 1 or more; the UNet is asked once.
        update_fraction: how far towards the rule's target the step's own lies, in (0, 1]: x0 +
            update_fraction (target - x0). The size of a step, apart from how t is annealed.
        optimizer: over the scene's parameters, kept by the caller. None is a plain step of size
            one: with w(t) = sigma(t) and a latent scene each render becomes its single-step
            denoised image (eq. 10).
        t_schedule: how t runs, see `annealed_t`; "random" draws it for each item.
        t_start: highest t.
        t_end: lowest t; the paper anneals from 1 to 0.2.
        seeds: one for each item, or one number: then item i has that number plus i. With `cameras`
            one number, the run's.
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
    if isinstance(rule, type) or not callable(rule):
        reject("rule", rule, "a rule: an object that is called as rule(x0, t, view, generator)")
    if scene.space == "pixels" and codec is None:
        reject(
            "codec",
            codec,
            "an object with encode and decode, such as the model, for a scene in pixels",
        )
    positive_int("updates", updates)
    in_range("update_fraction", update_fraction, 0, 1, open_low=True)
    each = _item_seeds(seeds, prompt, cameras)
    if (cameras or penalty) and not isinstance(scene, ViewedScene):
        reject(
            "scene", type(scene).__name__, "one with look and render_all, for cameras or a penalty"
        )
    decoded = codec is not None and scene.space == "pixels" and through == "decoder"
    optimizer = optimizer or torch.optim.SGD(list(scene.parameters()), lr=1.0)
    for step in range(first_step, num_steps):
        camera = None
        if cameras is not None:
            draw = generator(each[0], step, "camera")
            camera = cameras(draw)
            scene.look(camera, draw)  # pyright: ignore[reportAttributeAccessIssue]
        embeddings = prompt(camera) if callable(prompt) else prompt  # pyright: ignore[reportArgumentType]
        batch = len(embeddings)
        draws = {
            purpose: [generator(seed, step, purpose) for seed in each]
            if cameras is None
            else [generator(each[0], step, purpose, item) for item in range(batch)]
            for purpose in ("time", "guidance")
        }
        t = annealed_t(
            t_schedule,
            step,
            num_steps,
            t_start=t_start,
            t_end=t_end,
            generator=draws["time"],
            batch=batch,
        )
        seen = _see(scene, codec, through, penalty)
        if len(seen.image) != batch:
            reject(
                "prompt",
                f"{batch} prompts",
                f"one for each of the scene's {len(seen.image)} images",
            )
        x0 = seen.latents.detach().clone()  # a latent scene's own parameters change in place
        _require_finite("x0", x0, step, t)
        view = View(embeddings, image=seen.image.detach() if scene.space == "pixels" else None)
        try:
            update = rule(x0, t, view, draws["guidance"])
        except NonFiniteError as error:
            raise NonFiniteError(f"{error} at step {step}") from error
        if not isinstance(update, Update):
            reject(
                "rule",
                f"{rule!r}, which returned {type(update).__name__}",
                "one that returns an Update",
            )
        if update_fraction != 1:
            update = update.part(update_fraction)
        _require_finite("gradient", update.gradient, step, t)
        if decoded and codec is not None:
            with torch.no_grad():
                target = codec.decode(update.target).clamp(0, 1)
            gradient = seen.image.detach() - target
        else:
            target, gradient = update.target, update.gradient
        for again in range(updates):
            if again:
                seen = _see(scene, None if decoded else codec, through, penalty)
            values = seen.image if decoded else seen.latents
            if again:
                gradient = values.detach() - target
            optimizer.zero_grad(set_to_none=True)
            _pull(values, gradient, seen.whole, penalty, step / num_steps)
            optimizer.step()
            for parameter in scene.parameters():
                _require_finite("parameters", parameter, step, t)
        norm = update.gradient.flatten(1).square().mean(1).sqrt()
        yield Step(step, t, x0, update, norm, lambda: scene.render().detach().clone(), camera)


def _item_seeds(seeds: int | Sequence[int], prompt: object, cameras: object | None) -> list[int]:
    """One seed an item; for a scene with cameras the run's."""
    if callable(prompt) != (cameras is not None):
        reject("prompt", prompt, "embeddings, or with cameras what makes them for a camera")
    if not isinstance(prompt, PromptEmbeddings):
        if not isinstance(seeds, int):
            reject("seeds", seeds, "one number, where cameras choose the views")
        return [seeds]
    batch = len(prompt)
    each = list(range(seeds, seeds + batch)) if isinstance(seeds, int) else list(seeds)
    if len(each) != batch:
        reject("seeds", each, f"one number, or one for each of the {batch} prompts")
    return each


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What a step sees; all but the latents of a target in pixels carries a graph."""

    whole: Any
    image: Tensor
    latents: Tensor


def _see(scene: Scene, codec: Codec | None, through: str, penalty: Penalty | None) -> _Seen:
    with torch.enable_grad():
        whole = scene.render_all() if penalty else None  # pyright: ignore[reportAttributeAccessIssue]
        image = scene.render() if whole is None else whole.image
        if scene.space != "pixels" or codec is None:
            return _Seen(whole, image, image)
        # Without the encoder's graph where its gradient is not wanted.
        return _Seen(whole, image, codec.encode(image if through == "encoder" else image.detach()))


def _pull(
    values: Tensor, gradient: Tensor, whole: Any, penalty: Penalty | None, done: float
) -> None:
    """Push a gradient of the render, or of its latents, and the penalty's into the scene."""
    if penalty is None:
        values.backward(gradient)
        return
    with torch.enable_grad():
        held = penalty(whole, done) * values.numel()
    torch.autograd.backward([values, held], [gradient, torch.ones_like(held)])


def _require_finite(name: str, tensor: Tensor, step: int, t: Tensor) -> None:
    if not bool(tensor.isfinite().all()):
        broken = int((~tensor.isfinite()).sum())
        times = f"{float(t.min()):.3g}" + (f" … {float(t.max()):.3g}" if len(t) > 1 else "")
        raise NonFiniteError(
            f"{name}={broken} of {tensor.numel()} values not finite at step {step} (t = {times}): "
            "expected finite numbers; a smaller guidance scale, a smaller learning rate or float32 "
            "may help"
        )
