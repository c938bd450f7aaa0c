"""Randomness by address: a stream depends on (seed, step, purpose, item), not on what ran before.

Step 137 of a resumed run thus draws what step 137 of an unbroken run draws, and an item of a batch
draws what it would draw alone. Nothing here touches the global streams of torch, numpy or Python.
"""

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import reject

Generators = torch.Generator | Sequence[torch.Generator]
"""One generator for a whole batch, or one per item."""


def generator(seed: int, step: int, purpose: str, item: int = 0) -> torch.Generator:
    """Return the CPU generator of one address.

    Args:
        seed: the run's seed, any integer.
        step: step of the run the numbers are drawn for.
        purpose: what they are for, e.g. "guidance"; different purposes are independent streams.
        item: index in the batch.

    Examples:
        >>> a, b = (torch.randn(2, generator=generator(0, 137, "guidance")) for _ in range(2))
        >>> bool((a == b).all())
        True
    """
    digest = hashlib.sha256(f"{seed}/{step}/{purpose}/{item}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _one_each(generators: Sequence[torch.Generator], batch: int) -> Sequence[torch.Generator]:
    if len(generators) != batch:
        reject("generator", len(generators), f"one generator, or one for each of {batch} items")
    return generators


def normal(
    like: Float[Tensor, " batch *shape"], generator: Generators
) -> Float[Tensor, " batch *shape"]:
    """Draw N(0, I) in the shape and dtype of `like`, and on its device.

    The numbers are drawn on the generator's own device (CPU for those made here) and then moved, so
    that CPU and CUDA runs start from the same noise.

    Args:
        like: tensor whose shape (batch, ...), dtype and device are taken.
        generator: one for all, or one per item; then each item draws what it would draw alone.

    Raises:
        ValueError: the number of generators is not the batch size.
    """
    if isinstance(generator, torch.Generator):
        g = generator
        return torch.randn(like.shape, generator=g, dtype=like.dtype, device=g.device).to(like)
    items = [
        torch.randn(like.shape[1:], generator=g, dtype=like.dtype, device=g.device)
        for g in _one_each(generator, like.shape[0])
    ]
    return torch.stack(items).to(like)


def uniform(batch: int, generator: Generators) -> Float[Tensor, " batch"]:
    """Draw U(0, 1), one float64 number per item, on CPU.

    Args:
        batch: how many.
        generator: one for all, or one per item.

    Raises:
        ValueError: the number of generators is not `batch`.
    """
    if isinstance(generator, torch.Generator):
        g = generator
        return torch.rand(batch, generator=g, dtype=torch.float64, device=g.device).cpu()
    each = _one_each(generator, batch)
    return torch.cat(
        [torch.rand(1, generator=g, dtype=torch.float64, device=g.device).cpu() for g in each]
    )
