"""Figure 15 in 2D: how much a prompt's images differ between seeds."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from sdilib.lab.claims import Less, Within
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.drawing import LABELS, MOST_COLUMNS, TITLES, WIDTH, Figure
from sdilib.lab.experiments.shared.images import COST, Made, Measures, costs, places, seed_distance

BLURRY, BURNT = "SDS", "SDS, high γ"
DISTANCE, RATIO = "distance", "distance over that of SDS"

NUM_PROMPTS = 2
"""Number of prompts shown."""


def measures(made: Made, prompts: Sequence[str]) -> Measures:
    """Return figure 15's numbers: by measure, then method, one per prompt.

    Args:
        made: images by method: DDIM, SDS at both gammas, SDI.
        prompts: of the images, each at least twice.
    """
    distance = {name: seed_distance(run.images, prompts) for name, run in made.items()}
    ratio = distance["SDI"] / distance[BLURRY].clamp_min(1e-6)
    return {DISTANCE: distance, RATIO: {"SDI": ratio}, COST: costs(made)}


CLAIMS = (
    Less("At a high γ, SDS is less diverse than DDIM", DISTANCE, BURNT, "DDIM", unit="item"),
    Within("SDI is at least as diverse as SDS", RATIO, "SDI", at_least=1.0, unit="item"),
    Less("SDI is less diverse than DDIM", DISTANCE, "SDI", "DDIM", unit="item"),
)


def draw(made: Made, prompts: Sequence[str], numbers: Mapping[str, Any]) -> Figure:
    """Draw figure 15 in 2D: for two prompts a row of seeds per method; below, the distance of seeds for all prompts.

    Args:
        made: images by method; the first eight seeds are drawn.
        prompts: one per image.
        numbers: from `measures`.
    """
    shown = dict(islice(places(prompts).items(), NUM_PROMPTS))
    blocks = [
        {n: run.images[own[:MOST_COLUMNS]] for n, run in made.items()} for own in shown.values()
    ]
    seeds = [f"seed #{i + 1}" for i in range(len(blocks[0]["SDI"]))]
    height = drawing.rows_height(blocks[0], seeds)
    figure, (*above, below) = drawing.stacked(*[height] * len(blocks), drawing.items_height(made))
    for part, prompt, rows in zip(above, shown, blocks, strict=True):
        drawing.draw_rows(part, rows, seeds)
        top = 1 - (TITLES - 0.22) / height
        part.text(LABELS / WIDTH, top, prompt, fontsize=8, fontweight="bold", va="bottom")
    panel = {"distance between a prompt's images (RMS)": numbers[DISTANCE]}
    drawing.draw_items(below, panel, {name: drawing.colour_of(name) for name in made})
    return figure
