"""How much of an update is random: closed forms where the data are one Gaussian, and claims that follow the numbers."""

import pytest
import torch
from made_up import held

from sdilib.guidance.named import RULES
from sdilib.lab.experiments import rule_variance as experiment
from sdilib.lab.experiments.rule_variance import APART, CLAIMS, KEPT, RANDOM, TIMES, VARIANCE
from sdilib.lab.experiments.shared.plane import ring

STD, T = 0.4, 0.5


@pytest.fixture(scope="module")
def gaussian():
    """Two Gaussians in one place, so that guidance has nothing to add."""
    return ring(2, radius=0.0, std=STD)


@pytest.fixture
def x0(generator):
    return torch.randn(3, 2, 1, 1, dtype=torch.float64, generator=generator)


@pytest.fixture(scope="module")
def numbers():
    some = {name: RULES[name] for name in ("sds", "sdi", "csd", "steindreamer", "cfd")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "RULES", some)
        patch.setattr(experiment, "LEARNT", {"steindreamer": 8})
        return experiment.measured(experiment.blobs(), num_points=8, num_runs=8, num_updates=8)


def levels(mixture):
    alpha = mixture.schedule.alpha_cumprod(T)
    return alpha, 1 - alpha, alpha * STD**2 + 1 - alpha


def test_the_mean_of_sds_is_that_of_a_gaussian(gaussian, x0):
    alpha, noise, whole = levels(gaussian)
    expected = gaussian.schedule.sigma(T) * (noise * alpha).sqrt() / whole * x0.flatten(1)
    found = experiment.mean_of_sds(gaussian, x0, T)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_of_a_gaussian_sds_has_the_variance_of_its_formula_and_the_control_variate_removes_it(
    gaussian, x0
):
    # eps - noise = const - alpha std² / (alpha std² + 1 - alpha) noise
    alpha, _, whole = levels(gaussian)
    expected = 2 * float((gaussian.schedule.sigma(T) * alpha * STD**2 / whole) ** 2)
    sds, stein = (
        experiment._updates(name, gaussian, x0, T, (64, 64), seed=0).var(0).sum(2).mean()
        for name in ("sds", "steindreamer")
    )
    assert float(sds) == pytest.approx(expected, rel=0.05)  # 12,288 draws of two numbers
    assert float(stein) < 0.05 * expected


def test_kept_or_inverted_noise_adds_no_variance(numbers):
    for t in TIMES:
        drawn = numbers[f"{RANDOM}, t = {t}"]
        assert float(drawn["sdi"].max()) == float(drawn["cfd"].max()) == 0.0
        assert bool(((drawn["sds"] > 0) & (drawn["sds"] < 1.2)).all())
    for measure in (RANDOM, VARIANCE, APART):
        each = torch.stack([numbers[f"{measure}, t = {t}"]["sds"] for t in TIMES])
        torch.testing.assert_close(numbers[measure]["sds"], each.mean(0))


def test_verdicts_follow_the_numbers(numbers):
    def verdicts(**changed):
        shares = {"sdi": 0.0, "sds": 0.5, "steindreamer": 0.2, "csd": 0.4} | changed
        made = {name: torch.full((8,), value) for name, value in shares.items()}
        apart = {name: made[name] for name in ("sdi", "steindreamer")}
        shown = {f"{RANDOM}, t = {t}": made for t in TIMES}
        return held(CLAIMS, {RANDOM: made, APART: apart, KEPT: {"cfd": made["sds"]}} | shown)

    assert verdicts() == [True, False, True, False, True, True, False]
    assert verdicts(sdi=0.3) == [False, True, True, False, True, True, False]
    assert verdicts(steindreamer=0.001, sds=1.0) == [True, False, True, True, True, True, True]
    assert verdicts(csd=0.6, steindreamer=0.7) == [True, False, False, False, False, False, False]


def test_the_figure_has_a_line_per_rule_the_least_random_first(numbers):
    figure = experiment.draw(numbers)
    assert len(figure.axes) == 2 * len(TIMES)
    assert figure.axes[0].get_title(loc="left") == "random share, t = 0.8"
    assert figure.axes[3].get_title(loc="left") == "distance of means, t = 0.8"
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert set(names[:2]) == {"sdi", "cfd"}
    assert len(names) == 5
