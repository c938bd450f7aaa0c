"""Diversity: a distance whose value is known for simple images, and claims that follow it."""

import pytest
import torch

from sdilib.lab.plotting.diversity import diversity
from sdilib.lab.studies.diversity import diversity_claims, seed_distance

METHODS = ["DDIM", "SDS, γ = 7.5", "SDS, γ = 100", "SDI"]


def greys(*levels: float) -> torch.Tensor:
    return torch.tensor(levels)[:, None, None, None].expand(-1, 3, 8, 8)


def test_the_distance_of_greys_is_that_of_their_levels():
    # Pairs of 0.1, 0.4 and 0.5: all of |a - b| once.
    got = seed_distance(greys(0.2, 0.3, 0.7), ["a", "a", "a"])
    torch.testing.assert_close(got, torch.tensor([(0.1 + 0.4 + 0.5) / 3]))


def test_prompts_are_kept_apart_in_order_of_appearance():
    got = seed_distance(greys(0.2, 0.9, 0.2, 0.6), ["b", "a", "b", "a"])
    torch.testing.assert_close(got, torch.tensor([0.0, 0.3]))


def test_grain_does_not_count_and_shape_does():
    board = 0.5 + 0.5 * (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
    grain = torch.stack([board, 1 - board])[:, None].expand(-1, 3, -1, -1)
    assert float(seed_distance(grain, ["a", "a"])) < 1e-6
    torch.testing.assert_close(seed_distance(grain, ["a", "a"], factor=1), torch.ones(1))
    left = (torch.arange(16) < 8).float().expand(1, 3, 16, -1)
    torch.testing.assert_close(
        seed_distance(torch.cat([left, 1 - left]), ["a", "a"]), torch.ones(1)
    )


def test_values_outside_the_range_of_images_are_clamped():
    torch.testing.assert_close(seed_distance(greys(-3.0, 7.0), ["a", "a"]), torch.ones(1))


def test_a_prompt_with_a_single_seed_is_refused():
    with pytest.raises(ValueError, match="prompts='b': expected at least two images"):
        seed_distance(greys(0.1, 0.2, 0.3), ["a", "a", "b"])


def distances(generator: torch.Generator, **levels: float) -> dict[str, torch.Tensor]:
    names = dict(zip(("ddim", "low", "high", "sdi"), METHODS, strict=True))
    jitter = 1 + 0.02 * torch.rand(8, generator=generator)
    return {names[key]: level * jitter for key, level in levels.items()}


def verdicts(**levels: float) -> list[bool | None]:
    return [claim.holds for claim in diversity_claims(distances(torch.Generator(), **levels))]


def test_verdicts_follow_the_numbers():
    assert verdicts(ddim=0.3, low=0.1, high=0.1, sdi=0.2) == [True, True, True]
    assert verdicts(ddim=0.1, low=0.3, high=0.2, sdi=0.2) == [False, False, False]
    assert verdicts(ddim=0.3, low=0.2, high=0.4, sdi=0.1) == [False, False, True]


def test_as_diverse_is_diverse_enough_and_seven_prompts_are_too_few(generator):
    assert verdicts(ddim=0.3, low=0.2, high=0.1, sdi=0.2) == [True, True, True]
    few = distances(generator, ddim=0.3, low=0.1, high=0.1, sdi=0.2)
    claims = diversity_claims({name: of[:7] for name, of in few.items()})
    assert [claim.holds for claim in claims] == [None] * 3


def test_the_figure_has_a_block_a_prompt_with_a_row_a_method(generator):
    shown = {
        y: {name: torch.rand(9, 3, 4, 4, generator=generator) for name in METHODS} for y in "ab"
    }
    figure = diversity(shown, distances(generator, ddim=0.3, low=0.1, high=0.1, sdi=0.2))
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 2 * 4 * 8  # the ninth seed is left out
    texts = [text.get_text() for part in figure.subfigs for text in part.texts]
    assert texts == ["a", "b"]
    array = torch.as_tensor(drawn[4 * 8 + 3 * 8 + 2].images[0].get_array())
    torch.testing.assert_close(array, shown["b"]["SDI"][2].permute(1, 2, 0))
