"""Figure 3: the effect of gamma on DDIM's samples: the words of the prompt they show, saturation and diversity."""

from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Less
from sdilib.lab.evaluator import ATTRIBUTES, Evaluator
from sdilib.lab.experiments.shared.drawing import ONE_LINE, Figure, images_above, panels
from sdilib.lab.experiments.shared.images import COST, Made, Measures, costs, seed_distance
from sdilib.lab.experiments.shared.scales import draw_against
from sdilib.lab.metrics import saturation

SCALES = (1.0, 2.0, 4.0, 7.5, 15.0, 30.0, 100.0)
"""The gammas."""

NUM_ROWS = 4
"""Number of prompts shown."""

WORDS, COLOUR = "words shown (share)", "saturation"
CLIPPED, DISTANCE = "clipped values (share)", "distance of seeds (RMS)"


def clipped(images: Float[Tensor, "items 3 height width"]) -> Float[Tensor, " items"]:
    """Return the share of each image's values that were clipped: those at an end of their range.

    Args:
        images: clamped to [0, 1].
    """
    return ((images <= 0) | (images >= 1)).flatten(1).float().mean(1)


def words_shown(
    evaluator: Evaluator, images: Float[Tensor, "items 3 height width"], prompts: Sequence[str]
) -> Float[Tensor, " items"]:
    """Return the share of what each prompt names (object, colour, pattern, view) that its image shows.

    Args:
        evaluator: the judge.
        images: in [0, 1].
        prompts: one per image, in the world's words.
    """
    right = evaluator.accuracy(images, prompts)
    return torch.stack([right[attribute] for attribute in ATTRIBUTES]).nanmean(0)


def measures(made: Made, prompts: Sequence[str], evaluator: Evaluator | None = None) -> Measures:
    """Return figure 3's numbers: by measure, then gamma ("7.5").

    Args:
        made: samples by gamma.
        prompts: of the samples, each at least twice.
        evaluator: the judge; None, for a model of another world, leaves the words out.

    Returns:
        Words, saturation and clipped values one per image, the distance between seeds one per prompt.
    """
    asked: dict[str, Callable[[Tensor], Tensor]] = {
        COLOUR: saturation,
        CLIPPED: clipped,
        DISTANCE: lambda images: seed_distance(images, prompts),
    }
    if evaluator is not None:
        asked = {WORDS: lambda images: words_shown(evaluator, images, prompts)} | asked
    found = {m: {scale: of(run.images) for scale, run in made.items()} for m, of in asked.items()}
    return found | {COST: costs(made)}


CLAIMS = (
    Less(
        "Small γ ignores words: fewer of the prompt are shown at 1 than at 7.5", WORDS, "1", "7.5"
    ),
    Less("High γ over-saturates: more saturation at 100 than at 7.5", COLOUR, "7.5", "100"),
    Less(
        "... or drives more of their values out of the range of colours at 100 than at 7.5",
        CLIPPED,
        lower="7.5",
        higher="100",
        note="what the eye calls burnt",
    ),
    Less(
        "Guidance costs diversity: seeds differ less at γ = 7.5 than at 1",
        DISTANCE,
        lower="7.5",
        higher="1",
        unit="item",
    ),
)


def draw(made: Made, prompts: Sequence[str], numbers: Mapping[str, Any]) -> Figure:
    """Draw a row of samples per prompt, a column per gamma, and below them a panel per measure.

    Args:
        made: samples by gamma, at each of `SCALES`.
        prompts: one per sample; the first four distinct ones are drawn.
        numbers: from `measures`.
    """
    shown = list(dict.fromkeys(prompts))[:NUM_ROWS]
    # `draw_rows` breaks labels at commas.
    rows = {
        ", ".join(wrap(y, 10)): torch.stack([run.images[prompts.index(y)] for run in made.values()])
        for y in shown
    }
    titles, height = [f"γ = {scale}" for scale in made], 1.6
    figure, (below,) = images_above(rows, titles, height, titles=ONE_LINE)
    drawn = [name for name in (WORDS, COLOUR, CLIPPED, DISTANCE) if name in numbers]
    for axes, name in zip(panels(below, len(drawn), height, between=0.26), drawn, strict=True):
        draw_against(axes, SCALES, numbers[name], name)
        axes.set_ylim(bottom=0)
    return figure
