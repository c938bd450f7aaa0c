"""What the published code's variant of eq. 10 does to contrast and colour.

Eq. 10 noises the image to t with the noise kappa that inversion found on its way to t + tau:

    x(t) = sqrt(alpha(t)) x0 + sqrt(1 - alpha(t)) kappa.

The published code gives the network the end of the inversion itself, as if it were at t:

    x(t)' = sqrt(alpha(t + tau)) x0 + sqrt(1 - alpha(t + tau)) kappa.

So what the denoised image keeps of x0 is scaled by sqrt(alpha(t + tau) / alpha(t)) < 1. Without tau
the two are the same.

The published 2D notebook also decodes and encodes the image before each update when it inverts; here every rule is run
both ways.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.guidance import SDI, SDS, Rule, Update, View
from sdilib.inversion import DDIMInversion, RandomNoise
from sdilib.lab.claims import Exact, Less, Within
from sdilib.lab.experiments.shared import drawing, images
from sdilib.lab.experiments.shared.drawing import Figure
from sdilib.lab.experiments.shared.images import Made
from sdilib.lab.images import Generated
from sdilib.lab.metrics import saturation
from sdilib.lab.practice import SDS_PRACTISED
from sdilib.schedule import NoiseSchedule, spread, time_grid
from sdilib.seeds import Generators, generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import LATENTS, RuleFrom

PLAIN, PAPER, PUBLISHED = "eq. 10, τ = 0", "eq. 10, τ ≤ 0.1", "published, τ ≤ 0.1"
"""What the claims compare: eq. 10 without tau, eq. 10 with it, and the published code's variant."""

CONTRAST, COLOUR = "contrast", "saturation"
OFF = "x(t)'s deviation, off what is expected (mean over t)"
FORMULA = "relative deviation of κ'"

TAUS = {PUBLISHED: 0.1, "published, τ ≤ 1/30": 1 / 30}
"""Largest tau of each published variant."""


def contrast(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
    """Return the standard deviation of each image's values, all pixels and channels together.

    Args:
        images: in [0, 1]; clamped.

    Returns:
        One number in [0, 0.5] per image; 0 for an even grey.
    """
    return images.clamp(0, 1).flatten(1).std(1, correction=0)


def watched(make: RuleFrom, deviations: list[list[Tensor]]) -> RuleFrom:
    """Return a maker of the same rules that records the standard deviation of each x(t) they give the network.

    Args:
        make: makes SDS or SDI, whose update's kappa is the noise in x(t).
        deviations: gets a list per batch, which gets a tensor per step with one number per item, on CPU.
    """

    def watch(model: StableDiffusion, eps: Tensor) -> Rule:
        rule, batch = make(model, eps), []
        deviations.append(batch)

        def watching(x0: Tensor, t: Tensor, view: View, generator: Generators) -> Update:
            update = rule(x0, t, view, generator)
            x_t = model.schedule.add_noise(x0, update.kappa, t)
            batch.append(x_t.flatten(1).std(1, correction=0).cpu())
            return update

        return watching

    return watch


def expected_deviation(
    latents: Float[Tensor, " items *shape"], times: Sequence[float], schedule: NoiseSchedule
) -> Float[Tensor, "items steps"]:
    """Return the standard deviation of x(t) that the network was trained on, for each image and time.

    sqrt(alpha(t) Var(x0) + 1 - alpha(t)): the noise of training has unit deviation and is
    independent of x0.

    Args:
        latents: clean, of the model's own images.
        times: in [0, 1].
        schedule: of the noise.
    """
    alpha = schedule.alpha_cumprod(torch.tensor(times, dtype=torch.float64)).to(latents)
    return (alpha * latents.flatten(1).var(1, correction=0)[:, None] + 1 - alpha).sqrt()


def damping(
    schedule: NoiseSchedule, times: Sequence[float], tau_max: float
) -> Float[Tensor, " times"]:
    """Return the mean of sqrt(alpha(t + tau) / alpha(t)) over tau ~ U(0, tau_max), float64.

    The share of x0 that the published code's variant keeps in one step; t + tau is capped at 1.

    Args:
        schedule: of the noise.
        times: in [0, 1].
        tau_max: in [0, 1].
    """
    t = torch.tensor(times, dtype=torch.float64)
    taus = tau_max * (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    ends = [schedule.alpha_cumprod((t + tau).clamp(max=1)) for tau in taus]
    kept = torch.stack(ends, 1) / schedule.alpha_cumprod(t)[:, None]
    return kept.sqrt().mean(1)


def formula(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    latents: Float[Tensor, " items *shape"],
    *,
    t: float = 0.5,
) -> images.Measures:
    """Return how far the published variant is from eq. 10 with kappa' in place of kappa.

    kappa' = (sqrt(alpha(t + tau) / alpha(t)) - 1) / sigma(t) · x0
             + sqrt((1 - alpha(t + tau)) / (1 - alpha(t))) · kappa

    Costs two inversions and a prediction per item; at most 16 items are used.

    Args:
        model: frozen.
        prompts: one per item.
        seeds: one per item.
        latents: x0 at which the formula is checked.
        t: time at which it is checked, in (0, 1].

    Returns:
        For each item, the distance of the update's kappa' from the formula's, relative to the formula's norm.
    """
    prompts, seeds, x0 = prompts[:16], seeds[:16], latents[:16].to(model.device)
    schedule, prompt = model.schedule, model.embed(prompts)
    times = torch.full((len(x0),), t, dtype=torch.float64)
    inversion = DDIMInversion(tau_max=TAUS[PUBLISHED])
    draws = [[generator(seed, 0, "guidance") for seed in seeds] for _ in range(2)]
    kappa = inversion(x0, times, model.guided(prompt), draws[0])
    update = SDI(model, kappa=inversion, renoise=False)(x0, times, View(prompt), draws[1])
    alpha, alpha_end = schedule.alpha_cumprod(times), schedule.alpha_cumprod(kappa.t)
    of_x0 = ((alpha_end / alpha).sqrt() - 1) / schedule.sigma(times)
    of_kappa = ((1 - alpha_end) / (1 - alpha)).sqrt()
    expected = spread(of_x0, x0) * x0 + spread(of_kappa, x0) * kappa.noise
    off = (update.kappa - expected).flatten(1).norm(dim=1)
    return {FORMULA: {PUBLISHED: off / expected.flatten(1).norm(dim=1)}}


def over_time(
    seen: Mapping[str, list[list[Tensor]]],
    latents: Float[Tensor, " items *shape"],
    schedule: NoiseSchedule,
) -> dict[str, Any]:
    """Return the curves over the times of the steps, without the first, at t = 1, which all methods share.

    Args:
        seen: what `watched` recorded, by method.
        latents: clean, of DDIM's images.
        schedule: of the noise.

    Returns:
        "times", falling; the "deviations" by method, then item and time; the "expected" ones; and, by variant, the share
        of x0 that is "kept", see `damping`.
    """
    deviations = {n: torch.cat([torch.stack(b, 1) for b in each]) for n, each in seen.items()}
    times = time_grid(next(iter(deviations.values())).shape[1] + 1)[1:-1]
    expected = expected_deviation(latents, times, schedule)
    kept = {name: damping(schedule, times, tau) for name, tau in TAUS.items()}
    return {"times": times, "deviations": deviations, "expected": expected, "kept": kept}


def measures(made: Made, over_t: Mapping[str, Any]) -> images.Measures:
    """Return the numbers of the images and of x(t): by measure, then method, one per image.

    Args:
        made: images by method.
        over_t: from `over_time`.
    """
    off = {n: (x / over_t["expected"] - 1).abs().mean(1) for n, x in over_t["deviations"].items()}
    found = {OFF: off, images.COST: images.costs(made)}
    for measure, of in ((CONTRAST, contrast), (COLOUR, saturation)):
        found[measure] = each = {name: of(run.images) for name, run in made.items()}
        change = (each[PAPER] / each[PLAIN].clamp_min(1e-6) - 1).abs()
        found[f"relative change of {measure}"] = {PAPER: change}
    return found


CLAIMS = (
    Exact(
        "The published code's step is eq. 10's with κ' = (√(α(t+τ)/α(t)) - 1)/σ(t) · x0 "
        "+ √((1-α(t+τ))/(1-α(t))) · κ",
        FORMULA,
        PUBLISHED,
        at_most=1e-4,
    ),
    *(
        Less(f"At τ ≤ 0.1, published images have less {what} than eq. 10's", what, PUBLISHED, PAPER)
        for what in (CONTRAST, COLOUR)
    ),
    *(
        Within(
            f"Up to 0.1, τ changes eq. 10's {what} by less than 5 %",
            f"relative change of {what}",
            PAPER,
            at_most=0.05,
        )
        for what in (CONTRAST, COLOUR)
    ),
    Less(
        "The published code's x(t) deviates as it should more nearly than eq. 10's at τ ≤ 0.1",
        OFF,
        lower=PUBLISHED,
        higher=PAPER,
        note="mean over t of |deviation / expected - 1|",
    ),
)
"""Appendix A.1 says "not sensitive to tau"; the rest follows from the module's formula."""

HUES = dict(zip((PLAIN, PAPER, *TAUS), ("#1b7837", "#74b66c", "#b2182b", "#ef8a62"), strict=True))
HUES |= {"DDIM": "#1b1b1b", "expected": "#1b1b1b", "eq. 10": "#1b7837"}

CURVES = 1.9
"""Height of the panels over t, in inches."""


def draw(made: Made, prompts: Sequence[str], numbers: Mapping[str, Any]) -> Figure:
    """Draw images by variant, x(t)'s deviation over t, what a step keeps of x0, and the numbers.

    Args:
        made: images by variant, each one of `HUES`.
        prompts: one per image.
        numbers: from `measures` and `over_time`; deviations are drawn as means over items.
    """
    rows, columns = images.firsts(made, prompts)
    heights = CURVES, drawing.items_height(rows)
    figure, (middle, below) = drawing.images_above(rows, columns, *heights)
    measured = {name: numbers[name] for name in (CONTRAST, COLOUR)}
    drawing.draw_items(below, measured, {name: HUES[name] for name in rows})
    times = numbers["times"]
    deviations = numbers["deviations"] | {"expected": numbers["expected"]}
    kept = numbers["kept"] | {"eq. 10": torch.ones(len(times))}
    over_t = {
        "standard deviation of x(t)": {name: each.mean(0) for name, each in deviations.items()},
        "what a step keeps of x0:  √(α(t+τ) / α(t)), mean": kept,
    }
    panels = drawing.panels(middle, 2, CURVES)
    for axes, (title, curves) in zip(panels, over_t.items(), strict=True):
        for name, curve in curves.items():
            line = "--" if name == "expected" else "-"
            axes.plot(times, curve, line, color=HUES[name], label=name, linewidth=1.2)
        axes.set_xlim(1, 0)
        drawing.legend(axes)
        drawing.finish(axes, title, "t")
    return figure


BORDER = "border, standard deviation"

RIVALS = "SDI", "random κ", "SDS"
"""The rules run both ways: SDI and a random kappa in whole steps with t annealed, and SDS as practised."""


def both_ways(
    distill: Callable[..., Generated],
    guidance_scale: float,
    *,
    sds_steps: int,
    known: Mapping[str, Generated],
) -> dict[str, Generated]:
    """Distil by each of `RIVALS`, both with latents encoded before each update and with free ones.

    Args:
        distill: the method of a notebook's page.
        guidance_scale: gamma.
        sds_steps: optimiser steps of SDS.
        known: images that exist already, by name, including "DDIM".

    Returns:
        Images by name ("SDI, free"), "DDIM" first.
    """
    gamma, practice = guidance_scale, SDS_PRACTISED | {"num_steps": sds_steps}
    rules: tuple[tuple[RuleFrom, dict[str, Any]], ...] = (
        (lambda model, _: SDI(model, gamma), {}),
        (lambda model, _: SDI(model, gamma, RandomNoise()), {}),
        (lambda model, _: SDS(model, gamma), practice),
    )
    made = {"DDIM": known["DDIM"]}
    for name, (rule, settings) in zip(RIVALS, rules, strict=True):
        for latents in LATENTS:
            row = f"{name}, {latents}"
            made[row] = known.get(row) or distill(rule, latents=latents, name=row, **settings)
    return made


def border_deviation(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
    """Return how uneven the outermost sixteenth of each image is: its standard deviation, averaged over channels.

    Args:
        images: in [0, 1].
    """
    width = max(1, images.shape[-1] // 16)
    outer = torch.ones(images.shape[-2:], dtype=torch.bool)
    outer[width:-width, width:-width] = False
    return images[..., outer].std(2, correction=0).mean(1)


def seen_measures(made: Made) -> images.Measures:
    """Return fine detail, saturation and distance to DDIM's images, and how uneven the border is.

    Args:
        made: from `both_ways`.
    """
    border = {name: border_deviation(run.images) for name, run in made.items()}
    return images.measures(made) | {BORDER: border}


SEEN_CLAIMS = (
    *(
        Less(f"Encoded before each update, {name} leaves a more even border", BORDER, *pair)
        for name in RIVALS
        for pair in [(f"{name}, encoded", f"{name}, free")]
    ),
    *(
        Less(
            f"Encoded before each update, {name} ends nearer to DDIM's image (PSNR)",
            images.CLOSENESS,
            lower=f"{name}, free",
            higher=f"{name}, encoded",
        )
        for name in RIVALS
    ),
    Less(
        "Both encoded, a random κ leaves a more even border than SDI",
        BORDER,
        lower="random κ, encoded",
        higher="SDI, encoded",
    ),
)


def draw_both_ways(made: Made, prompts: Sequence[str], numbers: images.Measures) -> Figure:
    """Draw images by rule and kind of latents (encoded or free), and their numbers.

    Args:
        made: from `both_ways`.
        prompts: one per image.
        numbers: from `seen_measures`.
    """
    rows, columns = images.firsts(made, prompts)
    kinds = {"DDIM": "DDIM", "random κ": "fixed"}
    measured = {n: numbers[n] for n in (BORDER, images.CLOSENESS, images.DETAIL)}
    hue = lambda name: drawing.colour_of(kinds.get(str(name).partition(",")[0]) or str(name))  # noqa: E731
    return drawing.images_and_items(rows, columns, measured, colour=hue)
