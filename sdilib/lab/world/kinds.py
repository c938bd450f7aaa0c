"""The world's kinds of objects: names, colours, patterns, and the paint of each part.

A *part* is a piece with one paint (a mushroom's cap, its stem). A new object is a row in `kinds.csv` for each of its parts,
one distance function in `bodies`, and one line in its `distance_and_part`. Colours are ranges: each scene draws its own shade.
A row says the part's range, or how a part is unrolled that takes the prompt's colour and pattern.
"""

import colorsys
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RADIUS = 1.22  # every object lies inside this ball
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

_UNROLLED = ("", "walls", "around", "ball")
"""How a patterned part is unrolled, by number: not at all, along walls, around the y axis, or around a centre."""


@dataclass(frozen=True, slots=True)
class Part:
    """The paint of a part.

    Args:
        shade: of a part whose colour the prompt does not choose.
        unrolled: of a part that takes the prompt's colour and pattern: mapping, centre, radius and size of a cell.
    """

    shade: Shade = SECOND
    unrolled: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 1.0, 1.0)


def _part(row: dict[str, str]) -> Part:
    if how := row["unrolled"]:
        height, radius, cell = (float(row[name]) for name in ("height", "radius", "cell"))
        return Part(unrolled=(float(_UNROLLED.index(how)), 0.0, height, 0.0, radius, cell))
    hue, either_way = map(float, row["hue"].split(" ± "))
    return Part(Shade((hue, either_way), _range(row["saturation"]), _range(row["value"])))


def _range(text: str) -> tuple[float, float]:
    """The ends of "0.2 to 0.5", or of "0.9 ± 0.2", which ends at 1."""
    if " to " in text:
        low, high = map(float, text.split(" to "))
        return low, high
    middle, either_way = map(float, text.split(" ± "))
    return max(0.0, middle - either_way), min(1.0, middle + either_way)


_TEXT = Path(__file__).with_name("kinds.csv").read_text(encoding="utf-8")

OBJECTS: dict[str, tuple[Part, ...]] = {}
"""The paints of each kind of object, by its name in a prompt, in the order of the part numbers that its distance returns."""
for _row in csv.DictReader(_TEXT.splitlines()):
    OBJECTS[_row["object"]] = (*OBJECTS.get(_row["object"], ()), _part(_row))

OBJECT_NAMES = tuple(OBJECTS)
MOST_PARTS = max(map(len, OBJECTS.values()))


def _unrolled_table():
    """How all parts are unrolled, as one array (object, part, 6), for the compiled code."""
    table = np.zeros((len(OBJECTS), MOST_PARTS, 6))
    for row, parts in enumerate(OBJECTS.values()):
        table[row, : len(parts)] = [part.unrolled for part in parts]
    return table


UNROLLED = _unrolled_table()
