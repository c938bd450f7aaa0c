"""DDIM sampling as Euler steps of eq. 1; each step also gives x0(t), the paper's change of variables.

With x_bar = x_t / sqrt(alpha_cumprod), eq. 2 is
x_bar(t - tau) = x_bar(t) + eps · [sigma(t - tau) - sigma(t)].
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from sdilib.checks import reject
from sdilib.denoiser import GuidedDenoiser, require_finite
from sdilib.schedule import Latents, NoiseSchedule, Time, Times, spread
from sdilib.seeds import Generators, normal


@dataclass(frozen=True, slots=True, eq=False)
class DDIMStep:
    """One completed step from t to t_next.

    Attributes:
        t: time of `x_t`.
        t_next: time of `x_next`.
        x_t: where the step began.
        eps: guided noise prediction at (x_t, t).
        x0: single-step denoised image x0(t), eq. 5.
        x_next: where the step ended, at t_next.
    """

    t: float
    t_next: float
    x_t: Latents
    eps: Latents
    x0: Latents
    x_next: Latents


def ddim_step(
    x_t: Latents, eps: Latents, *, t: Time, t_next: Time, schedule: NoiseSchedule
) -> Latents:
    """Take one Euler step of eq. 1 from t to t_next, in either direction (eq. 2).

    Args:
        x_t: noisy images at time t.
        eps: noise prediction to step along.
        t: where the step begins.
        t_next: where it ends; above t when inverting.
        schedule: noise schedule.
    """
    x_bar = x_t / spread(schedule.alpha_cumprod(t).sqrt(), x_t)
    x_bar = x_bar + spread(schedule.sigma(t_next) - schedule.sigma(t), x_t) * eps
    return x_bar * spread(schedule.alpha_cumprod(t_next).sqrt(), x_t)


def ddim(x_t: Latents, denoise: GuidedDenoiser, *, times: Sequence[float]) -> Iterator[DDIMStep]:
    """Sample by DDIM (eq. 2), one step per time interval.

    The last step's `x_next` is the sample; at t_next = 0 it equals that step's `x0`. No autograd
    graph is kept.

    Args:
        x_t: noise at times[0]; N(0, I) at t = 1.
        denoise: guided denoiser, called once per step.
        times: decreasing, as from `time_grid`.

    Yields:
        Each step once it is complete.

    Raises:
        ValueError: `times` has fewer than 2 entries or does not decrease.
        NonFiniteError: a prediction is not finite.
    """
    if len(times) < 2 or any(t <= t_next for t, t_next in pairwise(times)):
        reject("times", list(times), "at least two falling times in [0, 1]")
    schedule = denoise.schedule
    for t, t_next in pairwise(times):
        with torch.no_grad():
            eps = denoise(x_t, t)
            require_finite(f"at t = {t:.3g}", eps=eps)
            x_next = ddim_step(x_t, eps, t=t, t_next=t_next, schedule=schedule)
            x0 = schedule.denoised(x_t, eps, t)
        yield DDIMStep(t, t_next, x_t, eps, x0, x_next)
        x_t = x_next


def denoise_back(
    x_t: Latents,
    denoise: GuidedDenoiser,
    *,
    t: Times,
    num_steps: Sequence[int],
    eta: float = 0.0,
    generator: Generators | None = None,
) -> tuple[Latents, Latents]:
    """Denoise each item to t = 0 in its own number of equal steps; return the images and the first eps.

    No autograd graph is kept. Finished items cost nothing.

    Args:
        x_t: noisy images at time t.
        denoise: guided denoiser, called once per step.
        t: one time per item, in (0, 1].
        num_steps: at least 1 for each item; 1 gives the single-step denoised image, eq. 5.
        eta: fraction of DDPM's noise that every step but the last adds, in [0, 1]; 0 is DDIM.
        generator: for that noise; one for all, or one per item.

    Raises:
        ValueError: `eta` above 0 without a generator.

    Source: DDIM, 2010.02502, eq. 12.
    """
    if eta and generator is None:
        reject("generator", None, "a generator, or one per item, for eta above 0")
    schedule, counts = denoise.schedule, torch.tensor(num_steps)
    first = x_t
    for step in range(int(counts.max())):
        items = torch.nonzero(step < counts).flatten()
        now, after = (t[items] * (1 - (step + k) / counts[items]) for k in (0, 1))
        after = torch.where(step + 1 < counts[items], after, 0.0)
        with torch.no_grad():
            some = x_t[items.to(x_t.device)]
            eps = denoise.select(items)(some, now)
            x0 = schedule.denoised(some, eps, now)
            alpha, next_alpha = schedule.alpha_cumprod(now), schedule.alpha_cumprod(after)
            share = (1 - next_alpha) / (1 - alpha) * (1 - alpha / next_alpha)
            drawn = eta * share.sqrt()
            kept = (1 - next_alpha - drawn**2).clamp_min(0).sqrt()
            moved = spread(next_alpha.sqrt(), some) * x0 + spread(kept, some) * eps
            if eta and generator is not None:
                each = generator
                if not isinstance(generator, torch.Generator):
                    each = [generator[item] for item in items.tolist()]
                moved = moved + spread(drawn, some) * normal(some, each)
        x_t = x_t.index_copy(0, items.to(x_t.device), moved)
        first = eps if not step else first
    return x_t, first
