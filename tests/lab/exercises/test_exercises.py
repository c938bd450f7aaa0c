"""Exercises: the library's rules are right, each usual mistake has its sentence, whatever a student writes has one."""

from functools import partial
from itertools import pairwise

import pytest
import torch

from sdilib.denoiser import GuidedDenoiser, PromptEmbeddings, classifier_free_guidance
from sdilib.guidance import SDI, VSD, View
from sdilib.inversion import FixedNoise, full_kappa
from sdilib.inversion import invert as inverting
from sdilib.lab.exercises import alpha, check, sigma
from sdilib.lab.exercises.tasks import EXERCISES
from sdilib.schedule import NoiseSchedule
from sdilib.seeds import generator

SCHEDULE = NoiseSchedule.scaled_linear()


class Told:
    """A denoiser that asks a student's eps; its conditions are guidance scales."""

    schedule, num_forwards = SCHEDULE, 0

    def __init__(self, eps):
        self.eps = eps

    def branches(self, x_t, t, conditions):
        return tuple(self.eps(x_t, float(torch.as_tensor(t).flatten()[0])) for _ in conditions)


def asked(eps):
    """The library's denoiser and view for an eps that is guided already."""
    rows = torch.zeros(3, 1)
    return Told(eps), View(PromptEmbeddings(rows, rows))


def at(t):
    return torch.full((3,), t, dtype=torch.float64)


# What a student would write who has the library: its own rules.


def add_noise(x0, noise, betas, k):
    schedule, t = NoiseSchedule((1 - betas).cumprod(0)), (k + 1) / len(betas)
    return schedule.add_noise(x0, noise, t), schedule.sigma(t)


def guide(e_y, e_empty, gamma):
    return classifier_free_guidance(e_y, e_empty, gamma)


def sds(x0, t, noise, eps):
    denoiser, view = asked(eps)
    rule = SDI(denoiser, 1.0, FixedNoise(noise))  # SDS, but for who draws the noise
    return rule(x0, at(t), view, generator(0, 0, "unused")).gradient


def invert(x0, times, eps):
    denoiser, view = asked(eps)
    steps = inverting(x0, GuidedDenoiser(denoiser, view.prompt, 1.0), t=times[-1])
    return list(steps)[-1].x_next


def sdi(x0, x_t, t, t_next, eps):
    denoiser, view = asked(eps)
    kappa = full_kappa(x0, x_t, t=t, denoise=GuidedDenoiser(denoiser, view.prompt, 1.0))
    rule = SDI(denoiser, 1.0, FixedNoise(kappa))
    return rule(x0, at(t_next), view, generator(0, 0, "unused")).target


def vsd(x0, t, noise, eps, phi, gamma):
    class Known(VSD):
        def learned(self, x_t, t, view, pose):
            return phi(x_t, float(t[0]), 1.0)

    denoiser, view = asked(lambda x_t, t: eps(x_t, t, gamma))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sdilib.guidance.vsd.normal", lambda x0, generator: noise)
        rule = Known(denoiser, 1.0, adapter_steps=0, weight="sigma")
        gradient = rule(x0, at(t), view, generator(0, 0, "unused")).gradient
    x_t = SCHEDULE.add_noise(x0, noise, t)
    return gradient, torch.nn.functional.mse_loss(phi(x_t, t, 1.0), noise)


LIBRARYS = (add_noise, guide, sds, invert, sdi, vsd)


@pytest.mark.parametrize("answer", LIBRARYS, ids=lambda each: each.__name__)
def test_the_librarys_own_rules_are_right(answer):
    assert repr(check(answer)) == f"{answer.__name__}: right"


def test_there_is_one_of_each():
    assert [each.__name__ for each in LIBRARYS] == list(EXERCISES)


MISTAKES = [(name, said) for name, of in EXERCISES.items() for said in of.mistakes]


@pytest.mark.parametrize(("name", "sentence"), MISTAKES)
def test_each_usual_mistake_has_its_sentence(name, sentence):
    exercise = EXERCISES[name]
    verdict = exercise.mark(partial(exercise.right, **exercise.mistakes[sentence]))
    assert (verdict.says, verdict.right) == (sentence, False)


# Mistakes as a student writes them, without the parts of the formulas.


def wrong_weight(x0, t, noise, eps):
    x_t = alpha(t) ** 0.5 * x0 + (1 - alpha(t)) ** 0.5 * noise
    return (1 - alpha(t)) * (eps(x_t, t) - noise)


def wrong_sign(x0, t, noise, eps):
    x_t = alpha(t) ** 0.5 * x0 + (1 - alpha(t)) ** 0.5 * noise
    return sigma(t) * (noise - eps(x_t, t))


def wrong_branch(e_y, e_empty, gamma):
    return gamma * e_empty + (1 - gamma) * e_y


def wrong_direction(x0, times, eps):
    x_bar = x0
    for s, after in pairwise(times):
        x_bar = x_bar + (sigma(s) - sigma(after)) * eps(alpha(s) ** 0.5 * x_bar, s)
    return alpha(times[-1]) ** 0.5 * x_bar


def wrong_place(x0, times, eps):
    x_bar = x0
    for s, after in pairwise(times):
        x_bar = x_bar + (sigma(after) - sigma(s)) * eps(alpha(after) ** 0.5 * x_bar, after)
    return alpha(times[-1]) ** 0.5 * x_bar


def wrong_residual(x0, x_t, t, t_next, eps):
    kappa = (x_t / alpha(t) ** 0.5 - x0) / sigma(t)
    x_next = alpha(t_next) ** 0.5 * x0 + (1 - alpha(t_next)) ** 0.5 * kappa
    return x0 - sigma(t_next) * eps(x_next, t_next)


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        ("sds", wrong_weight, "your weight is 1 - α where σ is asked"),
        ("sds", wrong_sign, "your sign is wrong: the gradient is w (ε - noise)"),
        ("guide", wrong_branch, "your γ is on the wrong branch"),
        ("invert", wrong_direction, "you step in the wrong direction"),
        ("invert", wrong_place, "you evaluate ε at the end of each step"),
        ("sdi", wrong_residual, "your residual lacks κ"),
    ],
)
def test_a_students_mistake_is_recognised(name, answer, says):
    assert EXERCISES[name].mark(answer).says.startswith(says)


def blank(e_y, e_empty, gamma):
    return e_empty + gamma * ...


def unfinished(e_y, e_empty, gamma):
    raise NotImplementedError("of e_y\nand e_empty")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (blank, "there is a blank (...) left to fill"),
        (unfinished, "it stopped with NotImplementedError: of e_y and e_empty"),
        (lambda e_y, e_empty: e_y, "it stopped with TypeError: … positional arguments …"),
        (lambda y, n, g: None, "it returns nothing"),
        (lambda y, n, g: (y, n), "it returns 2 values where it should return ε"),
        (lambda y, n, g: y[:2], "ε has the shape (2, 4, 2, 2) where (3, 4, 2, 2) is asked"),
        (lambda y, n, g: y / 0, "ε holds numbers that are not finite"),
        (lambda y, n, g: n + 2 * g * (y - n), "ε is off by … of its size, by none of the usual"),
    ],
)
def test_whatever_else_is_wrong_is_one_sentence(answer, says):
    begins, _, rest = says.partition("…")
    said = EXERCISES["guide"].mark(answer).says
    assert said.startswith(begins)
    assert rest.strip(" …") in said
    assert "\n" not in said


def test_rounding_is_no_mistake_and_arguments_may_be_changed():
    def single(x0, t, noise, eps):
        x0 *= alpha(t).sqrt()
        x0 += (1 - alpha(t)).sqrt() * noise
        return (sigma(t) * (eps(x0, t) - noise)).float()

    assert all(EXERCISES["sds"].mark(single).right for _ in range(2))


def test_a_dots_index_is_no_blank():
    def indexed(e_y, e_empty, gamma):
        return e_empty[...] + gamma * (e_y[...] - e_empty)

    assert EXERCISES["guide"].mark(indexed).right
