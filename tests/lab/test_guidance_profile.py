"""What guidance does over t: known where predictions are known."""

import pytest
import torch

from sdilib.inversion import DDIMInversion
from sdilib.lab.guidance_profile import DEVIATION, SPREAD, STRENGTH, guidance_profile
from sdilib.oracle import GaussianMixture
from sdilib.seeds import generator as generator_at

TIMES = [k / 10 for k in range(1, 11)]


@pytest.fixture
def x0():
    return torch.randn(
        2, 3, 4, 4, generator=generator_at(0, 0, "guidance profile's data"), dtype=torch.float64
    )


def test_strength_is_the_prompts_share_of_the_prediction(scripted, rows, x0):
    """The prompt adds a quarter of e_∅, whatever x_t is."""
    denoiser = scripted(lambda x_t, t, c: x_t * (1 + 0.25 * c[:, :, None, None]))
    found = guidance_profile(denoiser, x0, rows(2))
    assert found["t"] == pytest.approx(TIMES)
    assert found[STRENGTH] == pytest.approx([0.25] * 10)


def test_spread_of_a_gaussian_is_that_of_its_posterior_mean(x0):
    """x0(t) = sqrt(a) s² x_t / (a s² + 1 - a), of which the noise moves sqrt(1 - a)."""
    s = 0.5
    means, one = torch.zeros(1, 3, 4, 4, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    normal = GaussianMixture(means, s * one, one)
    found = guidance_profile(normal, x0, normal.prompt([[0], [0]]), num_draws=200)
    a = normal.schedule.alpha_cumprod(torch.tensor(TIMES, dtype=torch.float64))
    expected = (a * (1 - a)).sqrt() * s**2 / (a * s**2 + 1 - a) / x0.std(correction=0)
    # 200 draws of 48 elements know a deviation to about 1 / sqrt(2 · 9600) = 0.7 %.
    assert found[SPREAD] == pytest.approx(expected.tolist(), rel=0.03)


def test_deviation_is_that_of_the_inversions_kappa(oracle, generator):
    x0 = torch.randn(2, 4, 2, 2, dtype=torch.float64, generator=generator)
    prompt = oracle.prompt([[0], [1]])
    found = guidance_profile(oracle, x0, prompt)
    invert = DDIMInversion(guidance_scale=-7.5)
    for t, deviation in zip(TIMES, found[DEVIATION], strict=True):
        times = torch.full((2,), t, dtype=torch.float64)
        kappa = invert(x0, times, oracle.guided(prompt), generator).noise
        expected = float(kappa.flatten(1).std(1, correction=0).mean())
        assert deviation == pytest.approx(expected, abs=1e-7)


def test_it_costs_what_it_says_and_four_items_at_most_400(tiny):
    prompt = tiny.embed(["a red mug"] * 4)
    x0 = torch.randn(4, *tiny.latent_shape, generator=generator_at(0, 0, "x0"))
    before = tiny.num_forwards
    found = guidance_profile(tiny, x0, prompt)
    assert tiny.num_forwards - before == 400
    assert [len(values) for values in found.values()] == [10] * 4


def test_wrong_use_is_refused_before_any_work(tiny, two):
    before = tiny.num_forwards
    with pytest.raises(ValueError, match=r"^num_draws=1: expected an integer of at least 2$"):
        guidance_profile(tiny, torch.zeros(2, *tiny.latent_shape), two, num_draws=1)
    assert tiny.num_forwards == before
