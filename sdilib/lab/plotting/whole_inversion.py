"""Figure 18: images inverted all the way and made again."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import (
    MOST_COLUMNS,
    WIDTH,
    Figure,
    draw_items,
    draw_rows,
    items_height,
    rows_height,
)
from sdilib.lab.plotting.residuals import HUES, strategy_label

__all__ = ["whole_inversion"]


def whole_inversion(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    distances: Mapping[str, Float[Tensor, " items"]],
) -> Figure:
    """Draw figure 18: rows of images, and how far each item is from its original.

    Args:
        rows: one image a prompt, the originals and those made again by strategy; the first eight
            are drawn.
        columns: the prompts.
        distances: PSNR to the original in dB, by strategy (gamma_inv, gamma_fwd).
    """
    columns = columns[:MOST_COLUMNS]
    shown = {strategy_label(name): images[:MOST_COLUMNS] for name, images in rows.items()}
    heights = (rows_height(shown, columns), items_height(distances))
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts = figure.add_gridspec(2, 1, height_ratios=heights, hspace=0)
    above, below = (figure.add_subfigure(part) for part in parts)
    draw_rows(above, shown, columns)
    colours = {name: HUES[name] for name in distances}
    draw_items(below, {"PSNR to the original (dB)": distances}, colours)
    return figure
