"""Figures 1, 2, 8, 9, 10 and 11 in 3D: which runs are compared, and the paper's claims about them.

A *plan* is a list of runs by method, one a prompt, in the order of the prompts. Runs of equal settings are one run,
whichever figure asks for them: what SDI is, is written once, in the presets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import positive_int
from sdilib.lab.claims import Claim, bound_claim, paired_claim, share_claim
from sdilib.lab.metrics import high_frequency_energy
from sdilib.lab.presets import SDS_TIMES
from sdilib.lab.studies.objects import Looked
from sdilib.schedule import whole_steps
from sdilib.text_to_3d import Text3D

__all__ = [
    "ABLATION",
    "BARS",
    "CHOICES",
    "NUM_INVERSION_STEPS",
    "SDI",
    "STRATEGIES",
    "TEASER",
    "ablation_claims",
    "at_equal_cost",
    "choice_claims",
    "film_claims",
    "film_measures",
    "filmed",
    "gallery_claims",
    "halfway",
    "plan",
    "step_claims",
    "strategy_claims",
    "teaser_claims",
]

Settings = Mapping[str, Any]
Numbers = Mapping[str, Mapping[str, Float[Tensor, " runs"]]]
"""By measure, then method; from `objects.measures`."""

SDI = "SDI"
"""The name of the run that all figures share: the preset's own."""

_SDS: dict[str, Any] = SDS_TIMES | {"rule": "sds", "guidance_scale": 7.5, "updates": 1}
_RANDOM: dict[str, Any] = {"kappa": "random"}

TEASER: dict[str, dict[str, Any]] = {
    "SDS, γ = 100": _SDS | {"guidance_scale": 100.0},
    "SDS, γ = 7.5": _SDS,
    SDI: {},
}
"""Figure 1, panels d and e, and SDS at SDI's own gamma."""

HALF_SIZE = "SDS, half size"
"""DreamFusion's SDS, which renders smaller than the model sees."""

ABLATION: dict[str, dict[str, Any]] = {
    HALF_SIZE: _SDS | {"render_size": 32},
    "SDS": _SDS,
    "annealed t": _RANDOM | {"updates": 1},
    "inversion": {"updates": 1},
    "annealed t, whole steps": _RANDOM,
    "inversion, whole steps": {},
}
"""Figure 8, in the paper's order; then the last two again with more updates a target, as SDI has them."""

EQUAL_COST = "annealed t, equal cost"
"""A random kappa with as many UNet sample-forwards as SDI, by more steps."""

CHOICES: dict[str, dict[str, Any]] = {
    "random": _RANDOM,
    "fixed": {"kappa": "fixed"},
    "fixed point": {"kappa": "fixed point"},
    "descent": {"kappa": "gradient descent"},
    "inversion": {},
    "inversion, unit": {"unit": True},
}
"""Figure 9: how kappa is chosen."""

STRATEGIES: dict[str, dict[str, Any]] = {
    f"({inverse:g}, {forward:g})": {
        "inversion_guidance_scale": inverse,
        "guidance_scale": forward,
    }
    for inverse, forward in ((7.5, 7.5), (0.0, 0.0), (0.0, 7.5), (-7.5, 7.5))
}
"""Figure 10: gamma of the inversion and of the denoising."""

NUM_INVERSION_STEPS: dict[str, dict[str, Any]] = {
    f"n = {n}": {"num_inversion_steps": n} for n in (1, 3, 5, 10, 20, 30)
}
"""Figure 11."""

BARS = {"object": 0.9, "colour": 0.9, "IoU": 0.75}
"""What SDI's objects are meant to reach."""


def plan(
    prompts: Sequence[str],
    variants: Mapping[str, Settings],
    settings: Settings,
    *,
    seed: int = 0,
    num_seeds: int = 1,
) -> dict[str, list[Text3D]]:
    """Return the runs of a figure: by method, one a prompt and seed, all prompts of a seed together.

    Args:
        prompts: without view words.
        variants: what a method changes of the settings.
        settings: those of SDI, as `presets.resolve("run3d", ...)` returns them; what is no setting of a run is ignored.
        seed: the first one.
        num_seeds: of each prompt, at least 1.

    Raises:
        ValueError: a setting that cannot be.
    """
    positive_int("num_seeds", num_seeds)
    known = {field.name for field in fields(Text3D)}
    common: dict[str, Any] = {n: value for n, value in settings.items() if n in known}

    def run(prompt: str, number: int, variant: Settings) -> Text3D:
        return Text3D.of(**common | {"prompt": prompt, "seed": number} | dict(variant))

    seeds = range(seed, seed + num_seeds)
    return {
        name: [run(prompt, number, variant) for number in seeds for prompt in prompts]
        for name, variant in variants.items()
    }


def at_equal_cost(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return `ABLATION` for these settings, and a random kappa with SDI's number of UNet sample-forwards.

    Args:
        settings: those of SDI.
    """
    run = plan(["any"], {SDI: {}}, settings)[SDI][0]
    times = [run.t_start + (run.t_end - run.t_start) * k / run.steps for k in range(run.steps)]
    inverted = sum(whole_steps(t, run.rule_settings["num_inversion_steps"]) for t in times) / len(
        times
    )
    steps = round((1 + inverted) * run.steps)
    half = ABLATION[HALF_SIZE] | {"render_size": run.size // 2}
    return ABLATION | {HALF_SIZE: half, EQUAL_COST: _RANDOM | {"updates": 1, "steps": steps}}


def halfway(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return SDI stopped half-way: the first half of its steps, with the same times and penalties.

    Exact for an even number of steps; convexity, shading and progressive levels go by the share of the run, and so fall
    in other steps, where they are on.

    Args:
        settings: those of SDI.
    """
    run = plan(["any"], {SDI: {}}, settings)[SDI][0]
    grown = {name: getattr(run, name) / 2 for name in ("opaqueness", "z_variance")}
    times = {"steps": max(1, run.steps // 2), "t_end": (run.t_start + run.t_end) / 2}
    return {SDI: times | grown}


def teaser_claims(numbers: Numbers, prompts: Sequence[str]) -> list[Claim]:
    """Check figure 1's statements in 3D; the prompt is the unit that counts.

    Args:
        numbers: of `TEASER`.
        prompts: of the runs.
    """
    blurry, burnt = "SDS, γ = 7.5", "SDS, γ = 100"
    detail, colour = numbers["fine detail"], numbers["saturation"]
    claims = [
        _less("SDS at γ = 7.5 has less fine detail than SDI", detail, (blurry, SDI), prompts),
        _less("SDS at γ = 100 is more saturated than SDI", colour, (SDI, burnt), prompts),
    ]
    for rival in (blurry, burnt):
        named = rival.replace(",", " at")
        for measure in ("saturation", "fine detail"):
            if "IoU" in numbers:
                off = {name: (values - 1).abs() for name, values in numbers[measure].items()}
                said = f"SDI's {measure} is nearer the true object's than that of {named}"
                claims.append(_less(said, off, (SDI, rival), prompts))
        if "kernel distance" in numbers:
            said = f"SDI's views are nearer to real renders than those of {named} (kernel distance)"
            claims.append(_less(said, numbers["kernel distance"], (SDI, rival), prompts))
    return claims


def gallery_claims(
    numbers: Numbers, looked: Mapping[str, Sequence[Looked]], prompts: Sequence[str]
) -> list[Claim]:
    """Check that SDI's objects are what was asked for.

    Args:
        numbers: of runs called `SDI`.
        looked: their views.
        prompts: of the runs.
    """
    claims = [
        share_claim(
            "At most 5 % of the runs diverge", [each.empty for each in looked[SDI]], at_most=0.05
        )
    ]
    said = {
        "object": "SDI's object is recognised in at least 90 % of 16 views",
        "colour": "Its colour is right in at least 90 % of 16 views",
        "IoU": "Its silhouette overlaps the true object's by an IoU of at least 0.75",
    }
    for measure, bar in BARS.items():
        if measure in numbers:
            values = numbers[measure][SDI]
            claims.append(
                bound_claim(said[measure], values, at_least=bar, name="mean", groups=prompts)
            )
    for measure in ("saturation", "fine detail"):
        if "IoU" in numbers:
            claims.append(
                bound_claim(
                    f"Its {measure} is within 15 % of the true object's",
                    (numbers[measure][SDI] - 1).abs(),
                    at_most=0.15,
                    name="mean deviation",
                    groups=prompts,
                )
            )
    return claims


def ablation_claims(numbers: Numbers, prompts: Sequence[str]) -> list[Claim]:
    """Check figure 8: each change brings the views nearer to real renders; and which part does what.

    Args:
        numbers: of `ABLATION`.
        prompts: of the runs.
    """
    measure, distance = _distance(numbers)
    pairs = {
        "A higher resolution improves SDS": ("SDS", HALF_SIZE),
        "Annealing t improves on a random t": ("annealed t", "SDS"),
        "Inversion improves on a random κ, one update a target": ("inversion", "annealed t"),
        "Inversion improves on a random κ, several updates a target": (
            "inversion, whole steps",
            "annealed t, whole steps",
        ),
        "Several updates a target improve on one, with a random κ": (
            "annealed t, whole steps",
            "annealed t",
        ),
        "Inversion improves on a random κ at equal cost": ("inversion, whole steps", EQUAL_COST),
    }
    claims = [
        _less(f"{said} ({measure})", distance, pair, prompts)
        for said, pair in pairs.items()
        if set(pair) <= set(distance)
    ]
    gains = {
        "annealing": distance["SDS"] - distance["annealed t"],
        "inversion": distance["annealed t, whole steps"] - distance["inversion, whole steps"],
    }
    main = f"The main improvement is inversion's: it gains more than annealing t ({measure})"
    return [*claims, _less(main, gains, ("annealing", "inversion"), prompts)]


def choice_claims(numbers: Numbers, prompts: Sequence[str]) -> list[Claim]:
    """Check figure 9 in 3D: inversion's objects are nearer to real renders than every other choice's.

    Args:
        numbers: of `CHOICES`.
        prompts: of the runs.
    """
    measure, distance = _distance(numbers)
    return [
        _less(
            f"Inversion improves on {rival} κ ({measure})", distance, ("inversion", rival), prompts
        )
        for rival in ("random", "fixed", "fixed point", "descent")
    ]


def strategy_claims(numbers: Numbers, prompts: Sequence[str]) -> list[Claim]:
    """Check figure 10 in 3D: (-7.5, 7.5) is best.

    Args:
        numbers: of `STRATEGIES`.
        prompts: of the runs.
    """
    (measure, distance), best = _distance(numbers), "(-7.5, 7.5)"
    return [
        _less(
            f"(γ_inv, γ) = {best} improves on {rival} ({measure})",
            distance,
            (best, rival),
            prompts,
        )
        for rival in STRATEGIES
        if rival != best
    ]


def step_claims(numbers: Numbers, prompts: Sequence[str]) -> list[Claim]:
    """Check figure 11 in 3D: quality rises with n up to 10, and beyond by a tenth of that at most.

    Args:
        numbers: of `NUM_INVERSION_STEPS`.
        prompts: of the runs.
    """
    measure, distance = _distance(numbers)
    rises = [
        _less(
            f"n = {more} improves on n = {fewer} ({measure})",
            distance,
            (f"n = {more}", f"n = {fewer}"),
            prompts,
        )
        for fewer, more in ((1, 3), (3, 10))
    ]
    up_to, beyond = (
        distance[f"n = {fewer}"] - distance[f"n = {more}"] for fewer, more in ((1, 10), (10, 30))
    )
    levels_off = bound_claim(
        f"n = 30 adds to what n = 10 gained over n = 1 a tenth at most ({measure})",
        beyond - 0.1 * up_to,
        at_most=0.0,
        name="gain of n = 30, less a tenth of that of n = 10",
        groups=prompts,
        note="the paper names no margin",
    )
    return [*rises, levels_off]


def filmed(
    frames: Sequence[Mapping[float, Float[Tensor, "3 height width"]]], prompts: Sequence[str]
) -> dict[str, Float[Tensor, "times 3 height width"]]:
    """Return the frames of runs in the order of their steps, by prompt; a run that diverged is left out.

    Args:
        frames: from `jobs.Finished.frames`, one a prompt.
        prompts: of the runs.
    """
    longest = max(map(len, frames))
    return {
        prompt: torch.stack(list(each.values()))
        for prompt, each in zip(prompts, frames, strict=True)
        if len(each) == longest
    }


def film_measures(
    rows: Mapping[str, Float[Tensor, "times 3 height width"]],
) -> dict[str, Float[Tensor, "runs times"]]:
    """Return fine detail over a run, and the root mean square distance to its end.

    Args:
        rows: from `filmed`.
    """
    return {
        "fine detail": torch.stack([high_frequency_energy(each) for each in rows.values()]),
        "distance to the end": torch.stack(
            [(each - each[-1:]).flatten(1).square().mean(1).sqrt() for each in rows.values()]
        ),
    }


def film_claims(
    measures: Mapping[str, Float[Tensor, "runs times"]], prompts: Sequence[str]
) -> list[Claim]:
    """Check figure 4 in 3D: from a blur to detail, and steadily towards the end.

    Args:
        measures: from `film_measures`.
        prompts: of the runs.
    """
    detail, distance = measures["fine detail"], measures["distance to the end"]
    middle, groups = detail.shape[1] // 2, list(prompts)[: len(detail)]
    return [
        paired_claim(
            "The render has less fine detail at first than at the end",
            smaller=detail[:, 0],
            larger=detail[:, -1],
            names=("first", "end"),
            groups=groups,
        ),
        paired_claim(
            "Half-way it is nearer to its end than at first",
            smaller=distance[:, middle],
            larger=distance[:, 0],
            names=("half-way", "first"),
            groups=groups,
        ),
    ]


def _distance(numbers: Numbers) -> tuple[str, Mapping[str, Float[Tensor, " runs"]]]:
    """What decides, and its name: the kernel distance; for a model of another world fine detail, the more the better."""
    if "kernel distance" in numbers:
        return "kernel distance to real renders", numbers["kernel distance"]
    return "fine detail", {name: -values for name, values in numbers["fine detail"].items()}


def _less(
    claim: str,
    numbers: Mapping[str, Float[Tensor, " runs"]],
    pair: tuple[str, str],
    prompts: Sequence[str],
) -> Claim:
    smaller, larger = pair
    return paired_claim(
        claim, smaller=numbers[smaller], larger=numbers[larger], names=pair, groups=prompts
    )
