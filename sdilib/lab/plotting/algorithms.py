"""Algorithms 1 and 2 side by side, from the code."""

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from matplotlib.patches import Rectangle

from sdilib.lab.experiments.shared.drawing import COLOURS, WIDTH, Figure

__all__ = ["algorithms"]

FONT = 6.5
LINE = 1.5 * FONT / 72
"""Height of a line of code, in inches."""
CHARACTERS = 58
"""A column holds so many of them; longer lines are broken."""
EDGE, HEAD, GAP = 0.08, 0.62, 0.12
"""Room at the sides, for a column's head, and between the columns, in inches."""


def algorithms(
    rows: Sequence[tuple[str | None, str | None, bool]],
    heads: tuple[tuple[str, str], tuple[str, str]],
) -> Figure:
    """Draw two pieces of code side by side, what differs on a tinted ground.

    Args:
        rows: (left line, right line, whether they are equal); None where a side has no line.
        heads: title and subtitle of each side; a subtitle may hold a line break.
    """
    lines = [line for row in rows for line in _broken(*row)]
    height = HEAD + LINE * len(lines) + 2 * EDGE
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.axis("off")
    width = (WIDTH - 2 * EDGE - GAP) / 2
    for side, (title, subtitle) in enumerate(heads):
        left, colour = EDGE + side * (width + GAP), COLOURS[("SDS", "SDI")[side]]
        axes.text(left, EDGE, title, fontsize=9, fontweight="bold", color=colour, va="top")
        axes.text(left, EDGE + 0.19, subtitle, fontsize=7, va="top", linespacing=1.3)
        axes.plot([left, left + width], [HEAD, HEAD], color=colour, linewidth=1)
        for i, (pair, same) in enumerate(lines):
            text, top = pair[side], HEAD + EDGE + LINE * i
            if not same:
                ground = {"alpha": 0.13 if text else 0.04, "linewidth": 0, "facecolor": colour}
                axes.add_patch(Rectangle((left, top), width, LINE, **ground))
            place = (left + 0.04, top + LINE / 2)
            grey = "#555555" if same else "#000000"
            style = {"family": "monospace", "fontsize": FONT, "color": grey}
            axes.text(*place, text, va="center_baseline", parse_math=False, **style)
    return figure


def _broken(left: str | None, right: str | None, same: bool) -> list[tuple[tuple[str, str], bool]]:
    pieces = zip_longest(_wrapped(left), _wrapped(right), fillvalue="")
    return [(piece, same) for piece in pieces]


def _wrapped(line: str | None) -> list[str]:
    text = line or ""
    indent = " " * (len(text) - len(text.lstrip()))
    hanging = f"{indent}# " if text.lstrip().startswith("#") else f"{indent}        "
    return textwrap.wrap(
        text.strip(), CHARACTERS, initial_indent=indent, subsequent_indent=hanging
    ) or [""]
