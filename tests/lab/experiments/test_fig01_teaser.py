"""Figure 1's claims follow the images, whichever way they point."""

import dataclasses

import pytest
import torch
from made_up import PROMPTS, generated, held

from sdilib.lab.experiments.fig01_teaser import CLAIMS, draw, measures
from sdilib.lab.images import Generated


def pictures(generator: torch.Generator, *, detail: float, colour: float) -> Generated:
    """Eight images: left a checkerboard of some amplitude, right a red of some saturation."""
    board = detail * (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
    tint = torch.tensor([0.0, 1.0, 1.0])[:, None, None] * colour * 0.5
    jitter = 0.01 * torch.rand(8, 1, 1, 1, generator=generator)
    right = torch.arange(16) >= 8
    return generated((0.6 + board * ~right - tint * right + jitter).clamp(0, 1))


@pytest.fixture
def made(generator) -> dict[str, Generated]:
    """Images as the paper has them."""
    like = {
        "DDIM": (0.2, 0.4),
        "SDS": (0.05, 0.2),
        "SDS, high γ": (0.35, 0.9),
        "SDI, inverted κ": (0.18, 0.42),
        "SDI, begun κ": (0.205, 0.405),
    }
    runs = {n: pictures(generator, detail=d, colour=c) for n, (d, c) in like.items()}
    return runs | {"SDI, cached κ": runs["DDIM"]}


def test_images_as_the_paper_has_them_hold_all_claims(made):
    assert held(CLAIMS, measures(made), PROMPTS) == [True] * 14


def test_the_opposite_images_hold_none(made, generator):
    swapped = made | {
        "SDS": made["SDI, inverted κ"],
        "SDS, high γ": pictures(generator, detail=0.05, colour=0.1),
        "DDIM": made["SDS"],
        "SDI, inverted κ": made["SDS, high γ"],
        "SDI, begun κ": pictures(generator, detail=0.35, colour=1.0),
    }
    assert held(CLAIMS, measures(swapped), PROMPTS) == [False] * 14


def test_one_prompt_decides_nothing(made):
    one = {name: generated(run.images[:1]) for name, run in made.items()}
    # An identity, the last one, needs no statistics.
    assert held(CLAIMS, measures(one), PROMPTS[:1]) == [None] * 13 + [True]


def test_the_same_sampler_is_recognised_by_its_latents(made):
    ddim = made["DDIM"]
    other = dataclasses.replace(ddim, latents=ddim.latents * 1.01)
    assert held(CLAIMS, measures(made))[-1]
    assert not held(CLAIMS, measures(made | {"SDI, cached κ": other}))[-1]


def test_a_method_that_was_left_out_is_not_tested(made):
    fewer = {name: run for name, run in made.items() if name != "SDS, high γ"}
    assert held(CLAIMS, measures(fewer), PROMPTS)[1] is None


def test_the_figure_marks_each_item_and_the_mean(made):
    panel = draw(made, PROMPTS, measures(made)).axes[-2]
    assert panel.get_title(loc="left") == "fine detail"
    means = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
    expected = [float(each.mean()) for each in measures(made)["fine detail"].values()]
    assert means == pytest.approx(expected)
