"""The six exercises. Each is a formula whose parts can be exchanged: right as it stands, and wrong in the usual ways.

Letters: alpha and sigma are the paper's alpha(t) and sigma(t), x_bar = x / sqrt(alpha), k is a timestep. The models are exact:
three blobs, one of which the prompt names for each item; phi's blobs are those of a scene.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sdilib.checks import one_of
from sdilib.lab.exercises.marking import Exercise, Verdict
from sdilib.oracle import GaussianMixture
from sdilib.schedule import NoiseSchedule, time_grid
from sdilib.seeds import generator

_SCHEDULE = NoiseSchedule.scaled_linear()
alpha, sigma, _noised = _SCHEDULE.alpha_cumprod, _SCHEDULE.sigma, _SCHEDULE.add_noise


def _draw(purpose: str) -> Tensor:
    draws = generator(0, 0, purpose)
    return torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=draws)


def _blobs(means: Tensor, std: float) -> Callable[..., Tensor]:
    """An exact eps(x_t, t, gamma)."""
    mixture = GaussianMixture(means, torch.full((3,), std), torch.ones(3))
    prompt = mixture.prompt([[0], [1], [2]])
    return lambda x_t, t, gamma: mixture.guided(prompt, gamma)(x_t, t)


_X0, _NOISE, _MEANS = (_draw(purpose) for purpose in ("x0", "noise", "means"))
_EPS, _PHI = _blobs(2 * _MEANS, 0.4), _blobs(_X0, 0.6)
_GUIDED, _INVERSE = partial(_EPS, gamma=7.5), partial(_EPS, gamma=-7.5)
_TIMES = (0.9, 0.6, 0.3)
_GRIDS = [time_grid(round(10 * t), 0.0, t) for t in _TIMES]


def _identity(x, *_):
    return x


def _scaled(x_bar, t, _=None):
    return alpha(t).sqrt() * x_bar


def _product(betas, k):
    return (1 - betas[: k + 1]).prod()


def _level(a):
    return (1 - a).sqrt() / a.sqrt()


def _add_noise(x0, noise, betas, k, *, left=_product, root=torch.sqrt, level=_level):
    a = left(betas, k)
    return root(a) * x0 + root(1 - a) * noise, level(a)


_BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
_ADD_NOISE = Exercise(
    ("x(t)", "σ"),
    [(_X0, _NOISE, _BETAS, k) for k in (99, 499, 999)],
    _add_noise,
    {
        "your α is that of step k alone, where it is the product of 1 - β over all steps up to k": {
            "left": lambda betas, k: 1 - betas[k]
        },
        "your α stops one step early: step k itself belongs to the product": {
            "left": lambda betas, k: _product(betas, k - 1)
        },
        "you swapped α and 1 - α: at the last step hardly any of x0 is left": {
            "left": lambda betas, k: 1 - _product(betas, k)
        },
        "your x(t) has α and 1 - α where their square roots are asked": {"root": _identity},
        "your σ is its own square: the roots are missing": {"level": lambda a: (1 - a) / a},
        "your σ is √(1 - α), the noise in x(t), where that in x(t) / √α is asked": {
            "level": lambda a: (1 - a).sqrt()
        },
        "your σ is upside down: it grows with the noise": {"level": lambda a: (a / (1 - a)).sqrt()},
    },
)


def _guide(e_y, e_empty, gamma, *, start=lambda y, empty: empty, along=lambda y, empty: y - empty):
    return start(e_y, e_empty) + gamma * along(e_y, e_empty)


_NOISY = [(_noised(_X0, _NOISE, t), t) for t in _TIMES]
_GUIDE = Exercise(
    ("ε",),
    [(_EPS(*at, 1.0), _EPS(*at, 0.0), gamma) for at in _NOISY for gamma in (0.0, 1.0, 7.5)],
    _guide,
    {
        "your γ is one too large: it counts from e_∅, so that γ = 1 is e_y itself": {
            "start": lambda y, empty: y
        },
        "your γ is on the wrong branch: at γ = 1 all is e_y, at γ = 0 all is e_∅": {
            "start": lambda y, empty: y,
            "along": lambda y, empty: empty - y,
        },
        "your sign is wrong: you lead away from the prompt": {"along": lambda y, empty: empty - y},
        "you return the guidance alone: e_∅ is missing": {"start": lambda y, empty: 0.0},
        "your γ multiplies e_y where e_y - e_∅ is asked": {"along": lambda y, empty: y},
    },
)


def _sds(x0, t, noise, eps, *, noised=_noised, weight=sigma, kept=1.0):
    return weight(t) * (eps(noised(x0, noise, t), t) - kept * noise)


_SDS = Exercise(
    ("the gradient",),
    [(_X0, t, _NOISE, _GUIDED) for t in _TIMES],
    _sds,
    {
        "your weight is 1 - α where σ is asked": {"weight": lambda t: 1 - alpha(t)},
        "your weight is 1 where σ is asked": {"weight": lambda t: 1.0},
        "your sign is wrong: the gradient is w (ε - noise), and a step goes against it": {
            "weight": lambda t: -sigma(t)
        },
        "you do not subtract the noise that was added": {"kept": 0.0},
        "your x(t) has α and 1 - α where their square roots are asked": {
            "noised": lambda x0, noise, t: alpha(t) * x0 + (1 - alpha(t)) * noise
        },
        "you ask the network about x̄(t) = x0 + σ noise, where it knows x(t) = √α x̄(t)": {
            "noised": lambda x0, noise, t: x0 + sigma(t) * noise
        },
        "you ask the network about x0, to which no noise was added": {"noised": _identity},
    },
)


def _rise(s, after):
    return sigma(after) - sigma(s)


def _invert(x0, times, eps, *, rise=_rise, seen=_scaled, told=lambda s, after: s, end=_scaled):
    x_bar = x0
    for s, after in pairwise(times):
        x_bar = x_bar + rise(s, after) * eps(seen(x_bar, s, after), told(s, after))
    return end(x_bar, times[-1])


_INVERT = Exercise(
    ("x(t)",),
    [(_X0, grid, _INVERSE) for grid in _GRIDS],
    _invert,
    {
        "you step in the wrong direction: an inversion goes up in t, and σ rises": {
            "rise": lambda s, after: -_rise(s, after)
        },
        "you step by σ, where its rise from s to s' is asked": {
            "rise": lambda s, after: sigma(after)
        },
        "you step by the rise of t, where that of σ is asked": {"rise": lambda s, after: after - s},
        "you evaluate ε at the end of each step, where its beginning is asked": {
            "seen": lambda x_bar, s, after: _scaled(x_bar, after),
            "told": lambda s, after: after,
        },
        "you tell the network the end of each step, where x is at its beginning": {
            "told": lambda s, after: after
        },
        "you ask the network about x̄(s), where it knows x(s) = √α(s) x̄(s)": {"seen": _identity},
        "you return x̄(t), where x(t) = √α(t) x̄(t) is asked": {"end": _identity},
        "you step in x, where eq. 2 is of x̄ = x / √α": {"seen": _identity, "end": _identity},
    },
)


def _sdi(
    x0,
    x_t,
    t,
    t_next,
    eps,
    *,
    bar=lambda x_t, t: x_t / alpha(t).sqrt(),
    unit=sigma,
    then=lambda t, t_next: t_next,
    noised=lambda x_t, x0, kappa, t: _noised(x0, kappa, t),
    weight=lambda t, t_next: sigma(t_next),
    kept=1.0,
    end=lambda x0, step: x0 - step,
):
    kappa, t_next = (bar(x_t, t) - x0) / unit(t), then(t, t_next)
    residual = eps(noised(x_t, x0, kappa, t_next), t_next) - kept * kappa
    return end(x0, weight(t, t_next) * residual)


_SDI = Exercise(
    ("x0(t - τ)",),
    [(_X0, _invert(_X0, g, _INVERSE), g[-1], g[-1] - 0.1, _GUIDED) for g in _GRIDS],
    _sdi,
    {
        "your residual lacks κ: what corrects x0 is ε - κ": {"kept": 0.0},
        "your sign is wrong: the correction is subtracted from x0": {
            "end": lambda x0, step: x0 + step
        },
        "you return the correction, where the corrected x0 is asked": {
            "end": lambda x0, step: step
        },
        "your κ is σ(t) times too large: x̄(t) - x0 is σ(t) κ": {"unit": lambda t: 1.0},
        "your κ is found in x(t), where x̄(t) = x(t) / √α(t) is asked": {"bar": _identity},
        "you stay at t, where eq. 10 goes on to t - τ with the κ of t": {
            "then": lambda t, t_next: t
        },
        "you ask the network about the inversion's end, where x0 is to be noised with κ again": {
            "noised": _identity
        },
        "your weight is σ(t) where σ(t - τ) is asked": {"weight": lambda t, t_next: sigma(t)},
        "your weight is 1 - α where σ is asked": {"weight": lambda t, t_next: 1 - alpha(t_next)},
    },
)


def _vsd(
    x0,
    t,
    noise,
    eps,
    phi,
    gamma,
    *,
    scales=lambda gamma: (gamma, 1.0),
    minus=lambda e_phi, noise: e_phi,
    weight=sigma,
    learned=lambda e, noise: noise,
    mean=torch.mean,
):
    x_t, (own, of_phi) = _noised(x0, noise, t), scales(gamma)
    e, e_phi = eps(x_t, t, own), phi(x_t, t, of_phi)
    return weight(t) * (e - minus(e_phi, noise)), mean((e_phi - learned(e, noise)) ** 2)


_VSD = Exercise(
    ("the gradient", "the loss"),
    [(_X0, t, _NOISE, _EPS, _PHI, 7.5) for t in _TIMES],
    _vsd,
    {
        "you subtract the noise, as SDS does, where VSD subtracts what φ predicts": {
            "minus": lambda e_phi, noise: noise
        },
        "you do not subtract what φ predicts": {"minus": lambda e_phi, noise: 0.0},
        "your γ is on the wrong branch: ε is guided, and φ is asked at γ = 1": {
            "scales": lambda gamma: (1.0, gamma)
        },
        "your γ is on both branches, where φ is asked at γ = 1": {
            "scales": lambda gamma: (gamma, gamma)
        },
        "your ε is not guided: its γ is missing": {"scales": lambda gamma: (1.0, 1.0)},
        "your sign is wrong: the gradient is w (ε - ε_φ)": {"weight": lambda t: -sigma(t)},
        "your weight is 1 - α where σ is asked": {"weight": lambda t: 1 - alpha(t)},
        "your φ learns what the frozen model predicts, where it should learn the noise": {
            "learned": lambda e, noise: e
        },
        "your loss is a sum, where the mean is asked": {"mean": torch.sum},
    },
)


EXERCISES = {
    "add_noise": _ADD_NOISE,
    "guide": _GUIDE,
    "sds": _SDS,
    "invert": _INVERT,
    "sdi": _SDI,
    "vsd": _VSD,
}
"""By the name of the function to be written, from the first to the last."""


def check(answer: Callable[..., Any]) -> Verdict:
    """Return the verdict on an answer, whose exercise is known by its name.

    Args:
        answer: the function of an exercise.

    Raises:
        ValueError: no exercise has that name.
    """
    name = getattr(answer, "__name__", str(answer))
    return EXERCISES[one_of("answer", name, EXERCISES)].mark(answer)
