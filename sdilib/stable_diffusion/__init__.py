"""Stable Diffusion 1.x and 2.x, and the bundled model in its format."""

from sdilib.stable_diffusion.model import StableDiffusion

__all__ = ["StableDiffusion"]
