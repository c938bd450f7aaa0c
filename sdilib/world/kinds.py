"""The world's objects as signed distances, and what colour each point of them has.

Letters: (x, y, z) is a point in object coordinates, right-handed, y up, the object's front looking
along +z, all of it inside the ball of radius `RADIUS`; a *part* is a piece with one paint (a
mushroom's cap, its stem). A new object is one distance function, one line in `distance_and_part`,
and one entry in `OBJECTS`.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from numba import njit

from sdilib.world import shapes as s

RADIUS = 1.22  # every object lies inside this ball

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.08, 0.08),
    "orange": (0.98, 0.50, 0.04),
    "yellow": (0.98, 0.83, 0.12),
    "green": (0.12, 0.58, 0.16),
    "blue": (0.10, 0.26, 0.88),
    "purple": (0.50, 0.14, 0.74),
    "pink": (0.97, 0.47, 0.72),
    "teal": (0.05, 0.66, 0.66),
}
PATTERNS = ("plain", "striped", "spotted", "checkered")


# How a patterned part is unrolled: walls, around the y axis, or around a centre.
_FIXED, _WALLS, _AROUND, _BALL = 0.0, 1.0, 2.0, 3.0


def _fixed(red, green, blue):
    """Paint of a part whose colour the prompt does not choose."""
    return (_FIXED, red, green, blue, 0.0, 0.0)


def _painted(mapping, cell, radius=1.0, centre=(0.0, 0.0, 0.0)):
    """Paint of a part that takes the prompt's colour and pattern, in cells of about `cell`."""
    return (mapping, *centre, radius, cell)


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """One kind of object.

    Args:
        name: the words for it in a prompt.
        parts: the paint of each part, in the order of the numbers its distance function returns.
    """

    name: str
    parts: tuple[tuple[float, ...], ...]


OBJECTS: tuple[ObjectClass, ...] = (
    ObjectClass("mug", (_painted(_AROUND, 0.28, 0.6), _fixed(0.24, 0.11, 0.05))),
    ObjectClass(
        "ice cream",
        (
            _painted(_BALL, 0.29, 0.54, (0.0, 0.10, 0.0)),
            _fixed(0.80, 0.55, 0.28),
            _fixed(0.97, 0.95, 0.90),
            _fixed(0.80, 0.05, 0.10),
            _fixed(0.32, 0.16, 0.07),
            _fixed(0.62, 0.38, 0.16),
        ),
    ),
    ObjectClass(
        "cottage",
        (
            _painted(_WALLS, 0.26),
            _fixed(0.42, 0.22, 0.12),
            _fixed(0.55, 0.22, 0.18),
            _fixed(0.20, 0.12, 0.08),
            _fixed(0.62, 0.82, 0.95),
            _fixed(0.95, 0.80, 0.25),
        ),
    ),
    ObjectClass(
        "mushroom",
        (
            _painted(_BALL, 0.32, 0.76, (0.0, -0.04, 0.0)),
            _fixed(0.95, 0.91, 0.82),
            _fixed(0.45, 0.25, 0.12),
            _fixed(0.62, 0.82, 0.95),
        ),
    ),
    ObjectClass(
        "snowman",
        (
            _painted(_AROUND, 0.19, 0.29),
            _fixed(0.97, 0.97, 0.98),
            _fixed(0.06, 0.06, 0.07),
            _fixed(0.98, 0.48, 0.05),
            _fixed(0.36, 0.20, 0.10),
        ),
    ),
    ObjectClass(
        "rocket",
        (
            _painted(_AROUND, 0.24, 0.4),
            _fixed(0.27, 0.29, 0.36),
            _fixed(0.62, 0.82, 0.95),
            _fixed(0.75, 0.76, 0.78),
            _fixed(0.98, 0.62, 0.10),
        ),
    ),
    ObjectClass(
        "cactus",
        (
            _painted(_AROUND, 0.23, 0.26),
            _fixed(0.72, 0.38, 0.22),
            _fixed(0.28, 0.17, 0.10),
            _fixed(0.97, 0.35, 0.62),
            _fixed(0.98, 0.85, 0.20),
        ),
    ),
    ObjectClass(
        "burger",
        (
            _painted(_BALL, 0.30, 0.84, (0.0, -0.30, 0.0)),
            _fixed(0.35, 0.70, 0.15),
            _fixed(0.99, 0.78, 0.12),
            _fixed(0.33, 0.17, 0.09),
            _fixed(0.88, 0.62, 0.30),
            _fixed(0.70, 0.50, 0.30),
            _fixed(0.97, 0.97, 0.97),
        ),
    ),
)
OBJECT_NAMES = tuple(kind.name for kind in OBJECTS)


def _paint_table():
    """All paints as one array (object, part, 6), for the compiled code."""
    table = np.zeros((len(OBJECTS), max(len(kind.parts) for kind in OBJECTS), 6))
    for row, kind in enumerate(OBJECTS):
        table[row, : len(kind.parts)] = kind.parts
    return table


PAINTS = _paint_table()
PALETTE = np.array(list(COLOURS.values()))
WHITE = np.array([0.96, 0.95, 0.93])


@njit(cache=True, inline="always")
@no_type_check
def _nearer(d, part, other, other_part):
    """Union: the nearer of two surfaces and its part."""
    if other < d:
        return other, other_part
    return d, part


@njit(cache=True)
@no_type_check
def _mug(x, y, z):
    outer = s.cylinder(x, y, z, 0.60, 0.66) - 0.03
    inner = s.cylinder(x, y - 0.10, z, 0.51, 0.66)
    d = max(outer, -inner)
    handle = max(s.torus_z(x - 0.66, y, z, 0.34, 0.085), 0.56 - x)
    d = min(d, handle)
    return _nearer(d, 0, s.cylinder(x, y + 0.1, z, 0.54, 0.52), 1)


@njit(cache=True)
@no_type_check
def _ice_cream(x, y, z):
    d, part = s.ball(x, y - 0.10, z, 0.54), 0
    cone = s.cone(x, y, z, -1.10, -0.08, 0.04, 0.46)
    angle = np.arctan2(x, z)
    waffle = np.sin(5.0 * angle + 14.0 * y) * np.sin(5.0 * angle - 14.0 * y) > 0.0
    d, part = _nearer(d, part, cone, 5 if waffle else 1)
    d, part = _nearer(d, part, s.torus_y(x, y + 0.24, z, 0.45, 0.09), 0)
    d, part = _nearer(d, part, s.ball(x, y - 0.60, z, 0.34), 2)
    d, part = _nearer(d, part, s.ball(x, y - 0.98, z, 0.12), 3)
    return _nearer(d, part, s.capsule(x, y, z, 0.12, 0.45, 0.05, 0.62, 0.92, 0.16, 0.08), 4)


@njit(cache=True)
@no_type_check
def _cottage(x, y, z):
    d, part = s.box(x, y + 0.42, z, 0.66, 0.42, 0.52), 0
    # Roof: a prism along x. The distance to its slope is exact, its ends are a bound.
    slope = abs(z) * 0.68 + (y - 0.66) * 0.733
    roof = max(max(slope, -0.02 - y), abs(x) - 0.78)
    d, part = _nearer(d, part, roof, 1)
    d, part = _nearer(d, part, s.box(x - 0.40, y - 0.50, z + 0.26, 0.12, 0.36, 0.12), 2)
    d, part = _nearer(d, part, s.box(x, y + 0.56, z - 0.52, 0.15, 0.28, 0.03), 3)
    d, part = _nearer(d, part, s.ball(x - 0.09, y + 0.56, z - 0.56, 0.035), 5)
    pane = s.box(abs(x) - 0.42, y + 0.40, z - 0.52, 0.13, 0.13, 0.02)
    pane = min(pane, s.box(abs(x) - 0.66, y + 0.40, z, 0.02, 0.13, 0.15))
    return _nearer(d, part, pane, 4)


@njit(cache=True)
@no_type_check
def _mushroom(x, y, z):
    cap = max(s.ellipsoid(x, y + 0.02, z, 0.95, 0.82, 0.95), 0.02 - y) - 0.02
    d, part = cap, 0
    d, part = _nearer(d, part, s.cone(x, y, z, -0.88, 0.06, 0.38, 0.27), 1)
    door = max(s.capsule(x, y, z, 0.0, -0.90, 0.32, 0.0, -0.58, 0.26, 0.14), -0.87 - y)
    d, part = _nearer(d, part, door, 2)
    return _nearer(d, part, s.ball(x, y + 0.30, z - 0.26, 0.09), 3)


@njit(cache=True)
@no_type_check
def _snowman(x, y, z):
    d, part = s.ball(x, y + 0.55, z, 0.48), 1
    d, part = _nearer(d, part, s.ball(x, y - 0.04, z, 0.35), 1)
    d, part = _nearer(d, part, s.ball(x, y - 0.42, z, 0.28), 1)
    d, part = _nearer(d, part, s.cylinder(x, y - 0.61, z, 0.42, 0.03) - 0.015, 0)
    d, part = _nearer(d, part, s.cylinder(x, y - 0.83, z, 0.28, 0.22) - 0.015, 0)
    d, part = _nearer(d, part, s.torus_y(x, y - 0.21, z, 0.24, 0.105), 0)
    d, part = _nearer(d, part, s.capsule(x, y, z, 0.17, 0.20, 0.27, 0.22, -0.14, 0.36, 0.09), 0)
    black = s.ball(abs(x) - 0.095, y - 0.50, z - 0.225, 0.05)
    black = min(black, s.ball(x, y - 0.09, z - 0.34, 0.05))
    black = min(black, s.ball(x, y + 0.10, z - 0.34, 0.05))
    d, part = _nearer(d, part, black, 2)
    carrot = s.capsule(x, y, z, 0.0, 0.41, 0.24, 0.0, 0.38, 0.48, 0.06)
    d, part = _nearer(d, part, carrot, 3)
    return _nearer(d, part, s.capsule(abs(x), y, z, 0.30, 0.08, 0.0, 0.78, 0.36, 0.0, 0.045), 4)


@njit(cache=True)
@no_type_check
def _rocket(x, y, z):
    body = max(s.ellipsoid(x, y - 0.06, z, 0.42, 1.02, 0.42), -0.68 - y)
    d, part = (body, 1) if y > 0.60 else (body, 0)
    d, part = _nearer(d, part, s.torus_z(x, y - 0.26, z - 0.385, 0.15, 0.05), 3)
    d, part = _nearer(d, part, s.ball(x, y - 0.26, z - 0.29, 0.15), 2)
    radial, thin = max(abs(x), abs(z)), min(abs(x), abs(z))
    # A fin: swept back, its outer edge below its root.
    fin = max((radial - 0.30) * 0.8 + (y + 0.28) * 0.6, -0.95 - y + 0.2 * radial)
    fin = max(max(fin, thin - 0.045), max(radial - 0.72, 0.15 - radial))
    d, part = _nearer(d, part, fin, 1)
    return _nearer(d, part, s.cone(x, y, z, -0.84, -0.66, 0.22, 0.16), 4)


@njit(cache=True)
@no_type_check
def _cactus(x, y, z):
    body = s.capsule(x, y, z, 0.0, -0.6, 0.0, 0.0, 0.76, 0.0, 0.26)
    arms = s.capsule(x, y, z, 0.0, -0.08, 0.0, 0.56, -0.08, 0.0, 0.15)
    arms = min(arms, s.capsule(x, y, z, 0.56, -0.08, 0.0, 0.56, 0.42, 0.0, 0.17))
    arms = min(arms, s.capsule(x, y, z, 0.0, 0.14, 0.0, -0.53, 0.14, 0.0, 0.15))
    arms = min(arms, s.capsule(x, y, z, -0.53, 0.14, 0.0, -0.53, 0.56, 0.0, 0.17))
    d, part = min(body, arms), 0
    pot = min(
        s.cone(x, y, z, -1.04, -0.58, 0.34, 0.46), s.cylinder(x, y + 0.58, z, 0.50, 0.08) - 0.02
    )
    d, part = _nearer(d, part, pot, 1)
    d, part = _nearer(d, part, s.cylinder(x, y + 0.50, z, 0.44, 0.03), 2)
    flower = s.ellipsoid(x, y - 0.62, z - 0.26, 0.18, 0.18, 0.09)
    d, part = _nearer(d, part, flower, 3)
    return _nearer(d, part, s.ball(x, y - 0.62, z - 0.34, 0.07), 4)


@njit(cache=True)
@no_type_check
def _burger(x, y, z):
    bun = max(s.ellipsoid(x, y - 0.10, z, 0.88, 0.62, 0.88), 0.12 - y) - 0.02
    d, part = bun, 0
    wave = 0.045 * np.sin(9.0 * np.arctan2(x, z))
    d, part = _nearer(d, part, (s.cylinder(x, y - 0.05 - wave, z, 0.92, 0.02) - 0.03) * 0.75, 1)
    # Cheese: a square slice, its corners hanging over the patty.
    sag = 0.14 * max(0.0, abs(x) + abs(z) - 0.80)
    cheese = (s.box(x, y + 0.06 + sag, z, 0.68, 0.025, 0.68) - 0.015) * 0.85
    d, part = _nearer(d, part, cheese, 2)
    d, part = _nearer(d, part, s.cylinder(x, y + 0.22, z, 0.82, 0.09) - 0.04, 3)
    d, part = _nearer(d, part, s.cylinder(x, y + 0.47, z, 0.80, 0.08) - 0.06, 4)
    d, part = _nearer(d, part, s.capsule(x, y, z, 0.0, 0.6, 0.0, 0.0, 1.08, 0.0, 0.03), 5)
    return _nearer(d, part, s.box(x - 0.19, y - 0.96, z, 0.18, 0.12, 0.02), 6)


@njit(cache=True)
@no_type_check
def distance_and_part(kind, x, y, z):
    """Signed distance (a lower bound of it, exact in sign) and the number of the nearest part."""
    if kind == 0:
        return _mug(x, y, z)
    if kind == 1:
        return _ice_cream(x, y, z)
    if kind == 2:
        return _cottage(x, y, z)
    if kind == 3:
        return _mushroom(x, y, z)
    if kind == 4:
        return _snowman(x, y, z)
    if kind == 5:
        return _rocket(x, y, z)
    if kind == 6:
        return _cactus(x, y, z)
    return _burger(x, y, z)
