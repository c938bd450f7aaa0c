"""Backgrounds: what stands behind an object while it is distilled, and what each method makes of it.

Over one grey, an empty pixel is as good as a solid one of that grey. Over a colour drawn per view it is not, but a model that never
saw such a colour behind an object asks for another one, which only a fog in front of it can give. Beyond the paper, whose code
learns the background.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Claim, Less, Row
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.objects import Comparison, Looked, nearer
from sdilib.lab.practice import SDS_3D, high_sds

BACKGROUNDS: dict[str, dict[str, Any]] = {
    "any colour": {"background": "random"},
    "soft colours": {"background": "random", "background_saturation": 0.3},
    "one grey": {"background": "fixed"},
}
"""Settings by name; the first two are drawn per view. Soft ones are about as far from grey as those of the bundled world."""

OURS, BURNT, RANDOM = "SDI", "SDS, high γ", "random κ"

METHODS: tuple[str, ...] = (BURNT, "SDS", RANDOM, OURS)

_HUES = ("#b2182b", "#762a83", "#b08bc0", "#1b7837")

FOG = "fog"

_FROM, _TO = 0.05, 0.5  # of the opacity of fog

_MEASURES = FOG, "kernel distance", "saturation", "IoU"


def name(method: str, background: str) -> str:
    """Return the name of a row.

    Args:
        method: one of `METHODS`.
        background: one of `BACKGROUNDS`.
    """
    return f"{method}, {background}"


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes that each method over each background makes to SDI's settings.

    Args:
        settings: those of SDI.
    """
    of = {BURNT: high_sds(settings), "SDS": SDS_3D, RANDOM: {"kappa": "random"}, OURS: {}}
    return {
        name(method, background): of[method] | BACKGROUNDS[background]
        for method, background in product(METHODS, BACKGROUNDS)
    }


def fog(looked: Looked) -> float:
    """Return the share of pixels that are neither empty nor part of a solid object, over all views.

    Args:
        looked: an object's views.

    Examples:
        >>> fog(Looked(torch.ones(1, 3, 1, 4), torch.tensor([[[0.0, 0.2, 0.4, 0.9]]])))
        0.5
    """
    return float(((looked.opacity > _FROM) & (looked.opacity < _TO)).double().mean())


def fogs(made: Comparison) -> dict[str, Float[Tensor, " runs"]]:
    """Return the fog of each run, by row.

    Args:
        made: the runs of `variants`.
    """
    return {
        row: torch.tensor([fog(each) for each in looked], dtype=torch.float64)
        for row, looked in made.looked.items()
    }


def claims(made: Comparison) -> list[Claim]:
    """Check what a background changes for each method, and whether SDI is ahead over each.

    Args:
        made: the runs of `variants`.
    """
    usual, *others = BACKGROUNDS
    rows: list[Row] = []
    for other, method in product(others, METHODS):
        pair = name(method, other), name(method, usual)
        said = f"over {other} than over {usual}"
        rows.append(Less(f"{method} leaves less fog {said}", FOG, *pair))
        rows.append(nearer(f"{method} is better {said}", *pair))
    rows += [
        nearer(
            f"SDI is ahead of {method} over {background}",
            name(OURS, background),
            name(method, background),
        )
        for background, method in product(BACKGROUNDS, METHODS)
        if method != OURS
    ]
    return made.check(rows, {FOG: fogs(made)})


def draw(made: Comparison) -> drawing.Figure:
    """Draw the first two objects, four sides each, by each method over each background, and the numbers of all runs.

    Args:
        made: the runs of `variants`.
    """
    hues = dict(zip(made.looked, (hue for hue in _HUES for _ in BACKGROUNDS), strict=True))
    return made.draw(panels=[_MEASURES], derived={FOG: fogs(made)}, colours=hues)
