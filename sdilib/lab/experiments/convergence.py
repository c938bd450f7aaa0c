"""Convergence in 3D: how many optimiser steps each method needs, and how many sample-forwards.

t falls over the length of a run, so each length needs its own run; those of the preset's length are runs of figures 1, 8 and
13.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Claim, Less, Within
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.objects import Comparison, nearer
from sdilib.lab.practice import SDS_3D, high_sds

BURNT = "SDS, high γ"

OURS, RIVAL, ISM = "SDI", "random κ, t annealed", "ISM, t annealed"

METHODS: tuple[str, ...] = ("SDS", BURNT, RIVAL, OURS, ISM)

HUES: dict[str, str] = dict(
    zip(METHODS, ("#762a83", "#b2182b", "#b08bc0", "#1b7837", "#e08214"), strict=True)
)

MEASURES = "kernel distance", "object", "colour"
"""Measures drawn over steps and over sample-forwards; without an evaluator, "distance" alone."""

TENTH = 0.1
"""A curve is flat from the point after which it gains at most this share of what it gained before."""

_ALIKE = 0.1  # between two ratios of costs, in factors of 2


def lengths(settings: Mapping[str, Any], count: int) -> list[int]:
    """Return the numbers of steps: half the preset's, doubled each time.

    Args:
        settings: those of SDI.
        count: how many.
    """
    shortest = max(1, int(settings["steps"]) // 2)
    return [shortest * 2**k for k in range(count)]


def _name(method: str, steps: int) -> str:
    return f"{method}, {steps} steps"


def variants(settings: Mapping[str, Any], count: int) -> dict[str, dict[str, Any]]:
    """Return the changes that each method at each length makes to SDI's settings.

    Args:
        settings: those of SDI.
        count: of lengths.
    """
    others = {RIVAL: {"kappa": "random"}, OURS: {}, ISM: {"rule": "ism"}}
    methods = {"SDS": SDS_3D, BURNT: high_sds(settings)} | others
    return {
        _name(method, steps): methods[method] | {"steps": steps}
        for method in METHODS
        for steps in lengths(settings, count)
    }


Curves = dict[str, dict[str, Float[Tensor, "runs lengths"]]]


def curves(made: Comparison, steps: Sequence[int]) -> Curves:
    """Return a number for each run and length, by measure, then method.

    Args:
        made: the runs of `variants`.
        steps: their lengths.
    """
    return {
        measure: {
            method: torch.stack([of[_name(method, n)] for n in steps], 1) for method in METHODS
        }
        for measure, of in made.numbers.items()
    }


def flat_from(distance: Float[Tensor, "runs lengths"]) -> int | None:
    """Return the index of the length from which a curve is flat (see `TENTH`); None if no length before the last shows it.

    Args:
        distance: less is better.

    Examples:
        >>> flat_from(torch.tensor([[9.0, 4.0, 3.2, 3.1]]))
        2
    """
    mean = distance.mean(0)
    gained = mean[0] - mean.cummin(0).values
    left = gained[-1] - gained
    flat = torch.nonzero(left[:-1] <= TENTH * gained[:-1]).flatten().tolist()
    return flat[0] if flat else None


def flat_lengths(made: Comparison, steps: Sequence[int]) -> dict[str, int | None]:
    """Return the number of steps from which each method's curve is flat; None if it still falls at the last.

    Args:
        made: the runs of `variants`.
        steps: their lengths.
    """
    places = {name: flat_from(each) for name, each in curves(made, steps)["distance"].items()}
    return {name: None if place is None else steps[place] for name, place in places.items()}


def claims(made: Comparison, steps: Sequence[int]) -> list[Claim]:
    """Check what the curves say: which gain little at the end, and who is ahead at equal steps and at about equal cost.

    Args:
        made: the runs of `variants`.
        steps: their lengths, two at least.
    """
    found, last = curves(made, steps), steps[-1]
    distance, spent = found["distance"], found["sample-forwards"]
    gain = "gain of the last doubling, less a tenth of all before"
    left = {
        method: (each[:, -2] - each[:, -1]) - TENTH * (each[:, 0] - each[:, -2])
        for method, each in distance.items()
    }
    flat = [
        Within(
            f"{method} gains little beyond {steps[-2]} steps ({{by}})", gain, method, at_most=0.0
        )
        for method in METHODS
    ]
    others = [method for method in METHODS if method != OURS]
    ahead = [
        nearer(f"SDI is ahead of {other} after {last} steps", _name(OURS, last), _name(other, last))
        for other in others
    ]
    costs = {method: each.mean(0) for method, each in spent.items()}
    equal = [_at_equal_cost(other, costs[other], costs[OURS], steps) for other in others]
    return made.check([*flat, *ahead, *equal], {gain: left})


def _at_equal_cost(other: str, theirs: Tensor, ours: Tensor, steps: Sequence[int]) -> Less:
    """The claim that SDI is ahead where both cost most nearly the same; the longest of equally near pairs of runs."""
    ratios = theirs[None] / ours[:, None]
    off = ratios.log2().abs()
    pairs = torch.nonzero(off <= off.min() + _ALIKE).tolist()
    mine, its = max(pairs)
    said = f"SDI after {steps[mine]} steps is ahead of {other} after {steps[its]}"
    row = nearer(said, _name(OURS, steps[mine]), _name(other, steps[its]))
    return replace(row, note=f"the latter costs {ratios[mine, its]:.2f} times as much")


def draw(made: Comparison, steps: Sequence[int]) -> drawing.Figure:
    """Draw the first object at every length, and quality over optimiser steps and over sample-forwards.

    A ring marks where a curve becomes flat; one that still falls has none.

    Args:
        made: the runs of `variants`.
        steps: their lengths.
    """
    found = curves(made, steps)
    sides = max(1, drawing.MOST_COLUMNS // len(steps))
    views = list(range(1, 16, 16 // sides))[:sides]
    rows = {
        method: torch.cat([made.looked[_name(method, n)][0].images[views] for n in steps])
        for method in METHODS
    }
    columns = [f"{n} steps" if k == 0 else "" for n in steps for k in range(sides)]
    columns[0] = f"{made.prompts[0]}: {columns[0]}"
    figure, below = drawing.images_above(rows, columns, drawing.PANELS, drawing.PANELS)
    measures = [name for name in MEASURES if name in found] or ["distance"]
    spent = {name: each.mean(0).tolist() for name, each in found["sample-forwards"].items()}
    taken = dict.fromkeys(METHODS, tuple(map(float, steps)))
    places = {"optimiser steps": taken, "sample-forwards": spent}
    for part, (over, at) in zip(below, places.items(), strict=True):
        line = drawing.panels(part, len(measures), drawing.PANELS)
        least, most = (of(map(of, at.values())) for of in (min, max))
        doublings = [least * 2**k for k in range(1 + int(math.log2(most / least)))]
        for axes, measure in zip(line, measures, strict=True):
            for method, values in found[measure].items():
                drawing.draw_mean(axes, at[method], values, HUES[method], marker=".", label=method)
                place = flat_from(found["distance"][method])
                if place is not None:
                    mark = at[method][place], float(values[:, place].mean())
                    axes.plot(*mark, "o", color=HUES[method], markersize=7, fillstyle="none")
            axes.set_xscale("log")
            axes.set_xticks(doublings, [f"{place:.0f}" for place in doublings])
            axes.minorticks_off()
            drawing.finish(axes, measure, over)
        line[len(line) // 2].legend(**drawing.SMALL, loc="lower right")
    return figure
