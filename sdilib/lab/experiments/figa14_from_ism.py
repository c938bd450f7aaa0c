"""Figure 14 in 2D: from interval score matching (ISM) to SDI, one change at a time."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import fill
from typing import Any

from torch import Tensor

from sdilib.checks import in_range
from sdilib.guidance import Rule, Update, View
from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared import drawing, images
from sdilib.lab.experiments.shared.drawing import Figure
from sdilib.lab.experiments.shared.images import CLOSENESS, COLOUR, DETAIL, Made
from sdilib.seeds import Generators

CHANGES = {
    "+ wide t": "Drawing t from U(0.1, 0.98) instead of U(0.02, 0.5)",
    "+ annealed t": "Annealing t linearly",
    "+ conditional inversion": "Conditional inversion at a negative γ",
    "+ full κ = SDI": "The full κ in place of the last interval's prediction",
}
"""Figure 14's changes, in its order: the name of each in the figure, and its wording in a claim."""

WALK = ("ISM", *CHANGES)
_, _, ANNEALED, CONDITIONAL, SDI = WALK


def squeezed(rule: Rule, t_low: float, t_high: float) -> Rule:
    """Return a rule that sees the run's t, from 0 to 1, squeezed into a range.

    If t is drawn from U(0, 1), the rule sees U(t_low, t_high); linear annealing stays linear.

    Args:
        rule: called with the squeezed t.
        t_low: what t = 0 becomes, in [0, 1].
        t_high: what t = 1 becomes, in [t_low, 1].

    Raises:
        ValueError: a range outside [0, 1], or upside down.
    """
    in_range("t_high", t_high, 0, 1, open_low=True)
    in_range("t_low", t_low, 0, t_high)

    def squeezing(x0: Tensor, t: Tensor, view: View, generator: Generators) -> Update:
        return rule(x0, t_low + (t_high - t_low) * t, view, generator)

    return squeezing


measures = images.measures

CLAIMS = (
    *(
        Less(
            f"{CHANGES[after]} brings images closer to DDIM's (PSNR, dB)", CLOSENESS, before, after
        )
        for before, after in pairwise(WALK)
    ),
    Less(
        f"{CHANGES[CONDITIONAL]} brings the saturation closer to DDIM's",
        images.OFF_COLOUR,
        lower=CONDITIONAL,
        higher=ANNEALED,
        note="section 4 expects the prompt in the inversion to avoid over-saturation",
    ),
    *(
        Less(f"The whole way from ISM to SDI brings the {what} closer to DDIM's", off, SDI, "ISM")
        for what, off in ((COLOUR, images.OFF_COLOUR), (DETAIL, images.OFF_DETAIL))
    ),
)
"""Appendix B's changes, each compared with the row before it."""

LADDER = ("#1b1b1b", "#762a83", "#9970ab", "#4393c3", "#5aae61", "#1b7837")
"""Colours of DDIM and of the walk from ISM, a relative of SDS, to SDI."""


def draw(made: Made, prompts: Sequence[str], numbers: Mapping[str, Any]) -> Figure:
    """Draw figure 14 in 2D: a row of images per change, and below them the numbers of all items.

    Args:
        made: images by method: DDIM's, ISM's, and those after each of the four changes.
        prompts: one per image.
        numbers: from `measures`.
    """
    rows, columns = images.firsts(made, prompts)
    shown = {fill(name, 14): each for name, each in rows.items()}
    figure, (below,) = drawing.images_above(shown, columns, drawing.items_height(rows))
    drawn = {name: numbers[name] for name in (DETAIL, COLOUR, CLOSENESS)}
    drawing.draw_items(below, drawn, dict(zip(rows, LADDER, strict=True)))
    return figure
