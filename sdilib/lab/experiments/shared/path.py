"""DDIM's path in both of its variables, x(t) and x0(t) of eq. 6, and what is computed at its points.

Every choice of kappa can be evaluated there, and the exact solution of eq. 8 is known there: DDIM's own prediction.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.checks import in_range, positive_int
from sdilib.denoiser import GuidedDenoiser
from sdilib.guidance import SDI, Rule
from sdilib.inversion import DDIMInversion, KappaChoice, residual
from sdilib.lab.images import BATCH, ddim_images, distilled_images
from sdilib.lab.metrics import high_frequency_energy
from sdilib.sampling import ddim
from sdilib.schedule import time_grid
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import RuleFrom, noisy_start

MakeKappa = Callable[[], KappaChoice]
"""Makes a choice of kappa that has not observed anything yet."""

BEGUN = "begun, at t = 0.1"
"""Name in figures 9 and 17 of `begun`, an inversion that starts from drawn noise at t = 0.1; not in the paper."""

Latents = Float[Tensor, "items times *shape"]

Ask = Callable[[Tensor, Tensor, int, GuidedDenoiser], Tensor]
"""Computes a result for some items from x0(t), a noise for it, the index of the time, and the denoiser."""


def batched(
    count: int,
    rows: Callable[[Int[Tensor, " batch"]], Iterator[tuple[Tensor, ...]]],
    *,
    total: int,
    name: str,
) -> tuple[Tensor, ...]:
    """Process items in batches, and join what each batch yields, time by time, into whole tensors.

    Args:
        count: of items.
        rows: for the items of a batch, yields a tuple of tensors at each time, one row per item.
        total: number of times, for the progress bar.
        name: of the progress bar.

    Returns:
        For each tensor in the tuple, one of shape (items, times, …), on CPU.
    """
    batches = torch.arange(count).split(BATCH)
    parts: list[list[Tensor]] = []
    with tqdm(total=total * len(batches), desc=name, leave=False) as bar:
        for items in batches:
            steps: list[tuple[Tensor, ...]] = []
            for row in rows(items):
                steps.append(tuple(each.cpu() for each in row))
                bar.update()
            parts.append([torch.stack(each, 1) for each in zip(*steps, strict=True)])
    return tuple(torch.cat(each) for each in zip(*parts, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """DDIM's path at some times, on CPU.

    Attributes:
        denoise: the denoiser it was sampled with, one row of its prompt per item.
        seeds: one per item; what is drawn on the path depends on them.
        times: falling, in (0, 1].
        x_t: the noisy images x(t).
        x0: the single-step denoised images x0(t), eq. 5.
        eps: the predictions they came from: the exact kappa at x0(t), eq. 8.
        samples: where the path ends, at t = 0.
    """

    denoise: GuidedDenoiser
    seeds: tuple[int, ...]
    times: tuple[float, ...]
    x_t: Latents
    x0: Latents
    eps: Latents
    samples: Float[Tensor, " items *shape"]

    def at(self, times: Sequence[float]) -> "Path":
        """Return the path at those of its times that lie closest to the given ones, each once.

        Args:
            times: in [0, 1].
        """
        grid = torch.tensor(self.times, dtype=torch.float64)
        kept = sorted({int((grid - t).abs().argmin()) for t in times})
        some = {name: getattr(self, name)[:, kept] for name in ("x_t", "x0", "eps")}
        return replace(self, times=tuple(self.times[k] for k in kept), **some)


def ddim_path(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    guidance_scale: float = 7.5,
    **settings: Any,
) -> Path:
    """Sample as `lab.images.ddim_images` does, and keep the path.

    Args:
        model: frozen.
        prompts: one per item.
        seeds: one per item.
        guidance_scale: gamma.
        **settings: of `follow`; "num_steps" is required.
    """
    denoise = model.guided(model.embed(prompts), guidance_scale)
    return follow(denoise, noisy_start(model, seeds), seeds, **settings)


def follow(
    denoise: GuidedDenoiser,
    x_1: Float[Tensor, " items *shape"],
    seeds: Sequence[int],
    *,
    num_steps: int,
    num_times: int | None = None,
) -> Path:
    """Sample by DDIM (eq. 2), and keep both variables and the prediction at some of its times.

    Costs `num_steps` calls of the denoiser per item.

    Args:
        denoise: guided, one row of its prompt per item.
        x_1: at t = 1.
        seeds: one per item.
        num_steps: equal steps from t = 1 to 0.
        num_times: how many of the steps' times are kept, from t = 1 down, equally spaced if `num_steps` is a
            multiple of it; None keeps all.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """
    count = positive_int("num_steps", num_steps) if num_times is None else num_times
    in_range("num_times", positive_int("num_times", count), 1, num_steps)
    kept, grid = [k * num_steps // count for k in range(count)], time_grid(num_steps)

    def rows(items: Tensor) -> Iterator[tuple[Tensor, ...]]:
        for k, step in enumerate(ddim(x_1[items], denoise.select(items), times=grid)):
            if k in kept or k == num_steps - 1:
                yield step.x_t, step.x0, step.eps, step.x_next

    total = len({*kept, num_steps - 1})
    x_t, x0, eps, x_next = batched(len(x_1), rows, total=total, name="DDIM")
    x_t, x0, eps = (each[:, :count] for each in (x_t, x0, eps))
    times = tuple(grid[k] for k in kept)
    return Path(denoise, tuple(seeds), times, x_t, x0, eps, x_next[:, -1])


def noises(
    path: Path, make: MakeKappa, *, name: str = "kappa"
) -> Float[Tensor, "items times *shape"]:
    """Return the noise that a choice of kappa gives at every point of a path, as t falls, on CPU.

    At each point the choice first observes DDIM's prediction, which is what `Cached` returns. Drawn noise comes from a
    separate stream, independent of the noise that the path started from, which would give away the answer. "fixed"
    keeps its first draw.

    Args:
        path: at gamma_fwd.
        make: makes the choice for a batch of items.
        name: of the progress bar.

    Raises:
        NonFiniteError: a prediction is not finite.
    """

    def begin(items: Tensor) -> Ask:
        choice = make()

        def ask(x0: Tensor, eps: Tensor, k: int, denoise: GuidedDenoiser) -> Tensor:
            choice.observe(eps)
            t = torch.full((len(items),), path.times[k], dtype=torch.float64)
            draws = [generator(path.seeds[i], k, "kappa") for i in items.tolist()]
            return choice(x0, t, denoise, draws).noise

        return ask

    return _along(path, path.eps, begin, name)


def residuals(
    path: Path, kappa: Latents, *, guidance_scale: float | None = None
) -> Float[Tensor, "items times"]:
    """Return eq. 8's residual r(t) at every point of a path, on CPU; see `inversion.residual`.

    Costs one call of the denoiser per point.

    Args:
        path: from `follow`.
        kappa: candidates, from `noises`.
        guidance_scale: gamma_fwd, if not the path's.
    """
    gamma = path.denoise.guidance_scale if guidance_scale is None else guidance_scale
    asked = replace(path, denoise=replace(path.denoise, guidance_scale=gamma))

    def ask(x0: Tensor, noise: Tensor, k: int, denoise: GuidedDenoiser) -> Tensor:
        return residual(x0, noise, t=path.times[k], denoise=denoise)

    return _along(asked, kappa, lambda _: ask, "residual")


def mean_over_t(r: Float[Tensor, "items times"]) -> Float[Tensor, " items"]:
    """Return the geometric mean of residuals over a path's times, by item.

    They fall with t by orders of magnitude: the arithmetic mean would be that of the highest t alone.

    Args:
        r: from `residuals`.
    """
    return r.log().mean(1).exp()


@torch.no_grad()
def denoised(path: Path, kappa: Latents) -> Latents:
    """Return the single-step denoised images of a path's x0(t) noised with kappa (eqs. 5, 10), on CPU.

    Costs one call of the denoiser per point.

    Args:
        path: at gamma_fwd.
        kappa: from `noises`.
    """

    def ask(x0: Tensor, noise: Tensor, k: int, denoise: GuidedDenoiser) -> Tensor:
        t = path.times[k]
        x_t = denoise.schedule.add_noise(x0, noise, t)
        return denoise.schedule.denoised(x_t, denoise(x_t, t), t)

    return _along(path, kappa, lambda _: ask, "denoise")


def _along(path: Path, noise: Tensor, begin: Callable[[Tensor], Ask], name: str) -> Tensor:
    """Compute something from x0(t) and a noise at every point; `begin` returns the function for a batch."""

    def rows(items: Tensor) -> Iterator[tuple[Tensor]]:
        ask, denoise = begin(items), path.denoise.select(items)
        for k in range(len(path.times)):
            x0, beside = (
                x[items, k].to(denoise.prompt.conditional.device) for x in (path.x0, noise)
            )
            yield (ask(x0, beside, k, denoise),)

    return batched(len(path.seeds), rows, total=len(path.times), name=name)[0]


def begun(guidance_scale: float) -> DDIMInversion:
    """Return the inversion of `BEGUN`.

    Args:
        guidance_scale: gamma that the model is sampled with.
    """
    return DDIMInversion(-guidance_scale, inversion_start=0.1)


def sdi_with(make: MakeKappa, guidance_scale: float = 7.5) -> RuleFrom:
    """Return SDI with a choice of kappa, for `lab.images.distilled_images`.

    The choice observes the prediction at t = 1, so that `Cached` begins where DDIM does.

    Args:
        make: makes the choice for a batch of items.
        guidance_scale: gamma.
    """

    def rule(model: StableDiffusion, eps: Tensor) -> Rule:
        kappa = make()
        kappa.observe(eps)
        return SDI(model, guidance_scale, kappa)

    return rule


def images(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    rules: Mapping[str, RuleFrom | None],
    *,
    num_steps: int,
    guidance_scale: float = 7.5,
) -> dict[str, Float[Tensor, "prompts 3 height width"]]:
    """Return images of whole runs in [0, 1], by name.

    Args:
        model: frozen.
        prompts: one per image.
        seeds: one per image.
        rules: by name; None samples by DDIM instead.
        num_steps: of each run.
        guidance_scale: gamma of DDIM, and of the image that the others start from.
    """
    items, made = (model, prompts, seeds), {}
    start = {"num_steps": num_steps, "start_guidance_scale": guidance_scale}
    for name, rule in rules.items():
        if rule is None:
            run = ddim_images(*items, num_steps=num_steps, guidance_scale=guidance_scale)
        else:
            run = distilled_images(*items, rule=rule, name=name, **start)
        made[name] = run.images
    return made


@torch.no_grad()
def decoded(
    model: StableDiffusion, latents: Float[Tensor, "items times channels h w"]
) -> Float[Tensor, "items times 3 height width"]:
    """Return latents as images in [0, 1], on CPU.

    Args:
        model: whose VAE decodes.
        latents: a path's, or from `denoised`.
    """
    images = [model.decode(each.to(model.device)).clamp(0, 1).float().cpu() for each in latents]
    return torch.stack(images)


def root_mean_square(values: Float[Tensor, "items times *shape"]) -> Float[Tensor, "items times"]:
    """Return the root mean square at each item and time; 1 for noise like that of training.

    Args:
        values: of any kind.
    """
    return values.flatten(2).square().mean(2).sqrt()


def relative_error(values: Latents, truth: Latents) -> Float[Tensor, "items times"]:
    """Return how far values are from the truth at each item and time, relative to its norm.

    Args:
        values: compared.
        truth: of the same shape.
    """
    return (values - truth).flatten(2).norm(dim=2) / truth.flatten(2).norm(dim=2)


def fine_detail(
    images: Float[Tensor, "items times 3 height width"],
) -> Float[Tensor, "items times"]:
    """Return `metrics.high_frequency_energy` at each item and time.

    Args:
        images: in [0, 1].
    """
    return high_frequency_energy(images.flatten(0, 1)).unflatten(0, images.shape[:2])
