"""How far each choice of kappa is from solving eq. 8, along one and the same path.

The path is DDIM's own, seen in the variable x0(t) of eq. 6: there every choice is asked for its
noise at the same points, and there the exact answer is known, the prediction that DDIM made itself.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.checks import in_range, positive_int
from sdilib.ddim import ddim
from sdilib.denoiser import GuidedDenoiser
from sdilib.guidance import SDI, Rule
from sdilib.inversion import (
    Cached,
    DDIMInversion,
    FixedNoise,
    FixedPoint,
    GradientDescent,
    KappaChoice,
    RandomNoise,
    full_kappa,
    invert,
    residual,
)
from sdilib.lab.claims import Claim, bound_claim, exact_claim, paired_claim
from sdilib.schedule import time_grid
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import RuleFrom

__all__ = [
    "CHEAPER",
    "CHOICES",
    "PATTERNS",
    "STRATEGIES",
    "Noises",
    "Path",
    "cached_claim",
    "choice_claims",
    "clean_deviations",
    "costs",
    "ddim_path",
    "decoded",
    "denoised",
    "deviation",
    "grid_residuals",
    "guidance_claims",
    "noises",
    "residuals",
    "sdi_with",
    "start",
    "strategy_residuals",
    "strategy_rules",
]

Make = Callable[[], KappaChoice]
"""Makes a choice of kappa with nothing remembered yet."""

CHOICES: dict[str, Make] = {
    "random": RandomNoise,
    "fixed": FixedNoise,
    "fixed point, ×10": FixedPoint,
    "descent, ×10": GradientDescent,
    "inversion, n = 10": DDIMInversion,
    "cached": Cached,
}
"""The choices of section 6.2, with the paper's settings."""

CHEAPER: dict[str, Make] = {
    **{f"fixed point, ×{k}": partial(FixedPoint, num_iterations=k) for k in (1, 2, 5)},
    **{f"descent, ×{k}": partial(GradientDescent, num_iterations=k) for k in (1, 2, 5)},
    **{f"inversion, n = {n}": partial(DDIMInversion, num_inversion_steps=n) for n in (1, 3)},
}
"""The same with fewer iterations, or fewer steps of the inversion."""

PATTERNS: dict[str, Make] = {
    "random": RandomNoise,
    "fixed": FixedNoise,
    "fixed point": FixedPoint,
    "descent": GradientDescent,
    "inversion, γ = 7.5": partial(DDIMInversion, guidance_scale=7.5),
    "inversion, γ = 0": partial(DDIMInversion, guidance_scale=0.0),
    "inversion, γ = -7.5": DDIMInversion,
    "cached": Cached,
}
"""Figure 17's choices."""

RANDOM, FIXED, FIXED_POINT, DESCENT, INVERSION, CACHED = CHOICES

STRATEGIES = {
    "(7.5, 7.5)": (7.5, 7.5),
    "(0, 0)": (0.0, 0.0),
    "(0, 7.5)": (0.0, 7.5),
    "(-7.5, 7.5)": (-7.5, 7.5),
}
"""Figure 10's and 18's pairs (gamma_inv, gamma_fwd)."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """DDIM's way at some times, on CPU.

    Attributes:
        times: falling, in (0, 1].
        seeds: one an item; what is drawn on the path depends on them.
        x0: the single-step denoised images x0(t), eq. 5.
        eps: the predictions they came from: the exact kappa at x0(t), eq. 8.
        samples: where the path ends, at t = 0.
    """

    times: tuple[float, ...]
    seeds: tuple[int, ...]
    x0: Float[Tensor, "items times *shape"]
    eps: Float[Tensor, "items times *shape"]
    samples: Float[Tensor, " items *shape"]

    def at(self, times: Sequence[float]) -> "Path":
        """Return the path at its times that lie closest to those asked for, each once.

        Args:
            times: in [0, 1].
        """
        grid = torch.tensor(self.times, dtype=torch.float64)
        nearest = {int((grid - t).abs().argmin()) for t in times}
        kept = sorted(nearest)
        return replace(
            self,
            times=tuple(self.times[k] for k in kept),
            x0=self.x0[:, kept],
            eps=self.eps[:, kept],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Noises:
    """What a choice of kappa answered along a path, and what it cost.

    Attributes:
        kappa: on CPU.
        num_forwards: sample-forwards a point, those of descent's backward passes not counted.
        seconds: wall time a point.
    """

    kappa: Float[Tensor, "items times *shape"]
    num_forwards: float
    seconds: float


def start(model: StableDiffusion, seeds: Sequence[int]) -> Float[Tensor, "items channels h w"]:
    """Return where `generate.ddim_images` starts: a zero latent noised to t = 1.

    Args:
        model: whose latents are meant.
        seeds: one an item.
    """
    blank = torch.zeros(len(seeds), *model.latent_shape, device=model.device)
    noise = normal(blank, [generator(seed, 0, "start") for seed in seeds])
    return model.schedule.add_noise(blank, noise, 1.0)


def ddim_path(
    denoise: GuidedDenoiser,
    x_1: Float[Tensor, " items *shape"],
    seeds: Sequence[int],
    *,
    num_steps: int,
    num_times: int = 10,
    batch_size: int = 16,
) -> Path:
    """Sample by DDIM, and keep x0(t) and the prediction at some of its times.

    Costs `num_steps` calls of the denoiser an item.

    Args:
        denoise: guided, one row of its prompt an item.
        x_1: at t = 1, e.g. from `start`.
        seeds: one an item.
        num_steps: equal steps from t = 1 to 0.
        num_times: how many of their times are kept, from t = 1 down, equally far apart where
            `num_steps` is a multiple of it.
        batch_size: items at a time.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """
    in_range("num_times", positive_int("num_times", num_times), 1, num_steps)
    positive_int("batch_size", batch_size)
    kept = [k * num_steps // num_times for k in range(num_times)]
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for items in torch.arange(len(x_1)).split(batch_size):
        steps = list(ddim(x_1[items], denoise.select(items), times=time_grid(num_steps)))
        x0 = torch.stack([steps[k].x0 for k in kept], 1)
        eps = torch.stack([steps[k].eps for k in kept], 1)
        parts.append((x0.cpu(), eps.cpu(), steps[-1].x_next.cpu()))
    x0, eps, samples = (torch.cat(each) for each in zip(*parts, strict=True))
    grid = time_grid(num_steps)
    return Path(tuple(grid[k] for k in kept), tuple(seeds), x0, eps, samples)


def _batches(path: Path, batch_size: int, name: str) -> Iterator[tuple[Tensor, int, float]]:
    """Yield (items, place of t, t): for each batch of items the times as they fall."""
    positive_int("batch_size", batch_size)
    batches = torch.arange(len(path.seeds)).split(batch_size)
    with tqdm(total=len(batches) * len(path.times), desc=name, leave=False) as bar:
        for items in batches:
            for k, t in enumerate(path.times):
                yield items, k, t
                bar.update()


def noises(
    path: Path, denoise: GuidedDenoiser, make: Make, *, batch_size: int = 16, name: str = "kappa"
) -> Noises:
    """Ask a choice of kappa for its noise at every point of a path, as t falls.

    Before it is asked, the choice observes DDIM's prediction at that point, which `Cached` answers
    with. What is drawn comes from a stream of its own, independent of the noise that the path
    started from: to be given that noise would be to know the answer. "fixed" keeps what it drew
    first.

    Args:
        path: from `ddim_path`.
        denoise: at gamma_fwd, one row of its prompt an item.
        make: makes the choice for a batch of items.
        batch_size: items at a time.
        name: of the progress bar.

    Raises:
        NonFiniteError: a prediction is not finite.
    """
    before, began = denoise.denoiser.num_forwards, time.perf_counter()
    kappa, choice = torch.empty_like(path.x0), make()
    device = denoise.prompt.conditional.device
    for items, k, t in _batches(path, batch_size, name):
        choice = make() if k == 0 else choice
        choice.observe(path.eps[items, k].to(device))
        x0 = path.x0[items, k].to(device)
        draws = [generator(path.seeds[i], k, "kappa") for i in items.tolist()]
        t_each = torch.full((len(items),), t, dtype=torch.float64)
        kappa[items, k] = choice(x0, t_each, denoise.select(items), draws).noise.cpu()
    points = len(path.seeds) * len(path.times)
    cost = denoise.denoiser.num_forwards - before
    return Noises(kappa, cost / points, (time.perf_counter() - began) / points)


def residuals(
    path: Path,
    denoise: GuidedDenoiser,
    kappa: Float[Tensor, "items times *shape"],
    *,
    batch_size: int = 16,
) -> Float[Tensor, "items times"]:
    """Return eq. 8's residual r(t) at every point of a path; see `inversion.residual`.

    Costs one call of the denoiser a point.

    Args:
        path: from `ddim_path`.
        denoise: at gamma_fwd, one row of its prompt an item.
        kappa: candidates, from `noises`.
        batch_size: items at a time.
    """
    device = denoise.prompt.conditional.device
    r = torch.empty(kappa.shape[:2], dtype=kappa.dtype)
    for items, k, t in _batches(path, batch_size, "residual"):
        x0, noise = path.x0[items, k].to(device), kappa[items, k].to(device)
        r[items, k] = residual(x0, noise, t=t, denoise=denoise.select(items)).cpu()
    return r


def denoised(
    path: Path,
    denoise: GuidedDenoiser,
    kappa: Float[Tensor, "items times *shape"],
    *,
    batch_size: int = 16,
) -> Float[Tensor, "items times *shape"]:
    """Return the single-step denoised images of a path's x0(t) noised with kappa (eqs. 5, 10).

    Costs one call of the denoiser a point.

    Args:
        path: from `ddim_path`.
        denoise: at gamma_fwd, one row of its prompt an item.
        kappa: from `noises`.
        batch_size: items at a time.
    """
    made, device = torch.empty_like(kappa), denoise.prompt.conditional.device
    for items, k, t in _batches(path, batch_size, "denoise"):
        x0, noise = path.x0[items, k].to(device), kappa[items, k].to(device)
        x_t = denoise.schedule.add_noise(x0, noise, t)
        with torch.no_grad():
            eps = denoise.select(items)(x_t, t)
        made[items, k] = denoise.schedule.denoised(x_t, eps, t).cpu()
    return made


@torch.no_grad()
def decoded(
    model: StableDiffusion, latents: Float[Tensor, "items times channels h w"]
) -> Float[Tensor, "items times 3 height width"]:
    """Return latents as images in [0, 1], on CPU.

    Args:
        model: whose VAE decodes.
        latents: from `denoised`, or a path's x0.
    """
    images = [model.decode(each.to(model.device)).clamp(0, 1).float().cpu() for each in latents]
    return torch.stack(images)


def cached_claim(path: Path, made: Float[Tensor, "items times *shape"]) -> Claim:
    """Check that x0(t), noised with DDIM's own prediction and denoised, is x0(t) again (eq. 7).

    Args:
        path: from `ddim_path`.
        made: from `denoised`, with the cached kappa.
    """
    off = (made - path.x0).flatten(2).norm(dim=2) / path.x0.flatten(2).norm(dim=2)
    return exact_claim(
        "x0(t) noised with DDIM's own prediction and denoised is x0(t) again (eq. 7)",
        off.flatten(),
        at_most=1e-3,
        name="largest relative deviation",
        note="rounding in float32",
    )


def sdi_with(make: Make) -> RuleFrom:
    """Return SDI with a choice of kappa, for `generate.distilled_images`.

    The choice observes the prediction at t = 1, so that `Cached` begins where DDIM does.

    Args:
        make: makes the choice for a batch of items.
    """

    def rule(model: StableDiffusion, eps: Tensor) -> Rule:
        kappa = make()
        kappa.observe(eps)
        return SDI(model, kappa=kappa)

    return rule


def deviation(kappa: Float[Tensor, "items times *shape"]) -> Float[Tensor, "items times"]:
    """Return the root mean square of each noise; 1 for what a network saw in training.

    Args:
        kappa: from `noises`.
    """
    return kappa.flatten(2).square().mean(2).sqrt()


def clean_deviations(
    samples: Float[Tensor, " items *shape"],
    denoise: GuidedDenoiser,
    *,
    num_inversion_steps: int = 10,
    batch_size: int = 16,
) -> Float[Tensor, "items times"]:
    """Return the root mean square of kappa on clean images, at t = 1/n, 2/n … 1.

    One inversion up to t = 1 passes through all of them: `DDIMInversion` at t = k/n makes the same
    first k steps. Costs n calls of the denoiser an item.

    Args:
        samples: clean latents, e.g. a path's.
        denoise: at gamma_inv, one row of its prompt an item.
        num_inversion_steps: n.
        batch_size: items at a time.
    """
    device, parts = denoise.prompt.conditional.device, []
    for items in torch.arange(len(samples)).split(batch_size):
        x0, some = samples[items].to(device), denoise.select(items)
        kappas = [
            full_kappa(x0, step.x_next, t=step.t_next, denoise=some)
            for step in invert(x0, some, t=1.0, num_inversion_steps=num_inversion_steps)
        ]
        parts.append(deviation(torch.stack(kappas, 1)).cpu())
    return torch.cat(parts)


def strategy_residuals(
    path: Path, denoise: GuidedDenoiser, *, batch_size: int = 16
) -> dict[str, Float[Tensor, "items times"]]:
    """Return the residual along a path for each of `STRATEGIES`.

    Strategies that share gamma_inv share the inversion.

    Args:
        path: from `ddim_path`.
        denoise: one row of its prompt an item; its gamma plays no role.
        batch_size: items at a time.
    """
    inverse = sorted({gamma for gamma, _ in STRATEGIES.values()})
    kappas = {gamma: _inverted(path, denoise, gamma, batch_size) for gamma in inverse}
    return {
        name: residuals(
            path, replace(denoise, guidance_scale=forward), kappas[gamma], batch_size=batch_size
        )
        for name, (gamma, forward) in STRATEGIES.items()
    }


def grid_residuals(
    path: Path,
    denoise: GuidedDenoiser,
    inverse_scales: Sequence[float],
    forward_scales: Sequence[float],
    *,
    batch_size: int = 16,
) -> Float[Tensor, "inverse forward times"]:
    """Return the mean residual over items, by gamma_inv, gamma_fwd and time.

    Args:
        path: from `ddim_path`.
        denoise: one row of its prompt an item; its gamma plays no role.
        inverse_scales: values of gamma_inv, an inversion each.
        forward_scales: values of gamma_fwd, a call of the denoiser each.
        batch_size: items at a time.
    """
    rows = []
    for gamma in inverse_scales:
        kappa = _inverted(path, denoise, gamma, batch_size)
        forwards = [replace(denoise, guidance_scale=forward) for forward in forward_scales]
        each = [residuals(path, forward, kappa, batch_size=batch_size) for forward in forwards]
        rows.append(torch.stack([r.mean(0) for r in each]))
    return torch.stack(rows)


def _inverted(path: Path, denoise: GuidedDenoiser, gamma: float, batch_size: int) -> Tensor:
    make = partial(DDIMInversion, guidance_scale=gamma)
    return noises(path, denoise, make, batch_size=batch_size, name=f"inversion at {gamma:g}").kappa


def strategy_rules() -> dict[str, RuleFrom]:
    """Return SDI at each of `STRATEGIES`, for `generate.distilled_images`."""

    def rule(strategy: tuple[float, float]) -> RuleFrom:
        inverse, forward = strategy
        return lambda model, _: SDI(model, forward, kappa=DDIMInversion(guidance_scale=inverse))

    return {name: rule(strategy) for name, strategy in STRATEGIES.items()}


def costs(found: Mapping[str, Noises]) -> dict[str, float]:
    """Return what each choice costs a point, in sample-forwards, a backward pass counted as one.

    Through frozen weights a backward pass takes about as long as the forward one.

    Args:
        found: by name of the choice, as in `CHOICES` and `CHEAPER`.
    """
    return {
        name: each.num_forwards * (2 if name.startswith("descent") else 1)
        for name, each in found.items()
    }


def choice_claims(
    r: Mapping[str, Float[Tensor, "items times"]],
    cost: Mapping[str, float],
    prompts: Sequence[str],
) -> list[Claim]:
    """Check figure 9's statements; the prompt is the unit that counts.

    Args:
        r: residuals by choice, those of `CHOICES` and `CHEAPER`.
        cost: from `costs`.
        prompts: of the items.
    """
    mean = {name: each.mean(1) for name, each in r.items()}
    inverted = mean[INVERSION]
    claims = [
        paired_claim(
            f"Inversion has a lower residual than {said}",
            smaller=inverted,
            larger=mean[rival],
            names=("inversion", "the other"),
            groups=prompts,
            note="mean over t",
        )
        for rival, said in (
            (RANDOM, "random noise"),
            (FIXED, "fixed noise"),
            (FIXED_POINT, "fixed-point iteration"),
            (DESCENT, "gradient descent"),
        )
    ]
    for family, said in (("fixed point", "fixed-point iteration"), ("descent", "gradient descent")):
        members = [name for name in cost if name.startswith(f"{family},")]
        rival = min(members, key=lambda name: abs(cost[name] - cost[INVERSION]))
        claims.append(
            paired_claim(
                f"Inversion has a lower residual than {said} at equal cost",
                smaller=inverted,
                larger=mean[rival],
                names=("inversion", "the other"),
                groups=prompts,
                note=f"{INVERSION}: {cost[INVERSION]:.3g} sample-forwards; "
                f"{rival}: {cost[rival]:.3g}",
            )
        )
    return [
        *claims,
        bound_claim(
            "Resampled and fixed noise produce the same residual, to 5 %",
            mean[FIXED] / mean[RANDOM],
            at_least=0.95,
            at_most=1.05,
            name="fixed / random",
            groups=prompts,
        ),
        exact_claim(
            "DDIM's own prediction at x(t), cached, solves eq. 8 at x0(t)",
            (r[CACHED] / r[RANDOM]).flatten(),
            at_most=1e-3,
            name="largest residual, of random noise's",
            note="rounding in float32",
        ),
    ]


def guidance_claims(
    r: Mapping[str, Float[Tensor, "items times"]], prompts: Sequence[str]
) -> list[Claim]:
    """Check figure 10's statements; the prompt is the unit that counts.

    Args:
        r: residuals by strategy, those of `STRATEGIES`.
        prompts: of the items.
    """
    mean = {name: each.mean(1) for name, each in r.items()}
    both, none, half, negative = STRATEGIES
    pairs = [(negative, half), (negative, both), (half, both), (none, both)]
    claims = [
        paired_claim(
            f"(γ_inv, γ_fwd) = {low} has a lower residual than {high}",
            smaller=mean[low],
            larger=mean[high],
            names=(low, high),
            groups=prompts,
            note="mean over t",
        )
        for low, high in pairs
    ]
    on_par = [
        bound_claim(
            f"{one} and {other} perform on par: residuals within 20 % of each other",
            mean[other] / mean[one],
            at_least=1 / 1.2,
            at_most=1.2,
            name=f"{other} / {one}",
            groups=prompts,
            note="the paper names no margin",
        )
        for one, other in ((half, negative), (half, none), (negative, none))
    ]
    return [*claims, *on_par]
