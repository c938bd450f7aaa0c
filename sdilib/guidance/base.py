"""A guidance rule is a callable that sees clean latents and a time and answers an `Update`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.denoiser import PromptEmbeddings
from sdilib.schedule import NoiseSchedule, spread
from sdilib.seeds import Generators

__all__ = ["Rule", "StatefulRule", "Update", "View"]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a rule may look at besides the latents.

    Attributes:
        prompt: embeddings for this view, one row per item.
        image: the render in [0, 1], for rules with an image loss; None in latent space.
        depth: of the render, along the viewing direction; None for a scene without depth.
        camera: where it is seen from; None for a scene with one view only.
    """

    prompt: PromptEmbeddings
    image: Float[Tensor, "batch 3 height width"] | None = None
    depth: Float[Tensor, "batch height width"] | None = None
    camera: Camera | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """A rule's answer at (x0, t); nothing in it carries a graph.

    Attributes:
        gradient: to descend along in x0, weight w(t) included.
        target: x0 - gradient; what x0 becomes by a step of size one.
        denoised: the single-step denoised image of x_t, eq. 5; equals `target` where w(t) =
            sigma(t) and kappa is what is subtracted.
        kappa: the noise added.
        eps: guided prediction at the noised x0.
        residual: of eq. 8 at (x0, t) for kappa: sigma(t) times the root mean square of kappa - eps,
            one number per item.
        num_forwards: UNet sample-forwards this update cost.
        image_gradient: to descend along in the render as well, for a scene in pixels; None is none.
    """

    gradient: Float[Tensor, " batch *shape"]
    target: Float[Tensor, " batch *shape"]
    denoised: Float[Tensor, " batch *shape"]
    kappa: Float[Tensor, " batch *shape"]
    eps: Float[Tensor, " batch *shape"]
    residual: Float[Tensor, " batch"]
    num_forwards: int
    image_gradient: Float[Tensor, "batch 3 height width"] | None = None

    @classmethod
    def from_noises(
        cls,
        x0: Float[Tensor, " batch *shape"],
        t: Float[Tensor, " batch"],
        *,
        kappa: Float[Tensor, " batch *shape"],
        eps: Float[Tensor, " batch *shape"],
        schedule: NoiseSchedule,
        num_forwards: int,
        weight: str = "sigma",
        subtracted: Float[Tensor, " batch *shape"] | None = None,
    ) -> "Update":
        """Return the update along w(t) (eps - kappa), the shape that SDS and SDI share.

        Args:
            x0: clean latents.
            t: one time per item.
            kappa: noise added.
            eps: noise predicted.
            schedule: of the noise.
            num_forwards: UNet sample-forwards made.
            weight: w(t), one of `WEIGHTS`.
            subtracted: what is subtracted from eps, if not kappa (ISM).
        """
        sigma = spread(schedule.sigma(t), x0)
        missed = eps - kappa
        along = missed if subtracted is None else eps - subtracted
        gradient = spread(weight_at(weight, t, schedule), x0) * along
        return cls(
            gradient=gradient,
            target=x0 - gradient,
            denoised=x0 - sigma * missed,  # eq. 5 at x_t = add_noise(x0, kappa, t)
            kappa=kappa,
            eps=eps,
            residual=sigma.flatten() * missed.flatten(1).square().mean(1).sqrt(),
            num_forwards=num_forwards,
        )


@runtime_checkable
class Rule(Protocol):
    """A guidance rule: any callable of this shape can be given to `distill`."""

    def __call__(
        self,
        x0: Float[Tensor, " batch *shape"],
        t: Float[Tensor, " batch"],
        view: View,
        generator: Generators,
    ) -> Update:
        """Return the update.

        Args:
            x0: clean latents, without a graph.
            t: one time per item, in (0, 1].
            view: the prompt and what else may be looked at.
            generator: for what is drawn; one for all, or one per item.
        """
        ...


@runtime_checkable
class StatefulRule(Protocol):
    """A rule that learns or remembers on the way, so that a resumed run must restore it."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore it.

        Args:
            state: from `state_dict`.
        """
        ...


WEIGHTS = ("sigma", "1-alpha", "1")
"""Names of w(t): sigma(t) as in Algorithms 1 and 2, 1 - alpha(t) as in most code, or 1 as in SJC
(2212.00774)."""


def weight_at(
    name: str, t: Float[Tensor, " batch"], schedule: NoiseSchedule
) -> Float[Tensor, " batch"]:
    """Return w(t), one number per item.

    Args:
        name: one of `WEIGHTS`.
        t: times.
        schedule: of the noise.
    """
    if name == "sigma":
        return schedule.sigma(t)
    return 1 - schedule.alpha_cumprod(t) if name == "1-alpha" else t.new_ones(t.shape)
