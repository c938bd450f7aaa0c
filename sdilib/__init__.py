"""Score distillation with a frozen 2D diffusion model; SDI recasts it as reparametrised DDIM."""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "cameras": "Camera sample_cameras",
    "denoiser": "Denoiser GuidedDenoiser PromptEmbeddings classifier_free_guidance",
    "distillation": "Codec Step distill distill_step",
    "guidance": "ASD CFD CSD ESD ISM MVSDI NFSD PFD SDI SDS SJC VSD HiFA HiFAOneStep SDSBridge StableSD SteinDreamer"
    " Direction Rule StatefulRule Update View WeightedRule",
    "guidance.named": "KAPPAS RULES cost make_rule",
    "inversion": "Cached DDIMInversion FixedNoise FixedPoint GradientDescent RandomNoise Kappa KappaChoice full_kappa"
    " invert residual",
    "nerf.field": "NeRF",
    "nerf.regularisers": "Penalties",
    "nerf.scene": "NeRFScene",
    "oracle": "GaussianMixture",
    "sampling": "ddim",
    "scenes": "ImageScene Rendering Scene Scene3D",
    "schedule": "NoiseSchedule TimeSchedule time_grid",
    "seeds": "generator",
    "stable_diffusion": "StableDiffusion",
    "text_to_3d": "Built3D Text3D",
    "text_to_image": "Built2D Text2D",
}
PUBLIC = {name: module for module, names in _HOMES.items() for name in names.split()}
"""The module that defines each public name."""

__all__ = ["__version__", *sorted(PUBLIC)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name on first access: torch takes seconds to import, and `--help` does not need it.

    Args:
        name: a class or function.

    Raises:
        AttributeError: no such name.
    """
    if name not in PUBLIC:
        raise AttributeError(f"module 'sdilib' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sdilib.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
