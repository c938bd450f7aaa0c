"""3D objects: views by method with the numbers of their runs, a gallery, and a run over its steps."""

import textwrap
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.lab.experiments.shared.drawing import (
    COLOURS,
    WIDTH,
    Figure,
    draw_items,
    draw_rows,
    image_rows,
    items_height,
    rows_height,
)

__all__ = ["film", "objects_and_items", "turns"]

PANELS = (
    "object",
    "colour",
    "IoU",
    "kernel distance",
    "view",
    "saturation",
    "fine detail",
    "seconds",
)
"""Measures that are drawn, in two lines."""

_OURS = ("SDI", "inversion, whole steps", "inversion", "(-7.5, 7.5)", "n = 10")
_OTHERS = ("#762a83", "#b08bc0", "#e08214", "#4393c3", "#b2182b", "#8c510a", "#666666")


def objects_and_items(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    measured: Mapping[str, Mapping[str, Float[Tensor, " runs"]]],
) -> Figure:
    """Draw views by method, and below them, in two lines of panels, a tick for each run and a dot for the mean.

    Args:
        rows: views in [0, 1], by method.
        columns: what each shows.
        measured: by measure, then method; those of `PANELS` are drawn.
    """
    shown = {name: measured[name] for name in PANELS if name in measured}
    half = (len(shown) + 1) // 2
    lines = [dict(list(shown.items())[:half]), dict(list(shown.items())[half:])]
    heights = [rows_height(rows, columns), *(items_height(rows) for line in lines if line)]
    figure = Figure(figsize=(WIDTH, sum(heights)))
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=0)
    above, *below = (figure.add_subfigure(part) for part in grid)
    draw_rows(above, rows, columns)
    for part, line in zip(below, filter(None, lines), strict=True):
        draw_items(part, line, _colours(list(rows)))
    return figure


def film(
    objects: Sequence[Float[Tensor, "frames 3 height width"]], *, columns: int = 6, zoom: int = 2
) -> Float[Tensor, "frames 3 whole_height whole_width"]:
    """Return the frames of several objects that turn side by side, on white where there is none.

    Args:
        objects: views in [0, 1], as many of each.
        columns: objects beside each other, at most.
        zoom: whole number that the views are enlarged by.
    """
    columns = min(columns, len(objects))
    missing = -len(objects) % columns
    tiles = [*objects, *[torch.ones_like(objects[0])] * missing]
    lines = [torch.cat(tiles[k : k + columns], -1) for k in range(0, len(tiles), columns)]
    whole = functional.interpolate(torch.cat(lines, -2), scale_factor=zoom, mode="bicubic")
    return whole.clamp(0, 1)


def turns(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]], columns: Sequence[str]
) -> Figure:
    """Draw one object a row, over its sides or over the steps of its run.

    Args:
        rows: views in [0, 1], by prompt.
        columns: their titles.
    """
    return image_rows({_wrapped(name): images for name, images in rows.items()}, columns)


def _wrapped(prompt: str) -> str:
    """A prompt in lines that fit beside a row; a comma is where a label is broken."""
    return ", ".join(textwrap.wrap(prompt, 13, break_long_words=False))


def _colours(names: Sequence[str]) -> dict[str, str]:
    ours = next((name for name in _OURS if name in names), "")
    others = iter(_OTHERS * (1 + len(names) // len(_OTHERS)))
    return {name: COLOURS["SDI"] if name == ours else next(others) for name in names}
