"""Figure 1 in 3D, panels d and e: SDS at a high γ and SDI at the γ of sampling; also SDS at SDI's γ.

With Stable Diffusion, the high γ is 100 and the other one 7.5.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared.drawing import Figure
from sdilib.lab.experiments.shared.objects import (
    WORLD,
    Comparison,
    Looked,
    measured,
    own_object,
)
from sdilib.lab.practice import SDS_3D, high_sds

BURNT, BLURRY = "SDS, high γ", "SDS"


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes that each method makes to SDI's settings.

    Args:
        settings: those of SDI.
    """
    return {BURNT: high_sds(settings), BLURRY: SDS_3D, "SDI": {}}


def worlds_own(made: Comparison) -> list[Looked]:
    """Return an object that the world draws for each prompt: what no method can be expected to surpass.

    Args:
        made: the runs of `variants`; without a judge that knows the world there are none.
    """
    size = made.looked["SDI"][0].images.shape[-1]
    return [own_object(prompt, 0, size) for prompt in made.prompts] if made.judge else []


def reference(made: Comparison, own: Sequence[Looked]) -> dict[str, Tensor]:
    """Return the numbers of the world's own objects, by measure, one per prompt.

    Args:
        made: the runs of `variants`.
        own: from `worlds_own`.
    """
    each = [measured(*of, made.judge) for of in zip(own, made.prompts, strict=False)]
    names = each[0] if each else {}
    return {n: torch.tensor([of[n] for of in each], dtype=torch.float64) for n in names}


def draw(made: Comparison, own: Sequence[Looked], numbers: Mapping[str, Tensor]) -> Figure:
    """Draw each method's views and the world's, and below them the numbers of all.

    Args:
        made: the runs of `variants`.
        own: from `worlds_own`.
        numbers: from `reference`.
    """
    whole = {n: {**made.numbers[n], WORLD: of} for n, of in numbers.items()}
    return made.draw("SDI", derived=whole, beside={WORLD: own} if own else None)


CLAIMS = (
    Less("SDS at SDI's γ has less fine detail than SDI", "fine detail", BLURRY, "SDI"),
    Less("SDS at a high γ is more saturated than SDI", "saturation", "SDI", BURNT),
    *(
        Less(f"SDI's {what} than {whose}", measure, "SDI", rival)
        for rival, whose in ((BLURRY, "SDS's"), (BURNT, "SDS's at a high γ"))
        for measure, what in (
            ("deviation of saturation", "saturation is nearer the true object's"),
            ("deviation of fine detail", "fine detail is nearer the true object's"),
            ("kernel distance", "views are nearer to real renders (kernel distance)"),
        )
    ),
)
