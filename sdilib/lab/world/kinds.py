"""The world's kinds of objects: names, colours, patterns, and the paint of each part.

A *part* is a piece with one paint (a mushroom's cap, its stem). A new object is one entry in `OBJECTS`, one distance
function in `bodies`, and one line in its `distance_and_part`. Colours are ranges: each scene draws its own shade.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

RADIUS = 1.22
"""Every object lies inside this ball, but for the corners of the tallest chimneys, which reach 0.02 farther."""

NUM_SHAPE = 4
"""Number of shape parameters that tell members of a family apart; `bodies` says what each of them does."""


@dataclass(frozen=True, slots=True)
class Shade:
    """A range of colours.

    Args:
        hue: in degrees, and how far it may vary either way.
        saturation: least and most.
        value: least and most, of the largest of red, green and blue.
    """

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]

    def at(self, where: tuple[float, ...]) -> tuple[float, float, float]:
        """Return red, green and blue of one colour of the range.

        Args:
            where: three numbers in [-1, 1]: along hue, saturation and value.
        """
        turn, *rest = where
        saturation, value = (
            low + 0.5 * (1.0 + place) * (high - low)
            for (low, high), place in zip((self.saturation, self.value), rest, strict=True)
        )
        return colorsys.hsv_to_rgb((self.hue[0] + turn * self.hue[1]) / 360 % 1, saturation, value)


SHADES: dict[str, Shade] = {
    "red": Shade((1.0, 9.0), (0.50, 0.72), (0.48, 0.84)),
    "orange": Shade((25.0, 8.0), (0.48, 0.72), (0.76, 0.97)),
    "yellow": Shade((51.0, 7.0), (0.38, 0.66), (0.76, 0.97)),
    "green": Shade((115.0, 32.0), (0.24, 0.54), (0.40, 0.76)),
    "blue": Shade((219.0, 15.0), (0.32, 0.62), (0.44, 0.86)),
    "purple": Shade((274.0, 17.0), (0.24, 0.52), (0.42, 0.80)),
    "pink": Shade((336.0, 12.0), (0.20, 0.42), (0.80, 0.98)),
    "teal": Shade((178.0, 13.0), (0.28, 0.58), (0.42, 0.80)),
}
COLOURS: dict[str, tuple[float, float, float]] = {
    name: shade.at((0.0, 0.0, 0.0)) for name, shade in SHADES.items()
}
"""The middle of each named range."""

SECOND = Shade((40.0, 25.0), (0.01, 0.18), (0.82, 0.99))
"""A pattern's other colour: chalk, paper, cream."""

PATTERNS = ("plain", "striped", "spotted", "checkered")

# How a patterned part is unrolled: walls, around the y axis, or around a centre.
_FIXED, _WALLS, _AROUND, _BALL = 0.0, 1.0, 2.0, 3.0


@dataclass(frozen=True, slots=True)
class Part:
    """The paint of a part.

    Args:
        shade: of a part whose colour the prompt does not choose.
        unrolled: of a part that takes the prompt's colour and pattern: mapping, centre, radius and size of a cell.
    """

    shade: Shade = SECOND
    unrolled: tuple[float, ...] = (_FIXED, 0.0, 0.0, 0.0, 1.0, 1.0)


def _painted(mapping, cell, radius=1.0, centre=(0.0, 0.0, 0.0)):
    """A part that takes the prompt's colour and pattern, in cells of about `cell`."""
    return Part(unrolled=(mapping, *centre, radius, cell))


def _of(hue, saturation, value, *, turn=14, wide=0.12, light=0.13):
    """A part that always has about the same colour, as far as things of its kind do."""
    return Part(
        Shade(
            (float(hue), float(turn)),
            (max(0.0, saturation - wide), min(1.0, saturation + wide)),
            (max(0.0, value - light), min(1.0, value + light)),
        )
    )


_ANY = Part(Shade((0.0, 180.0), (0.05, 0.30), (0.35, 0.90)))
"""A part of any soft colour."""
_WOOD = _of(26, 0.42, 0.42, light=0.14)
_IVORY = _of(40, 0.10, 0.90, wide=0.06, light=0.08)
_GLASS = _of(204, 0.24, 0.84, wide=0.12, light=0.1)
_BLACK = _of(230, 0.10, 0.13, wide=0.08, light=0.06)
_STEEL = _of(215, 0.06, 0.70, wide=0.05, light=0.14)
_GOLD = _of(42, 0.50, 0.78)


OBJECTS: dict[str, tuple[Part, ...]] = {
    "mug": (_painted(_AROUND, 0.28, 0.6), _of(22, 0.50, 0.26, light=0.12)),
    "ice cream": (
        _painted(_BALL, 0.29, 0.54, (0.0, 0.10, 0.0)),
        _of(31, 0.46, 0.78),
        Part(Shade((40.0, 180.0), (0.03, 0.18), (0.84, 0.98))),
        _of(355, 0.62, 0.66),
        _of(22, 0.50, 0.28),
        _of(29, 0.52, 0.60),
    ),
    "cottage": (
        _painted(_WALLS, 0.26),
        Part(Shade((18.0, 30.0), (0.18, 0.50), (0.26, 0.56))),
        _of(12, 0.40, 0.50),
        Part(Shade((25.0, 180.0), (0.10, 0.45), (0.18, 0.40))),
        _GLASS,
        _GOLD,
    ),
    "mushroom": (_painted(_BALL, 0.32, 0.76, (0.0, -0.04, 0.0)), _IVORY, _WOOD, _GLASS),
    "snowman": (
        _painted(_AROUND, 0.19, 0.29),
        _of(210, 0.03, 0.94, wide=0.03, light=0.05),
        _BLACK,
        _of(25, 0.66, 0.90),
        _WOOD,
    ),
    "rocket": (_painted(_AROUND, 0.24, 0.4), _ANY, _GLASS, _STEEL, _of(33, 0.62, 0.90)),
    "cactus": (
        _painted(_AROUND, 0.23, 0.26),
        Part(Shade((20.0, 40.0), (0.15, 0.48), (0.45, 0.80))),
        _of(26, 0.40, 0.28),
        Part(Shade((350.0, 60.0), (0.25, 0.50), (0.84, 0.97))),
        _GOLD,
    ),
    "burger": (
        _painted(_BALL, 0.30, 0.84, (0.0, -0.30, 0.0)),
        _of(95, 0.50, 0.62, turn=14),
        _of(43, 0.58, 0.92, turn=6),
        _of(22, 0.50, 0.34),
        _of(33, 0.44, 0.80),
        _WOOD,
        Part(Shade((0.0, 180.0), (0.05, 0.40), (0.75, 0.97))),
    ),
    "car": (
        _painted(_WALLS, 0.27),
        _GLASS,
        _BLACK,
        _STEEL,
        _of(50, 0.24, 0.94),
        _of(358, 0.60, 0.66),
    ),
    "teapot": (_painted(_BALL, 0.29, 0.72, (0.0, -0.18, 0.0)), _ANY, _GOLD),
    "astronaut": (
        _painted(_AROUND, 0.23, 0.4),
        _of(215, 0.05, 0.90, wide=0.05, light=0.08),
        Part(Shade((230.0, 50.0), (0.15, 0.40), (0.14, 0.34))),
        _ANY,
        _GOLD,
    ),
    "strawberry": (
        _painted(_BALL, 0.30, 0.66, (0.0, 0.12, 0.0)),
        _of(48, 0.40, 0.92),
        _of(110, 0.46, 0.50, turn=20, light=0.12),
    ),
    "turtle": (
        _painted(_BALL, 0.31, 0.84, (0.0, -0.34, 0.0)),
        _of(82, 0.38, 0.62, turn=30, light=0.14),
        _of(44, 0.28, 0.84),
        _BLACK,
    ),
    "cat": (
        _painted(_AROUND, 0.24, 0.42),
        _IVORY,
        Part(Shade((120.0, 90.0), (0.20, 0.50), (0.10, 0.30))),
        _of(357, 0.36, 0.88),
    ),
    "pumpkin": (
        _painted(_BALL, 0.31, 0.84, (0.0, -0.12, 0.0)),
        _of(28, 0.40, 0.12, light=0.06),
        _of(80, 0.42, 0.42, turn=20),
    ),
    "boat": (
        _painted(_WALLS, 0.26),
        Part(Shade((40.0, 180.0), (0.03, 0.20), (0.78, 0.97))),
        _of(30, 0.42, 0.62, light=0.12),
        _WOOD,
    ),
}
"""The paints of each kind of object, by its name in a prompt, in the order of the part numbers that its distance returns."""

OBJECT_NAMES = tuple(OBJECTS)
MOST_PARTS = max(map(len, OBJECTS.values()))


def _unrolled_table():
    """How all parts are unrolled, as one array (object, part, 6), for the compiled code."""
    table = np.zeros((len(OBJECTS), MOST_PARTS, 6))
    for row, parts in enumerate(OBJECTS.values()):
        table[row, : len(parts)] = [part.unrolled for part in parts]
    return table


UNROLLED = _unrolled_table()
