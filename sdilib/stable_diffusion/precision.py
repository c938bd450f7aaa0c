"""Types of weights and network calls by name, and which of them are fast on a machine."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import torch

from sdilib.checks import one_of

PRECISIONS: Mapping[str, torch.dtype] = MappingProxyType(
    {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
)
"""Types by name."""

AUTO = "auto"
"""Stands for float16 on CUDA, and float32 elsewhere."""

_CPU = Path("/proc/cpuinfo")

_log = logging.getLogger(__name__)


def usable_precision(precision: str, device: torch.device) -> str:
    """Return the precision, or `AUTO` with a warning if it is bfloat16 and the device has no instructions for it.

    Args:
        precision: `AUTO`, or a key of `PRECISIONS`.
        device: where the model will be.

    Raises:
        ValueError: an unknown precision.
    """
    one_of("precision", precision, [AUTO, *PRECISIONS])
    return AUTO if precision == "bfloat16" and not _has_bfloat16(device.type) else precision


@lru_cache(maxsize=4)
def _has_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster there than float32; warns once if not."""
    if device == "cuda":
        found = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        flags = _CPU.read_text(encoding="utf-8").split() if _CPU.is_file() else []
        found = device == "cpu" and not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags)
    if not found:
        _log.warning("precision='bfloat16' is not used: this %s has no instructions for it", device)
    return found
