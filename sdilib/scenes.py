"""What a distillation optimises: a `Scene` renders, and its parameters are learned."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.checks import one_of

SPACES = ("latents", "pixels")


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """A scene's render.

    Attributes:
        image: the views, with a graph to the parameters.
        penalty: a number to minimise that keeps the scene plausible, with a graph; None for none.
        depth: depth of the views along the viewing direction, 0 where there is no surface; None for a
            scene without depth.
        measured: numbers measured in this render, for monitoring; without a graph.
    """

    image: Float[Tensor, "batch channels height width"]
    penalty: Float[Tensor, ""] | None = None
    depth: Float[Tensor, "batch height width"] | None = None
    measured: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)


@runtime_checkable
class Scene(Protocol):
    """A differentiable renderer with parameters.

    Attributes:
        space: "latents", if it renders what the denoiser takes, or "pixels", if its renders must be
            encoded.
    """

    space: str

    def render(self) -> Rendering:
        """Return a batch of views, from the scene's current viewpoints."""
        ...

    def parameters(self) -> Iterator[Tensor]:
        """Return the tensors to optimise."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return the parameters by name."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore them in place.

        Args:
            state: from `state_dict`.
        """
        ...


@runtime_checkable
class Views(Protocol):
    """Renders of a 3D scene, without a graph."""

    @property
    def image(self) -> Float[Tensor, "batch 3 height width"]:
        """The views, in [0, 1], on the CPU."""
        ...


@runtime_checkable
class Scene3D(Scene, Protocol):
    """A scene seen by cameras, such as `NeRFScene`; `render` shows the views that `look` set last.

    A scene that measures its mean "opacity" in a `Rendering` is stopped when it vanishes.
    """

    def look(
        self, camera: Camera, generator: torch.Generator | None = None, *, done: float = 1.0
    ) -> None:
        """Set the views of the step.

        Args:
            camera: the views.
            generator: source of whatever the step draws; None outside of a step, where nothing is drawn.
            done: fraction of the run completed, in [0, 1].
        """
        ...

    def resize(self, height: int, width: int) -> None:
        """Set the size of the renders.

        Args:
            height: of the renders, in pixels.
            width: of the renders, in pixels.
        """
        ...

    def views(self, camera: Camera) -> Views:
        """Return renders from other cameras; the scene's own views stay as they were.

        Args:
            camera: any number of views.
        """
        ...


class ImageScene:
    """A batch of images or latents that are their own parameters: g(psi, c) = psi.

    In 2D, SDS becomes an image generator that can be compared with DDIM (section 4 of the paper).

    Attributes:
        space: "latents" or "pixels".
        values: the parameters; nothing keeps pixels in [0, 1] but the optimiser.
    """

    def __init__(
        self, values: Float[Tensor, "batch channels height width"], *, space: str = "latents"
    ) -> None:
        """Start from given values.

        Args:
            values: copied; in latents, zeros are Stable Diffusion's grey.
            space: "latents" or "pixels".

        Raises:
            ValueError: an unknown space.
        """
        self.space = one_of("space", space, SPACES)
        self.values = values.detach().clone().requires_grad_()

    def render(self) -> Rendering:
        """Return the parameters themselves."""
        return Rendering(self.values)

    def parameters(self) -> Iterator[Tensor]:
        """Return the images."""
        yield self.values

    def state_dict(self) -> dict[str, Tensor]:
        """Return the images."""
        return {"values": self.values.detach().clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore them in place.

        Args:
            state: from `state_dict`.
        """
        with torch.no_grad():
            self.values.copy_(state["values"])
