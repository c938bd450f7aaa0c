"""SteinDreamer: what is subtracted has the mean zero, and lowers the variance."""

from dataclasses import replace

import pytest
import torch
from made_up import draws

from sdilib.guidance import SDS, SteinDreamer, View
from sdilib.oracle import GaussianMixture
from sdilib.seeds import generator as generator_at


@pytest.fixture
def deep(view, generator) -> View:
    """A view with depth, at four times the latents' size."""
    return replace(view, depth=torch.rand(3, 8, 8, generator=generator))


@pytest.fixture
def blob() -> GaussianMixture:
    """One component: the exact prediction is linear in the noise."""
    mean = torch.ones(1, 4, 2, 2, dtype=torch.float64)
    return GaussianMixture(mean, torch.tensor([0.5]).double(), torch.ones(1).double())


def test_at_first_it_is_sds(oracle, x0, times, view, deep):
    sds = SDS(oracle, 7.5, weight="1-alpha")(x0, times, view, draws())
    for seen in (view, deep):
        update = SteinDreamer(oracle, 7.5)(x0, times, seen, draws())
        torch.testing.assert_close(update.gradient, sds.gradient)


def test_with_all_memory_it_stays_sds(oracle, x0, times, deep):
    rule = SteinDreamer(oracle, 7.5, memory=1.0)
    for number in range(3):
        sds = SDS(oracle, 7.5, weight="1-alpha")(x0, times, deep, draws(step=number))
        torch.testing.assert_close(rule(x0, times, deep, draws(step=number)).gradient, sds.gradient)


def test_the_depths_variate_has_the_mean_zero(oracle, x0, times, deep):
    # Coefficients (0, 1) on eps = 0 leave the variate itself, over 4,000 draws.
    count = 4000
    zero = GaussianMixture(oracle.means, oracle.stds, oracle.weights)
    zero.branches = lambda x_t, t, conditions: tuple(0 * x_t for _ in conditions)
    rule = SteinDreamer(zero, 1.0, weight="1", memory=1.0)
    moments = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]).double().repeat(10, 1, 1)
    rule.load_state_dict({"moments": moments})
    row = torch.zeros(count, dtype=torch.long)
    view = View(deep.prompt.select(row), depth=deep.depth[row])
    t = torch.full((count,), 0.5, dtype=torch.float64)
    drawn = rule(x0[row], t, view, generator_at(0, 0, "x")).gradient
    assert float(drawn.std()) > 0.5
    error = drawn.std(0) / count**0.5
    assert bool((drawn.mean(0).abs() < 4.5 * error).all())


def test_each_item_has_the_coefficients_of_its_own_time(oracle, x0, view):
    # On eps = 0 with moments (k / 10, 0), -k / 10 of the noise itself is left.
    zero = GaussianMixture(oracle.means, oracle.stds, oracle.weights)
    zero.branches = lambda x_t, t, conditions: tuple(0 * x_t for _ in conditions)
    rule = SteinDreamer(zero, 1.0, weight="1", memory=1.0)
    moments = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).double().repeat(10, 1, 1)
    moments[:, 0, 2] = torch.arange(10) / 10
    rule.load_state_dict({"moments": moments})
    t = torch.tensor([0.85, 0.55, 0.15], dtype=torch.float64)
    update = rule(x0, t, view, draws())
    expected = -torch.tensor([0.8, 0.5, 0.1]).double().reshape(-1, 1, 1, 1) * update.kappa
    torch.testing.assert_close(update.gradient, expected)


@pytest.mark.parametrize("deep_view", [False, True])
def test_of_a_gaussian_no_variance_is_left_and_the_mean_stays(deep_view, blob, x0, generator):
    row = torch.zeros(256, dtype=torch.long)
    depth = torch.rand(1, 8, 8, generator=generator)[row] if deep_view else None
    view = View(blob.prompt([[0]] * 256), depth=depth)
    t, points = torch.full((256,), 0.55, dtype=torch.float64), x0[row]
    rule = SteinDreamer(blob, 1.0, weight="1", memory=0.99)
    for number in range(600):
        update = rule(points, t, view, generator_at(0, number, "guidance"))
    sds = SDS(blob, 1.0, weight="1")(points, t, view, generator_at(0, 599, "guidance"))
    assert float(update.gradient.std(0).mean()) < 0.2 * float(sds.gradient.std(0).mean())
    error = sds.gradient.std(0) / 256**0.5
    assert bool(((update.gradient.mean(0) - sds.gradient.mean(0)).abs() < 5 * error).all())


def test_times_far_apart_have_their_own_coefficients(blob, x0, times, view):
    rule = SteinDreamer(blob, 1.0, weight="1")
    row = View(blob.prompt([[0]] * 3))
    for number in range(40):
        rule(x0, torch.full((3,), 0.85, dtype=torch.float64), row, draws(step=number))
    moments = rule.state_dict()["moments"]
    fresh = SteinDreamer(blob).state_dict()["moments"]
    assert not torch.equal(moments[8], fresh[8])
    for place in (0, 5, 7, 9):
        assert torch.equal(moments[place], fresh[place])


def test_its_state_comes_back(oracle, x0, times, deep):
    rule, other = SteinDreamer(oracle, 7.5), SteinDreamer(oracle, 7.5)
    rule(x0, times, deep, draws())
    other.load_state_dict(rule.state_dict())
    one, two = (each(x0, times, deep, draws()).gradient for each in (rule, other))
    assert torch.equal(one, two)


def test_a_flat_depth_has_no_variate(oracle, x0, times, view):
    flat = replace(view, depth=torch.ones(3, 8, 8))
    one = SteinDreamer(oracle, 7.5)(x0, times, flat, draws())
    assert bool(one.gradient.isfinite().all())


def test_a_prediction_that_is_not_finite_leaves_the_coefficients(oracle, x0, times, view):
    rule = SteinDreamer(oracle, 7.5)
    rule(x0, times, view, draws())
    before = rule.state_dict()["moments"]
    rule(x0 * float("inf"), times, view, draws(step=1))
    assert torch.equal(rule.state_dict()["moments"], before)
