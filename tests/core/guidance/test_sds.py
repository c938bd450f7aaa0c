"""SDS and the rules that differ from it in noise and weights, each against its own formula."""

from dataclasses import replace

import pytest
import torch
from made_up import draws

from sdilib.denoiser import PromptEmbeddings
from sdilib.guidance import CSD, NFSD, SDS, SJC, StableSD, View


def terms(oracle, x0, t, view, noise):
    """e_y and e_∅ at the noised point, and alpha."""
    alpha = oracle.schedule.alpha_cumprod(t).reshape(-1, 1, 1, 1)
    x_t = alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise
    branches = oracle.branches(x_t, t, [view.prompt.conditional, view.prompt.unconditional])
    return *branches, x_t, alpha


def test_sjc_is_sds_with_weight_one(oracle, x0, times, view):
    sjc = SJC(oracle)(x0, times, view, draws())
    assert torch.equal(sjc.gradient, SDS(oracle, weight="1")(x0, times, view, draws()).gradient)


def test_sjc_is_the_denoisers_distance_over_sigma(oracle, x0, times, view, drawn):
    # Its own letters: z = y + sigma n, D = z - sigma eps, the score -(D - y) / sigma.
    sigma = oracle.schedule.sigma(times).reshape(-1, 1, 1, 1)
    z = x0 + sigma * drawn
    eps = oracle.guided(view.prompt, 7.5)(z / (1 + sigma**2).sqrt(), times)
    update = SJC(oracle, 7.5)(x0, times, view, draws())
    torch.testing.assert_close(update.gradient, -(z - sigma * eps - x0) / sigma)


@pytest.mark.parametrize("weight", ["1", "1-alpha", "sigma"])
def test_csd_is_the_difference_of_two_sds(weight, oracle, x0, times, view):
    high, low = (
        SDS(oracle, gamma, weight=weight)(x0, times, view, draws()).gradient for gamma in (9.0, 4.0)
    )
    csd = CSD(oracle, 5.0, weight=weight)(x0, times, view, draws())
    torch.testing.assert_close(csd.gradient, high - low)


def test_csd_moves_to_the_negative_prompt_in_the_first_half(reader, x0, times, view, drawn):
    e_y, e_none, x_t, alpha = terms(reader, x0, times, view, drawn)
    (e_neg,) = reader.branches(x_t, times, [reader.embed(["1 2"] * 3).conditional])
    for done, c2 in ((0.0, 0.0), (0.25, 0.4), (0.5, 0.8), (0.9, 0.8)):
        seen = View(view.prompt, done=done)
        update = CSD(reader, 2.0, avoided_prompt="1 2", negative_share=0.8)(
            x0, times, seen, draws()
        )
        along = e_y - c2 * e_neg - (1 - c2) * e_none
        torch.testing.assert_close(update.gradient, (1 - alpha) * 2 * along)
        assert update.num_forwards == 3 * 3


def test_csd_with_a_normalised_gradient_has_norm_one(oracle, x0, times, view):
    for weight in ("1", "sigma"):
        plain, unit = (
            CSD(oracle, 7.5, weight=weight, normalise=normalise)(x0, times, view, draws()).gradient
            for normalise in (False, True)
        )
        torch.testing.assert_close(unit, plain / plain.norm())


def test_csd_where_nothing_is_asked_for_stays_finite(oracle, x0, times, view):
    prompt = PromptEmbeddings(view.prompt.unconditional, view.prompt.unconditional)
    update = CSD(oracle, 7.5, normalise=True)(x0, times, View(prompt), draws())
    assert not bool(update.gradient.any())


def test_nfsds_terms_item_by_item(reader, x0, view, drawn):
    t = torch.tensor([0.9, 0.2, 0.19], dtype=torch.float64)  # one item below the threshold
    e_y, e_none, x_t, alpha = terms(reader, x0, t, view, drawn)
    (e_neg,) = reader.branches(x_t, t, [reader.embed(["1 2"] * 3).conditional])
    domain = torch.stack([(e_none - e_neg)[0], (e_none - e_neg)[1], e_none[2]])
    update = NFSD(reader, 7.5, avoided_prompt="1 2")(x0, t, view, draws())
    torch.testing.assert_close(update.gradient, (1 - alpha) * (domain + 7.5 * (e_y - e_none)))
    assert update.num_forwards == 3 * 3


@pytest.mark.parametrize("rule", [NFSD, CSD])
def test_a_negative_prompt_is_not_taken_for_one_of_perp_negs(rule, reader, x0, times, view):
    negatives = (reader.embed(["0"] * 3).conditional,)
    prompt = replace(view.prompt, negatives=negatives, negative_weights=(0.0,))  # without effect
    plain, other = (
        rule(reader, 7.5, avoided_prompt="1 2")(x0, times, View(each, done=0.5), draws())
        for each in (view.prompt, prompt)
    )
    torch.testing.assert_close(other.gradient, plain.gradient)
    assert other.num_forwards == plain.num_forwards + 3


def test_nfsd_without_a_negative_prompt_is_csd_above_its_threshold(oracle, x0, view):
    t = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)
    nfsd, csd = (rule(oracle, 7.5)(x0, t, view, draws()) for rule in (NFSD, CSD))
    torch.testing.assert_close(nfsd.gradient, csd.gradient)


def test_a_negative_prompt_is_the_papers_where_the_model_knows_its_words(reader):
    class Literate(type(reader)):
        """It knows every word, and takes none for a component."""

        def embed(self, prompts):
            return super().embed(["0"] * len(prompts))

    literate = Literate(reader.means, reader.stds, reader.weights)
    for rule in (NFSD, CSD):
        assert rule(reader).negative == ""  # digits are all that it reads
        assert rule(literate).negative == rule.NEGATIVE
        assert rule(reader, avoided_prompt="1").negative == "1"
        assert rule(literate, avoided_prompt="").negative == ""


def test_stablesd_is_sds_between_its_bounds_guidance_above_and_the_rest_below(
    oracle, x0, view, drawn
):
    t = torch.tensor([0.81, 0.8, 0.15], dtype=torch.float64)
    e_y, e_none, _, alpha = terms(oracle, x0, t, view, drawn)
    update = StableSD(oracle, 7.5)(x0, t, view, draws())
    along = [6.5 * (e_y - e_none), 7.5 * (e_y - e_none) + e_none - drawn, e_y - drawn]
    expected = (1 - alpha) * torch.stack([term[i] for i, term in enumerate(along)])
    torch.testing.assert_close(update.gradient, expected)
    whole = StableSD(oracle, 7.5, high=1.0, low=0.0)(x0, t, view, draws())
    sds = SDS(oracle, 7.5, weight="1-alpha")(x0, t, view, draws())
    torch.testing.assert_close(whole.gradient, sds.gradient)


@pytest.mark.parametrize("rule", [NFSD, CSD, StableSD])
def test_perp_negs_negatives_are_part_of_the_guidance(rule, scripted, rows, x0, times):
    # Predictions along two axes: the prompt's is ones, a negative's has a part perpendicular to it.
    ones = torch.ones_like(x0)
    across = torch.tensor([1.0, -1.0], dtype=torch.float64).expand_as(x0)
    answers = {1.0: ones, 0.0: 0 * ones, 3.0: ones + across}
    denoiser = scripted(lambda x_t, t, condition: answers[float(condition[0, 0])])
    t = torch.full((3,), 0.5, dtype=torch.float64)
    plain = rule(denoiser, 2.0, weight="1")(x0, t, View(rows(3)), draws())
    kept = rule(denoiser, 2.0, weight="1")(x0, t, View(rows(3, (3.0,))), draws())
    torch.testing.assert_close(kept.gradient, plain.gradient - 2 * across)
