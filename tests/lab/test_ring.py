"""The ring under a rule: steps of a known size, rings that do not disturb each other, numbers of known signals."""

import pytest
import torch

from sdilib.guidance import SDI, SDS, Update
from sdilib.lab.ring import ASKED, Erring, distilled_rings, measures, modes_covered
from sdilib.oracle import Ring

RING = Ring.of()


class Shrinks:
    """A rule whose target is zero."""

    def __call__(self, x0, t, view, generator):
        sizes = torch.zeros(len(x0), dtype=x0.dtype)
        return Update(x0, 0 * x0, 0 * x0, x0, x0, sizes, 0)


def test_a_step_of_size_one_reaches_the_views_targets_and_a_half_goes_half_way():
    whole = distilled_rings(RING, Shrinks(), num_rings=2, num_steps=1)
    assert float(whole.values.abs().max()) < 1e-15
    once, thrice = (
        distilled_rings(RING, Shrinks(), num_rings=2, num_steps=n, step_size=0.5).values
        for n in (1, 3)
    )
    torch.testing.assert_close(thrice, once / 4)


@pytest.mark.parametrize("rule", [SDS, SDI])
def test_a_ring_becomes_what_it_would_become_alone(rule):
    settings = {"num_steps": 3, "t_schedule": "random", "step_size": 0.1}
    both = distilled_rings(RING, rule(RING.denoiser, 7.5), num_rings=2, **settings)
    alone = distilled_rings(RING, rule(RING.denoiser, 7.5), num_rings=1, seed=1, **settings)
    torch.testing.assert_close(both.values[1:], alone.values)
    assert not torch.allclose(both.values[0], both.values[1])


def test_an_annealed_run_reaches_a_texture_of_the_class_and_its_cost_is_counted():
    found = distilled_rings(RING, SDS(RING.denoiser, 1.0), num_rings=2, num_steps=40)
    assert found.num_forwards == 40 * 4  # views; gamma = 1 asks the prompt alone
    assert float(found.deviations.sub(1).abs().max()) < 0.05
    numbers = measures(RING, found.values)
    assert float(numbers["distance"].max()) < 0.2
    assert bool((numbers["class"] == 1).all())


def test_the_numbers_of_known_signals():
    own = torch.nonzero(RING.labels[:, 0] == ASKED).flatten()
    true, other = RING.textures[own[:1]], RING.textures[-1:]
    exact = measures(RING, true)
    assert float(exact["distance"]) < 1e-7
    for name in ("amplitude", "fine", "class", "coherence"):
        assert float(exact[name]) == pytest.approx(1)
    assert float(measures(RING, other)["class"]) == 0
    assert float(measures(RING, 1.2 * true)["amplitude"]) == pytest.approx(1.2)
    # Without the fine wave, whose root mean square is 0.3.
    plain = Ring.of(fine=0.0).textures[own[:1]]
    assert float(measures(RING, plain)["distance"]) == pytest.approx(0.3)
    assert float(measures(RING, plain)["fine"]) < 1e-12
    halves = torch.cat([true[:, :24], RING.textures[own[40:41], 24:]], 1)
    assert float(measures(RING, halves)["coherence"]) < 0.7


def test_modes_are_counted_against_fair_draws():
    own = RING.textures[RING.labels[:, 0] == ASKED]
    assert modes_covered(RING, own[:8]) == pytest.approx(8 / (96 * (1 - (95 / 96) ** 8)))
    assert modes_covered(RING, own[:1].expand(8, -1)) < 0.15


def test_an_erring_denoiser_adds_one_fixed_error_of_its_size(generator):
    exact, erring = RING.denoiser, Erring(RING.denoiser, 0.1)
    x_t = torch.randn(400, 1, 1, Ring.WINDOW, generator=generator, dtype=torch.float64)
    prompt = RING.prompt(ASKED, 400)
    asked = [prompt.conditional, prompt.unconditional]
    errors = [
        a - b
        for a, b in zip(
            erring.branches(x_t, 0.5, asked), exact.branches(x_t, 0.9, asked), strict=True
        )
    ]
    same = [
        a - b
        for a, b in zip(
            erring.branches(x_t, 0.9, asked), exact.branches(x_t, 0.9, asked), strict=True
        )
    ]
    torch.testing.assert_close(same[0], same[1])
    assert not torch.allclose(errors[0], same[0])  # the exact part does depend on t
    assert float(same[0].square().mean().sqrt()) == pytest.approx(0.1, rel=0.1)
    assert float(same[0].mean().abs()) < 0.01
    assert erring.num_forwards == 1600


def test_a_rule_is_told_how_much_of_the_run_is_done():
    seen, sds = [], SDS(RING.denoiser, 7.5)
    spy = lambda x0, t, view, draws: (seen.append(view.done), sds(x0, t, view, draws))[1]  # noqa: E731
    distilled_rings(RING, spy, num_rings=1, num_steps=4)
    assert seen == [0, 0.25, 0.5, 0.75]
