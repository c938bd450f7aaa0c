"""The world's kinds of objects: names, colours, patterns, and the paint of each part.

A *part* is a piece with one paint (a mushroom's cap, its stem). A new object is one entry in `OBJECTS`, one
distance function in `bodies`, and one line in its `distance_and_part`.
"""

import numpy as np

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


OBJECTS: dict[str, tuple[tuple[float, ...], ...]] = {
    "mug": (_painted(_AROUND, 0.28, 0.6), _fixed(0.24, 0.11, 0.05)),
    "ice cream": (
        _painted(_BALL, 0.29, 0.54, (0.0, 0.10, 0.0)),
        _fixed(0.80, 0.55, 0.28),
        _fixed(0.97, 0.95, 0.90),
        _fixed(0.80, 0.05, 0.10),
        _fixed(0.32, 0.16, 0.07),
        _fixed(0.62, 0.38, 0.16),
    ),
    "cottage": (
        _painted(_WALLS, 0.26),
        _fixed(0.42, 0.22, 0.12),
        _fixed(0.55, 0.22, 0.18),
        _fixed(0.20, 0.12, 0.08),
        _fixed(0.62, 0.82, 0.95),
        _fixed(0.95, 0.80, 0.25),
    ),
    "mushroom": (
        _painted(_BALL, 0.32, 0.76, (0.0, -0.04, 0.0)),
        _fixed(0.95, 0.91, 0.82),
        _fixed(0.45, 0.25, 0.12),
        _fixed(0.62, 0.82, 0.95),
    ),
    "snowman": (
        _painted(_AROUND, 0.19, 0.29),
        _fixed(0.97, 0.97, 0.98),
        _fixed(0.06, 0.06, 0.07),
        _fixed(0.98, 0.48, 0.05),
        _fixed(0.36, 0.20, 0.10),
    ),
    "rocket": (
        _painted(_AROUND, 0.24, 0.4),
        _fixed(0.27, 0.29, 0.36),
        _fixed(0.62, 0.82, 0.95),
        _fixed(0.75, 0.76, 0.78),
        _fixed(0.98, 0.62, 0.10),
    ),
    "cactus": (
        _painted(_AROUND, 0.23, 0.26),
        _fixed(0.72, 0.38, 0.22),
        _fixed(0.28, 0.17, 0.10),
        _fixed(0.97, 0.35, 0.62),
        _fixed(0.98, 0.85, 0.20),
    ),
    "burger": (
        _painted(_BALL, 0.30, 0.84, (0.0, -0.30, 0.0)),
        _fixed(0.35, 0.70, 0.15),
        _fixed(0.99, 0.78, 0.12),
        _fixed(0.33, 0.17, 0.09),
        _fixed(0.88, 0.62, 0.30),
        _fixed(0.70, 0.50, 0.30),
        _fixed(0.97, 0.97, 0.97),
    ),
    "car": (
        _painted(_WALLS, 0.27),
        _fixed(0.62, 0.82, 0.95),
        _fixed(0.09, 0.09, 0.10),
        _fixed(0.75, 0.76, 0.78),
        _fixed(0.99, 0.93, 0.62),
        _fixed(0.80, 0.05, 0.06),
    ),
    "teapot": (
        _painted(_BALL, 0.29, 0.72, (0.0, -0.18, 0.0)),
        _fixed(0.95, 0.91, 0.82),
        _fixed(0.86, 0.66, 0.22),
    ),
    "astronaut": (
        _painted(_AROUND, 0.23, 0.4),
        _fixed(0.95, 0.95, 0.97),
        _fixed(0.10, 0.11, 0.18),
        _fixed(0.55, 0.57, 0.62),
        _fixed(0.86, 0.66, 0.22),
    ),
    "strawberry": (
        _painted(_BALL, 0.30, 0.66, (0.0, 0.12, 0.0)),
        _fixed(0.99, 0.88, 0.35),
        _fixed(0.22, 0.55, 0.16),
    ),
    "turtle": (
        _painted(_BALL, 0.31, 0.84, (0.0, -0.34, 0.0)),
        _fixed(0.55, 0.70, 0.34),
        _fixed(0.90, 0.82, 0.60),
        _fixed(0.06, 0.06, 0.07),
    ),
    "cat": (
        _painted(_AROUND, 0.24, 0.42),
        _fixed(0.97, 0.96, 0.94),
        _fixed(0.07, 0.12, 0.08),
        _fixed(0.95, 0.52, 0.56),
    ),
    "pumpkin": (
        _painted(_BALL, 0.31, 0.84, (0.0, -0.12, 0.0)),
        _fixed(0.10, 0.06, 0.04),
        _fixed(0.36, 0.42, 0.16),
    ),
    "boat": (
        _painted(_WALLS, 0.26),
        _fixed(0.97, 0.94, 0.86),
        _fixed(0.66, 0.44, 0.24),
        _fixed(0.30, 0.17, 0.09),
    ),
}
"""Each kind by the words for it in a prompt: the paint of each part, in the order of the numbers its distance returns."""

OBJECT_NAMES = tuple(OBJECTS)


def _paint_table():
    """All paints as one array (object, part, 6), for the compiled code."""
    table = np.zeros((len(OBJECTS), max(map(len, OBJECTS.values())), 6))
    for row, parts in enumerate(OBJECTS.values()):
        table[row, : len(parts)] = parts
    return table


PAINTS = _paint_table()
PALETTE = np.array(list(COLOURS.values()))
WHITE = np.array([0.96, 0.95, 0.93])
