"""The world's objects as signed distances with the number of the part that is nearest.

Letters: (x, y, z) is a point in object coordinates, right-handed, y up, the object's front looking along +z, all
of it inside the ball of radius `kinds.RADIUS`. The numbers of the parts are those of the paints in `kinds`.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from sdilib.lab.world import shapes as s

__all__ = ["distance_and_part"]


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
def _car(x, y, z):
    d, part = s.box(x, y + 0.22, z, 0.44, 0.16, 0.92) - 0.10, 0
    cabin = s.box(x, y - 0.20, z + 0.14, 0.36, 0.22, 0.44) - 0.08
    d, part = _nearer(d, part, cabin, 0 if y > 0.36 else 1)
    wheel = s.cylinder(y + 0.42, abs(x) - 0.48, abs(z) - 0.58, 0.25, 0.08) - 0.02
    d, part = _nearer(d, part, wheel, 2)
    d, part = _nearer(d, part, s.cylinder(y + 0.42, abs(x) - 0.52, abs(z) - 0.58, 0.12, 0.08), 3)
    d, part = _nearer(d, part, s.box(x, y + 0.34, abs(z) - 1.0, 0.42, 0.05, 0.03) - 0.02, 3)
    d, part = _nearer(d, part, s.ball(abs(x) - 0.34, y + 0.15, z - 0.97, 0.12), 4)
    return _nearer(d, part, s.box(abs(x) - 0.36, y + 0.15, z + 1.0, 0.12, 0.07, 0.04), 5)


@njit(cache=True)
@no_type_check
def _teapot(x, y, z):
    d, part = s.ellipsoid(x, y + 0.18, z, 0.74, 0.62, 0.74), 0
    d, part = _nearer(d, part, s.cylinder(x, y + 0.80, z, 0.44, 0.05) - 0.02, 1)
    d, part = _nearer(d, part, s.torus_y(x, y - 0.32, z, 0.42, 0.055), 2)
    d, part = _nearer(d, part, s.ellipsoid(x, y - 0.34, z, 0.40, 0.20, 0.40), 0)
    d, part = _nearer(d, part, s.ball(x, y - 0.60, z, 0.11), 2)
    spout = s.capsule(x, y, z, 0.0, -0.32, 0.60, 0.0, -0.02, 0.88, 0.13)
    spout = min(spout, s.capsule(x, y, z, 0.0, -0.02, 0.88, 0.0, 0.26, 1.02, 0.085))
    handle = max(s.torus_z(z + 0.70, y + 0.12, x, 0.36, 0.08), z + 0.60)
    return _nearer(d, part, min(spout, handle), 1)


@njit(cache=True)
@no_type_check
def _astronaut(x, y, z):
    side = abs(x)
    suit = s.ellipsoid(x, y + 0.08, z, 0.38, 0.46, 0.30)
    suit = min(suit, s.capsule(side, y, z, 0.17, -0.40, 0.0, 0.21, -0.84, 0.02, 0.17))
    suit = min(suit, s.capsule(side, y, z, 0.30, 0.16, 0.0, 0.62, -0.22, 0.10, 0.13))
    d, part = suit, 0
    d, part = _nearer(d, part, s.ball(x, y - 0.66, z, 0.40), 1)
    visor = s.ellipsoid(x, y - 0.66, z - 0.20, 0.29, 0.24, 0.25)
    d, part = _nearer(d, part, visor, 2)
    d, part = _nearer(d, part, s.ball(side - 0.66, y + 0.27, z - 0.11, 0.13), 1)
    boot = s.ellipsoid(side - 0.21, y + 0.98, z - 0.08, 0.18, 0.14, 0.27)
    d, part = _nearer(d, part, boot, 3)
    d, part = _nearer(d, part, s.box(x, y - 0.06, z + 0.38, 0.27, 0.34, 0.12) - 0.04, 3)
    return _nearer(d, part, s.box(x, y - 0.06, z - 0.29, 0.15, 0.10, 0.04) - 0.01, 4)


@njit(cache=True)
@no_type_check
def _strawberry(x, y, z):
    d, part = s.round_cone(x, y, z, -0.82, 0.16, 0.24, 0.68), 0
    around, radial = np.arctan2(x, z), np.sqrt(x * x + z * z)
    # Seeds in three rings, each found in its own sector of the circle.
    for ring, height, out in ((9.0, 0.28, 0.66), (8.0, -0.14, 0.61), (6.0, -0.52, 0.44)):
        sector = 2.0 * np.pi / ring
        turned = around - sector * np.round(around / sector)
        px, pz = radial * np.sin(turned), radial * np.cos(turned)
        seed = s.ellipsoid(px, y - height, pz - out, 0.05, 0.075, 0.05)
        d, part = _nearer(d, part, seed, 1)
    sector = 2.0 * np.pi / 6.0
    turned = around - sector * np.round(around / sector)
    px, pz = radial * np.sin(turned), radial * np.cos(turned)
    leaf = s.capsule(px * 0.6, y, pz, 0.0, 0.84, 0.05, 0.0, 0.70, 0.58, 0.09)
    d, part = _nearer(d, part, leaf, 2)
    return _nearer(d, part, s.capsule(x, y, z, 0.0, 0.82, 0.0, 0.08, 1.08, 0.0, 0.06), 2)


@njit(cache=True)
@no_type_check
def _turtle(x, y, z):
    y = y - 0.16  # up to the middle of the ball
    shell = max(s.ellipsoid(x, y + 0.28, z, 0.80, 0.78, 0.88), -0.24 - y) - 0.02
    d, part = shell, 0
    d, part = _nearer(d, part, s.ellipsoid(x, y + 0.30, z, 0.86, 0.14, 0.94), 2)
    head = s.capsule(x, y, z, 0.0, -0.22, 0.70, 0.0, -0.08, 0.90, 0.20)
    front = s.capsule(abs(x), y, z, 0.50, -0.34, 0.44, 0.82, -0.42, 0.58, 0.13)
    back = s.capsule(abs(x), y, z, 0.46, -0.34, -0.52, 0.66, -0.42, -0.70, 0.12)
    skin = min(head, min(front, back))
    skin = min(skin, s.capsule(x, y, z, 0.0, -0.34, -0.85, 0.0, -0.38, -1.08, 0.06))
    d, part = _nearer(d, part, skin, 1)
    return _nearer(d, part, s.ball(abs(x) - 0.13, y - 0.02, z - 1.00, 0.06), 3)


@njit(cache=True)
@no_type_check
def _cat(x, y, z):
    side = abs(x)
    fur = s.round_cone(x, y, z + 0.05, -0.58, -0.05, 0.46, 0.28)
    fur = min(fur, s.ellipsoid(x, y - 0.36, z - 0.10, 0.46, 0.40, 0.40))
    fur = min(fur, s.cone(side - 0.27, y, z - 0.08, 0.60, 1.00, 0.18, 0.02))
    fur = min(fur, s.capsule(side, y, z, 0.17, -0.25, 0.26, 0.18, -0.88, 0.34, 0.12))
    fur = min(fur, s.capsule(x, y, z, 0.10, -0.86, -0.40, 0.52, -0.72, -0.66, 0.10))
    fur = min(fur, s.capsule(x, y, z, 0.52, -0.72, -0.66, 0.60, -0.16, -0.74, 0.10))
    d, part = fur, 0
    white = s.ellipsoid(x, y - 0.24, z - 0.42, 0.20, 0.14, 0.14)
    white = min(white, s.ellipsoid(side - 0.18, y + 0.92, z - 0.42, 0.14, 0.10, 0.17))
    d, part = _nearer(d, part, min(white, s.ball(x - 0.60, y + 0.10, z + 0.745, 0.115)), 1)
    eye = s.ellipsoid(side - 0.19, y - 0.44, z - 0.46, 0.075, 0.095, 0.06)
    d, part = _nearer(d, part, eye, 2)
    return _nearer(d, part, s.ball(x, y - 0.30, z - 0.55, 0.06), 3)


@njit(cache=True)
@no_type_check
def _pumpkin(x, y, z):
    ribs = abs(np.cos(4.5 * np.arctan2(x, z))) ** 0.7
    radial = min(1.0, np.sqrt(x * x + z * z))
    flesh = (s.ellipsoid(x, y + 0.12, z, 0.96, 0.76, 0.96) + 0.07 * (1.0 - ribs) * radial) * 0.75
    part = 0
    if z > 0.2:
        side = abs(x)
        eye = y > 0.06 and abs(side - 0.34) < 0.7 * (0.36 - y)
        nose = -0.14 < y < 0.04 and side < 0.5 * (0.06 - y)
        tooth = (side < 0.09 and y > -0.34) or (abs(side - 0.30) < 0.08 and y < -0.38)
        mouth = side < 0.56 and -0.50 + 0.45 * side * side < y < -0.22 + 0.45 * side * side
        if eye or nose or (mouth and not tooth):
            part = 1
    d = flesh
    stem = s.capsule(x, y, z, 0.0, 0.52, 0.0, 0.06, 0.78, 0.0, 0.13)
    stem = min(stem, s.capsule(x, y, z, 0.06, 0.78, 0.0, 0.22, 0.92, 0.0, 0.09))
    return _nearer(d, part, stem, 2)


@njit(cache=True)
@no_type_check
def _boat(x, y, z):
    # The bow is where two wide arcs meet; the stern is cut off, and the hull narrows with depth.
    depth, long = min(0.5, max(0.0, -0.38 - y)), z if z > 0.0 else 0.5 * z
    wide = np.sqrt((abs(x) + 0.99) ** 2 + long * long) - 1.45 + 1.5 * depth * depth
    hull = max(wide * 0.53, y + 0.36, -0.86 - z, -0.88 - y)
    d, part = hull, 0
    d, part = _nearer(d, part, max((wide + 0.06) * 0.53, y + 0.33, -0.81 - z, -0.60 - y), 2)
    d, part = _nearer(d, part, s.capsule(x, y, z, 0.0, -0.40, 0.04, 0.0, 1.10, 0.04, 0.055), 3)
    # Each sail: a thin triangle; 0.84 and 0.54 are the normal of its slanting edge.
    main = max(abs(x) - 0.05, z + 0.04, -0.20 - y, 0.54 * (y - 1.05) - 0.84 * (z + 0.04))
    d, part = _nearer(d, part, main, 0)
    jib = max(abs(x) - 0.05, 0.13 - z, -0.20 - y, 0.60 * (y - 0.86) + 0.80 * (z - 0.13))
    return _nearer(d, part, jib, 1)


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
    if kind == 7:
        return _burger(x, y, z)
    if kind == 8:
        return _car(x, y, z)
    if kind == 9:
        return _teapot(x, y, z)
    if kind == 10:
        return _astronaut(x, y, z)
    if kind == 11:
        return _strawberry(x, y, z)
    if kind == 12:
        return _turtle(x, y, z)
    if kind == 13:
        return _cat(x, y, z)
    if kind == 14:
        return _pumpkin(x, y, z)
    return _boat(x, y, z)
