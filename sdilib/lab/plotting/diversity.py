"""Figure 15 in 2D: a prompt's images from several seeds."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import (
    LABELS,
    MOST_COLUMNS,
    TITLES,
    WIDTH,
    Figure,
    colour_of,
    draw_items,
    draw_rows,
    items_height,
    rows_height,
)

__all__ = ["diversity"]


def diversity(
    shown: Mapping[str, Mapping[str, Float[Tensor, "seeds 3 height width"]]],
    distances: Mapping[str, Float[Tensor, " prompts"]],
) -> Figure:
    """Draw figure 15 in 2D: for each prompt a row of seeds a method; below, the distance of seeds.

    Args:
        shown: images by prompt, then method; the first eight seeds are drawn.
        distances: by method, the mean distance between the seeds' images, of each prompt.
    """
    blocks = {
        prompt: {name: images[:MOST_COLUMNS] for name, images in rows.items()}
        for prompt, rows in shown.items()
    }
    seeds = [f"seed #{i + 1}" for i in range(len(next(iter(next(iter(blocks.values())).values()))))]
    heights = [rows_height(rows, seeds) for rows in blocks.values()] + [items_height(distances)]
    figure = Figure(figsize=(WIDTH, sum(heights)))
    parts = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=0)
    *above, below = (figure.add_subfigure(part) for part in parts)
    for part, (prompt, rows), height in zip(above, blocks.items(), heights[:-1], strict=True):
        draw_rows(part, rows, seeds)
        left, above_titles = LABELS / WIDTH, 1 - (TITLES - 0.22) / height
        part.text(left, above_titles, prompt, fontsize=8, fontweight="bold", va="bottom")
    colours = {name: colour_of(name) for name in distances}
    draw_items(below, {"distance between a prompt's images (RMS)": distances}, colours)
    return figure
