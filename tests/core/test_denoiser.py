import math

import pytest
import torch

from sdilib.cameras import Camera
from sdilib.checks import NonFiniteError
from sdilib.denoiser import (
    GuidedDenoiser,
    PromptEmbeddings,
    azimuth_weights,
    classifier_free_guidance,
    perp_neg,
    require_finite,
    with_view,
)


def test_guidance_is_equation_3(generator):
    e_y, e_0 = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    for gamma in (-7.5, 0.0, 1.0, 7.5, 100.0):
        torch.testing.assert_close(
            classifier_free_guidance(e_y, e_0, gamma), (1 - gamma) * e_0 + gamma * e_y
        )


def test_perp_neg_without_negatives_is_equation_3(generator):
    e_y, e_0 = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(
        perp_neg(e_y, e_0, [], [], 7.5), classifier_free_guidance(e_y, e_0, 7.5)
    )


def test_perp_neg_takes_away_only_what_is_perpendicular_to_the_prompt(generator):
    e_y, e_0, e_n = torch.randn(3, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    gamma, weight = 7.5, 0.7
    taken = classifier_free_guidance(e_y, e_0, gamma) - perp_neg(e_y, e_0, [e_n], [weight], gamma)
    direction, away = (e_y - e_0).flatten(1), (e_n - e_0).flatten(1)
    zeros = torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close((taken.flatten(1) * direction).sum(1), zeros, atol=1e-12, rtol=0)
    # What is taken is the negative's direction less a multiple of the prompt's, times gamma · w.
    rest = taken.flatten(1) / (gamma * weight) - away
    share = (away * direction).sum(1) / (direction**2).sum(1)
    torch.testing.assert_close(rest, -share[:, None] * direction)


def test_a_negative_parallel_to_the_prompt_changes_nothing(generator):
    e_y, e_0 = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    for factor in (-2.0, 0.5):
        parallel = e_0 + factor * (e_y - e_0)
        torch.testing.assert_close(
            perp_neg(e_y, e_0, [parallel], [1.0], 7.5), classifier_free_guidance(e_y, e_0, 7.5)
        )


def test_perp_neg_weighs_each_item_by_its_own_number(generator):
    e_y, e_0, e_n = torch.randn(3, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    weights = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    together = perp_neg(e_y, e_0, [e_n, e_y + e_n], [weights, 0.7], 7.5)
    for i, weight in enumerate(weights.tolist()):
        one = [each[i : i + 1] for each in (e_y, e_0, e_n, e_y + e_n)]
        alone = perp_neg(one[0], one[1], one[2:], [weight, 0.7], 7.5)
        torch.testing.assert_close(together[i : i + 1], alone)


def test_the_weights_of_views_that_are_not_seen_follow_the_azimuth():
    # threestudio's, of whose rounded constants ours are the exact ones: (4, .5, -2.426) for front and side seen from before,
    # (1, .5, +.967) for the front and (1, .5, -.606) for the side seen from behind; a exp(-b share) + c.
    azimuths = [0, 30, 60, 90, 120, 150, 180]
    of_front, of_side = azimuth_weights(Camera.around([*azimuths, -30]).view_shares)
    for azimuth, front, side in zip(azimuths, of_front.tolist(), of_side.tolist(), strict=False):
        if azimuth <= 90:
            share = 1 - azimuth / 90
            theirs = 4 * math.exp(-0.5 * share) - 2.426, 4 * math.exp(-0.5 * (1 - share)) - 2.426
        else:
            share = 2 - azimuth / 90
            theirs = math.exp(-0.5 * share) + 0.967, math.exp(-0.5 * share) - 0.606
        assert (front, side) == pytest.approx(theirs, abs=1e-3)
    assert float(of_front[0]) == pytest.approx(0, abs=1e-12)  # what is seen is no negative
    assert float(of_side[3]) == pytest.approx(0, abs=1e-12)
    assert (float(of_front[-1]), float(of_side[-1])) == (float(of_front[1]), float(of_side[1]))
    above = azimuth_weights(Camera.around([0, 90], elevation_degrees=70).view_shares)
    assert torch.stack(above).tolist() == [[0, 0], [0, 0]]


def test_perp_neg_is_finite_where_the_prompt_has_no_direction(generator):
    e_0, e_n = torch.randn(2, 3, 4, 2, 2, generator=generator)
    assert bool(perp_neg(e_0, e_0, [e_n], [1.0], 7.5).isfinite().all())


@pytest.mark.parametrize(
    ("gamma", "negatives", "expected"),
    [
        (0.0, (), 1),
        (1.0, (), 1),
        (7.5, (), 2),
        (-7.5, (), 2),
        (0.0, (2.0,), 1),
        (1.0, (2.0,), 3),
        (7.5, (2.0, 3.0), 4),
    ],
)
def test_no_branch_of_weight_zero_is_computed(gamma, negatives, expected, scripted, rows):
    denoiser = scripted(lambda x_t, t, condition: x_t * condition[:, :1])
    x_t = torch.ones(5, 1)
    eps = GuidedDenoiser(denoiser, rows(5, negatives), gamma)(x_t, 0.5)
    assert denoiser.num_forwards == 5 * expected
    assert len(denoiser.asked) == 1  # one call for all the branches
    if not negatives:
        torch.testing.assert_close(eps, gamma * x_t)  # e_∅ = 0, e_y = x_t


@pytest.mark.parametrize("negatives", [(), (2.0,)])
def test_gamma_means_the_same_with_and_without_negatives(negatives, scripted, rows):
    # The published code multiplies from the prompt's prediction without Perp-Neg: gamma + 1 there.
    denoiser = scripted(lambda x_t, t, condition: condition[:, :1] * torch.ones_like(x_t))
    eps = GuidedDenoiser(denoiser, rows(2, negatives), 7.5)(torch.ones(2, 3), 0.5)
    torch.testing.assert_close(eps, torch.full((2, 3), 7.5))  # this negative is parallel


def test_the_first_that_is_not_finite_is_named_with_all_its_values():
    good, bad = torch.ones(3), torch.tensor([1.0, math.nan, math.inf])
    require_finite("at t = 0.5", eps=good, parameters=[good, good])
    message = r"^eps=2 of 3 values not finite at t = 0\.5: expected finite numbers; a smaller"
    with pytest.raises(NonFiniteError, match=message):
        require_finite("at t = 0.5", x0=good, eps=bad, parameters=[bad])
    with pytest.raises(NonFiniteError, match=r"^parameters=2 of 6 values not finite"):
        require_finite("at the end", parameters=[good, bad])


def test_whether_all_is_finite_is_asked_once(monkeypatch):
    # Each answer makes a GPU wait.
    asked, ask = [], torch.Tensor.__bool__
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda each: asked.append(1) or ask(each))
    require_finite("", x0=torch.ones(3), gradient=torch.ones(3), parameters=[torch.ones(2)] * 5)
    assert len(asked) == 1


def test_some_items_are_selected_with_their_prompts(tiny, two, generator):
    x_t = torch.randn(2, *tiny.latent_shape, generator=generator)
    t = torch.tensor([0.3, 0.9], dtype=torch.float64)
    both = tiny.guided(two, 7.5)
    one = torch.tensor([1])
    torch.testing.assert_close(
        both.select(one)(x_t[one], t[one]), both(x_t, t)[one], rtol=1e-4, atol=1e-5
    )


def test_rows_are_selected_together(generator):
    rows = torch.randn(3, 3, 5, generator=generator)
    prompt = PromptEmbeddings(rows[0], rows[1], (rows[2],), (0.5,))
    some = prompt.select(torch.tensor([2, 0, 2]))
    assert len(some) == 3
    torch.testing.assert_close(some.conditional, rows[0][[2, 0, 2]])
    torch.testing.assert_close(some.unconditional, rows[1][[2, 0, 2]])
    torch.testing.assert_close(some.negatives[0], rows[2][[2, 0, 2]])
    assert some.negative_weights == (0.5,)
    assert some.without_negatives().negatives == ()
    of_items = PromptEmbeddings(rows[0], rows[1], (rows[2],), (torch.tensor([0.1, 0.2, 0.3]),))
    (weights,) = of_items.select(torch.tensor([2, 0, 2])).negative_weights
    assert torch.equal(weights, torch.tensor([0.3, 0.1, 0.3]))


def test_a_condition_may_be_several_tensors_by_name(scripted, generator):
    # As a network with text and pooled text (SDXL) wants it.
    text, pooled = (torch.randn(3, width, generator=generator) for width in (5, 1))
    given = {"text": text, "pooled": pooled}
    prompt = PromptEmbeddings(given, {name: 0 * rows for name, rows in given.items()})
    some = prompt.select(torch.tensor([2, 0]))
    assert (len(prompt), len(some)) == (3, 2)
    torch.testing.assert_close(some.conditional["text"], text[[2, 0]])
    denoiser = scripted(lambda x_t, t, condition: condition["pooled"] * torch.ones_like(x_t))
    eps = GuidedDenoiser(denoiser, some, 7.5)(torch.ones(2, 4), 0.5)
    torch.testing.assert_close(eps, 7.5 * pooled[[2, 0]].expand(2, 4))


def test_a_view_is_appended():
    assert with_view("a red mug", "side") == "a red mug, side view"


def test_a_prompt_keeps_its_texts_with_its_rows():
    rows = torch.arange(6.0).reshape(3, 2)
    prompt = PromptEmbeddings(rows, 0 * rows, texts=("a", "b", "c"))
    assert prompt.select(torch.tensor([2, 0])).texts == ("c", "a")
    assert prompt.without_negatives().texts == ("a", "b", "c")
    assert PromptEmbeddings(rows, rows).select(torch.tensor([1])).texts == ()
