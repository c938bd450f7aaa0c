"""The noise schedule, continuous in t, and how t is scheduled during a distillation.

Notation, as in the paper: t in [0, 1] is the time, 1 the noisiest; alpha_cumprod(t) is the paper's
alpha(t), the cumulative product that falls from 1 to nearly 0;
sigma = sqrt(1 - alpha_cumprod) / sqrt(alpha_cumprod); x0 is a clean image or latent;
x_t = sqrt(alpha_cumprod) x0 + sqrt(1 - alpha_cumprod) noise;
x_bar = x_t / sqrt(alpha_cumprod) = x0 + sigma noise.

A model's integer timestep k of T corresponds to t = (k + 1) / T: timestep 999 of 1000 is t = 1, and
t = 0 is the clean image, where sigma = 0. Log sigma is interpolated between timesteps; below the
first, sigma itself is.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import in_range, one_of, positive_int, reject
from sdilib.seeds import Generators, uniform

Latents = Float[Tensor, " batch *shape"]
"""Images, latents or points, clean or noisy; or noise of their shape."""

Images = Float[Tensor, "batch 3 height width"]
"""Images in pixels, with values in [0, 1] where nothing else is said."""

Times = Float[Tensor, " batch"]
"""One time per item, on the CPU whatever the latents' device; float64 in the library's own runs."""

Time = float | Times
"""A time in [0, 1]: one number for all, or one per item of a batch."""

PREDICTION_TYPES = ("epsilon", "v_prediction")
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
_ONLY = (
    ("rescale_betas_zero_snr", False, "zero terminal SNR makes sigma(1) infinite"),
    ("use_flow_sigmas", False, "flow matching has no betas"),
    ("timestep_type", "discrete", "EDM's times are its noise levels"),
)
"""Scheduler settings that would mean another kind of model: the only value accepted for each, and why."""

DRAWN = ("random", "lowered", "window")
T_SCHEDULES = ("linear", "sqrt", "dreamtime", "pieces", *DRAWN)

# Shares of the run, and of the range of t gone by then.
_PIECES = ((0.0, 0.1, 0.5, 1.0), (0.0, 0.3, 0.6, 0.8))

_LOWERED_FROM = 0.2  # share of the run: step 5,000 of ProlificDreamer's 25,000


def _betas(name: str, start: float, end: float, count: int) -> Float[Tensor, " timesteps"]:
    if name == "linear":
        return torch.linspace(start, end, count, dtype=torch.float64)
    if name == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    # Nichol & Dhariwal's cosine (2102.09672), with the cap diffusers puts on each beta.
    edges = torch.arange(count + 1, dtype=torch.float64) / count
    bar = torch.cos((edges + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - bar[1:] / bar[:-1]).clamp(max=0.999)


def _check_prediction(name: Any) -> None:
    if name not in PREDICTION_TYPES:  # never suggest v for flow_prediction
        reject("prediction_type", name, f"one of {', '.join(PREDICTION_TYPES)}")


@dataclass(frozen=True, slots=True, eq=False)
class NoiseSchedule:
    """The noise level at each time t, and what a network's output means there.

    Attributes:
        alphas_cumprod: cumulative products of 1 - beta, one per timestep, decreasing within (0, 1);
            float64 on CPU (diffusers' own tables are float32: give them as `.double()`).
        prediction_type: what the network predicts: "epsilon" or "v_prediction".

    Raises:
        ValueError: an unknown prediction type, or a table that does not decrease strictly within
            (0, 1). A zero terminal signal-to-noise ratio is refused: sigma(1) would be infinite and
            x0 would drop out of eq. 8.
    """

    alphas_cumprod: Float[Tensor, " timesteps"]
    prediction_type: str = "epsilon"

    def __post_init__(self) -> None:
        """Check the table; see the class."""
        _check_prediction(self.prediction_type)
        table = self.alphas_cumprod.double().cpu()  # such as diffusers' own, float32
        object.__setattr__(self, "alphas_cumprod", table)
        if not (table[-1] > 0 and table[0] < 1 and bool((table.diff() < 0).all())):
            reject(
                "alphas_cumprod",
                f"{float(table[0]):g} … {float(table[-1]):g}",
                "values falling strictly from below 1 to above 0 "
                "(zero terminal SNR is not supported)",
            )

    @classmethod
    def scaled_linear(
        cls, prediction_type: str = "epsilon", num_timesteps: int = 1000
    ) -> "NoiseSchedule":
        """Return Stable Diffusion's schedule: sqrt(beta) linear from sqrt(0.00085) to sqrt(0.012).

        Args:
            prediction_type: "epsilon" or "v_prediction".
            num_timesteps: number of timesteps the network was trained with.
        """
        betas = _betas("scaled_linear", 0.00085, 0.012, num_timesteps)
        return cls((1 - betas).cumprod(0), prediction_type)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "NoiseSchedule":
        """Return the schedule of a diffusers scheduler's configuration (`scheduler_config.json`).

        Args:
            config: its entries; missing ones take diffusers' defaults, except that the betas are
                required.

        Raises:
            ValueError: a beta schedule or prediction type that is not supported, or zero terminal
                SNR.
        """
        ddpm = "one of a DDPM, with a beta_schedule or trained_betas"
        kind = str(config.get("_class_name", "one without betas"))
        if kind.startswith(("FlowMatch", "EDM")):  # its file may list betas, but they are unused
            reject("scheduler", kind, ddpm)
        for key, allowed, why in _ONLY:
            if (given := config.get(key, allowed)) not in (allowed, None):
                reject(key, given, f"{json.dumps(allowed)} ({why})")
        prediction = config.get("prediction_type", "epsilon")
        _check_prediction(prediction)
        count = config.get("num_train_timesteps", 1000)
        positive_int("num_train_timesteps", count, at_least=2, at_most=100_000)
        betas = config.get("trained_betas")
        if betas is not None:
            if not isinstance(betas, Sequence) or len(betas) != config.get(
                "num_train_timesteps", len(betas)
            ):
                reject("trained_betas", betas, "as many numbers as num_train_timesteps says")
            table = [in_range("trained_betas", beta, 0, 1) for beta in betas]
            return cls((1 - torch.tensor(table, dtype=torch.float64)).cumprod(0), prediction)
        if "beta_schedule" not in config:  # flow matching and EDM have none: do not invent one
            reject("scheduler", kind, ddpm)
        name = one_of("beta_schedule", config["beta_schedule"], BETA_SCHEDULES)
        start, end = (
            in_range(key, config.get(key, default), 0, 1, open_low=True)
            for key, default in (("beta_start", 0.0001), ("beta_end", 0.02))
        )
        return cls((1 - _betas(name, start, end, count)).cumprod(0), prediction)

    @property
    def num_timesteps(self) -> int:
        """Number of timesteps the network was trained with."""
        return len(self.alphas_cumprod)

    def timestep(self, t: Time) -> Float[Tensor, "*batch"]:
        """Return the network's timestep, T t - 1 or 0 if that is negative; it is not rounded.

        Args:
            t: time in [0, 1].
        """
        return (_times(t) * self.num_timesteps - 1).clamp(min=0)

    def sigma(self, t: Time) -> Float[Tensor, "*batch"]:
        """Return the noise level sigma(t), float64, 0 at t = 0.

        Args:
            t: time in [0, 1].

        Raises:
            ValueError: `t` outside [0, 1].
        """
        place = _times(t) * self.num_timesteps - 1
        log_sigmas = (1 / self.alphas_cumprod - 1).log() / 2
        low = place.floor().clamp(0, self.num_timesteps - 2).long()
        between = torch.lerp(log_sigmas[low], log_sigmas[low + 1], place - low).exp()
        return torch.where(place < 0, log_sigmas[0].exp() * (place + 1), between)

    def alpha_cumprod(self, t: Time) -> Float[Tensor, "*batch"]:
        """Return the paper's alpha(t) = 1 / (1 + sigma(t)²), float64, 1 at t = 0.

        Args:
            t: time in [0, 1].

        Raises:
            ValueError: `t` outside [0, 1].
        """
        return 1 / (1 + self.sigma(t) ** 2)

    def add_noise(self, x0: Latents, noise: Latents, t: Time) -> Latents:
        """Return x_t = sqrt(alpha_cumprod) x0 + sqrt(1 - alpha_cumprod) noise (eq. 9).

        Args:
            x0: clean images or latents.
            noise: same shape as `x0`.
            t: time in [0, 1].
        """
        alpha = self.alpha_cumprod(t)
        return spread(alpha.sqrt(), x0) * x0 + spread((1 - alpha).sqrt(), x0) * noise

    def denoised(self, x_t: Latents, eps: Latents, t: Time) -> Latents:
        """Return the single-step denoised image x0(t) = x_bar - sigma eps (eq. 5).

        Args:
            x_t: noisy images at time t.
            eps: noise predicted at (x_t, t).
            t: time in [0, 1].
        """
        return x_t / spread(self.alpha_cumprod(t).sqrt(), x_t) - spread(self.sigma(t), x_t) * eps

    def eps(self, output: Latents, x_t: Latents, t: Time) -> Latents:
        """Turn a network's output into the noise prediction eps.

        Below t = 1 / T the network is called at timestep 0, and its output is read accordingly.

        Args:
            output: the network's output at (x_t, t): eps itself, or
                v = sqrt(alpha) eps - sqrt(1 - alpha) x0.
            x_t: noisy images at time t.
            t: time in [0, 1].

        Source: v-prediction is Salimans & Ho, 2202.00512.
        """
        if self.prediction_type == "epsilon":
            return output
        alpha = self.alpha_cumprod(t).clamp(max=float(self.alphas_cumprod[0]))
        return spread(alpha.sqrt(), x_t) * output + spread((1 - alpha).sqrt(), x_t) * x_t


def _times(t: Time) -> Float[Tensor, "*batch"]:
    times = torch.as_tensor(t, dtype=torch.float64).cpu()
    if not bool(((times >= 0) & (times <= 1)).all()):
        reject("t", t if isinstance(t, float | int) else times.tolist(), "times in [0, 1]")
    return times


def spread(coefficient: Float[Tensor, "*batch"], like: Latents) -> Float[Tensor, "..."]:
    """Reshape per-item numbers to broadcast against `like`, in its dtype and on its device.

    Args:
        coefficient: one number for all, or one per item.
        like: batch of images or latents.
    """
    shaped = coefficient.reshape(-1, *[1] * (like.ndim - 1)) if coefficient.ndim else coefficient
    return shaped.to(like)


def time_grid(num_steps: int, t_start: float = 1.0, t_end: float = 0.0) -> list[float]:
    """Return `num_steps` + 1 equally spaced times, both ends included.

    Args:
        num_steps: at least 1.
        t_start: first time, in [0, 1].
        t_end: last time, in [0, 1]; above `t_start` for an inversion.

    Raises:
        ValueError: an argument outside its range.

    Examples:
        >>> time_grid(4)
        [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    positive_int("num_steps", num_steps)
    in_range("t_start", t_start, 0, 1)
    in_range("t_end", t_end, 0, 1)
    return [t_start + (t_end - t_start) * (i / num_steps) for i in range(num_steps)] + [t_end]


def whole_steps(t: float, num_steps: int) -> int:
    """Return int(num_steps · t), at least 1, robust to rounding errors.

    10 · (1 - 0.8) gives 2 steps, although in floating point it is 1.999….

    Args:
        t: time in [0, 1].
        num_steps: number of steps for the whole range.

    Examples:
        >>> whole_steps(1 - 0.8, 10), int(10 * (1 - 0.8))
        (2, 1)
    """
    return max(1, math.floor(num_steps * t + 1e-6))


_DREAMTIME = (
    0.8,
    0.5,
    0.3,
    0.1,
)  # m_1, m_2, s_1, s_2 of DreamTime's code, in units of its 1000 timesteps


def _dreamtime(fraction: float) -> float:
    """Invert DreamTime's cumulative weight: 1 from m_2 to m_1, with Gaussian tails of width s_1 above and s_2 below."""
    high, low, wide, narrow = _DREAMTIME
    times = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    above, below = (times - high).clamp(min=0) / wide, (low - times).clamp(min=0) / narrow
    weight = (-(above**2 + below**2) / 2).exp()
    done = weight.flip(0).cumsum(0) - weight[-1]
    return 1.0 - float(torch.searchsorted(done / done[-1], fraction)) / 10_000


@dataclass(frozen=True, slots=True)
class TimeSchedule:
    """How t varies during a distillation.

    Attributes:
        kind: "linear" (Algorithm 2), "sqrt" (HiFA, 2305.18766), "dreamtime" (2306.12422: most steps
            at middle times), "pieces" (CFD, 2501.05445: linear through 30 % and 60 % of the range, after a tenth and a
            half of the run, to 80 %); or drawn, uniform and independent for each item: "random" from the whole range
            (Algorithm 1), "lowered" from its lower half after a fifth of the run (ProlificDreamer, 2305.16213),
            "window" from a half that falls from the upper to the lower one (ScaleDreamer, 2407.02040).
        t_start: highest time, in (0, 1].
        t_end: lowest time, in [0, t_start]; t would reach it just after the last step, in pieces not at all.

    Raises:
        ValueError: an unknown kind, or a time outside its range.
    """

    kind: str = "linear"
    t_start: float = 1.0
    t_end: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        one_of("t_schedule", self.kind, T_SCHEDULES)
        in_range("t_start", self.t_start, 0, 1, open_low=True)
        in_range("t_end", self.t_end, 0, self.t_start)

    def at(
        self, step: int, num_steps: int, *, generator: Generators | None = None, batch: int = 1
    ) -> Float[Tensor, " batch"]:
        """Return the times of one step, float64, one per item.

        Args:
            step: 0 … num_steps - 1.
            num_steps: length of the run, which alone sets how fast t falls.
            generator: for a drawn t only; one for all, or one per item.
            batch: number of items.

        Raises:
            ValueError: a step outside the run, or a drawn t without a generator.

        Examples:
            >>> [float(TimeSchedule().at(i, 4)) for i in range(4)]
            [1.0, 0.75, 0.5, 0.25]
        """
        positive_int("num_steps", num_steps)
        in_range("step", step, 0, num_steps - 1)
        done = step / num_steps
        if self.kind in DRAWN:
            if generator is None:
                expected = f'a generator, or one per item, for t_schedule="{self.kind}"'
                reject("generator", None, expected)
            low, high = self._range(done)
            # 1 - U lies in (0, 1]: t = 0, where nothing is left to denoise, is never drawn.
            return low + (high - low) * (1 - uniform(batch, generator))
        gone = {
            "linear": lambda: done,
            "sqrt": lambda: done**0.5,
            "pieces": lambda: float(np.interp(done, *_PIECES)),
            "dreamtime": lambda: 1 - _dreamtime(done),
        }[self.kind]()
        t = self.t_start + (self.t_end - self.t_start) * gone
        return torch.full((batch,), t, dtype=torch.float64)

    def _range(self, done: float) -> tuple[float, float]:
        """What t is drawn from; halves are those of [0, t_start], as published."""
        half = max(self.t_start / 2, self.t_end)
        if self.kind == "lowered":
            return self.t_end, half if done >= _LOWERED_FROM else self.t_start
        if self.kind == "window":
            return half + (self.t_end - half) * done, self.t_start + (half - self.t_start) * done
        return self.t_end, self.t_start
