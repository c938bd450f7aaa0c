"""Figure 1 in 2D."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import Figure, colour_of, images_and_items

__all__ = ["teaser"]


def teaser(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    measured: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
) -> Figure:
    """Draw figure 1 in 2D: rows of images by method, and below them the numbers of all items.

    Args:
        rows: one image a prompt, by method; the first eight are drawn.
        columns: the prompts.
        measured: by metric, then method, the number of each item; a tick each, and a dot for the mean.
    """
    return images_and_items(rows, columns, measured, colour_of)
