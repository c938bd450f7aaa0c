"""Figure 11 in 2D: how many steps the inversion needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sdilib.lab.claims import Less, Within
from sdilib.lab.experiments.shared import drawing, images
from sdilib.lab.experiments.shared.images import CLOSENESS, DETAIL, OFF_DETAIL, Made

NUM_INVERSION_STEPS = (1, 3, 5, 10, 20, 30)
"""Values of n; the paper chose 10."""

SHARE, RESIDUAL = "fine detail, off DDIM's", "residual of eq. 8"
GAIN, RELATIVE = "gain of n = 30 over n = 10", "relative to DDIM's"


def measures(made: Made) -> images.Measures:
    """Return quality by measure, then method, one number per image.

    The paper's measure is CLIP-IQA. Here DDIM's image from the same noise serves as a reference.

    Args:
        made: images by method: DDIM's, and SDI's by number of inversion steps ("n = 10").
    """
    found = images.measures(made)
    detail = found[DETAIL]["DDIM"].clamp_min(1e-6)
    found[SHARE] = {name: off / detail for name, off in found[OFF_DETAIL].items()}
    closer = found[CLOSENESS]["n = 30"] - found[CLOSENESS]["n = 10"]
    nearer = found[SHARE]["n = 10"] - found[SHARE]["n = 30"]
    return found | {GAIN: {CLOSENESS: closer, SHARE: nearer}}


CLAIMS = (
    Less("n = 10 is closer to DDIM's image than n = 1 (PSNR, dB)", CLOSENESS, "n = 1", "n = 10"),
    Less(
        "n = 10 is closer to DDIM's fine detail than n = 1", SHARE, "n = 10", "n = 1", note=RELATIVE
    ),
    Within("n = 30 comes at most 0.5 dB closer to DDIM's image", GAIN, CLOSENESS, at_most=0.5),
    Within("n = 30 comes at most 5 % closer to DDIM's fine detail", GAIN, SHARE, at_most=0.05),
)
"""No claim depends on the residual of eq. 8: as n grows, inversion converges to where DDIM at gamma_inv would have come
from, which is not eq. 8's fixed point at gamma_fwd."""


def draw(
    made: Made, prompts: Sequence[str], numbers: Mapping[str, Any], *, num_steps: int
) -> drawing.Figure:
    """Draw figure 11 in 2D: images by number of inversion steps, and curves over that number.

    Args:
        made: images by method.
        prompts: one per image.
        numbers: from `measures`, and the residual. The curves show the mean and the middle half of the items.
        num_steps: of each run; the average cost of one is written beside its row.
    """
    rows, columns = images.firsts(made, prompts)
    shown = {}
    for name, each in rows.items():
        forwards, seconds = made[name].num_forwards / num_steps, made[name].seconds / num_steps
        cost = f", {forwards:.1f} forwards, {1000 * seconds:.0f} ms/step"
        shown[name if name == "DDIM" else name + cost] = each
    figure, (below,) = drawing.images_above(shown, columns, 1.9)
    drawn = (CLOSENESS, SHARE, RESIDUAL)
    panels = drawing.panels(below, len(drawn), 1.9, between=0.3)
    for axes, name in zip(panels, drawn, strict=True):
        n = [float(method.removeprefix("n = ")) for method in numbers[name]]
        values = torch.stack(list(numbers[name].values()), 1)
        drawing.draw_mean(axes, n, values, drawing.COLOURS["inversion"], marker="o")
        axes.set_xscale("log")
        axes.set_xticks(n, [f"{each:g}" for each in n])
        axes.minorticks_off()
        drawing.finish(axes, name, "inversion steps n", fontsize=7.5)
    return figure
