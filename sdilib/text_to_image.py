"""Text to image: distillation by a rule, from the noise that DDIM would start from (section 4 of the paper).

All methods start from the same point: a zero latent noised to t = 1 by the item's own noise. DDIM samples from there; a
distillation starts at its single-step denoised image x0(1), the variable of eq. 6. So SDI with the cached kappa is DDIM.

A rule may move latents away from those of any image. Before each update they are therefore decoded, clamped and encoded
again (`Encoded`), for every rule, as the published 2D notebook does where it inverts. Only with the cached kappa are they
left free: eq. 6 is exact only if nothing else moves the image.

`distilled_steps` distils a batch of images; a `Text2D` is the whole configuration of one image's run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import (
    finite,
    in_range,
    one_of,
    positive_int,
    setting,
)
from sdilib.denoiser import PromptEmbeddings
from sdilib.distillation import Codec, Step, distill
from sdilib.guidance.base import Rule, Update, View, checked
from sdilib.guidance.named import RunSettings, make_rule
from sdilib.inversion import Cached
from sdilib.scenes import ImageScene
from sdilib.schedule import DRAWN, Latents, Times, TimeSchedule
from sdilib.seeds import Generators, generator, normal
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.precision import usable_precision

RuleFrom = Callable[[StableDiffusion, Tensor], Rule]
"""Makes the rule for one batch, from the model and the noise predicted at t = 1 (a first kappa)."""

LATENTS = ("encoded", "free")
"""What a rule sees in a scene of latents: those of an image, or whatever the last step left."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A rule that sees latents decoded, clamped to [0, 1] and encoded again.

    Its step of size one starts from those, so that what the decoder does not show is discarded: `Step.x0` is before the
    decoding, while the update's target and denoised image start from what the rule saw. It costs a decoding and an
    encoding per image, in addition to the rule's own sample-forwards.

    Under Adam, whose steps are of no size, the difference between x0 and what the rule saw is part of the gradient, and
    may be most of it for a rule whose own is weak, such as CSD: for these, leave the latents free. Setting x0 itself to
    what the rule saw was tried: over two hundred small steps the autoencoder's errors add up to burnt images.

    Attributes:
        rule: any rule.
        codec: converts between images and latents.

    Source: the 2D notebook published with the paper.
    """

    rule: Rule
    codec: Codec

    def __call__(self, x0: Latents, t: Times, view: View, generator: Generators) -> Update:
        """Return the rule's update, with the gradient that takes x0 to its target; see `Rule`."""
        with torch.no_grad():
            seen = self.codec.encode(self.codec.decode(x0).clamp(0, 1))
        update = checked(self.rule(seen, t, view, generator), self.rule, x0)
        return replace(update, gradient=x0 - update.target)


def _seeing(rule: Rule, model: StableDiffusion, latents: str) -> Rule:
    """The rule itself if latents are free or if it is no rule, which `distill` refuses; otherwise `Encoded`."""
    cached = isinstance(getattr(rule, "kappa", None), Cached)
    seen = one_of("latents", latents or ("free" if cached else "encoded"), LATENTS)
    if seen == "free" or isinstance(rule, type) or not callable(rule):
        return rule
    return Encoded(rule, model)


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
    latents: str = "",
) -> Iterator[Step]:
    """Distil a batch of images in latent space, computing each step on demand.

    Args:
        model: frozen.
        prompt: embeddings, one row per image.
        seeds: one per image.
        rule: makes the rule; see `RuleFrom`.
        num_steps: length of the run; annealed runs count the first denoising, at t = 1, as step 0.
        learning_rate: Adam's learning rate (betas 0.9 and 0.99); None is the plain step of size one, eq. 10.
        t_schedule: see `TimeSchedule`.
        t_end: lowest t.
        start_guidance_scale: gamma of the denoising at t = 1.
        latents: one of `LATENTS`; "" is "encoded", or "free" with the cached kappa.

    Yields:
        The steps of `distill`.

    Raises:
        ValueError: an argument outside its range.
    """
    scene, optimizer, eps = _beginning(model, prompt, seeds, learning_rate, start_guidance_scale)
    yield from distill(
        scene,
        _seeing(rule(model, eps), model, latents),
        prompt=prompt,
        num_steps=num_steps,
        optimizer=optimizer,
        t_schedule=t_schedule,
        t_end=t_end,
        seeds=seeds,
        first_step=beginning_step(t_schedule),
    )


def noisy_start(model: StableDiffusion, seeds: Sequence[int]) -> Latents:
    """Return where every method starts: a zero latent noised to t = 1 by each seed's own noise.

    Args:
        model: model whose latent shape and schedule are used.
        seeds: one per item.
    """
    blank = torch.zeros(len(seeds), *model.latent_shape, device=model.device)
    noise = normal(blank, [generator(seed, 0, "start") for seed in seeds])
    return model.schedule.add_noise(blank, noise, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text2D(RunSettings):
    """One run from a text to an image.

    Attributes:
        prompt: what to make.
        model: "mini" (bundled), a folder in diffusers' format, or a hub id.
        precision: type of the model's weights: "auto", "float32", "float16" or "bfloat16" (see `usable_precision`).
        rule: one of `guidance.named.RULES`, or a user-defined rule.
        rule_settings: the rule's settings, by name; those left out take its defaults, except that gamma
            is 7.5 for every rule (see `rule_settings`). `Text2D.of` takes them together with the
            others.
        negative_prompt: replaces ∅ in eq. 3, in inversions too; "" is the empty prompt.
        steps: length of the whole run, 2 or more; an annealed run counts the first denoising as one.
        learning_rate: Adam's learning rate (betas 0.9 and 0.99); 0 is the plain step of size one, eq. 10.
        t_schedule: how t varies (see `TimeSchedule`).
        t_end: lowest t.
        start_guidance_scale: gamma of the denoising at t = 1, best that which the model is sampled with; the
            cached kappa takes the rule's own.
        latents: what the rule sees, one of `LATENTS`; "" is "encoded", or "free" with the cached kappa.
        seed: seed of everything drawn, 0 or more.

    Raises:
        ValueError: a setting outside its range; the message names it.
    """

    steps: int = setting(50, positive_int, at_least=2)
    learning_rate: float = setting(0.0, in_range, 0, 10)
    t_schedule: str = "linear"
    t_end: float = 0.0
    start_guidance_scale: float = setting(7.5, finite)
    latents: str = ""
    seed: int = setting(0, positive_int, at_least=0)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        RunSettings.__post_init__(self)  # super() knows no class with slots
        if self.latents != "":
            one_of("latents", self.latents, LATENTS)
        TimeSchedule(self.t_schedule, t_end=self.t_end)

    def on(self, device: torch.device) -> "Text2D":
        """Return the settings with a precision that works on a device.

        Args:
            device: the model's.
        """
        return replace(self, precision=usable_precision(self.precision, device))

    def build(self, model: StableDiffusion | None = None) -> "Built2D":
        """Build the run in its initial state; costs one guided prediction.

        Args:
            model: the model of these settings, if it is already loaded.

        Raises:
            ValueError: a prompt, precision or rule setting that cannot be used.
        """
        model = model or StableDiffusion.from_pretrained(self.model, dtype=self.precision)
        config = self.on(model.device)
        model.require_precision(config.precision)
        prompt = model.embed([self.prompt], self.negative_prompt)
        gamma, step_size = self.start_guidance_scale, self.learning_rate or None
        if self.rule_settings.get("kappa") == "cached":  # which is DDIM only from where DDIM starts
            gamma = self.rule_settings["guidance_scale"]
        scene, optimizer, eps = _beginning(model, prompt, [self.seed], step_size, gamma)
        rule = make_rule(self.rule, model, self.rule_settings, eps=eps)
        return Built2D(config, model, prompt, scene, optimizer, rule)


@dataclass(slots=True, eq=False)
class Built2D:
    """The parts of a run; all its state is in `scene`, `optimizer` and `rule`.

    Attributes:
        config: the settings it was built from, with the precision in use.
        model: the denoiser and codec, frozen.
        prompt: its embeddings.
        scene: the image's latents.
        optimizer: over the scene's parameters.
        rule: guidance; `steps` has it see what `Text2D.latents` says, also one assigned here.
    """

    config: Text2D
    model: StableDiffusion
    prompt: PromptEmbeddings
    scene: ImageScene
    optimizer: torch.optim.Optimizer
    rule: Rule

    @property
    @torch.no_grad()
    def image(self) -> Float[Tensor, "3 height width"]:
        """The image as it is now, in [0, 1], on CPU."""
        return self.model.decode(self.scene.values.detach())[0].clamp(0, 1).float().cpu()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the scene of a finished run.

        Args:
            state: the scene's, from its `state_dict`.
        """
        self.scene.load_state_dict(state)

    def steps(self, first_step: int = 0, skipped: int = 0) -> Iterator[Step]:
        """Distil, one step per iteration.

        Args:
            first_step: where to continue.
            skipped: `Step.skipped` of the step before.

        Yields:
            Each step, completed, or skipped because a number was not finite.

        Raises:
            NonFiniteError: too many steps in a row are not finite, or the image is not.
        """
        config = self.config
        return distill(
            self.scene,
            _seeing(self.rule, self.model, config.latents),
            prompt=self.prompt,
            num_steps=config.steps,
            optimizer=self.optimizer,
            t_schedule=config.t_schedule,
            t_end=config.t_end,
            seeds=[config.seed],
            first_step=max(first_step, beginning_step(config.t_schedule)),
            skipped=skipped,
        )


def _beginning(
    model: StableDiffusion,
    prompt: PromptEmbeddings,
    seeds: Sequence[int],
    learning_rate: float | None,
    guidance_scale: float = 7.5,
) -> tuple[ImageScene, torch.optim.Optimizer, Tensor]:
    """The scene x0(1), its optimiser (a plain step of size one without a learning rate), and eps at t = 1."""
    x_1 = noisy_start(model, seeds)
    with torch.no_grad():
        eps = model.guided(prompt, guidance_scale)(x_1, 1.0)
    scene = ImageScene(model.schedule.denoised(x_1, eps, 1.0))
    parameters = list(scene.parameters())
    if learning_rate is None:
        return scene, torch.optim.SGD(parameters, lr=1.0), eps
    return scene, torch.optim.Adam(parameters, learning_rate, betas=(0.9, 0.99)), eps


def beginning_step(t_schedule: str) -> int:
    """Return the number of a run's first step: in an annealed run, step 0, at t = 1, is the start itself.

    Args:
        t_schedule: see `TimeSchedule`.
    """
    return 0 if t_schedule in DRAWN else 1
