"""Stable Diffusion 1.x and 2.x, and the bundled model in its format."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdilib.stable_diffusion.model import StableDiffusion

__all__ = ["StableDiffusion"]


def __getattr__(name: str) -> Any:
    """Import the class on first access: diffusers takes seconds to import, and `names` does not need it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sdilib.stable_diffusion import model

    return model.StableDiffusion
