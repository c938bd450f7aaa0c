"""Figure 9: how far each choice of kappa is from solving eq. 8 along the same path, and at what cost."""

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
from sdilib.text_to_image import RuleFrom

RANDOM, FIXED, CACHED, BEGUN = "random", "fixed", "cached", along.BEGUN
FIXED_POINT, DESCENT, INVERSION = "fixed point, ×10", "descent, ×10", "inversion, n = 10"


def choices(guidance_scale: float) -> dict[str, along.MakeKappa]:
    """Return a maker of each choice in section 6.2, with the paper's settings, and of an inversion that begins later.

    Args:
        guidance_scale: gamma that the model is sampled with.
    """
    return {
        RANDOM: inversion.RandomNoise,
        FIXED: inversion.FixedNoise,
        FIXED_POINT: inversion.FixedPoint,
        DESCENT: inversion.GradientDescent,
        INVERSION: partial(inversion.DDIMInversion, -guidance_scale),
        CACHED: inversion.Cached,
        BEGUN: partial(along.begun, guidance_scale),
    }


def cheaper(guidance_scale: float) -> dict[str, along.MakeKappa]:
    """Return makers of the iterative choices with fewer iterations or inversion steps.

    Args:
        guidance_scale: gamma that the model is sampled with.
    """
    point, descent, inverted = (
        inversion.FixedPoint,
        inversion.GradientDescent,
        partial(inversion.DDIMInversion, -guidance_scale),
    )
    return {
        **{f"fixed point, ×{k}": partial(point, num_iterations=k) for k in (1, 2, 5)},
        **{f"descent, ×{k}": partial(descent, num_iterations=k) for k in (1, 2, 5)},
        **{f"inversion, n = {n}": partial(inverted, num_inversion_steps=n) for n in (1, 3)},
    }


def rules(guidance_scale: float) -> dict[str, RuleFrom]:
    """Return SDI with each choice.

    Args:
        guidance_scale: gamma that the model is sampled with.
    """
    made = choices(guidance_scale)
    return {name: along.sdi_with(make, guidance_scale) for name, make in made.items()}


MEAN, RATIO, SHARE = (
    "geometric mean of r(t)",
    "of random noise's",
    "residual at each t, of random noise's",
)
ROUNDED, OVER_T = "rounding in float32", "geometric mean over t"
NEAREST = "of 1, 2, 5 and 10 iterations those that cost most nearly what the inversion does"

CLAIMS = (
    *(
        Less(f"Inversion has a lower residual than {said}", MEAN, INVERSION, rival, note=note)
        for rival, said, note in (
            (RANDOM, "random noise", OVER_T),
            (FIXED, "fixed noise", OVER_T),
            (FIXED_POINT, "fixed-point iteration", OVER_T),
            (DESCENT, "gradient descent", OVER_T),
            ("fixed point at equal cost", "fixed-point iteration at equal cost", NEAREST),
            ("descent at equal cost", "gradient descent at equal cost", NEAREST),
        )
    ),
    Less(
        "Begun at t = 0.1 with drawn noise, inversion has a lower residual",
        MEAN,
        BEGUN,
        INVERSION,
        note=f"{OVER_T}; not the paper's",
    ),
    Within("Resampled and fixed noise produce the same residual, to 5 %", RATIO, FIXED, 0.95, 1.05),
    Exact(
        "DDIM's prediction at x(t), cached, solves eq. 8 at x0(t)",
        SHARE,
        CACHED,
        1e-3,
        note=ROUNDED,
    ),
)

ByChoice = Mapping[str, Float[Tensor, "items times"]]


def measures(path: along.Path) -> dict[str, dict[str, Any]]:
    """Evaluate every choice of kappa along a path; return what `summary` does, and forwards and seconds per point.

    Args:
        path: at gamma_fwd.
    """
    denoiser, points = path.denoise.denoiser, len(path.seeds) * len(path.times)
    r: dict[str, Tensor] = {}
    spent: dict[str, list[float]] = {}
    gamma = path.denoise.guidance_scale
    for name, make in (choices(gamma) | cheaper(gamma)).items():
        before, began = denoiser.num_forwards, time.perf_counter()
        kappa = along.noises(path, make, name=name)
        both = denoiser.num_forwards - before, time.perf_counter() - began
        spent[name] = [each / points for each in both]
        r[name] = along.residuals(path, kappa)
    # Through frozen weights a backward pass takes about as long as the forward one.
    costs = {name: n * (1 + name.startswith("descent")) for name, (n, _) in spent.items()}
    return {**summary(r, costs), "forwards and seconds": spent}


def summary(r: ByChoice, costs: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Return residuals and costs, and what `CLAIMS` compares.

    Args:
        r: residuals by choice, for all of `choices` and `cheaper`.
        costs: of one kappa in sample-forwards, a backward pass counted as one, by choice.
    """
    mean = {name: along.mean_over_t(each) for name, each in r.items()}
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
    """Draw images by choice of kappa, and its residual over t and against its cost, in the same colours.

    Args:
        rows: one image per prompt, by choice; the first eight are drawn.
        columns: the prompts.
        times: falling, of the residuals.
        r: residuals by choice; those without a row of images are drawn against cost only.
        costs: of one kappa, in sample-forwards, by choice.
    """
    figure, (below,) = drawing.images_above(rows, columns, drawing.PANELS)
    over_t, against = drawing.panels(below, 2, drawing.PANELS)
    named = {f"{name}  ({costs[name]:.0f})": r[name] for name in rows if name in r}
    drawing.draw_curves(over_t, times, named, "residual r(t) of eq. 8")
    over_t.legend(title="κ  (sample-forwards)", title_fontsize=6.5, **drawing.SMALL)
    _draw_costs(against, r, costs)
    return figure


def _draw_costs(axes: Axes, r: ByChoice, costs: Mapping[str, float]) -> None:
    for family in dict.fromkeys(name.partition(",")[0] for name in r):
        members = sorted((n for n in r if n.partition(",")[0] == family), key=costs.__getitem__)
        places = [(costs[name], float(along.mean_over_t(r[name]).mean())) for name in members]
        colour = drawing.colour_of(family)
        line: dict[str, Any] = {"marker": "o", "markersize": 4, "linewidth": 1.2}
        axes.plot(*zip(*places, strict=True), color=colour, **line)
        for name, place in zip(members, places, strict=True) if len(members) > 1 else ():
            number = name.partition(", ")[2].removeprefix("n = ").removeprefix("×")
            text = {"textcoords": "offset points", "xytext": (0, 4), "ha": "center"}
            axes.annotate(number, place, fontsize=6.5, color=colour, **text)
    axes.set_xscale("symlog", linthresh=2, linscale=0.3)
    ticks = [0, 2, 5, 10, 20, 40]
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.margins(x=0.1)
    axes.set_ylim(bottom=0, top=1.18 * axes.get_ylim()[1])
    title = "geometric mean of r(t), by iterations or n"
    drawing.finish(axes, title, "sample-forwards for one κ")
