"""Ground truth of a scene's object: signed distance and colour at any point.

Letters: points are (x, y, z), right-handed, y up, an object's front along +z; v is a scene as one array (`scene`, which
names its places). Light is fixed to the object, so a point has the same colour from every side.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit, prange

from sdilib.lab.world import scene as at
from sdilib.lab.world.bodies import distance_and_part
from sdilib.lab.world.kinds import UNROLLED
from sdilib.lab.world.scene import WorldScene, flat


def signed_distance(
    scene: WorldScene, points: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, " points"]:
    """Signed distance to the surface of a scene's object: negative inside, exact in sign.

    Args:
        scene: camera, light and background do not matter.
        points: positions in object coordinates.

    Returns:
        One value per point; its magnitude is a lower bound of the true distance, to 2 % at a rocket's fins.
    """
    out = np.empty(len(points))
    _distances(flat(scene), np.ascontiguousarray(points, dtype=np.float64), out)
    return out.astype(points.dtype)


def colour_at(
    scene: WorldScene, points: Float[np.ndarray, "points 3"], *, shaded: bool = True
) -> Float[np.ndarray, "points 3"]:
    """Colour in [0, 1] that a camera sees at points on the surface of a scene's object.

    Args:
        scene: camera and background do not matter.
        points: positions on the surface; elsewhere, the result is the colour that the nearest part would have.
        shaded: with light and shade; otherwise the paint alone, with its grain.
    """
    out = np.empty((len(points), 3))
    _colours(flat(scene), shaded, np.ascontiguousarray(points, dtype=np.float64), out)
    return out.astype(points.dtype)


@njit(cache=True)
@no_type_check
def distance(v, x, y, z):
    """Signed distance of a stretched object, compiled."""
    d, _ = distance_and_part(v, x, y / v[at.STRETCH], z)
    return d * min(v[at.STRETCH], 1.0)


@njit(cache=True)
@no_type_check
def normal(v, x, y, z):
    """Outward unit normal, by differences at the corners of a tetrahedron."""
    e = 2e-4
    a = distance(v, x + e, y - e, z - e)
    b = distance(v, x - e, y - e, z + e)
    c = distance(v, x - e, y + e, z - e)
    d = distance(v, x + e, y + e, z + e)
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    return nx / length, ny / length, nz / length


@njit(cache=True)
@no_type_check
def _is_second(v, unrolled, x, y, z):
    """Whether a pattern shows its other colour at a point."""
    pattern, mapping, radius = int(v[at.PATTERN]), unrolled[0], unrolled[4]
    # A pattern's cells are larger for spots, so that they stay visible in a small image.
    cell = unrolled[5] * v[at.CELL] * (1.25 if pattern == 2 else 1.0)
    px, py, pz = x - unrolled[1], y - unrolled[2], z - unrolled[3]
    x = v[at.TURN] * px + v[at.TURN + 1] * py + v[at.TURN + 2] * pz
    y = v[at.TURN + 3] * px + v[at.TURN + 4] * py + v[at.TURN + 5] * pz
    z = v[at.TURN + 6] * px + v[at.TURN + 7] * py + v[at.TURN + 8] * pz
    around = np.arctan2(x, z)
    if mapping == 3.0:  # a ball: along runs from the pole down
        polar = np.arccos(min(1.0, max(-1.0, y / (np.sqrt(x * x + y * y + z * z) + 1e-9))))
        along = polar * radius / cell + v[at.SHIFT_V]
        row = np.floor(along + 0.5) if pattern == 2 else np.floor(along)
        centre = (row - v[at.SHIFT_V]) * cell / radius
        ring = radius * max(0.0, np.sin(centre)) if pattern == 2 else 0.8 * radius
    else:
        along = y / cell + v[at.SHIFT_V]
        row = np.floor(along)
        ring = radius
    odd = row % 2.0 != 0.0
    if pattern == 1:
        pair = 0.5 * along - np.floor(0.5 * along)
        return pair < 0.5 * v[at.FILL]
    if mapping == 1.0:  # walls: x + z runs along each wall of a box
        u, width = (x + z) / cell, cell
    else:
        count = max(1.0, np.round(2.0 * np.pi * ring / cell))
        if pattern == 3:
            count = max(2.0, 2.0 * np.round(0.5 * count))
        u, width = (around / (2.0 * np.pi) + 0.5) * count, 2.0 * np.pi * ring / count
    u += v[at.SHIFT_U]
    if pattern == 3:
        return odd != (np.floor(u) % 2.0 != 0.0)
    # Spots: one in each cell, every second row moved by half a cell.
    if odd:
        u += 0.5
    du = (u - np.floor(u) - 0.5) * width
    if mapping == 3.0:
        if count == 1.0 and ring < 0.25 * cell:
            du = 0.0
        dv = (along - row) * cell
    else:
        dv = (along - row - 0.5) * cell
    return du * du + dv * dv < (0.33 * v[at.FILL] * cell) ** 2


@njit(cache=True, inline="always")
@no_type_check
def _hashed(i, j, k):
    """A number in [-1, 1] for a corner of the lattice, by bit mixing."""
    h = np.uint32(i) * np.uint32(0x8DA6B343) ^ np.uint32(j) * np.uint32(0xD8163841)
    h = np.uint32(h ^ (np.uint32(k) * np.uint32(0xCB1AB31F)))
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D))
    h = np.uint32((h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    return h * (2.0 / 4294967295.0) - 1.0


@njit(cache=True)
@no_type_check
def _grain(v, x, y, z):
    """Smooth noise in [-1, 1], fixed in the object's space.

    Source: value noise, interpolated as in Perlin (2002), with unit contrast restored.
    """
    x, y, z = x * v[at.GRAIN_X] + v[at.GRAIN_OFFSET], y * v[at.GRAIN_Y], z * v[at.GRAIN_Z]
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    a, b, c = x - i, y - j, z - k
    a, b, c = a * a * (3.0 - 2.0 * a), b * b * (3.0 - 2.0 * b), c * c * (3.0 - 2.0 * c)
    total = 0.0
    for di in range(2):
        wx = a if di else 1.0 - a
        for dj in range(2):
            wy = b if dj else 1.0 - b
            near = (1.0 - c) * _hashed(i + di, j + dj, k) + c * _hashed(i + di, j + dj, k + 1)
            total += wx * wy * near
    return min(1.0, max(-1.0, 1.5 * total))


@njit(cache=True)
@no_type_check
def paint(v, part, x, y, z):
    """Colour of a part before light, compiled; the point is given before stretching."""
    unrolled = UNROLLED[int(v[at.KIND]), part]
    first = at.PARTS + 3 * part
    if unrolled[0] != 0.0:
        first = at.OTHER if v[at.PATTERN] > 0.0 and _is_second(v, unrolled, x, y, z) else at.PAINT
    grain = 1.0 if v[at.GRAIN] == 0.0 else 1.0 + v[at.GRAIN] * (_grain(v, x, y, z) - 0.25)
    return (
        min(1.0, v[first] * grain),
        min(1.0, v[first + 1] * grain),
        min(1.0, v[first + 2] * grain),
    )


@njit(cache=True)
@no_type_check
def _light(v, x, y, z):
    """Shares of the paint's colour that reach a camera, by ambient and fill light and by key light, with soft occlusion."""
    nx, ny, nz = normal(v, x, y, z)
    kx, ky, kz = v[at.KEY], v[at.KEY + 1], v[at.KEY + 2]
    key = max(0.0, nx * kx + ny * ky + nz * kz)
    fill = max(0.0, -nx * kx + 0.3 * ny - nz * kz)
    open_share = 0.0
    for h in (0.06, 0.15, 0.30):
        free = distance(v, x + h * nx, y + h * ny, z + h * nz)
        open_share += min(1.0, max(0.0, free / h)) / 3.0
    occlusion = 0.58 + 0.42 * open_share
    dim = v[at.AMBIENT] + 0.10 * ny + v[at.FILL_LIGHT] * fill
    return dim * occlusion, v[at.KEY_LIGHT] * key * occlusion


@njit(cache=True)
@no_type_check
def radiance(v, x, y, z):
    """Colour a camera sees at a surface point, compiled."""
    _, part = distance_and_part(v, x, y / v[at.STRETCH], z)
    red, green, blue = paint(v, part, x, y / v[at.STRETCH], z)
    dim, key = _light(v, x, y, z)
    return (
        red * min(1.0, dim + key * (1.0 + v[at.WARMTH])),
        green * min(1.0, dim + key),
        blue * min(1.0, dim + key * (1.0 - 2.0 * v[at.WARMTH])),
    )


@njit(cache=True, parallel=True)
@no_type_check
def _distances(v, points, out):
    for i in prange(len(points)):
        out[i] = distance(v, points[i, 0], points[i, 1], points[i, 2])


@njit(cache=True, parallel=True)
@no_type_check
def _colours(v, shaded, points, out):
    for i in prange(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        if shaded:
            red, green, blue = radiance(v, x, y, z)
        else:
            _, part = distance_and_part(v, x, y / v[at.STRETCH], z)
            red, green, blue = paint(v, part, x, y / v[at.STRETCH], z)
        out[i, 0], out[i, 1], out[i, 2] = red, green, blue
