"""How the noise kappa is chosen (section 6.2), and how nearly each choice solves eq. 8.

Eq. 8 is a fixed-point equation: kappa is exact at (x0, t) if the denoiser, given
x_t = sqrt(alpha) x0 + sqrt(1 - alpha) kappa, predicts kappa itself. Each choice is a small callable
object that takes x0, t, the prompt's denoiser and generators.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sdilib.checks import check_settings, finite, in_range, not_negative, positive_int, setting
from sdilib.denoiser import GuidedDenoiser
from sdilib.sampling import ddim_step
from sdilib.schedule import Latents, Time, Times, spread, whole_steps
from sdilib.seeds import Generators, normal, uniform

_ROUNDING = 1e-6  # in t: a step this short counts as none

_DIFFERENTIATED = 16_384  # numbers in latents that one pass differentiates: the bundled model's 16


@dataclass(frozen=True, slots=True, eq=False)
class Kappa:
    """A noise and the time it was found at.

    Attributes:
        noise: kappa.
        t: the time inverted up to: the rule's t, or t + tau.
        eps_last: the inversion's last prediction, for ISM; kappa itself if nothing was inverted.
    """

    noise: Latents
    t: Times
    eps_last: Latents


class KappaChoice(ABC):
    """How kappa is chosen at (x0, t): a base class, of which a choice without memory only defines `__call__`."""

    def __post_init__(self) -> None:
        """Check a dataclass's settings."""
        check_settings(self)

    @abstractmethod
    def __call__(
        self, x0: Latents, t: Times, denoise: GuidedDenoiser, generator: Generators
    ) -> Kappa:
        """Return kappa.

        Args:
            x0: clean latents.
            t: one time per item, in (0, 1].
            denoise: the rule's denoiser at gamma; a choice may use it at another gamma.
            generator: source of randomness; one for all, or one per item.
        """
        ...

    def observe(self, eps: Latents) -> None:  # noqa: B027 (optional)
        """Receive the guided prediction of the rule's step; ignored unless overridden.

        Args:
            eps: the prediction.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state that a resumed run needs; none unless overridden."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Restore the state.

        Args:
            state: from `state_dict`.
        """


def residual(
    x0: Latents, kappa: Latents, *, t: Time, denoise: GuidedDenoiser
) -> Float[Tensor, " batch"]:
    """How far `kappa` is from solving eq. 8, in units of x0.

    Args:
        x0: clean latents, the point eq. 8 is solved at.
        kappa: candidate noise.
        t: in (0, 1]; near 0 the noise is ambiguous, hence the factor sigma(t).
        denoise: guided denoiser; called once.

    Returns:
        Root mean square over elements, one number per sample; 0 if `kappa` is exact.

    Source: eq. 8, as plotted in figs. 9 and 10.
    """
    with torch.no_grad():
        wrong = kappa - denoise(denoise.schedule.add_noise(x0, kappa, t), t)
    return denoise.schedule.sigma(t).to(x0) * wrong.flatten(1).square().mean(1).sqrt()


def unit_deviation(kappa: Latents) -> Latents:
    """Return kappa with each item scaled to unit root mean square.

    That is the size of the noise seen in training. Not in the paper; an option that keeps plain
    inversion from diverging on small models.

    Args:
        kappa: the noise; an all-zero item stays zero.
    """
    size = kappa.flatten(1).square().mean(1).sqrt().clamp_min(torch.finfo(kappa.dtype).tiny)
    return kappa / spread(size, kappa)


@dataclass(frozen=True, slots=True, eq=False)
class InversionStep:
    """One completed step of an inversion, for the items that took it.

    Attributes:
        t: where each item's step began.
        t_next: where it ended.
        items: indices of the items that moved; the others had finished.
        eps: prediction at the beginning of the step, one row per entry of `items`.
        x_next: all items after the step.
    """

    t: Times
    t_next: Times
    items: Int[Tensor, " items"]
    eps: Float[Tensor, " items *shape"]
    x_next: Latents


def invert(
    x0: Latents,
    denoise: GuidedDenoiser,
    *,
    t: Time,
    num_inversion_steps: int = 10,
    start: int | float = 0.0,
) -> Iterator[InversionStep]:
    """Integrate eq. 1 from t = 0 up to t by forward Euler: DDIM inversion.

    Each step calls the network at the time it *starts* from, the first one on x0 itself at t = 0,
    which the network sees as timestep 0. (diffusers' `DDIMInverseScheduler` uses the destination's
    timestep instead.) Each item takes int(num_inversion_steps · t) equal steps, at least one;
    finished items cost nothing.

    Args:
        x0: clean latents; if `start` is above 0, latents at that time.
        denoise: guided denoiser at gamma_inv; called once per step.
        t: time to invert to, in (0, 1]; one for all, or one per item.
        num_inversion_steps: n, for the whole range.
        start: time to start from, in [0, 1]. The steps are those of an inversion from 0, without
            the ones that end by `start` and with the first that remains cut short; none if `start`
            is not below t.

    Yields:
        Each step once it is complete; no autograd graph is kept.

    Raises:
        ValueError: n below 1, t outside (0, 1], or `start` outside [0, 1].
    """
    positive_int("num_inversion_steps", num_inversion_steps)
    ends = torch.as_tensor(t, dtype=torch.float64).cpu().expand(len(x0))
    for end in ends.tolist():
        in_range("t", end, 0, 1, open_low=True)
    in_range("start", start, 0, 1)
    counts = torch.tensor([whole_steps(end, num_inversion_steps) for end in ends.tolist()])
    x_t = x0.detach()
    for step in range(int(counts.max())):
        now, after = (ends * (k / counts) for k in (step, step + 1))
        now = now.clamp(min=start)
        items = torch.nonzero((step < counts) & (after > now + _ROUNDING)).flatten()
        if not len(items):
            continue
        with torch.no_grad():
            whole = len(items) == len(x0)
            some = denoise if whole else denoise.select(items)
            x_some = x_t if whole else x_t[items]
            eps = some(x_some, now[items])
            moved = ddim_step(
                x_some, eps, t=now[items], t_next=after[items], schedule=denoise.schedule
            )
            x_t = moved if whole else x_t.index_copy(0, items.to(x_t.device), moved)
        yield InversionStep(now, after, items, eps, x_t)


def full_kappa(x0: Latents, x_t: Latents, *, t: Time, denoise: GuidedDenoiser) -> Latents:
    """Return kappa = (x_bar(t) - x0) / sigma(t), the noise that takes x0 all the way to x_t.

    Args:
        x0: clean latents.
        x_t: noisy latents at time t.
        t: in (0, 1].
        denoise: denoiser whose schedule is used.
    """
    schedule = denoise.schedule
    x_bar = x_t / spread(schedule.alpha_cumprod(t).sqrt(), x_t)
    return (x_bar - x0) / spread(schedule.sigma(t), x_t)


class RandomNoise(KappaChoice):
    """kappa ~ N(0, I), drawn at each update: eq. 10 becomes SDS. Costs nothing."""

    def __call__(
        self, x0: Latents, t: Times, denoise: GuidedDenoiser, generator: Generators
    ) -> Kappa:
        """Return fresh noise; see `KappaChoice`."""
        noise = normal(x0, generator)
        return Kappa(noise, t, noise)


class FixedNoise(KappaChoice):
    """kappa ~ N(0, I), given or drawn at the first update, then kept. Costs nothing."""

    def __init__(self, start: Latents | None = None) -> None:
        """Set the noise.

        Args:
            start: the noise at the first update; N(0, I) if None.
        """
        self._noise = start

    def __call__(
        self, x0: Latents, t: Times, denoise: GuidedDenoiser, generator: Generators
    ) -> Kappa:
        """Return the kept noise; see `KappaChoice`."""
        noise = normal(x0, generator) if self._noise is None else self._noise.to(x0)
        self._noise = noise  # restored noise comes from the CPU
        return Kappa(noise, t, noise)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the noise, if there is one."""
        return {} if self._noise is None else {"noise": self._noise}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the noise.

        Args:
            state: from `state_dict`.
        """
        self._noise = state.get("noise")


class Cached(FixedNoise):
    """kappa = the noise predicted at the previous update (2D only).

    Exact if only eq. 10 moves the image; SDI is then DDIM, eq. 6 ≡ eq. 2. Costs nothing.
    """

    def observe(self, eps: Latents) -> None:
        """Keep the prediction for the next update.

        Args:
            eps: the prediction.
        """
        # One that is not finite has the step skipped, and must not spoil later ones. To ask, in Python,
        # would wait for the device.
        kept = eps if self._noise is None else self._noise.to(eps)
        self._noise = torch.where(eps.isfinite().all(), eps, kept)


@dataclass(frozen=True, slots=True)
class FixedPoint(KappaChoice):
    """Iterate eq. 8's right-hand side from N(0, I), with one denoiser call per iteration.

    Attributes:
        num_iterations: 10 in the paper.

    Raises:
        ValueError: fewer than one iteration.
    """

    num_iterations: int = setting(10, positive_int)

    def __call__(
        self, x0: Latents, t: Times, denoise: GuidedDenoiser, generator: Generators
    ) -> Kappa:
        """Return the last iterate; see `KappaChoice`."""
        noise = normal(x0, generator)
        with torch.no_grad():
            for _ in range(self.num_iterations):
                noise = denoise(denoise.schedule.add_noise(x0, noise, t), t)
        return Kappa(noise, t, noise)


@dataclass(frozen=True, slots=True)
class GradientDescent(KappaChoice):
    """Minimise eq. 8's squared residual by gradient descent from N(0, I), through the denoiser.

    Each iteration costs one denoiser call and its backward pass. The objective is
    ½ Σ |kappa - eps|² per item, so the learning rate has no unit.

    Attributes:
        num_iterations: 10 in the paper.
        learning_rate: not stated in the paper.

    Raises:
        ValueError: fewer than one iteration, or a rate that is not finite.
    """

    num_iterations: int = setting(10, positive_int)
    learning_rate: float = setting(0.3, finite)

    def __call__(
        self, x0: Latents, t: Times, denoise: GuidedDenoiser, generator: Generators
    ) -> Kappa:
        """Return the last iterate; see `KappaChoice`."""
        drawn = normal(x0, generator)
        # The denoiser's graph is held for few items at a time: for one of Stable Diffusion's size it takes a gigabyte.
        few = max(1, _DIFFERENTIATED // x0[0].numel())
        parts = [
            self._descended(x0[items], drawn[items], t[items], denoise.select(items))
            for items in torch.arange(len(x0)).split(few)
        ]
        noise = torch.cat(parts)
        return Kappa(noise, t, noise)

    def _descended(self, x0: Latents, noise: Latents, t: Times, denoise: GuidedDenoiser) -> Latents:
        for _ in range(self.num_iterations):
            with torch.enable_grad():
                variable = noise.detach().requires_grad_()
                wrong = variable - denoise(denoise.schedule.add_noise(x0.detach(), variable, t), t)
                (gradient,) = torch.autograd.grad(wrong.square().sum() / 2, variable)
            noise = noise - self.learning_rate * gradient
        return noise


@dataclass(frozen=True, slots=True)
class DDIMInversion(KappaChoice):
    """The paper's choice: integrate eq. 1 from the clean image up to t (+ tau) with gamma_inv.

    Costs about n · t denoiser calls at gamma_inv, or n · (t - `inversion_start`) when it starts later; each is 2
    sample-forwards per item, or 1 at gamma_inv = 0 or 1.

    Attributes:
        guidance_scale: gamma_inv; None is the paper's, minus the rule's gamma; 0 gives ISM's unconditional
            inversion, here with the full kappa.
        num_inversion_steps: n, for the whole range of t.
        tau_max: invert up to t + tau with tau ~ U(0, tau_max), capped at 1; 1/30 in appendix A.1.
            Off by default, on in 3D runs (`Text3D.INVERSION`).
        entropy: add H(t) = entropy · sqrt(1 - alpha(t)) · N(0, I) once, at the end (eq. 11, 0.3 in
            the paper), which raises the residual of eq. 8. Off by default, on in 3D runs.
        unit: scale kappa to unit deviation (`unit_deviation`). Off by default, not in the paper.
        inversion_start: 0, or a time in (0, 1] to start from, with the image noised up to it by
            N(0, I): the first steps of an inversion err most, on smooth areas. If it is not below t,
            kappa is that noise. Off by default, not in the paper (There and Back Again, 2410.23530).
    """

    guidance_scale: float | None = None
    num_inversion_steps: int = setting(10, positive_int)
    tau_max: float = setting(0.0, in_range, 0, 1)
    entropy: float = setting(0.0, not_negative)
    unit: bool = False
    inversion_start: float = setting(0.0, in_range, 0, 1)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ValueError: a setting outside its range.
        """
        check_settings(self)
        if self.guidance_scale is not None:
            finite("inversion_guidance_scale", self.guidance_scale)

    def inverse(self, denoise: GuidedDenoiser) -> GuidedDenoiser:
        """Return the denoiser at gamma_inv, without negative prompts, which a negative gamma would turn into attractors.

        Args:
            denoise: the rule's, at gamma.
        """
        gamma = -denoise.guidance_scale if self.guidance_scale is None else self.guidance_scale
        return GuidedDenoiser(denoise.denoiser, denoise.prompt.without_negatives(), gamma)

    def __call__(
        self, x0: Latents, t: Times, denoise: GuidedDenoiser, generator: Generators
    ) -> Kappa:
        """Return the full kappa; see `KappaChoice`."""
        schedule = denoise.schedule
        if self.tau_max:
            t = (t + self.tau_max * uniform(len(x0), generator)).clamp(max=1)
        inverse = self.inverse(denoise)
        x_t, eps_last, start = x0, torch.zeros_like(x0), self.inversion_start
        if start:
            eps_last = normal(x0, generator)
            x_t = schedule.add_noise(x0, eps_last, t.clamp(max=start))
        steps = {"num_inversion_steps": self.num_inversion_steps, "start": start}
        for step in invert(x_t, inverse, t=t, **steps):
            x_t, eps_last = step.x_next, eps_last.index_copy(0, step.items.to(x0.device), step.eps)
        kappa = full_kappa(x0, x_t, t=t, denoise=denoise)
        if self.unit:
            kappa = unit_deviation(kappa)
        if self.entropy:
            deviation = self.entropy * (1 - schedule.alpha_cumprod(t)).sqrt()
            kappa = kappa + spread(deviation, x0) * normal(x0, generator)
        return Kappa(kappa, t, eps_last)
