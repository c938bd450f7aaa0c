"""Multiresolution hash encoding (Instant-NGP, 2201.05989, section 3): positions to features.

Notation: level l is a grid of N_l = floor(N_min b^l) cells per side over the unit cube, with
(N_l + 1)^3 vertices. Each vertex has an entry of F numbers in the level's table of at most T
entries: its own if they all fit, otherwise the one given by its hash. A point's features are
interpolated trilinearly from the eight vertices around it, level by level.
"""

import importlib
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sdilib.checks import one_of, positive_int, reject
from sdilib.nerf import _hash_kernels
from sdilib.seeds import generator as generator_at
from sdilib.threads import set_threads

BACKENDS = ("numba", "torch", "tinycudann")
LARGEST_TABLE = 24
"""The largest log2_table_size allowed, as in Instant-NGP."""

_PRIMES = (1, 2_654_435_761, 805_459_861)


def lacks_tinycudann() -> str:
    """Return why tinycudann cannot be imported, such as a GPU that it was not compiled for; "" if it can."""
    try:
        importlib.import_module("tinycudann")
    except Exception as error:  # whatever its binaries raise
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def usable_backend(backend: str, device: torch.device) -> str:
    """Return the backend, or "numba" with a warning if it is "tinycudann" and cannot be used.

    Args:
        backend: one of `BACKENDS`.
        device: where the grid will be.

    Raises:
        ValueError: an unknown backend.
    """
    if one_of("backend", backend, BACKENDS) != "tinycudann":
        return backend
    lacks = lacks_tinycudann() if device.type == "cuda" else f"the device is {device.type}"
    if not lacks:
        return backend
    warnings.warn(
        "backend='tinycudann' needs the package tinycudann and a CUDA device; using 'numba', "
        f"whose parameters are laid out differently ({lacks})",
        RuntimeWarning,
        stacklevel=3,
    )
    return "numba"


class HashGrid(nn.Module):
    """A trainable encoding of positions in the unit cube.

    The backends "numba" and "torch" have the same parameters, initialisation and values. "torch" is
    the reference, whose graph takes kilobytes per point; on a CUDA device "numba" is the reference's
    formula with a backward pass that stores only the positions. "tinycudann" is NVIDIA's library:
    faster on CUDA, but with half a cell's offset between levels and its own layout, and not
    reproducible to the bit.

    Attributes:
        num_features: length of the encoding, levels times features per level.
        resolutions: N_l.
        active_levels: levels from this one on give zeros, for training from coarse to fine. Not
            part of the state: the training loop sets it from the step.
        backend: the backend in use.
    """

    def __init__(
        self,
        *,
        num_levels: int = 12,
        features_per_level: int = 2,
        log2_table_size: int = 15,
        base_resolution: int = 8,
        finest_resolution: int = 128,
        backend: str = "numba",
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw the entries from U(-1e-4, 1e-4).

        Args:
            num_levels: L, at least 1.
            features_per_level: F.
            log2_table_size: log2 of T, the largest number of entries per level; at most 24.
            base_resolution: N_min.
            finest_resolution: N_max, that of the last level.
            backend: "numba", "torch" or "tinycudann"; the last falls back to "numba", with a
                warning, where the library or a CUDA device is missing.
            generator: for the entries, or for the seed of tinycudann's; None uses seed 0.

        Raises:
            ValueError: a number outside its range, a finest resolution below the base, an unknown backend.
        """
        super().__init__()
        positive_int("num_levels", num_levels)
        positive_int("features_per_level", features_per_level)
        positive_int("log2_table_size", log2_table_size, at_most=LARGEST_TABLE)
        positive_int("base_resolution", base_resolution)
        positive_int("finest_resolution", finest_resolution, at_least=base_resolution)
        self.backend = usable_backend(
            backend, torch.device("cuda" if torch.cuda.is_available() else "cpu")
        )
        if self.backend == "numba":
            set_threads()
        self.num_features = num_levels * features_per_level
        self.features_per_level = features_per_level
        self.active_levels = num_levels
        growth = math.log(finest_resolution / base_resolution) / max(num_levels - 1, 1)
        # The small term keeps floor() from losing the last level's exact value to rounding.
        self.resolutions = tuple(
            math.floor(base_resolution * math.exp(growth * level) + 1e-6)
            for level in range(num_levels)
        )
        generator = generator or generator_at(0, 0, "hash grid")
        if self.backend == "tinycudann":
            self._library = _tiny_cuda_encoding(
                num_levels,
                features_per_level,
                log2_table_size,
                base_resolution,
                math.exp(growth),
                int(torch.randint(2**31, (), generator=generator)),
            )
            return
        vertices = torch.tensor([(n + 1) ** 3 for n in self.resolutions])
        sizes = vertices.clamp(max=2**log2_table_size)
        layout = {
            "_resolutions": torch.tensor(self.resolutions),
            "_sizes": sizes,
            "_offsets": sizes.cumsum(0) - sizes,
            "_hashed": vertices > sizes,
        }
        for name, values in layout.items():
            self.register_buffer(name, values, persistent=False)
        shape = (int(sizes.sum()), features_per_level)
        self.table = nn.Parameter((2 * torch.rand(shape, generator=generator) - 1) * 1e-4)

    def forward(self, positions: Float[Tensor, "points 3"]) -> Float[Tensor, "points features"]:
        """Encode positions.

        Args:
            positions: finite, in the unit cube, to which they are clamped; they get no gradient
                (normals use finite differences of the density). On the CPU or a CUDA device.

        Returns:
            Features, level by level, coarse first.

        Raises:
            ValueError: positions that require a gradient.
        """
        if positions.requires_grad:
            reject("positions", "a tensor with a graph", "positions without one")
        if self.backend == "tinycudann":
            if not len(positions):
                return positions.new_zeros(0, self.num_features)
            features = self._library(positions.clamp(0, 1)).to(positions.dtype)
            features = features.unflatten(-1, (-1, self.features_per_level))
            return _masked(features, self.active_levels).flatten(1)
        levels = min(self.active_levels, len(self.resolutions))
        layout = [
            getattr(self, name)[:levels]
            for name in ("_resolutions", "_offsets", "_sizes", "_hashed")
        ]
        if self.backend == "torch":
            features = _reference(self.table, positions.to(self.table.dtype), *layout)
        else:
            compiled = _Compiled if positions.device.type == "cpu" else _Recomputed
            features = compiled.apply(self.table, positions, *layout)
        missing = len(self.resolutions) - levels
        if missing:
            features = nn.functional.pad(features, (0, 0, 0, missing))
        return features.flatten(1)


def _masked(features: Tensor, levels: int) -> Tensor:
    kept = torch.arange(features.shape[1], device=features.device) < levels
    return features * kept[:, None]


def _vertices(
    positions: Tensor, resolutions: Tensor, offsets: Tensor, sizes: Tensor, hashed: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Entries and weights (points, levels) of the eight vertices around each point."""
    scaled = positions.clamp(0, 1)[:, None] * resolutions.to(positions.dtype)[:, None]
    cell = torch.minimum(scaled.long(), resolutions[:, None] - 1)
    within = scaled - cell
    shares = (1 - within, within)
    for corner in range(8):
        steps = [(corner >> axis) & 1 for axis in range(3)]  # no tensor, which CUDA would copy
        x, y, z = (cell[..., axis] + step for axis, step in enumerate(steps))
        weight = torch.stack([shares[step][..., axis] for axis, step in enumerate(steps)]).prod(0)
        own = x + (resolutions + 1) * (y + (resolutions + 1) * z)
        named = (x * _PRIMES[0] ^ y * _PRIMES[1] ^ z * _PRIMES[2]) & (sizes - 1)
        yield offsets + torch.where(hashed, named, own), weight


def _reference(table: Tensor, positions: Tensor, *layout: Tensor) -> Tensor:
    """The formula in plain torch, for autograd: (points, levels, features per level)."""
    features = torch.zeros((), dtype=table.dtype, device=table.device)
    for entry, weight in _vertices(positions, *layout):
        features = features + weight[..., None] * table[entry]
    return features


class _Recomputed(torch.autograd.Function):
    """The same for CUDA, recomputing what autograd would store for each vertex."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, positions: Tensor, *layout: Tensor) -> Tensor:
        positions = positions.to(table.dtype)
        ctx.save_for_backward(positions, *layout)
        ctx.table = table.shape
        return _reference(table, positions, *layout)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        positions, *layout = ctx.saved_tensors
        into = gradient.new_zeros(ctx.table)
        for entry, weight in _vertices(positions, *layout):
            into.index_add_(0, entry.flatten(), (weight[..., None] * gradient).flatten(0, 1))
        return (into, *[None] * (1 + len(layout)))


class _Compiled(torch.autograd.Function):
    """The same, by the compiled `_hash_kernels`."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, positions: Tensor, *layout: Tensor) -> Tensor:
        if not bool(positions.isfinite().all()):  # the kernel would write outside the table
            reject("positions", "nan or infinity", "finite numbers")
        positions = positions.to(table.dtype).contiguous()
        ctx.save_for_backward(positions, *layout)
        ctx.table = table.shape
        features = table.new_empty(len(positions), len(layout[0]), table.shape[1])
        _hash_kernels.encode(
            positions.numpy(),
            table.detach().numpy(),
            *_as_numpy(layout, table),
            features.numpy(),
        )
        return features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        positions, *layout = ctx.saved_tensors
        into = gradient.new_zeros(ctx.table)
        _hash_kernels.scatter(
            positions.numpy(),
            gradient.contiguous().numpy(),
            *_as_numpy(layout, gradient),
            into.numpy(),
        )
        return (into, *[None] * (1 + len(layout)))


def _as_numpy(layout: Sequence[Tensor], like: Tensor) -> tuple[Any, Any, Any, Any, Any]:
    resolutions, offsets, sizes, hashed = layout
    # In the table's own precision, so that scaling a coordinate rounds as in the reference.
    scale = resolutions.to(like.dtype).numpy()
    starts, sizes = (values.numpy().astype(np.uint32) for values in (offsets, sizes))
    return scale, starts, sizes, hashed.numpy(), (0,) * like.shape[-1]


def _tiny_cuda_encoding(
    levels: int, features: int, log2_size: int, base: int, growth: float, seed: int
):
    import tinycudann  # pyright: ignore[reportMissingImports]

    return tinycudann.Encoding(
        n_input_dims=3,
        encoding_config={
            "otype": "HashGrid",
            "n_levels": levels,
            "n_features_per_level": features,
            "log2_hashmap_size": log2_size,
            "base_resolution": base,
            "per_level_scale": growth,
        },
        seed=seed,
        dtype=torch.float32,
    )
