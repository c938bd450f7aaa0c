"""Figure 6: one render noised to several t by SDS and by SDI, and what each makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from sdilib.checks import in_range, positive_int, reject
from sdilib.ddim import ddim
from sdilib.guidance import SDI, SDS, View
from sdilib.inversion import DDIMInversion, KappaChoice
from sdilib.lab.claims import Claim, paired_claim
from sdilib.lab.metrics import high_frequency_energy
from sdilib.lab.studies.residuals import start
from sdilib.schedule import time_grid
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion

__all__ = [
    "COSINE",
    "DETAIL",
    "PLACE",
    "Intermediates",
    "coverage",
    "intermediate_claims",
    "intermediate_measures",
    "intermediates",
    "of_renders",
    "pictured",
]

Latents = Float[Tensor, "items times channels h w"]
ByRule = Mapping[str, Latents]

DETAIL = "fine detail of x0(t)"
COSINE = "cosine of neighbours' updates"
PLACE = "κ², object / background"


@dataclass(frozen=True, slots=True, eq=False)
class Intermediates:
    """What two rules make of the same renders, on CPU.

    Attributes:
        times: that the renders are noised to, rising.
        x0: the renders, latents.
        x_t: the noised renders (eq. 7), by rule.
        denoised: their single-step denoised images (eq. 5), by rule.
        kappa: the noises, by rule.
        num_forwards: UNet sample-forwards a render, all times together, by rule.
    """

    times: tuple[float, ...]
    x0: Float[Tensor, "items channels h w"]
    x_t: dict[str, Latents]
    denoised: dict[str, Latents]
    kappa: dict[str, Latents]
    num_forwards: dict[str, float]


def intermediates(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    times: Sequence[float],
    scene_t: float = 0.5,
    num_steps: int = 30,
    guidance_scale: float = 7.5,
    kappa: KappaChoice | None = None,
    batch_size: int = 16,
) -> Intermediates:
    """Noise and denoise renders at several t, by SDS and by SDI at the same gamma.

    The render is DDIM's x0(t) at `scene_t`: an image in the middle of its way from blurry to sharp,
    as a scene under distillation is.

    Args:
        model: frozen.
        prompts: one a render.
        seeds: one a render.
        times: in (0, 1], rising.
        scene_t: in [0, 1]; the step of DDIM nearest to it gives the render.
        num_steps: of DDIM.
        guidance_scale: gamma of all.
        kappa: SDI's; None is `DDIMInversion()`.
        batch_size: renders at a time.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """
    in_range("scene_t", scene_t, 0.0, 1.0)
    positive_int("num_steps", num_steps, at_least=2)
    positive_int("batch_size", batch_size)
    grid, embedded = time_grid(num_steps), model.embed(prompts)
    kept = min(range(num_steps), key=lambda k: abs(grid[k] - scene_t))
    renders: list[Tensor] = []
    for items in tqdm(torch.arange(len(prompts)).split(batch_size), desc="renders", leave=False):
        prompt = embedded.select(items)
        x_1 = start(model, [seeds[i] for i in items.tolist()])
        steps = ddim(x_1, model.guided(prompt, guidance_scale), times=grid)
        renders.append(next(step.x0 for k, step in enumerate(steps) if k == kept))
    return of_renders(
        model,
        torch.cat(renders),
        prompts,
        seeds,
        times=times,
        guidance_scale=guidance_scale,
        kappa=kappa,
        batch_size=batch_size,
    )


def of_renders(
    model: StableDiffusion,
    x0: Float[Tensor, "items channels h w"],
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    times: Sequence[float],
    guidance_scale: float = 7.5,
    kappa: KappaChoice | None = None,
    batch_size: int = 16,
) -> Intermediates:
    """Noise and denoise given renders at several t, by SDS and by SDI at the same gamma.

    Args:
        model: frozen.
        x0: latents of the renders.
        prompts: one a render.
        seeds: one a render.
        times: in (0, 1], rising.
        guidance_scale: gamma of both.
        kappa: SDI's; None is `DDIMInversion()`.
        batch_size: renders at a time.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """
    for t in times:
        in_range("times", t, 0.0, 1.0, open_low=True)
    if not times or list(times) != sorted(set(times)):
        reject("times", list(times), "at least one time, rising")
    positive_int("batch_size", batch_size)
    rules = {
        "SDS": SDS(model, guidance_scale),
        "SDI": SDI(model, guidance_scale, DDIMInversion() if kappa is None else kappa),
    }
    embedded = model.embed(prompts)
    made: dict[str, list[list[Tensor]]] = {name: [[], [], []] for name in rules}
    forwards = dict.fromkeys(rules, 0.0)
    for items in tqdm(torch.arange(len(prompts)).split(batch_size), desc="rules", leave=False):
        some, view = [seeds[i] for i in items.tolist()], View(embedded.select(items))
        for name, rule in rules.items():
            parts: list[list[Tensor]] = [[], [], []]
            for k, t in enumerate(times):
                each = torch.full((len(some),), t, dtype=torch.float64)
                draws = [generator(seed, k, "noise") for seed in some]
                update = rule(x0[items], each, view, draws)
                x_t = model.schedule.add_noise(x0[items], update.kappa, each)
                for part, value in zip(parts, (x_t, update.denoised, update.kappa), strict=True):
                    part.append(value.cpu())
                forwards[name] += update.num_forwards / len(prompts)
            for whole, part in zip(made[name], parts, strict=True):
                whole.append(torch.stack(part, 1))
    x_t, denoised, noises = (
        {name: torch.cat(parts[i]) for name, parts in made.items()} for i in range(3)
    )
    return Intermediates(tuple(times), x0.cpu(), x_t, denoised, noises, forwards)


def coverage(
    images: Float[Tensor, "items 3 height width"], *, size: int, threshold: float = 0.1
) -> Float[Tensor, "items size size"]:
    """Return how much of each cell the object covers: pixels that differ from the colour of the image's border.

    Args:
        images: in [0, 1].
        size: cells a side.
        threshold: of the largest difference of a channel from the border's mean, in (0, 1).

    Raises:
        ValueError: an argument outside its range.
    """
    positive_int("size", size)
    in_range("threshold", threshold, 0.0, 1.0, open_low=True)
    ends = [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]]
    border = torch.cat(ends, dim=-1).mean(-1)[..., None, None]
    differs = ((images - border).abs().amax(1, keepdim=True) > threshold).float()
    return functional.adaptive_avg_pool2d(differs, size)[:, 0]


def intermediate_measures(
    run: Intermediates,
    images: Float[Tensor, "items 3 height width"],
    denoised: Mapping[str, Float[Tensor, "items times 3 height width"]],
) -> dict[str, dict[str, Float[Tensor, "items _"]]]:
    """Return figure 6's numbers: by measure, then rule, for each item and time.

    Args:
        run: from `intermediates`.
        images: its renders, decoded.
        denoised: its single-step denoised images, decoded, by rule.

    Returns:
        Fine detail of the denoised images; the cosine between the updates x0(t) - x0 at neighbouring
        times, one fewer; the mean square of kappa on the object over that on the background.
    """
    where = coverage(images, size=run.x0.shape[-1])[:, None, None]
    render, measures = run.x0[:, None], {}
    measures[DETAIL] = {
        name: high_frequency_energy(each.flatten(0, 1)).unflatten(0, each.shape[:2])
        for name, each in denoised.items()
    }
    updates = {name: (each - render).flatten(2) for name, each in run.denoised.items()}
    measures[COSINE] = {
        name: functional.cosine_similarity(each[:, 1:], each[:, :-1], dim=2)
        for name, each in updates.items()
    }
    measures[PLACE] = {
        name: _mean_square(each, where) / _mean_square(each, 1 - where)
        for name, each in run.kappa.items()
    }
    return measures


def pictured(
    render: Float[Tensor, "3 height width"],
    noised: Mapping[str, Float[Tensor, "times 3 height width"]],
    denoised: Mapping[str, Float[Tensor, "times 3 height width"]],
    shown: Sequence[int],
) -> dict[str, Float[Tensor, "columns 3 height width"]]:
    """Return figure 6's rows: by rule the noised render, its denoised image, and what guidance adds to the render.

    The first column is t = 0, where the first two are the render itself and nothing is added.

    Args:
        render: in [0, 1].
        noised: by rule.
        denoised: by rule.
        shown: which times.
    """
    rows = {}
    for rule, each in denoised.items():
        rows[f"{rule}, noised x(t)"] = torch.stack([render, *noised[rule][shown]])
        rows[f"{rule}, denoised x0(t)"] = clean = torch.stack([render, *each[shown]])
        rows[f"{rule}, update, about grey"] = 0.5 + clean - render
    return rows


def intermediate_claims(
    measures: Mapping[str, Mapping[str, Float[Tensor, "items _"]]],
    times: Sequence[float],
    prompts: Sequence[str],
) -> list[Claim]:
    """Check what the paper says of figure 6; the prompt is the unit that counts.

    Args:
        measures: from `intermediate_measures`.
        times: of the run.
        prompts: of the renders.
    """
    early = [k for k, t in enumerate(times) if t >= 0.7]
    detail, cosine, place = (measures[name] for name in (DETAIL, COSINE, PLACE))
    sides = {"names": ("SDS", "SDI"), "groups": prompts}
    return [
        paired_claim(
            "Inverted noise makes more consistent single-step generations: neighbouring t pull alike",
            smaller=cosine["SDS"].mean(1),
            larger=cosine["SDI"].mean(1),
            note="cosine of x0(t) - x0 in latents",
            **sides,
        ),
        paired_claim(
            "It makes intricate features at earlier times: more fine detail of x0(t) at t ≥ 0.7",
            smaller=detail["SDS"][:, early].mean(1),
            larger=detail["SDI"][:, early].mean(1),
            note="fine detail may be dirt",
            **sides,
        ),
        paired_claim(
            "The inverted noise lies on the object rather than on the background",
            smaller=place["SDS"].mean(1),
            larger=place["SDI"].mean(1),
            note="mean square of κ on the object over that on the background; 1 is evenly spread",
            **sides,
        ),
    ]


def _mean_square(noise: Latents, weight: Tensor) -> Float[Tensor, "items times"]:
    total = weight.expand_as(noise).sum((2, 3, 4))
    return (weight * noise.square()).sum((2, 3, 4)) / total.clamp_min(1e-6)
