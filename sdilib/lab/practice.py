"""What figures and runs take for granted of the methods: SDS as practised, and the gammas that models are sampled with."""

from collections.abc import Mapping
from typing import Any

SDS_TIMES: dict[str, Any] = {"t_schedule": "random", "t_end": 0.02}
"""How SDS chooses t: drawn at each step, from DreamFusion's 0.02 (2209.14988) up to where SDI begins."""

SDS_PRACTISED: dict[str, Any] = SDS_TIMES | {"learning_rate": 0.1}
"""SDS as practised in 2D (Algorithm 1): by Adam, on latents, whose size is about 1."""

SDS_3D: dict[str, Any] = SDS_TIMES | {"rule": "sds"}
"""The changes that SDS in 3D makes to SDI's settings."""

SAMPLED = 7.5
"""gamma that Stable Diffusion is sampled with; the gammas of the paper and of published methods assume it."""

HIGH = 100 / SAMPLED
"""Ratio of a high gamma, DreamFusion's 100, to that of sampling."""


def high_sds(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes that SDS at a high gamma makes to SDI's settings in 3D.

    Args:
        settings: those of SDI, including gamma.
    """
    return SDS_3D | {"guidance_scale": HIGH * settings["guidance_scale"]}
