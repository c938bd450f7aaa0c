"""What is distilled into: a `Scene` renders, and its parameters are optimised."""

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import one_of

__all__ = ["ImageScene", "Scene"]

SPACES = ("latents", "pixels")


@runtime_checkable
class Scene(Protocol):
    """A differentiable renderer with parameters.

    Attributes:
        space: "latents", if it renders what the denoiser takes, or "pixels", if its renders must be
            encoded.
    """

    space: str

    def render(self) -> Float[Tensor, "batch channels height width"]:
        """Return a batch of views, with a graph to the parameters."""
        ...

    def parameters(self) -> Iterator[Tensor]:
        """Return what is optimised."""
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


class ImageScene:
    """A batch of images, or of latents, that are their own parameters: g(psi, c) = psi.

    In 2D, SDS becomes an image generator that can be laid beside DDIM (section 4 of the paper).

    Attributes:
        space: "latents" or "pixels".
        values: the parameters; pixels are in [0, 1] where the optimiser leaves them there.
    """

    def __init__(
        self, values: Float[Tensor, "batch channels height width"], *, space: str = "latents"
    ) -> None:
        """Begin with some images.

        Args:
            values: copied; zeros are Stable Diffusion's grey in latents.
            space: "latents" or "pixels".

        Raises:
            ValueError: another space.
        """
        self.space = one_of("space", space, SPACES)
        self.values = values.detach().clone().requires_grad_()

    @classmethod
    def zeros(cls, batch: int, latent_shape: tuple[int, int, int]) -> "ImageScene":
        """Return a scene of zero latents.

        Args:
            batch: number of images.
            latent_shape: (channels, height, width), as `StableDiffusion.latent_shape`.
        """
        return cls(torch.zeros(batch, *latent_shape))

    def render(self) -> Float[Tensor, "batch channels height width"]:
        """Return the parameters themselves."""
        return self.values

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
