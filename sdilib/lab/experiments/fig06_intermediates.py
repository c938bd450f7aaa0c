"""Figure 6: renders noised to several t by SDS and by SDI, and the denoised images that each obtains."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.guidance import SDI, SDS, Rule, View
from sdilib.inversion import DDIMInversion, KappaChoice
from sdilib.lab.claims import Less
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.path import batched, decoded, fine_detail
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion

TIMES = tuple(k / 10 for k in range(1, 10))
"""Times to which renders are noised."""

SHOWN = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The times shown as columns."""

DETAIL = "fine detail of x0(t)"
COSINE = "cosine of neighbours' updates"
PLACE = "κ², object / background"
LIKE, WHERE = f"{COSINE}, mean over t", f"{PLACE}, mean over t"
EARLY = f"{DETAIL}, mean over t ≥ 0.7"

CLAIMS = tuple(
    Less(said, measure, "SDS", "SDI", note=note)
    for said, measure, note in (
        (
            "Inverted noise makes more consistent single-step generations: neighbouring t pull alike",
            LIKE,
            "cosine of x0(t) - x0 in latents",
        ),
        (
            "It makes intricate features at earlier times: more fine detail of x0(t) at t ≥ 0.7",
            EARLY,
            "fine detail may be dirt",
        ),
        (
            "The inverted noise lies more on the object than drawn noise does",
            WHERE,
            "mean square of κ on the object over that on the background; 1 is evenly spread",
        ),
    )
)

BELOW = 1.55
"""Height of the panels with their labels, in inches."""

Renders = Float[Tensor, "items channels h w"]
Latents = Float[Tensor, "items times channels h w"]


@dataclass(frozen=True, slots=True, eq=False)
class Noised:
    """Renders noised and denoised by a rule, on CPU.

    Attributes:
        x_t: the noised renders (eq. 9).
        denoised: their single-step denoised images (eq. 5).
        kappa: the noises.
        num_forwards: UNet sample-forwards per render, all times together.
    """

    x_t: Latents
    denoised: Latents
    kappa: Latents
    num_forwards: float


def intermediates(
    model: StableDiffusion,
    x0: Renders,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    guidance_scale: float,
    kappa: KappaChoice | None = None,
) -> dict[str, Noised]:
    """Noise and denoise renders at each of `TIMES`, by SDS and by SDI.

    Args:
        model: frozen.
        x0: latents of the renders.
        prompts: one per render.
        seeds: one per render.
        guidance_scale: gamma of both.
        kappa: SDI's; None is inversion at -gamma, as in the paper.

    Raises:
        NonFiniteError: a prediction is not finite.
    """
    embedded, renders = model.embed(prompts), x0.to(model.device)

    def ask(items: Tensor, rule: Rule) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        some, view = renders[items], View(embedded.select(items))
        for k, t in enumerate(TIMES):
            each = torch.full((len(items),), t, dtype=torch.float64)
            draws = [generator(seeds[i], k, "noise") for i in items.tolist()]
            update = rule(some, each, view, draws)
            yield model.schedule.add_noise(some, update.kappa, each), update.denoised, update.kappa

    rules, made = (
        {
            "SDS": SDS(model, guidance_scale),
            "SDI": SDI(model, guidance_scale, kappa or DDIMInversion()),
        },
        {},
    )
    for name, rule in rules.items():
        before, rows = model.num_forwards, partial(ask, rule=rule)
        x_t, denoised, noise = batched(len(prompts), rows, total=len(TIMES), name=name)
        cost = (model.num_forwards - before) / len(prompts)
        made[name] = Noised(x_t, denoised, noise, cost)
    return made


def coverage(
    images: Float[Tensor, "items 3 height width"], *, size: int
) -> Float[Tensor, "items size size"]:
    """Return how much of each cell the object covers: pixels that differ from the colour of the image's border.

    A pixel differs if one of its channels lies more than a tenth of the range from the border's mean.

    Args:
        images: in [0, 1].
        size: cells per side, at least 1.
    """
    ends = [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]]
    border = torch.cat(ends, dim=-1).mean(-1)[..., None, None]
    differs = ((images - border).abs().amax(1, keepdim=True) > 0.1).float()
    return functional.adaptive_avg_pool2d(differs, size)[:, 0]


def measures(
    x0: Renders,
    run: Mapping[str, Noised],
    render: Float[Tensor, "items 3 height width"],
    denoised: Mapping[str, Float[Tensor, "items times 3 height width"]],
) -> dict[str, dict[str, Any]]:
    """Return figure 6's numbers for each item and time, and what `CLAIMS` compares.

    Args:
        x0: latents of the renders.
        run: from `intermediates`.
        render: the renders as images in [0, 1].
        denoised: the single-step denoised images, decoded, by rule.

    Returns:
        Fine detail of the denoised images; the cosine between the updates x0(t) - x0 at neighbouring
        times, one fewer; the mean square of kappa on the object divided by that on the background.
    """
    along = functional.cosine_similarity
    where = coverage(render, size=x0.shape[-1])[:, None, None]
    updates = {name: (each.denoised - x0[:, None].cpu()).flatten(2) for name, each in run.items()}
    numbers = {
        DETAIL: {name: fine_detail(each) for name, each in denoised.items()},
        COSINE: {name: along(each[:, 1:], each[:, :-1], dim=2) for name, each in updates.items()},
        PLACE: {
            name: _mean_square(each.kappa, where) / _mean_square(each.kappa, 1 - where)
            for name, each in run.items()
        },
    }
    forwards = {name: each.num_forwards for name, each in run.items()}
    return summary(numbers) | {"forwards": forwards}


def summary(
    numbers: Mapping[str, Mapping[str, Float[Tensor, "items _"]]],
) -> dict[str, dict[str, Any]]:
    """Return numbers over t, and the means that `CLAIMS` compares.

    Args:
        numbers: by measure, then rule, for each item and time (of updates, one time fewer).
    """
    early = [k for k, t in enumerate(TIMES) if t >= 0.7]
    return {
        **{measure: dict(by_rule) for measure, by_rule in numbers.items()},
        LIKE: {name: each.mean(1) for name, each in numbers[COSINE].items()},
        EARLY: {name: each[:, early].mean(1) for name, each in numbers[DETAIL].items()},
        WHERE: {name: each.mean(1) for name, each in numbers[PLACE].items()},
    }


def _mean_square(noise: Latents, weight: Tensor) -> Float[Tensor, "items times"]:
    total = weight.expand_as(noise).sum((2, 3, 4))
    return (weight * noise.square()).sum((2, 3, 4)) / total.clamp_min(1e-6)


def rows(
    render: Float[Tensor, "3 height width"],
    noised: Mapping[str, Float[Tensor, "times 3 height width"]],
    denoised: Mapping[str, Float[Tensor, "times 3 height width"]],
    shown: Sequence[int],
) -> dict[str, Float[Tensor, "columns 3 height width"]]:
    """Return figure 6's rows: for each rule the noised render, its denoised image, and what guidance adds.

    The first column is t = 0, where the first two are the render itself and nothing is added.

    Args:
        render: in [0, 1].
        noised: by rule.
        denoised: by rule.
        shown: which times.
    """
    drawn = {}
    for rule, each in denoised.items():
        drawn[f"{rule}, noised x(t)"] = torch.stack([render, *noised[rule][shown]])
        drawn[f"{rule}, denoised x0(t)"] = clean = torch.stack([render, *each[shown]])
        drawn[f"{rule}, update, about grey"] = 0.5 + clean - render
    return drawn


def draw(
    model: StableDiffusion,
    run: Mapping[str, Noised],
    render: Float[Tensor, "items 3 height width"],
    denoised: Mapping[str, Float[Tensor, "items times 3 height width"]],
    numbers: Mapping[str, Mapping[str, Any]],
) -> drawing.Figure:
    """Draw the first render's rows of images, a column per time, and below them curves over t.

    Args:
        model: whose VAE decodes.
        run: from `intermediates`.
        render: as images in [0, 1].
        denoised: images in [0, 1] by rule.
        numbers: from `measures`; the curves show the mean and the middle half of the items.
    """
    shown = [k for k, t in enumerate(TIMES) if t in SHOWN]
    noised = {rule: decoded(model, each.x_t[:1])[0] for rule, each in run.items()}
    first = {rule: each[0] for rule, each in denoised.items()}
    titles = ["render", *(f"t = {TIMES[k]:.2g}" for k in shown)]
    drawn = rows(render[0], noised, first, shown)
    figure, (below,) = drawing.images_above(drawn, titles, BELOW, titles=drawing.ONE_LINE)
    line = drawing.panels(below, 3, BELOW, between=0.28)
    for axes, measure in zip(line, (DETAIL, COSINE, PLACE), strict=True):
        drawing.draw_curves(axes, TIMES[measure == COSINE :], numbers[measure], measure)
        axes.set_xlim(0, 1)  # in the order of the columns
    line[0].legend(loc="lower left", **drawing.SMALL)
    return figure
