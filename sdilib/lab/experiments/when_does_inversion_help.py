"""When does inversion help? Every rule on the ring, whose models are exact and whose answer is known.

Each model differs from the first in one respect: how sharp the data are, whether the prediction has an error, or whether
a view tells the classes apart. The methods are the library's rules at their defaults, and the variants of SDS and SDI
that the paper names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import FigureBase
from torch import Tensor

from sdilib.checks import NonFiniteError
from sdilib.denoiser import Denoiser
from sdilib.guidance.named import RULES, cost, make_rule, rule_settings
from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.practice import SDS_TIMES
from sdilib.lab.ring import Distilled, Erring, distilled_rings, measures, modes_covered
from sdilib.oracle import Ring
from sdilib.schedule import time_grid

RANDOM, EQUAL = "sds", "sds, at sdi's cost"
INVERSION, WITH_H = "sdi", "sdi, H = 0.3"
RANDOM_T, RANDOM_T_100 = "sds, random t", "sds, random t, γ = 100"

PERFECT, SHARP, BROAD = "perfect", "sharper data", "broader data"
ERRING, ALIKE = "with an error", "classes alike"

SMALL = 0.1
"""Step size of runs as practised, as a share of a whole step; they take four times as many."""

MODELS: dict[str, tuple[Ring, float]] = {
    PERFECT: (Ring.of(std=0.1), 0.0),
    SHARP: (Ring.of(std=0.02), 0.0),
    BROAD: (Ring.of(std=0.2), 0.0),
    ERRING: (Ring.of(std=0.1), 0.1),
    ALIKE: (Ring.of((1, 2, 3, 4), std=0.1), 0.0),
}
"""The ring of each model, and the size of the error in its prediction."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the figure.

    Attributes:
        rule: a name of `RULES`.
        settings: of the rule, where they differ from its defaults.
        run: arguments of `lab.ring.distilled_rings`, where they differ from a run of whole steps with t annealed.
    """

    rule: str
    settings: Mapping[str, Any]
    run: Mapping[str, Any]

    def make(self, denoiser: Denoiser, **changes: Any) -> Callable[..., Any]:
        """Return the rule at w = sigma(t), so that all methods take the same kind of step.

        Args:
            denoiser: the ring's.
            **changes: of the settings.
        """
        weight = {"weight": "sigma"} if "weight" in rule_settings(self.rule) else {}
        return make_rule(self.rule, denoiser, {**weight, **self.settings, **changes})


def methods(num_steps: int) -> dict[str, Method]:
    """Return the rows: all rules at their defaults, SDS as practised and at SDI's cost, SDI with other inversions.

    Args:
        num_steps: of a run of whole steps.
    """
    small = SDS_TIMES | {"num_steps": 4 * num_steps, "step_size": SMALL}
    times = time_grid(num_steps)[:-1]
    ours, theirs = (sum(cost(rule, {}, t) for t in times) for rule in ("sdi", "sds"))
    plain = {name: Method(name, {}, {}) for name in RULES}
    own = {
        RANDOM_T: Method("sds", {}, small),
        RANDOM_T_100: Method("sds", {"guidance_scale": 100.0}, small),
        EQUAL: Method("sds", {}, {"num_steps": num_steps * ours // theirs}),
        WITH_H: Method("sdi", {"entropy": 0.3}, {}),
        "sdi, γ_inv = 0": Method("sdi", {"inversion_guidance_scale": 0.0}, {}),
        "sdi, γ_inv = 7.5": Method("sdi", {"inversion_guidance_scale": 7.5}, {}),
        "sdi, unit κ": Method("sdi", {"unit": True}, {}),
        "sdi, random t": Method("sdi", {}, small),
    }
    both = plain | own
    return dict(sorted(both.items(), key=lambda row: list(plain).index(row[1].rule)))


Found = dict[str, dict[str, Distilled]]


def measured(
    *, num_rings: int, num_steps: int, seed: int = 0
) -> tuple[dict[str, dict[str, Any]], Found]:
    """Distil rings by every method on every model.

    Args:
        num_rings: per method and model.
        num_steps: of a run of whole steps.
        seed: the first one.

    Returns:
        Numbers by measure and model, then method, one per ring: those of `lab.ring.measures`, and kappa's deviation;
        under "modes" and "sample-forwards" one per method; under "left out" why a method failed on a model. Then the
        runs themselves.
    """
    numbers: dict[str, dict[str, Any]] = {"left out": {}}
    runs: Found = {model: {} for model in MODELS}
    for model, (ring, error) in MODELS.items():
        for name, method in methods(num_steps).items():
            denoiser = Erring(ring.denoiser, error) if error else ring.denoiser
            run: dict[str, Any] = {"num_rings": num_rings, "num_steps": num_steps, "seed": seed}
            run |= method.run
            try:
                found = distilled_rings(ring, method.make(denoiser), denoiser=denoiser, **run)
            except (ValueError, NonFiniteError) as reason:
                numbers["left out"][f"{name}, {model}"] = str(reason)
                continue
            runs[model][name] = found
            each: dict[str, Any] = dict(measures(ring, found.values))
            each["deviation of κ"] = found.deviations
            each["modes"] = modes_covered(ring, found.values)
            each["sample-forwards"] = found.num_forwards
            for measure, values in each.items():
                numbers.setdefault(f"{measure}, {model}", {})[name] = values
    return numbers, runs


SCALES = (1.0, 2.0, 3.0, 5.0, 7.5)
STEP_SIZES = {1.0: 1, 0.3: 2, 0.1: 4}
"""Step sizes as shares of a whole step, and the factor by which the number of steps grows."""

COMPARED = RANDOM, INVERSION, WITH_H


def swept(
    *, num_rings: int, num_steps: int, seed: int = 0
) -> dict[str, dict[str, Float[Tensor, "rings places"]]]:
    """Return distances of the methods that the paper is about, over gamma and over step size.

    Args:
        num_rings: of each run.
        num_steps: of a run of whole steps.
        seed: the first one.
    """
    rows = methods(num_steps)
    counted: dict[str, Any] = {"num_rings": num_rings, "seed": seed}

    def distance(name: str, model: str, gamma: float, size: float) -> Tensor:
        ring, _ = MODELS[model]
        inverse = {} if name == RANDOM else {"inversion_guidance_scale": -gamma}
        rule = rows[name].make(ring.denoiser, guidance_scale=gamma, **inverse)
        many = num_steps * STEP_SIZES[size]
        found = distilled_rings(ring, rule, num_steps=many, step_size=size, **counted)
        return measures(ring, found.values)["distance"]

    return {
        "over γ": {
            name: torch.stack([distance(name, ALIKE, gamma, 1.0) for gamma in SCALES], 1)
            for name in COMPARED
        },
        "over step size": {
            name: torch.stack([distance(name, PERFECT, 7.5, size) for size in STEP_SIZES], 1)
            for name in COMPARED
        },
    }


def _nearer(said: str, model: str, lower: str, higher: str, note: str = "") -> Less:
    return Less(said, f"distance, {model}", lower, higher, note=note, unit="item")


CLAIMS = (
    _nearer(
        "Annealing t brings a random κ nearer to a texture than a random t does",
        PERFECT,
        RANDOM,
        RANDOM_T,
    ),
    _nearer(
        "On a perfect model SDI without H(t) ends farther from a texture than a random κ",
        PERFECT,
        RANDOM,
        INVERSION,
        "what is symmetrical about the open phase stays so: nothing draws",
    ),
    _nearer("With H(t) = 0.3 (eq. 11) it ends nearer than a random κ", PERFECT, WITH_H, RANDOM),
    _nearer(
        "With H(t) = 0.3 it ends nearer than a random κ at equal sample-forwards",
        PERFECT,
        WITH_H,
        EQUAL,
    ),
    _nearer("It does so where data are sharp", SHARP, WITH_H, RANDOM),
    _nearer("It does so where data are broad", BROAD, WITH_H, RANDOM),
    _nearer(
        "With an error in the prediction SDI needs no H(t) to end nearer than a random κ",
        ERRING,
        INVERSION,
        RANDOM,
        "the error is a fixed function of x(t)",
    ),
    _nearer(
        "Where a view does not tell the classes apart SDI ends nearer than a random κ",
        ALIKE,
        INVERSION,
        RANDOM,
    ),
    _nearer("There too, H(t) = 0.3 brings SDI nearer", ALIKE, WITH_H, INVERSION),
    Less(
        "There, at γ = 1, a random κ ends nearer than SDI",
        "distance at γ = 1, classes alike",
        RANDOM,
        INVERSION,
        unit="item",
    ),
    Less(
        "κ found by inversion is larger, the sharper the data",
        "deviation of SDI's κ",
        BROAD,
        SHARP,
        unit="item",
    ),
    Less(
        "With small steps SDI without H(t) ends farther from a texture than a random κ",
        "distance at a tenth of a step",
        RANDOM,
        INVERSION,
        unit="item",
    ),
)


def derived(
    numbers: Mapping[str, Any], sweeps: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, Any]:
    """Return what `CLAIMS` compares in addition to the numbers of `measured`.

    Args:
        numbers: from `measured`.
        sweeps: from `swept`.
    """
    at = {"distance at γ = 1, classes alike": ("over γ", 0)}
    at["distance at a tenth of a step"] = ("over step size", -1)
    found: dict[str, Any] = {
        name: {method: each[:, place] for method, each in sweeps[sweep].items()}
        for name, (sweep, place) in at.items()
    }
    kappa = {model: numbers[f"deviation of κ, {model}"][INVERSION] for model in (SHARP, BROAD)}
    return found | {"deviation of SDI's κ": kappa}


_HUES = {"sds": "#762a83", "sdi": "#1b7837", "ism": "#e08214"}
_OTHERS = ("#4393c3", "#b2182b", "#8c510a", "#666666", "#b08bc0", "#01665e")
_SHOWN = RANDOM_T, RANDOM, INVERSION, WITH_H
_NEAREST = 1e-3  # smaller distances are drawn here
RINGS, CURVES = 1.75, 2.0
"""Heights of the row of rings and of the row of curves, in inches."""


def draw(
    numbers: Mapping[str, Any], runs: Found, sweeps: Mapping[str, Mapping[str, Tensor]]
) -> drawing.Figure:
    """Draw rings, every method's distance on every model, other measures on the first, and the sweeps.

    Args:
        numbers: from `measured`.
        runs: from `measured`.
        sweeps: from `swept`.
    """
    rows = list(numbers[f"distance, {PERFECT}"])
    others = cycle(_OTHERS)
    families = {name.partition(",")[0] for name in rows} - _HUES.keys()
    hues = _HUES | {name: next(others) for name in sorted(families, key=rows.index)}
    colours = {name: hues[name.partition(",")[0]] for name in rows}
    height = drawing.items_height(rows)
    figure, (above, first, second, below) = drawing.stacked(RINGS, height, height, CURVES)
    _draw_rings(above, runs[PERFECT])
    logged = {
        f"{model}": {n: of.clamp_min(_NEAREST) for n, of in numbers[f"distance, {model}"].items()}
        for model in MODELS
    }
    drawing.draw_items(first, logged, colours)
    for axes in first.axes:
        axes.set_xscale("log")
        axes.set_xlim(_NEAREST / 1.5, 20)
    first.axes[0].set_title(f"distance: {PERFECT}", fontsize=8, loc="left")
    named = ("amplitude", "fine", "coherence", "deviation of κ")
    shown = {name: numbers[f"{name}, {PERFECT}"] for name in named}
    drawing.draw_items(second, shown, colours)
    for axes, most in zip(second.axes, (3.0, 1.3, 1.05, 4.0), strict=True):
        axes.set_xlim(-0.05, most)
    _draw_sweeps(below, sweeps)
    return figure


def _draw_rings(figure: FigureBase, found: Mapping[str, Distilled]) -> None:
    """One ring of each method as a closed curve, over its nearest texture."""
    ring, _ = MODELS[PERFECT]
    for k, name in enumerate(_SHOWN):
        axes = figure.add_subplot(1, len(_SHOWN), k + 1, projection="polar")
        value = found[name].values[:1]
        near = ring.textures[torch.cdist(value, ring.textures).argmin(1)]
        for signal, colour, width in ((near, "#bbbbbb", 2.5), (value, _HUES[name[:3]], 1.1)):
            fine = torch.fft.irfft(torch.fft.rfft(signal[0]), n=8 * Ring.POINTS) * 8
            angle = torch.linspace(0, 2 * torch.pi, len(fine) + 1)
            axes.plot(angle, torch.cat([fine, fine[:1]]) + 4, color=colour, linewidth=width)
        axes.set(xticks=[], yticks=[], ylim=(0, 6.5))
        axes.spines[:].set_visible(False)
        axes.set_title(name, fontsize=8)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=0.86, wspace=0.05)


def _draw_sweeps(figure: FigureBase, sweeps: Mapping[str, Mapping[str, Tensor]]) -> None:
    places = {"over γ": SCALES, "over step size": list(STEP_SIZES)}
    titles = f"distance over γ (= -γ_inv), {ALIKE}", f"over the size of a step, {PERFECT}"
    lines = {RANDOM: ("#762a83", "-"), INVERSION: ("#1b7837", "-"), WITH_H: ("#1b7837", "--")}
    panels = drawing.panels(figure, 2, CURVES)
    for axes, title, (sweep, at) in zip(panels, titles, places.items(), strict=True):
        for name, each in sweeps[sweep].items():
            colour, line = lines[name]
            style = {"linestyle": line, "marker": "o", "label": name}
            drawing.draw_mean(axes, at, each.clamp_min(_NEAREST), colour, **style)
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(at, [f"{place:g}" for place in at])
        axes.minorticks_off()
        drawing.finish(axes, title, sweep.removeprefix("over "))
    panels[0].legend(**drawing.SMALL)
