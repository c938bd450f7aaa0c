"""An object's surface as triangles with colours: ground truth for generated 3D objects."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sdilib.checks import positive_int
from sdilib.lab.world.kinds import RADIUS
from sdilib.lab.world.objects import colour_at, signed_distance
from sdilib.lab.world.scene import WorldScene

_ROOM = 1.04  # the grid reaches a little beyond the ball that holds the object


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A closed surface.

    Attributes:
        vertices: positions in object coordinates, y up, the front along +z.
        faces: vertex numbers of each triangle, counter-clockwise from outside.
        colours: paint of each vertex without light, in [0, 1].
    """

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    colours: Float[np.ndarray, "vertices 3"]


def mesh(scene: WorldScene, *, resolution: int = 128) -> Mesh:
    """Return the surface of a scene's object by marching cubes on its signed distance.

    Args:
        scene: camera, light and background do not matter.
        resolution: cells along each side of the cube that holds the object, 8 or more.

    Raises:
        ValueError: a number out of range.
    """
    positive_int("resolution", resolution, at_least=8)
    half = _ROOM * RADIUS * max(1.0, scene.stretch)
    axis = np.linspace(-half, half, resolution + 1)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    distances = signed_distance(scene, grid.reshape(-1, 3))

    vertices, faces = surface(distances.reshape(grid.shape[:3]), half)
    colours = colour_at(scene, vertices, shaded=False)
    return Mesh(vertices, faces, colours)


def surface(
    values: Float[np.ndarray, "n n n"], half: float
) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"]]:
    """Return where values on a grid cross 0, as triangles that face the positive side.

    Args:
        values: on a grid from -half to half along each axis, negative inside.
        half: of the grid's side.

    Raises:
        ValueError: 0 is not among the values.

    Source: the topologically right cases of marching cubes, Lewiner et al. 2003, as in scikit-image.
    """
    from skimage.measure import marching_cubes  # takes a second to import; only needed here

    cell = 2 * half / (len(values) - 1)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(cell,) * 3)
    return (vertices - half).astype(np.float64), faces.astype(np.int64)
