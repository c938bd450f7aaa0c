"""Figure 2: objects made by SDI, from eight sides and as a film. The thresholds they have to meet are ours."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.lab.claims import Rare, Within
from sdilib.lab.experiments.shared.drawing import Figure
from sdilib.lab.experiments.shared.objects import AZIMUTHS, Comparison, turns

VARIANTS = {"SDI": {}}

_NEAR = "Its {} is within 15 % of the true object's"

CLAIMS = (
    Rare("At most 5 % of the runs diverge", "diverged", "SDI", at_most=0.05),
    Within("The object is recognised in at least 90 % of 16 views", "object", "SDI", at_least=0.9),
    Within("Its colour is right in at least 90 % of 16 views", "colour", "SDI", at_least=0.9),
    Within("Its silhouette's IoU with the true one is at least 0.75", "IoU", "SDI", at_least=0.75),
    Within(_NEAR.format("saturation"), "deviation of saturation", "SDI", at_most=0.15),
    Within(_NEAR.format("fine detail"), "deviation of fine detail", "SDI", at_most=0.15),
)


def draw(made: Comparison) -> Figure:
    """Draw each prompt's object from eight sides.

    Args:
        made: runs of `VARIANTS`; those of the first seed are drawn.
    """
    rows = {prompt: views[::2] for prompt, views in _views(made).items()}
    return turns(rows, [f"{azimuth:.0f}°" for azimuth in AZIMUTHS[::2]])


def film(
    made: Comparison, *, columns: int = 6, zoom: int = 2
) -> Float[Tensor, "frames 3 whole_height whole_width"]:
    """Return the frames of a film in which the prompts' objects turn side by side; empty places are white.

    Args:
        made: runs of `VARIANTS`; those of the first seed are shown.
        columns: largest number of objects side by side.
        zoom: integer factor by which the views are enlarged.
    """
    tiles = list(_views(made).values())
    columns = min(columns, len(tiles))
    tiles += [torch.ones_like(tiles[0])] * (-len(tiles) % columns)
    lines = [torch.cat(tiles[k : k + columns], -1) for k in range(0, len(tiles), columns)]
    whole = functional.interpolate(torch.cat(lines, -2), scale_factor=zoom, mode="bicubic")
    return whole.clamp(0, 1)


def _views(made: Comparison) -> dict[str, Float[Tensor, "views 3 height width"]]:
    """Views by prompt. The runs of the first seed come first, one per prompt."""
    firsts = zip(dict.fromkeys(made.prompts), made.looked["SDI"], strict=False)
    return {prompt: looked.images for prompt, looked in firsts}
