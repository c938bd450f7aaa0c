"""Deferred backpropagation: makes the memory of a differentiable render independent of its size.

All rays are rendered without a graph, patch by patch. When the gradient with respect to the result
arrives, each patch is rendered again, with a graph, and the gradient backpropagated at once, so
that only one patch's graph exists at a time (ARF, 2206.06360, section 4.3). The price is a second
rendering; the gradients are the same.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sdilib.checks import positive_int

_Result = TypeVar("_Result")


def in_patches(
    render_rays: Callable[..., _Result],
    *rays: Float[Tensor, "rays ..."],
    rays_per_patch: int,
) -> _Result:
    """Call `render_rays` patch by patch, keeping no graph inside.

    Each patch is rendered twice, so what `render_rays` reads (parameters, occupancy) must not change
    until the backward pass, and it must not draw random numbers.

    Args:
        render_rays: takes `rays` and returns a dataclass of tensors, their first axis the rays'.
        rays: tensors, one row per ray.
        rays_per_patch: rows per patch.

    Returns:
        The whole result, differentiable.

    Raises:
        ValueError: a patch of less than one ray.

    Source: ARF, section 4.3.
    """
    positive_int("rays_per_patch", rays_per_patch)
    patches: list[Any] = [
        # Nothing random is drawn, so the global random state need not be kept.
        checkpoint(render_rays, *patch, use_reentrant=False, preserve_rng_state=False)
        for patch in zip(*(values.split(rays_per_patch) for values in rays), strict=True)
    ]
    names = [field.name for field in fields(patches[0])]
    rows = [_Together.apply(*(getattr(patch, name) for name in names)) for patch in patches]
    whole = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return type(patches[0])(**dict(zip(names, whole, strict=True)))


class _Together(torch.autograd.Function):
    """Identity; in the backward pass, missing gradients become zeros.

    Every node of a patch's graph then runs and frees what it holds. The node of an output that the
    loss does not use would otherwise keep its part of the second rendering until the last patch.
    """

    @staticmethod
    def forward(ctx: Any, *values: Tensor) -> tuple[Tensor, ...]:
        return tuple(value.view_as(value) for value in values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return gradients
