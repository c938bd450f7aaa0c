"""A rule of one's own beside the known ones."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import COLOURS, Figure, images_and_items

__all__ = ["own_rule"]

OWN_COLOUR = "#2166ac"
"""Of whatever is no method of the paper."""


def own_rule(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
) -> Figure:
    """Draw rows of images by method, and below them the numbers of all items.

    Args:
        rows: one image a prompt, by method; the first eight are drawn.
        columns: the prompts.
        measured: by metric, then method, the number of each item; a metric may lack a method.
    """
    return images_and_items(rows, columns, measured, lambda name: COLOURS.get(name, OWN_COLOUR))
