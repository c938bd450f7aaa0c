"""Ground truth of the world's objects: signed distance and colour at any point.

Letters: points are (x, y, z), right-handed, y up, an object's front along +z; `stretch` scales the
object along y. Light is fixed to the object, so the colour of a point is the same from everywhere.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit, prange

from sdilib.checks import one_of
from sdilib.lab.world.bodies import distance_and_part
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PAINTS, PALETTE, PATTERNS, RADIUS, WHITE

__all__ = [
    "COLOURS",
    "OBJECT_NAMES",
    "PATTERNS",
    "RADIUS",
    "colour_at",
    "signed_distance",
]

# Unit directions towards the two lights, and the share of each.
_KEY = (0.446, 0.744, 0.496)
_FILL = (-0.424, 0.318, -0.848)


def signed_distance(
    name: str, points: Float[np.ndarray, "points 3"], *, stretch: float = 1.0
) -> Float[np.ndarray, " points"]:
    """Signed distance to the surface of an object: negative inside, exact in sign.

    Args:
        name: one of `OBJECT_NAMES`.
        points: positions in object coordinates.
        stretch: scale along y, in (0, 2].

    Returns:
        A value a point; its size is a lower bound of the true distance.

    Raises:
        ValueError: unknown object.
    """
    kind = OBJECT_NAMES.index(one_of("name", name, OBJECT_NAMES))
    out = np.empty(len(points))
    _distances(kind, stretch, np.ascontiguousarray(points, dtype=np.float64), out)
    return out.astype(points.dtype)


def colour_at(
    name: str,
    colour: str,
    points: Float[np.ndarray, "points 3"],
    *,
    pattern: str = "plain",
    stretch: float = 1.0,
    shaded: bool = True,
) -> Float[np.ndarray, "points 3"]:
    """Colour in [0, 1] that a camera sees at points on an object's surface.

    Args:
        name: one of `OBJECT_NAMES`.
        colour: one of `COLOURS`.
        points: positions on the surface; elsewhere, the colour that the nearest part would have.
        pattern: one of `PATTERNS`.
        stretch: scale along y, in (0, 2].
        shaded: with light and shade; otherwise the paint alone.

    Raises:
        ValueError: unknown object, colour or pattern.
    """
    kind = OBJECT_NAMES.index(one_of("name", name, OBJECT_NAMES))
    hue = list(COLOURS).index(one_of("colour", colour, COLOURS))
    mixed = PATTERNS.index(one_of("pattern", pattern, PATTERNS))
    out = np.empty((len(points), 3))
    inputs = np.ascontiguousarray(points, dtype=np.float64)
    _colours(kind, hue, mixed, stretch, shaded, inputs, out)
    return out.astype(points.dtype)


@njit(cache=True)
@no_type_check
def distance(kind, stretch, x, y, z):
    """Signed distance of a stretched object, compiled."""
    d, _ = distance_and_part(kind, x, y / stretch, z)
    return d * min(stretch, 1.0)


@njit(cache=True)
@no_type_check
def normal(kind, stretch, x, y, z):
    """Outward unit normal, by differences at the corners of a tetrahedron."""
    e = 2e-4
    a = distance(kind, stretch, x + e, y - e, z - e)
    b = distance(kind, stretch, x - e, y - e, z + e)
    c = distance(kind, stretch, x - e, y + e, z - e)
    d = distance(kind, stretch, x + e, y + e, z + e)
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    return nx / length, ny / length, nz / length


@njit(cache=True)
@no_type_check
def _is_white(pattern, mapping, cell, radius, x, y, z):
    """Whether a pattern shows white at a point given relative to the part's centre."""
    around = np.arctan2(x, z)
    if mapping == 3.0:  # a ball: v runs from the pole down
        polar = np.arccos(min(1.0, max(-1.0, y / (np.sqrt(x * x + y * y + z * z) + 1e-9))))
        v = polar * radius
        row = np.floor(v / cell + 0.5) if pattern == 2 else np.floor(v / cell)
        ring = radius * np.sin(row * cell / radius) if pattern == 2 else 0.8 * radius
    elif mapping == 2.0:
        v = y
        row = np.floor(v / cell)
        ring = radius
    else:  # walls: x + z runs along each wall of a box
        v = y
        row = np.floor(v / cell)
        ring = 0.0
    odd = row % 2.0 != 0.0
    if pattern == 1:
        return odd
    if mapping == 1.0:
        count, u = 0.0, (x + z) / cell
    else:
        count = max(1.0, np.round(2.0 * np.pi * ring / cell))
        if pattern == 3:
            count = max(2.0, 2.0 * np.round(0.5 * count))
        u = (around / (2.0 * np.pi) + 0.5) * count
    if pattern == 3:
        return odd != (np.floor(u) % 2.0 != 0.0)
    # Spots: one in each cell, every second row moved by half a cell.
    if odd:
        u += 0.5
    width = cell if mapping == 1.0 else 2.0 * np.pi * ring / count
    du = (u - np.floor(u) - 0.5) * width
    if mapping == 3.0:
        if row == 0.0:
            du = 0.0
        dv = v - row * cell
    else:
        dv = v - (row + 0.5) * cell
    return du * du + dv * dv < (0.33 * cell) ** 2


@njit(cache=True)
@no_type_check
def paint(kind, part, colour, pattern, x, y, z):
    """Colour of a part before light, compiled; the point is given before stretching."""
    row = PAINTS[kind, part]
    if row[0] == 0.0:
        return row[1], row[2], row[3]
    if pattern > 0:
        # A pattern's cells are larger for spots, so that they stay visible in a small image.
        cell = row[5] * (1.25 if pattern == 2 else 1.0)
        if _is_white(pattern, row[0], cell, row[4], x - row[1], y - row[2], z - row[3]):
            return WHITE[0], WHITE[1], WHITE[2]
    return PALETTE[colour, 0], PALETTE[colour, 1], PALETTE[colour, 2]


@njit(cache=True)
@no_type_check
def _light(kind, stretch, x, y, z):
    """Share of the paint's colour that reaches a camera: ambient, two lights, soft occlusion."""
    nx, ny, nz = normal(kind, stretch, x, y, z)
    key = max(0.0, nx * _KEY[0] + ny * _KEY[1] + nz * _KEY[2])
    fill = max(0.0, nx * _FILL[0] + ny * _FILL[1] + nz * _FILL[2])
    open_share = 0.0
    for h in (0.06, 0.15, 0.30):
        free = distance(kind, stretch, x + h * nx, y + h * ny, z + h * nz)
        open_share += min(1.0, max(0.0, free / h)) / 3.0
    occlusion = 0.62 + 0.38 * open_share
    return min(1.0, (0.50 + 0.08 * ny + 0.44 * key + 0.18 * fill) * occlusion)


@njit(cache=True)
@no_type_check
def radiance(kind, colour, pattern, stretch, x, y, z):
    """Colour a camera sees at a surface point, compiled."""
    _, part = distance_and_part(kind, x, y / stretch, z)
    red, green, blue = paint(kind, part, colour, pattern, x, y / stretch, z)
    light = _light(kind, stretch, x, y, z)
    return red * light, green * light, blue * light


@njit(cache=True, parallel=True)
@no_type_check
def _distances(kind, stretch, points, out):
    for i in prange(len(points)):
        out[i] = distance(kind, stretch, points[i, 0], points[i, 1], points[i, 2])


@njit(cache=True, parallel=True)
@no_type_check
def _colours(kind, colour, pattern, stretch, shaded, points, out):
    for i in prange(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        if shaded:
            red, green, blue = radiance(kind, colour, pattern, stretch, x, y, z)
        else:
            _, part = distance_and_part(kind, x, y / stretch, z)
            red, green, blue = paint(kind, part, colour, pattern, x, y / stretch, z)
        out[i, 0], out[i, 1], out[i, 2] = red, green, blue
