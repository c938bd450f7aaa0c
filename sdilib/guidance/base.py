"""A guidance rule is a callable that takes clean latents and a time and returns an `Update`.

Each of the library's rules is a `WeightedRule`, w(t) times a `Direction`, and only has to supply the direction.
Notation beyond the paper's: e_y, e_∅ and e_neg are the network's predictions for the prompt, the empty prompt and a
negative prompt; eps is the guided prediction (eq. 3).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.checks import check_settings, finite, one_of, reject, setting
from sdilib.denoiser import Condition, Denoiser, GuidedDenoiser, PromptEmbeddings, perp_neg
from sdilib.schedule import Images, Latents, NoiseSchedule, Times, spread
from sdilib.seeds import Generators

AUTO_WORDS = "auto"
"""Stands for a method's own words if the model knows them, and for none if it does not."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a rule may use in addition to the latents.

    Attributes:
        prompt: embeddings for this view, one row per item.
        image: the render in [0, 1], for rules with an image loss; None in latent space.
        depth: the render's depth along the viewing direction, 0 where it shows no surface; None for a
            scene without depth.
        camera: the viewpoints; None for a scene with a single view.
        done: fraction of the run completed, in [0, 1).
    """

    prompt: PromptEmbeddings
    image: Images | None = None
    depth: Float[Tensor, "batch height width"] | None = None
    camera: Camera | None = None
    done: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """A rule's result at (x0, t); its tensors carry no autograd graph.

    Attributes:
        gradient: gradient to descend in x0, weight w(t) included.
        target: x0 - gradient, where a step of size one takes x0.
        denoised: the single-step denoised image of x_t, eq. 5; equals `target` if w(t) = sigma(t)
            and the direction is eps - kappa.
        kappa: the noise added.
        eps: guided prediction at the noised x0.
        residual: residual of eq. 8 for kappa at (x0, t): sigma(t) times the root mean square of
            kappa - eps, one number per item.
        num_forwards: UNet sample-forwards this update cost.
        image_gradient: gradient to descend in the render as well, for a scene in pixels, or None.
    """

    gradient: Latents
    target: Latents
    denoised: Latents
    kappa: Latents
    eps: Latents
    residual: Float[Tensor, " batch"]
    num_forwards: int
    image_gradient: Images | None = None

    @classmethod
    def from_noises(
        cls,
        x0: Latents,
        t: Times,
        *,
        kappa: Latents,
        eps: Latents,
        schedule: NoiseSchedule,
        num_forwards: int,
        weight: str = "sigma",
        along: Latents | None = None,
        image_along: Images | None = None,
    ) -> "Update":
        """Return the update with gradient w(t) (eps - kappa), the form that SDS and SDI share.

        Args:
            x0: clean latents.
            t: one time per item.
            kappa: noise added.
            eps: noise predicted.
            schedule: noise schedule.
            num_forwards: UNet sample-forwards made.
            weight: w(t), one of `WEIGHTS`.
            along: what w(t) multiplies, if not eps - kappa.
            image_along: the same for the render.
        """
        sigma, w = schedule.sigma(t), weight_at(weight, t, schedule)
        missed = eps - kappa
        gradient = spread(w, x0) * (missed if along is None else along)
        return cls(
            gradient=gradient,
            target=x0 - gradient,
            denoised=x0 - spread(sigma, x0) * missed,  # eq. 5 at x_t = add_noise(x0, kappa, t)
            kappa=kappa,
            eps=eps,
            residual=sigma.to(x0) * missed.flatten(1).square().mean(1).sqrt(),
            num_forwards=num_forwards,
            image_gradient=None if image_along is None else spread(w, image_along) * image_along,
        )


@runtime_checkable
class Rule(Protocol):
    """A guidance rule: any callable with this signature can be given to `distill`."""

    def __call__(self, x0: Latents, t: Times, view: View, generator: Generators) -> Update:
        """Return the update.

        Args:
            x0: clean latents, without a graph.
            t: one time per item, in (0, 1], on the CPU.
            view: the prompt, and what else the rule may use.
            generator: source of randomness; one for all, or one per item.
        """
        ...


def checked(update: object, rule: object, x0: Latents) -> Update:
    """Return a rule's result, checked to be an `Update`.

    Args:
        update: what the rule returned.
        rule: the rule, named in the error message.
        x0: the latents that it was given.

    Raises:
        ValueError: the result is not an `Update`, or its gradient or target has another shape than `x0`.
    """
    name = getattr(rule, "__qualname__", type(rule).__name__)
    if not isinstance(update, Update):
        returned = f"{name}, which returned {type(update).__name__}"
        reject("rule", returned, "one that returns an Update")
    for part in ("gradient", "target"):
        shape = tuple(getattr(update, part).shape)
        if shape != x0.shape:
            reject(
                "rule",
                f"{name}, whose {part} has shape {shape}",
                f"the shape of x0, {tuple(x0.shape)}",
            )
    return update


@runtime_checkable
class StatefulRule(Protocol):
    """A rule with state, which a resumed run must restore."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state.

        Args:
            state: from `state_dict`.
        """
        ...


WEIGHTS = ("sigma", "1-alpha", "1")
"""Choices of w(t): sigma(t) as in Algorithms 1 and 2, 1 - alpha(t) as in most code, or 1 as in SJC
(2212.00774)."""


def weight_at(name: str, t: Times, schedule: NoiseSchedule) -> Float[Tensor, " batch"]:
    """Return w(t), one number per item.

    Args:
        name: one of `WEIGHTS`.
        t: times.
        schedule: noise schedule.
    """
    if one_of("weight", name, WEIGHTS) == "sigma":
        return schedule.sigma(t)
    return 1 - schedule.alpha_cumprod(t) if name == "1-alpha" else t.new_ones(t.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """What w(t) multiplies, and the noises it was computed from.

    Attributes:
        kappa: the noise added.
        eps: guided prediction at the noised x0.
        along: what w(t) multiplies; None is eps - kappa.
        image_along: what w(t) multiplies for the render; None is nothing.
    """

    kappa: Latents
    eps: Latents
    along: Latents | None = None
    image_along: Images | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Noise predictions from one call of the network.

    Attributes:
        guided: eps, including Perp-Neg's negatives if the prompt has any.
        conditional: e_y.
        unconditional: e_∅.
        others: predictions under further conditions, in the order given.
    """

    guided: Latents
    conditional: Latents
    unconditional: Latents
    others: tuple[Latents, ...] = ()

    @property
    def guidance(self) -> Latents:
        """gamma (e_y - e_∅), what guidance adds to the unconditional prediction."""
        return self.guided - self.unconditional


@dataclass(frozen=True, eq=False)
class WeightedRule(ABC):
    """Base class of the library's rules: the gradient is w(t) times a direction.

    A subclass implements `direction`, and declares its settings as further fields, with
    `checks.setting` where not every value is allowed.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.

    Raises:
        ValueError: gamma not finite, or an unknown weight.
    """

    denoiser: Denoiser
    guidance_scale: float = setting(7.5, finite)
    weight: str = field(default="sigma", kw_only=True)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        check_settings(self)
        one_of("weight", self.weight, WEIGHTS)

    @torch.no_grad()
    def __call__(self, x0: Latents, t: Times, view: View, generator: Generators) -> Update:
        """Return the update; see `Rule`."""
        before = self.denoiser.num_forwards
        found = self.direction(x0, t, view, generator)
        return Update.from_noises(
            x0,
            t,
            kappa=found.kappa,
            eps=found.eps,
            along=found.along,
            image_along=found.image_along,
            schedule=self.denoiser.schedule,
            weight=self.weight,
            num_forwards=self.denoiser.num_forwards - before,
        )

    @abstractmethod
    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return what w(t) multiplies; no graph is kept.

        Args:
            x0: clean latents.
            t: one time per item, in (0, 1].
            view: the prompt, and what else the rule may use.
            generator: source of randomness; one for all, or one per item.
        """
        ...

    def weights(self, t: Times) -> Float[Tensor, " batch"]:
        """Return w(t), one number per item.

        Args:
            t: times.
        """
        return weight_at(self.weight, t, self.denoiser.schedule)

    def guided(self, view: View) -> GuidedDenoiser:
        """Return eps(x, t, y), the denoiser at gamma.

        Args:
            view: supplies the prompt.
        """
        return GuidedDenoiser(self.denoiser, view.prompt, self.guidance_scale)

    def predict(self, x_t: Latents, t: Times, view: View, *others: Condition) -> Predictions:
        """Return eps, the branches it is made of, and any others, from one call of the network.

        Costs 2 sample-forwards per item, plus 1 for each negative and each further condition.

        Args:
            x_t: noisy latents.
            t: one time per item.
            view: supplies the prompt.
            *others: further conditions, as in `PromptEmbeddings`.
        """
        prompt = view.prompt
        conditions = [prompt.conditional, prompt.unconditional, *prompt.negatives, *others]
        e_y, e_none, *rest = self.denoiser.branches(x_t, t, conditions)
        count = len(prompt.negatives)
        eps = perp_neg(e_y, e_none, rest[:count], prompt.negative_weights, self.guidance_scale)
        return Predictions(eps, e_y, e_none, tuple(rest[count:]))


def embedded(denoiser: Denoiser, parameter: str, texts: list[str]) -> Condition:
    """Embed texts as a condition for a denoiser that reads text.

    Args:
        denoiser: one with an `embed` method, such as `StableDiffusion`.
        parameter: the setting that the texts come from, for the error message.
        texts: one per item.

    Raises:
        ValueError: the denoiser reads no text, or does not know a word.
    """
    embed = getattr(denoiser, "embed", None)
    if embed is None:
        reject(parameter, texts[0], f"'' for {type(denoiser).__name__}, which reads no text")
    return embed(texts).conditional


def own_words(denoiser: Denoiser, parameter: str, text: str, own: str) -> str:
    """Return the text that a setting stands for, and refuse words that the model does not know.

    Args:
        denoiser: see `embedded`, also for the errors.
        parameter: name of the setting.
        text: its value; see `AUTO_WORDS`.
        own: the method's own words, which `AUTO_WORDS` stands for.
    """
    if not isinstance(text, str):
        reject(parameter, text, "a text")
    if text == AUTO_WORDS:
        try:
            embedded(denoiser, parameter, [own])
        except ValueError:
            return ""
        return own
    if text:
        embedded(denoiser, parameter, [text])
    return text
