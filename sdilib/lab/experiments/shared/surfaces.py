"""How far the surface of a run's object is from the true one."""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from sdilib.lab.experiments.shared.objects import AZIMUTHS, Looked, nearest_member
from sdilib.lab.exports import nerf_mesh
from sdilib.lab.metrics import chamfer_distance
from sdilib.lab.world.mesh import mesh
from sdilib.lab.world.scene import WorldScene

_CELLS = 48  # per side of the grid
_POINTS = 2000  # the fewest that are compared


def best_chamfer(field: Any, prompt: str, looked: Looked) -> float:
    """Return the Chamfer distance from a field's surface to the true object's, in the world's units, at the best turn.

    A prompt leaves the proportions open: the true object is the `nearest_member` of its family.

    The field's surface is first scaled to the true one's size, the root mean square distance from the origin. A field
    without a surface counts as a point at the origin.

    Args:
        field: a `NeRF`; None for a run that diverged.
        prompt: names an object of the world.
        looked: the field's views, from `looked_at`.
    """
    truth = _surface(nearest_member(looked, prompt)[0])
    try:
        made = (
            torch.zeros(1, 3).double()
            if field is None
            else _points(nerf_mesh(field, resolution=_CELLS))
        )
    except ValueError:  # nowhere dense enough: fog
        made = torch.zeros(1, 3).double()
    made = made * _size(truth) / _size(made).clamp_min(1e-9)
    turns = [Rotation.from_euler("y", azimuth, degrees=True) for azimuth in AZIMUTHS]
    return min(
        chamfer_distance(torch.from_numpy(turn.apply(made.numpy())), truth) for turn in turns
    )


@lru_cache(maxsize=32)
def _surface(scene: WorldScene) -> Float[Tensor, "points 3"]:
    return _points(mesh(scene, resolution=_CELLS))


def _points(surface: Any) -> Float[Tensor, "points 3"]:
    """The vertices of marching cubes are about evenly spaced."""
    vertices = torch.from_numpy(surface.vertices).double()
    return vertices[:: max(1, len(vertices) // _POINTS)]


def _size(points: Tensor) -> Tensor:
    return points.square().sum(1).mean().sqrt()
