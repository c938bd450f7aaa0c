"""Diversity: claims that follow the distance of seeds, and its drawing."""

import torch
from made_up import generated, held

from sdilib.lab.experiments.figa15_diversity import CLAIMS, draw, measures

METHODS = ["DDIM", "SDS", "SDS, high γ", "SDI"]


def runs(ddim: float, low: float, high: float, sdi: float, count: int = 8) -> dict:
    """Two greys per prompt by method, about as far from each other as told."""
    made = {}
    jitter = 1 + 0.02 * torch.rand(count, generator=torch.Generator())
    for name, level in zip(METHODS, (ddim, low, high, sdi), strict=True):
        pairs = 0.5 + torch.stack([-jitter, jitter], 1).flatten() * level / 2
        made[name] = generated(pairs[:, None, None, None].expand(-1, 3, 8, 8))
    return made


def prompts(count: int = 8) -> list[str]:
    return [f"prompt {i}" for i in range(count) for _ in range(2)]


def decided(count: int = 8, **levels: float) -> list[bool | None]:
    numbers = measures(runs(**levels, count=count), prompts(count))
    return held(CLAIMS, numbers)


def test_verdicts_follow_the_numbers():
    assert decided(ddim=0.3, low=0.1, high=0.1, sdi=0.2) == [True, True, True]
    assert decided(ddim=0.1, low=0.3, high=0.2, sdi=0.2) == [False, False, False]
    assert decided(ddim=0.3, low=0.2, high=0.4, sdi=0.1) == [False, False, True]


def test_as_diverse_is_diverse_enough_and_seven_prompts_are_too_few():
    assert decided(ddim=0.3, low=0.2, high=0.1, sdi=0.2) == [True, True, True]
    assert decided(count=7, ddim=0.3, low=0.1, high=0.1, sdi=0.2) == [None] * 3


def test_the_figure_has_a_block_per_prompt_with_a_row_per_method(generator):
    asked = [y for y in "abc" for _ in range(9)]
    made = {n: generated(torch.rand(27, 3, 4, 4, generator=generator)) for n in METHODS}
    figure = draw(made, asked, measures(made, asked))
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 2 * 4 * 8  # the ninth seed is left out, and the third prompt
    texts = [text.get_text() for part in figure.subfigs for text in part.texts]
    assert texts == ["a", "b"]
    array = torch.as_tensor(drawn[4 * 8 + 3 * 8 + 2].images[0].get_array())
    torch.testing.assert_close(array, made["SDI"].images[9 + 2].permute(1, 2, 0))
