"""Figure 9: how far each choice of kappa is from solving eq. 8, along one and the same path, and at what cost."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from sdilib import inversion
from sdilib.lab.claims import Exact, Less, Within
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared import path as along

__all__ = ["CHEAPER", "CHOICES", "CLAIMS", "RULES", "draw", "measures", "summary"]

CHOICES: dict[str, along.MakeKappa] = {
    "random": inversion.RandomNoise,
    "fixed": inversion.FixedNoise,
    "fixed point, ×10": inversion.FixedPoint,
    "descent, ×10": inversion.GradientDescent,
    "inversion, n = 10": inversion.DDIMInversion,
    "cached": inversion.Cached,
}
"""The choices of section 6.2, with the paper's settings."""

CHEAPER: dict[str, along.MakeKappa] = {
    **{f"fixed point, ×{k}": partial(inversion.FixedPoint, num_iterations=k) for k in (1, 2, 5)},
    **{f"descent, ×{k}": partial(inversion.GradientDescent, num_iterations=k) for k in (1, 2, 5)},
    **{
        f"inversion, n = {n}": partial(inversion.DDIMInversion, num_inversion_steps=n)
        for n in (1, 3)
    },
}
"""The same with fewer iterations, or fewer steps of the inversion."""

RULES = {name: along.sdi_with(make) for name, make in CHOICES.items()}
"""SDI with each choice."""

RANDOM, FIXED, FIXED_POINT, DESCENT, INVERSION, CACHED = CHOICES
MEAN, RATIO, SHARE = "mean of r(t)", "of random noise's", "residual at each t, of random noise's"
NEAREST = "of 1, 2, 5 and 10 iterations those that cost most nearly what the inversion does"

CLAIMS = (
    *(
        Less(f"Inversion has a lower residual than {said}", MEAN, INVERSION, rival, note=note)
        for rival, said, note in (
            (RANDOM, "random noise", "mean over t"),
            (FIXED, "fixed noise", "mean over t"),
            (FIXED_POINT, "fixed-point iteration", "mean over t"),
            (DESCENT, "gradient descent", "mean over t"),
            ("fixed point at equal cost", "fixed-point iteration at equal cost", NEAREST),
            ("descent at equal cost", "gradient descent at equal cost", NEAREST),
        )
    ),
    Within("Resampled and fixed noise produce the same residual, to 5 %", RATIO, FIXED, 0.95, 1.05),
    Exact(
        "DDIM's own prediction at x(t), cached, solves eq. 8 at x0(t)",
        SHARE,
        CACHED,
        at_most=1e-3,
        note="rounding in float32",
    ),
)

ByChoice = Mapping[str, Float[Tensor, "items times"]]


def measures(path: along.Path) -> dict[str, dict[str, Any]]:
    """Ask every choice for its kappa along a path; see `summary`, with forwards and seconds per point besides.

    Args:
        path: at gamma_fwd.
    """
    denoiser, points = path.denoise.denoiser, len(path.seeds) * len(path.times)
    r: dict[str, Tensor] = {}
    spent: dict[str, list[float]] = {}
    for name, make in (CHOICES | CHEAPER).items():
        before, began = denoiser.num_forwards, time.perf_counter()
        kappa = along.noises(path, make, name=name)
        spent[name] = [
            (denoiser.num_forwards - before) / points,
            (time.perf_counter() - began) / points,
        ]
        r[name] = along.residuals(path, kappa)
    # Through frozen weights a backward pass takes about as long as the forward one.
    passes = {name: 2.0 if name.startswith("descent") else 1.0 for name in spent}
    costs = {name: passes[name] * forwards for name, (forwards, _) in spent.items()}
    return {**summary(r, costs), "forwards and seconds": spent}


def summary(r: ByChoice, costs: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Return along.residuals and costs, and what `CLAIMS` compares.

    Args:
        r: along.residuals by choice, those of `CHOICES` and `CHEAPER`.
        costs: of one kappa in sample-forwards, a backward pass counted as one, by choice.
    """
    mean = {name: each.mean(1) for name, each in r.items()}
    for family in ("fixed point", "descent"):
        members = (name for name in r if name.startswith(f"{family},"))
        nearest = min(members, key=lambda name: abs(costs[name] - costs[INVERSION]))
        mean[f"{family} at equal cost"] = mean[nearest]
    return {
        "residuals": dict(r),
        "costs": dict(costs),
        MEAN: mean,
        RATIO: {FIXED: mean[FIXED] / mean[RANDOM]},
        SHARE: {CACHED: (r[CACHED] / r[RANDOM]).flatten()},
    }


def draw(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    times: Sequence[float],
    r: ByChoice,
    costs: Mapping[str, float],
) -> drawing.Figure:
    """Draw images by choice of kappa, its residual over t, and against its cost.

    Args:
        rows: one image per prompt, by choice; the first eight are drawn.
        columns: the prompts.
        times: falling, of the along.residuals.
        r: along.residuals by choice, in rising cost within a family; those that are no row of images are drawn against cost
            alone.
        costs: of one kappa, in sample-forwards, by choice.
    """
    figure, below = drawing.images_above(rows, columns, drawing.PANELS)
    over_t, against = drawing.panels(below, 2, drawing.PANELS)
    named = {f"{name}  ({costs[name]:.0f})": name for name in rows if name in r}
    colours = {label: drawing.colour_of(name) for label, name in named.items()}
    drawing.draw_curves(over_t, times, {label: r[name] for label, name in named.items()}, colours)
    over_t.set_title("residual r(t) of eq. 8", fontsize=8, loc="left")
    over_t.legend(title="κ  (sample-forwards)", title_fontsize=6.5, **drawing.SMALL)
    _draw_costs(against, r, costs)
    return figure


def _draw_costs(axes: Axes, r: ByChoice, costs: Mapping[str, float]) -> None:
    for family in dict.fromkeys(name.partition(",")[0] for name in r):
        members = sorted((n for n in r if n.partition(",")[0] == family), key=costs.__getitem__)
        places = [(costs[name], float(r[name].mean())) for name in members]
        colour = drawing.colour_of(family)
        axes.plot(
            *zip(*places, strict=True),
            "o-",
            color=colour,
            markersize=4,
            linewidth=1.2,
            label=family,
        )
        for name, place in zip(members, places, strict=True):
            number = name.partition(", ")[2].removeprefix("n = ").removeprefix("×")
            text = {"textcoords": "offset points", "xytext": (0, 4), "ha": "center"}
            axes.annotate(number, place, fontsize=6.5, color=colour, **text)
    axes.set_xscale("symlog", linthresh=2, linscale=0.3)
    axes.set_xticks([0, 2, 5, 10, 20, 40], ["0", "2", "5", "10", "20", "40"], minor=False)
    axes.minorticks_off()
    axes.margins(x=0.1)
    axes.set_ylim(bottom=0, top=1.18 * axes.get_ylim()[1])
    axes.set_xlabel("sample-forwards for one κ", fontsize=8)
    axes.set_title("mean of r(t), by iterations or n, against cost", fontsize=8, loc="left")
    axes.legend(**drawing.SMALL)
    drawing.quiet(axes)
