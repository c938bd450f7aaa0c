"""The world's objects as signed distances, with the number of the nearest part.

Letters: (x, y, z) is a point in object coordinates, right-handed, y up, with the object's front facing +z and all of it
inside the ball of radius `kinds.RADIUS`; v is the scene as one array (`scene`). Each object reads its four numbers of
shape by `_open`, in the order of its first comment. Parts are numbered as their paints are in `kinds`.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from sdilib.lab.world import shapes as s
from sdilib.lab.world.scene import KIND, SHAPE


@njit(cache=True, inline="always")
@no_type_check
def _nearer(d, part, other, other_part):
    """Union: the nearer of two surfaces and its part."""
    if other < d:
        return other, other_part
    return d, part


@njit(cache=True, inline="always")
@no_type_check
def _open(v, which, low, high):
    """A measure that the prompt leaves open, between two bounds."""
    return low + 0.5 * (1.0 + v[SHAPE + which]) * (high - low)


@njit(cache=True)
@no_type_check
def _mug(v, x, y, z):
    # Radius; height; size and thickness of the handle.
    wide, high = _open(v, 0, 0.48, 0.70), _open(v, 1, 0.47, 0.83)
    ring, thick = _open(v, 2, 0.23, 0.34), _open(v, 3, 0.06, 0.115)
    outer = s.cylinder(x, y, z, wide, high) - 0.03
    inner = s.cylinder(x, y - 0.10, z, wide - 0.09, high)
    d = max(outer, -inner)
    handle = max(s.torus_z(x - wide - 0.06, y, z, ring, thick), wide - 0.04 - x)
    d = min(d, handle)
    return _nearer(d, 0, s.cylinder(x, y + 0.12, z, wide - 0.06, high - 0.12), 1)


@njit(cache=True)
@no_type_check
def _ice_cream(v, x, y, z):
    # Width of the cone; its length; the upper scoop; how far the wafer leans.
    wide, tip = _open(v, 0, 0.37, 0.51), _open(v, 1, -0.90, -1.17)
    upper, lean = _open(v, 2, 0.25, 0.38), _open(v, 3, 0.32, 0.76)
    lower = wide + 0.08
    middle = 0.06 + lower
    top = middle + upper + 0.04
    d, part = s.ball(x, y - 0.10, z, lower), 0
    cone = s.cone(x, y, z, tip, -0.08, 0.04, wide)
    angle = np.arctan2(x, z)
    waffle = np.sin(5.0 * angle + 14.0 * y) * np.sin(5.0 * angle - 14.0 * y) > 0.0
    d, part = _nearer(d, part, cone, 5 if waffle else 1)
    d, part = _nearer(d, part, s.torus_y(x, y + 0.24, z, wide - 0.01, 0.09), 0)
    d, part = _nearer(d, part, s.ball(x, y - middle, z, upper), 2)
    d, part = _nearer(d, part, s.ball(x, y - top, z, 0.12), 3)
    return _nearer(d, part, s.capsule(x, y, z, 0.12, 0.45, 0.05, lean, 0.84, 0.16, 0.08), 4)


@njit(cache=True)
@no_type_check
def _cottage(v, x, y, z):
    # Height of the walls; width; rise of the roof; place of the chimney.
    top, wide = _open(v, 0, -0.18, 0.09), _open(v, 1, 0.51, 0.68)
    rise, place = _open(v, 2, 0.43, 0.75), _open(v, 3, -0.50, 0.50)
    middle, half = 0.5 * (top - 0.84), 0.5 * (top + 0.84)
    d, part = s.box(x, y - middle, z, wide, half, 0.52), 0
    # Roof: a prism along x. The distance to its slope is exact, its ends are a bound.
    length = np.sqrt(rise * rise + 0.71 * 0.71)
    slope = (abs(z) * rise + (y - top - rise) * 0.71) / length
    roof = max(max(slope, top - 0.02 - y), abs(x) - wide - 0.12)
    d, part = _nearer(d, part, roof, 1)
    chimney = s.box(x - place, y - top - rise + 0.20, z + 0.26, 0.12, 0.36, 0.12)
    d, part = _nearer(d, part, chimney, 2)
    d, part = _nearer(d, part, s.box(x, y + 0.56, z - 0.52, 0.15, 0.28, 0.03), 3)
    d, part = _nearer(d, part, s.ball(x - 0.09, y + 0.56, z - 0.56, 0.035), 5)
    level = y + 0.41 - 0.5 * top
    pane = s.box(abs(x) - 0.65 * wide, level, z - 0.52, 0.13, 0.13, 0.02)
    pane = min(pane, s.box(abs(x) - wide, level, z, 0.02, 0.13, 0.15))
    return _nearer(d, part, pane, 4)


@njit(cache=True)
@no_type_check
def _mushroom(v, x, y, z):
    # Width and height of the cap; thickness of the stem; length of the stem.
    wide, high = _open(v, 0, 0.72, 1.00), _open(v, 1, 0.53, 0.93)
    stem, rim = _open(v, 2, 0.25, 0.46), _open(v, 3, -0.21, 0.15)
    cap = max(s.ellipsoid(x, y - rim + 0.04, z, wide, high, wide), rim - y) - 0.02
    d, part = cap, 0
    d, part = _nearer(d, part, s.cone(x, y, z, -0.88, rim + 0.04, stem, 0.71 * stem), 1)
    door = s.capsule(x, y, z, 0.0, -0.90, 0.86 * stem, 0.0, -0.62, 0.74 * stem, 0.13)
    d, part = _nearer(d, part, max(door, -0.87 - y), 2)
    return _nearer(d, part, s.ball(x, y + 0.34, z - 0.74 * stem, 0.08), 3)


@njit(cache=True)
@no_type_check
def _snowman(v, x, y, z):
    # Body; head; height of the hat; how the arms are raised.
    low, head = _open(v, 0, 0.40, 0.50), _open(v, 1, 0.235, 0.315)
    hat, raised = _open(v, 2, 0.10, 0.23), _open(v, 3, -0.14, 0.56)
    base, chest = low - 1.08, 0.73 * low
    middle = base + 0.62 * low + 0.6 * chest
    face = middle + 0.62 * chest + 0.87 * head
    brim = face + 0.68 * head
    k = head / 0.28
    d, part = s.ball(x, y - base, z, low), 1
    d, part = _nearer(d, part, s.ball(x, y - middle, z, chest), 1)
    d, part = _nearer(d, part, s.ball(x, y - face, z, head), 1)
    d, part = _nearer(d, part, s.cylinder(x, y - brim, z, 1.45 * head, 0.03) - 0.015, 0)
    d, part = _nearer(d, part, s.cylinder(x, y - brim - hat, z, head, hat) - 0.015, 0)
    neck = face - 0.80 * head
    d, part = _nearer(d, part, s.torus_y(x, y - neck, z, 0.86 * head, 0.105), 0)
    tail = s.capsule(x, y, z, 0.17, neck, 0.25, 0.22, neck - 0.33, chest + 0.03, 0.09)
    d, part = _nearer(d, part, tail, 0)
    black = s.ball(abs(x) - 0.095 * k, y - face - 0.08 * k, z - 0.225 * k, 0.05)
    black = min(black, s.ball(x, y - middle - 0.10, z - 0.97 * chest, 0.05))
    black = min(black, s.ball(x, y - middle + 0.09, z - 0.97 * chest, 0.05))
    d, part = _nearer(d, part, black, 2)
    carrot = s.capsule(x, y, z, 0.0, face, 0.24 * k, 0.0, face - 0.03, 0.24 * k + 0.24, 0.06)
    d, part = _nearer(d, part, carrot, 3)
    shoulder = middle + 0.10
    arm = s.capsule(abs(x), y, z, 0.28, shoulder, 0.0, 0.78, shoulder + raised, 0.0, 0.045)
    return _nearer(d, part, arm, 4)


@njit(cache=True)
@no_type_check
def _rocket(v, x, y, z):
    # Width; spread of the fins; where the nose begins; height of the porthole.
    wide, spread = _open(v, 0, 0.31, 0.52), _open(v, 1, 0.58, 0.86)
    nose, port = _open(v, 2, 0.45, 0.79), _open(v, 3, -0.01, 0.37)
    body = max(s.ellipsoid(x, y - 0.06, z, wide, 1.02, wide), -0.68 - y)
    d, part = (body, 1) if y > nose else (body, 0)
    up = (port - 0.06) / 1.02
    skin = wide * np.sqrt(1.0 - up * up) - 0.02
    d, part = _nearer(d, part, s.torus_z(x, y - port, z - skin, 0.15, 0.05), 3)
    d, part = _nearer(d, part, s.ball(x, y - port, z - skin + 0.095, 0.15), 2)
    radial, thin = max(abs(x), abs(z)), min(abs(x), abs(z))
    # A fin: swept back, its outer edge below its root.
    fin = max((radial - wide + 0.12) * 0.8 + (y + 0.28) * 0.6, -0.95 - y + 0.2 * radial)
    fin = max(max(fin, thin - 0.045), max(radial - spread, 0.15 - radial))
    d, part = _nearer(d, part, fin, 1)
    return _nearer(d, part, s.cone(x, y, z, -0.84, -0.66, 0.22, 0.16), 4)


@njit(cache=True)
@no_type_check
def _cactus(v, x, y, z):
    # Thickness; heights of the two arms; their reach.
    thick, reach = _open(v, 0, 0.19, 0.33), _open(v, 3, 0.45, 0.61)
    right, left = _open(v, 1, -0.31, 0.27), _open(v, 2, -0.21, 0.39)
    body = s.capsule(x, y, z, 0.0, -0.6, 0.0, 0.0, 0.76, 0.0, thick)
    arms = s.capsule(x, y, z, 0.0, right, 0.0, reach, right, 0.0, 0.14)
    arms = min(arms, s.capsule(x, y, z, reach, right, 0.0, reach, right + 0.46, 0.0, 0.16))
    arms = min(arms, s.capsule(x, y, z, 0.0, left, 0.0, -reach, left, 0.0, 0.14))
    arms = min(arms, s.capsule(x, y, z, -reach, left, 0.0, -reach, left + 0.40, 0.0, 0.16))
    d, part = min(body, arms), 0
    pot = min(
        s.cone(x, y, z, -1.04, -0.58, 0.34, 0.46), s.cylinder(x, y + 0.58, z, 0.50, 0.08) - 0.02
    )
    d, part = _nearer(d, part, pot, 1)
    d, part = _nearer(d, part, s.cylinder(x, y + 0.50, z, 0.44, 0.03), 2)
    flower = s.ellipsoid(x, y - 0.62, z - thick, 0.18, 0.18, 0.09)
    d, part = _nearer(d, part, flower, 3)
    return _nearer(d, part, s.ball(x, y - 0.62, z - thick - 0.08, 0.07), 4)


@njit(cache=True)
@no_type_check
def _burger(v, x, y, z):
    # Width; height of the bun; thickness of the patty; waves of the lettuce.
    k, high = _open(v, 0, 0.82, 1.05), _open(v, 1, 0.41, 0.77)
    thick, waves = _open(v, 2, 0.04, 0.17), _open(v, 3, 0.01, 0.076)
    bun = max(s.ellipsoid(x, y - 0.10, z, 0.88 * k, high, 0.88 * k), 0.12 - y) - 0.02
    d, part = bun, 0
    wave = waves * np.sin(9.0 * np.arctan2(x, z))
    d, part = _nearer(d, part, (s.cylinder(x, y - 0.05 - wave, z, 0.92 * k, 0.02) - 0.03) * 0.7, 1)
    # Cheese: a square slice, its corners hanging over the patty.
    sag = 0.14 * max(0.0, abs(x) + abs(z) - 0.80 * k)
    cheese = (s.box(x, y + 0.06 + sag, z, 0.68 * k, 0.025, 0.68 * k) - 0.015) * 0.85
    d, part = _nearer(d, part, cheese, 2)
    d, part = _nearer(d, part, s.cylinder(x, y + 0.13 + thick, z, 0.82 * k, thick) - 0.04, 3)
    bottom = s.cylinder(x, y + 0.29 + 2.0 * thick, z, 0.80 * k, 0.08) - 0.06
    d, part = _nearer(d, part, bottom, 4)
    d, part = _nearer(d, part, s.capsule(x, y, z, 0.0, 0.5, 0.0, 0.0, 1.08, 0.0, 0.03), 5)
    return _nearer(d, part, s.box(x - 0.19, y - 0.98, z, 0.18, 0.10, 0.02), 6)


@njit(cache=True)
@no_type_check
def _car(v, x, y, z):
    # Length, height and place of the cabin; size of the wheels.
    long, high = _open(v, 0, 0.28, 0.56), _open(v, 1, 0.13, 0.295)
    place, wheels = _open(v, 2, -0.32, 0.10), _open(v, 3, 0.19, 0.30)
    d, part = s.box(x, y + 0.22, z, 0.44, 0.16, 0.92) - 0.10, 0
    cabin = s.box(x, y + 0.02 - high, z - place, 0.36, high, long) - 0.08
    d, part = _nearer(d, part, cabin, 0 if y > 2.0 * high - 0.08 else 1)
    wheel = s.cylinder(y + 0.42, abs(x) - 0.48, abs(z) - 0.58, wheels, 0.08) - 0.02
    d, part = _nearer(d, part, wheel, 2)
    cap = s.cylinder(y + 0.42, abs(x) - 0.52, abs(z) - 0.58, 0.48 * wheels, 0.08)
    d, part = _nearer(d, part, cap, 3)
    d, part = _nearer(d, part, s.box(x, y + 0.34, abs(z) - 1.0, 0.42, 0.05, 0.03) - 0.02, 3)
    d, part = _nearer(d, part, s.ball(abs(x) - 0.34, y + 0.15, z - 0.97, 0.12), 4)
    return _nearer(d, part, s.box(abs(x) - 0.36, y + 0.15, z + 1.0, 0.12, 0.07, 0.04), 5)


@njit(cache=True)
@no_type_check
def _teapot(v, x, y, z):
    # Width and height of the belly; height of the spout; size of the handle.
    wide, high = _open(v, 0, 0.58, 0.79), _open(v, 1, 0.46, 0.72)
    spout_tip, ring = _open(v, 2, 0.01, 0.37), _open(v, 3, 0.25, 0.38)
    d, part = s.ellipsoid(x, y + 0.18, z, wide, high, wide), 0
    lid = y - high + 0.62  # as if the belly were of the usual height
    d, part = _nearer(d, part, s.cylinder(x, y + 0.18 + high, z, 0.44, 0.05) - 0.02, 1)
    d, part = _nearer(d, part, s.torus_y(x, lid - 0.32, z, 0.42, 0.055), 2)
    d, part = _nearer(d, part, s.ellipsoid(x, lid - 0.34, z, 0.40, 0.20, 0.40), 0)
    d, part = _nearer(d, part, s.ball(x, lid - 0.60, z, 0.11), 2)
    bend = 0.5 * (spout_tip - 0.30)
    spout = s.capsule(x, y, z, 0.0, -0.32, wide - 0.14, 0.0, bend, wide + 0.14, 0.13)
    upper = s.capsule(x, y, z, 0.0, bend, wide + 0.14, 0.0, spout_tip, wide + 0.28, 0.085)
    handle = max(s.torus_z(z + wide - 0.04, y + 0.12, x, ring, 0.08), z + wide - 0.14)
    return _nearer(d, part, min(min(spout, upper), handle), 1)


@njit(cache=True)
@no_type_check
def _astronaut(v, x, y, z):
    # Helmet; width of the suit; how the arms are raised; how far the legs are apart.
    head, wide = _open(v, 0, 0.32, 0.45), _open(v, 1, 0.30, 0.46)
    hand, leg = _open(v, 2, -0.47, 0.41), _open(v, 3, 0.14, 0.27)
    side = abs(x)
    suit = s.ellipsoid(x, y + 0.08, z, wide, 0.46, 0.30)
    suit = min(suit, s.capsule(side, y, z, 0.17, -0.40, 0.0, leg, -0.84, 0.02, 0.17))
    suit = min(suit, s.capsule(side, y, z, wide - 0.08, 0.16, 0.0, wide + 0.24, hand, 0.10, 0.13))
    d, part = suit, 0
    d, part = _nearer(d, part, s.ball(x, y - 0.66, z, head), 1)
    k = head / 0.40
    visor = s.ellipsoid(x, y - 0.66, z - 0.20 * k, 0.29 * k, 0.24 * k, 0.25 * k)
    d, part = _nearer(d, part, visor, 2)
    d, part = _nearer(d, part, s.ball(side - wide - 0.28, y - hand + 0.04, z - 0.11, 0.13), 1)
    boot = s.ellipsoid(side - leg, y + 0.98, z - 0.08, 0.18, 0.14, 0.27)
    d, part = _nearer(d, part, boot, 3)
    d, part = _nearer(d, part, s.box(x, y - 0.06, z + 0.38, 0.27, 0.34, 0.12) - 0.04, 3)
    return _nearer(d, part, s.box(x, y - 0.06, z - 0.29, 0.15, 0.10, 0.04) - 0.01, 4)


@njit(cache=True)
@no_type_check
def _strawberry(v, x, y, z):
    # Tip; shoulders; length; length of the leaves.
    tip, wide = _open(v, 0, 0.12, 0.35), _open(v, 1, 0.57, 0.74)
    low, leaves = _open(v, 2, -0.67, -0.85), _open(v, 3, 0.41, 0.73)
    d, part = s.round_cone(x, y, z, low, 0.16, tip, wide), 0
    around, radial = np.arctan2(x, z), np.sqrt(x * x + z * z)
    slope = (tip - wide) / (0.16 - low)
    # Seeds in three rings, each found in its own sector of the circle.
    for ring, height in ((9.0, 0.28), (8.0, -0.14), (6.0, -0.52)):
        if height > 0.16 + wide * slope:
            out = np.sqrt(wide * wide - (height - 0.16) ** 2)
        else:
            out = (tip - slope * (height - low)) / np.sqrt(1.0 - slope * slope)
        sector = 2.0 * np.pi / ring
        turned = around - sector * np.round(around / sector)
        px, pz = radial * np.sin(turned), radial * np.cos(turned)
        seed = s.ellipsoid(px, y - height, pz - out, 0.05, 0.075, 0.05)
        d, part = _nearer(d, part, seed, 1)
    sector = 2.0 * np.pi / 6.0
    turned = around - sector * np.round(around / sector)
    px, pz = radial * np.sin(turned), radial * np.cos(turned)
    top = 0.16 + wide
    leaf = s.capsule(px * 0.6, y, pz, 0.0, top, 0.05, 0.0, top - 0.14, leaves, 0.09)
    d, part = _nearer(d, part, leaf, 2)
    return _nearer(d, part, s.capsule(x, y, z, 0.0, top - 0.02, 0.0, 0.08, 1.08, 0.0, 0.06), 2)


@njit(cache=True)
@no_type_check
def _turtle(v, x, y, z):
    # Height and length of the shell; how the head is raised; spread of the legs.
    high, long = _open(v, 0, 0.55, 0.93), _open(v, 1, 0.74, 0.95)
    head_y, legs = _open(v, 2, -0.20, 0.24), _open(v, 3, 0.64, 0.86)
    y = y - 0.16  # up to the middle of the ball
    shell = max(s.ellipsoid(x, y + 0.28, z, 0.80, high, long), -0.24 - y) - 0.02
    d, part = shell, 0
    d, part = _nearer(d, part, s.ellipsoid(x, y + 0.30, z, 0.86, 0.14, long + 0.06), 2)
    head = s.capsule(x, y, z, 0.0, -0.22, 0.70, 0.0, head_y, 0.88, 0.20)
    front = s.capsule(abs(x), y, z, 0.50, -0.34, 0.44, legs, -0.42, 0.58, 0.13)
    back = s.capsule(abs(x), y, z, 0.46, -0.34, -0.52, legs - 0.16, -0.42, -0.70, 0.12)
    skin = min(head, min(front, back))
    skin = min(skin, s.capsule(x, y, z, 0.0, -0.34, -0.85, 0.0, -0.38, -1.08, 0.06))
    d, part = _nearer(d, part, skin, 1)
    return _nearer(d, part, s.ball(abs(x) - 0.13, y - head_y - 0.10, z - 0.98, 0.06), 3)


@njit(cache=True)
@no_type_check
def _cat(v, x, y, z):
    # Width of the head; length of the ears; height of the tail; width of the body.
    wide, ears = _open(v, 0, 0.37, 0.51), _open(v, 1, 0.24, 0.50)
    tail, body = _open(v, 2, -0.53, 0.33), _open(v, 3, 0.37, 0.53)
    side, k = abs(x), wide / 0.46
    fur = s.round_cone(x, y, z + 0.05, -0.58, -0.05, body, 0.28)
    fur = min(fur, s.ellipsoid(x, y - 0.36, z - 0.10, wide, 0.40, 0.40))
    fur = min(fur, s.cone(side - 0.27 * k, y, z - 0.08, 0.60, 0.60 + ears, 0.18, 0.02))
    fur = min(fur, s.capsule(side, y, z, 0.17, -0.25, 0.26, 0.18, -0.88, 0.34, 0.12))
    fur = min(fur, s.capsule(x, y, z, 0.10, -0.86, -0.40, 0.52, -0.72, -0.66, 0.10))
    fur = min(fur, s.capsule(x, y, z, 0.52, -0.72, -0.66, 0.60, tail, -0.74, 0.10))
    d, part = fur, 0
    white = s.ellipsoid(x, y - 0.24, z - 0.42, 0.20 * k, 0.14, 0.14)
    white = min(white, s.ellipsoid(side - 0.18, y + 0.92, z - 0.42, 0.14, 0.10, 0.17))
    white = min(white, s.ball(x - 0.60, y - tail - 0.06, z + 0.745, 0.115))
    d, part = _nearer(d, part, white, 1)
    eye = s.ellipsoid(side - 0.19 * k, y - 0.44, z - 0.46, 0.075, 0.095, 0.06)
    d, part = _nearer(d, part, eye, 2)
    return _nearer(d, part, s.ball(x, y - 0.30, z - 0.55, 0.06), 3)


@njit(cache=True)
@no_type_check
def _pumpkin(v, x, y, z):
    # Width; height; depth of the ribs; size of the face.
    wide, high = _open(v, 0, 0.76, 1.00), _open(v, 1, 0.55, 0.89)
    deep, k = _open(v, 2, 0.013, 0.097), 1.0 / _open(v, 3, 0.70, 1.16)
    ribs = abs(np.cos(4.5 * np.arctan2(x, z))) ** 0.7
    radial = min(1.0, np.sqrt(x * x + z * z))
    flesh = (s.ellipsoid(x, y + 0.12, z, wide, high, wide) + deep * (1.0 - ribs) * radial) * 0.7
    part = 0
    if z > 0.2:
        side, up = k * abs(x), k * (y + 0.12) - 0.12
        eye = up > 0.06 and abs(side - 0.34) < 0.7 * (0.36 - up)
        nose = -0.14 < up < 0.04 and side < 0.5 * (0.06 - up)
        tooth = (side < 0.09 and up > -0.34) or (abs(side - 0.30) < 0.08 and up < -0.38)
        mouth = side < 0.56 and -0.50 + 0.45 * side * side < up < -0.22 + 0.45 * side * side
        if eye or nose or (mouth and not tooth):
            part = 1
    d, top = flesh, high - 0.76
    stem = s.capsule(x, y, z, 0.0, top + 0.52, 0.0, 0.06, top + 0.78, 0.0, 0.13)
    stem = min(stem, s.capsule(x, y, z, 0.06, top + 0.78, 0.0, 0.22, top + 0.92, 0.0, 0.09))
    return _nearer(d, part, stem, 2)


@njit(cache=True)
@no_type_check
def _boat(v, x, y, z):
    # Length of the bow; height of the mast; lengths of the two sails.
    beam, mast = _open(v, 0, 0.37, 0.53), _open(v, 1, 0.81, 1.15)
    main_foot, jib_foot = _open(v, 2, 0.45, 0.85), _open(v, 3, 0.36, 0.84)
    # The bow is where two wide arcs meet; the stern is cut off, and the hull narrows with depth.
    depth, long = min(0.5, max(0.0, -0.38 - y)), z if z > 0.0 else 0.5 * z
    wide = np.sqrt((abs(x) + 1.45 - beam) ** 2 + long * long) - 1.45 + 1.5 * depth * depth
    hull = max(wide * 0.53, y + 0.36, -0.84 - z, -0.84 - y)
    d, part = hull, 0
    d, part = _nearer(d, part, max((wide + 0.06) * 0.53, y + 0.33, -0.79 - z, -0.60 - y), 2)
    d, part = _nearer(d, part, s.capsule(x, y, z, 0.0, -0.40, 0.04, 0.0, mast, 0.04, 0.055), 3)
    # Each sail: a thin triangle between mast and foot, at the height -0.2.
    rise, edge = mast + 0.15, np.sqrt((mast + 0.15) ** 2 + main_foot**2)
    main = main_foot / edge * (y - mast + 0.05) - rise / edge * (z + 0.04)
    main = max(abs(x) - 0.05, z + 0.04, -0.20 - y, main)
    d, part = _nearer(d, part, main, 0)
    rise, edge = mast - 0.04, np.sqrt((mast - 0.04) ** 2 + jib_foot**2)
    jib = jib_foot / edge * (y - mast + 0.24) + rise / edge * (z - 0.13)
    return _nearer(d, part, max(abs(x) - 0.05, 0.13 - z, -0.20 - y, jib), 1)


@njit(cache=True)
@no_type_check
def distance_and_part(v, x, y, z):
    """Signed distance (a lower bound, exact in sign) and the number of the nearest part."""
    kind = int(v[KIND])
    if kind == 0:
        return _mug(v, x, y, z)
    if kind == 1:
        return _ice_cream(v, x, y, z)
    if kind == 2:
        return _cottage(v, x, y, z)
    if kind == 3:
        return _mushroom(v, x, y, z)
    if kind == 4:
        return _snowman(v, x, y, z)
    if kind == 5:
        return _rocket(v, x, y, z)
    if kind == 6:
        return _cactus(v, x, y, z)
    if kind == 7:
        return _burger(v, x, y, z)
    if kind == 8:
        return _car(v, x, y, z)
    if kind == 9:
        return _teapot(v, x, y, z)
    if kind == 10:
        return _astronaut(v, x, y, z)
    if kind == 11:
        return _strawberry(v, x, y, z)
    if kind == 12:
        return _turtle(v, x, y, z)
    if kind == 13:
        return _cat(v, x, y, z)
    if kind == 14:
        return _pumpkin(v, x, y, z)
    return _boat(v, x, y, z)
