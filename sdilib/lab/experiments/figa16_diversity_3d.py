"""Figure 16: how much a prompt's 3D objects differ between seeds, and how many kinds of its family they reach.

A prompt leaves four numbers of an object's shape open. Which of them lie in the upper half of their range defines an
object's *kind*: 16 in all.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Less, Within
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.drawing import MOST_COLUMNS, ONE_LINE, Figure
from sdilib.lab.experiments.shared.images import places, seed_distance
from sdilib.lab.experiments.shared.objects import (
    WORLD,
    Comparison,
    Looked,
    nearest_member,
    own_object,
)
from sdilib.lab.practice import SDS_3D, high_sds
from sdilib.lab.world.nearest import Coverage, mode_coverage

BURNT, BLURRY = "SDS, high γ", "SDS"


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes that each method makes to SDI's settings, as in figures 1 and 2.

    Args:
        settings: those of SDI.
    """
    return {"SDI": {}, BLURRY: SDS_3D, BURNT: high_sds(settings)}


HUES = {"SDI": "#1b7837", BLURRY: "#762a83", BURNT: "#b2182b", WORLD: "#1b1b1b"}

DISTANCE, RATIO = "distance of seeds (RMS)", "distance over that of SDS"
SHAPES, SPREAD, KINDS = "silhouettes, 1 - IoU", "spread of shape", "kinds of shape"
RECALL = "recall of shapes"

NUM_PROMPTS = 2
"""Number of prompts shown."""

_VIEW = 1  # the view shown
_COVERED = 0.5
_NEIGHBOURS = 3  # of an object, for recall

CLAIMS = (
    Less("At a high γ, SDS is less diverse than SDI", DISTANCE, BURNT, "SDI", unit="item"),
    Within("SDI is at least as diverse as SDS", RATIO, "SDI", at_least=1.0, unit="item"),
    Less(
        "SDI's silhouettes differ less than those of the world's objects",
        SHAPES,
        lower="SDI",
        higher=WORLD,
        unit="item",
        note="the paper says that the coarse shape hardly varies",
    ),
    Less("SDI reaches fewer kinds than the world's objects", KINDS, "SDI", WORLD, unit="item"),
    Less("At a high γ, SDS reaches fewer kinds than SDI", KINDS, BURNT, "SDI", unit="item"),
    Less("SDI covers less of the family than its own objects", RECALL, "SDI", WORLD, unit="item"),
)


def views(made: Comparison) -> dict[str, list[Looked]]:
    """Return the views of each run, by method, and of as many objects that the world draws for the same prompts.

    Args:
        made: the runs of `variants`; without an evaluator, there are no objects of the world.
    """
    found = dict(made.looked)
    if made.judge is not None:
        size = found["SDI"][0].images.shape[-1]
        seeds = [made.prompts[:k].count(y) for k, y in enumerate(made.prompts)]
        found[WORLD] = [own_object(y, s, size) for y, s in zip(made.prompts, seeds, strict=True)]
    return found


def fitted_shapes(
    seen: Mapping[str, Sequence[Looked]], prompts: Sequence[str]
) -> dict[str, Float[Tensor, "objects 4"]]:
    """Return the numbers of shape, in [-1, 1], of the family member nearest to each object, by method.

    They are fitted to the silhouettes alone (see `nearest_member`). Takes about a second per object.

    Args:
        seen: from `views`.
        prompts: of the objects; each names an object of the world.
    """
    return {
        name: torch.tensor(
            [nearest_member(*each)[0].member.shape for each in zip(of, prompts, strict=True)],
            dtype=torch.float64,
        )
        for name, of in seen.items()
    }


def measures(
    seen: Mapping[str, Sequence[Looked]],
    shapes: Mapping[str, Float[Tensor, "objects 4"]],
    prompts: Sequence[str],
) -> dict[str, dict[str, Float[Tensor, " prompts"]]]:
    """Return figure 16's numbers: by measure, then method, one per prompt.

    Recall (see `mode_coverage`) is relative to what as many draws of the world reach.

    Args:
        seen: from `views`.
        shapes: from `fitted_shapes`; empty for another world's prompts.
        prompts: of the objects, each at least twice.
    """
    groups = list(places(prompts).values())
    # An object's views, stacked into one tall image.
    tall = {n: torch.stack([torch.cat([*each.images], 1) for each in of]) for n, of in seen.items()}
    distance = {name: seed_distance(images, prompts).double() for name, images in tall.items()}
    masks = {n: torch.stack([each.opacity > _COVERED for each in of]) for n, of in seen.items()}
    found = {
        DISTANCE: distance,
        RATIO: {"SDI": distance["SDI"] / distance[BLURRY].clamp_min(1e-6)},
        SHAPES: {n: torch.stack([_apart(of[own]) for own in groups]) for n, of in masks.items()},
    }
    if shapes:
        each = {name: [of[own] for own in groups] for name, of in shapes.items()}
        covered = {name: [_coverage(some) for some in of] for name, of in each.items()}
        found[SPREAD] = {
            name: torch.tensor([sum(some.spread) / len(some.spread) for some in of]).double()
            for name, of in covered.items()
        }
        found[RECALL] = {
            name: torch.tensor([some.recall / some.expected for some in of]).double()
            for name, of in covered.items()
        }
        found[KINDS] = {
            name: torch.tensor([len((some > 0).unique(dim=0)) for some in of]).double()
            for name, of in each.items()
        }
    return found


def _coverage(shapes: Float[Tensor, "objects 4"]) -> Coverage:
    return mode_coverage(shapes.numpy(), neighbours=min(_NEIGHBOURS, len(shapes) - 1))


def _apart(masks: Tensor) -> Float[Tensor, ""]:
    """1 minus the mean intersection over union of two seeds' silhouettes, over all pairs; two empty ones are alike."""
    a, b = masks[torch.combinations(torch.arange(len(masks)))].flatten(2).unbind(1)
    either = (a | b).sum(1).double()
    return 1 - torch.where(either > 0, (a & b).sum(1) / either.clamp_min(1), 1.0).mean()


def draw(
    seen: Mapping[str, Sequence[Looked]],
    shapes: Mapping[str, Float[Tensor, "objects 4"]],
    prompts: Sequence[str],
    numbers: Mapping[str, Mapping[str, Float[Tensor, " prompts"]]],
) -> Figure:
    """Draw two prompts with a row of seeds per method; below, the numbers of all, and where the two lie in their families.

    Args:
        seen: from `views`.
        shapes: from `fitted_shapes`.
        prompts: of the objects; the first eight seeds are drawn.
        numbers: from `measures`.
    """
    shown = dict(islice(places(prompts).items(), NUM_PROMPTS))
    columns = [f"seed #{i + 1}" for i in range(min(MOST_COLUMNS, *map(len, shown.values())))]
    blocks = [
        {
            n: torch.stack([of[i].images[_VIEW] for i in own[: len(columns)]])
            for n, of in seen.items()
        }
        for own in shown.values()
    ]
    titles = 2 * ONE_LINE
    height = drawing.rows_height(blocks[0], columns, titles=titles)
    below = [drawing.items_height(seen), *([drawing.PANELS] if shapes else [])]
    figure, parts = drawing.stacked(*[height] * len(blocks), *below)
    for part, prompt, rows in zip(parts, shown, blocks, strict=False):
        drawing.draw_rows(part, rows, columns, titles=titles)
        left, top = drawing.LABELS / drawing.WIDTH, 1 - 0.2 / height
        part.text(left, top, prompt, fontsize=8, fontweight="bold", va="bottom")
    drawn = {name: numbers[name] for name in (DISTANCE, SHAPES, KINDS, RECALL) if name in numbers}
    drawing.draw_items(parts[len(blocks)], drawn, {name: HUES[name] for name in seen})
    if shapes:
        panels = drawing.panels(parts[-1], len(shown), drawing.PANELS)
        for axes, (prompt, own) in zip(panels, shown.items(), strict=True):
            for name, of in shapes.items():
                axes.plot(
                    *of[own, :2].T, "o", color=HUES[name], markersize=4, alpha=0.7, label=name
                )
            axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
            drawing.finish(axes, f"{prompt}: shapes", "1st number of shape; upwards the 2nd")
        panels[0].legend(**drawing.SMALL)
    return figure
