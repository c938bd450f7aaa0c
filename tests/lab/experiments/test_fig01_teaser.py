"""Figure 1's claims follow the images, whichever way they point."""

import dataclasses

import pytest
import torch

from sdilib.lab.claims import Claim, verdicts
from sdilib.lab.experiments.fig01_teaser import CLAIMS, draw, measures
from sdilib.lab.images import Generated

PROMPTS = [f"prompt {i}" for i in range(8)]


def claims(made: dict[str, Generated], prompts: list[str] = PROMPTS) -> list[Claim]:
    return verdicts(CLAIMS, measures(made), groups=prompts)


def pictures(generator: torch.Generator, *, detail: float, colour: float) -> Generated:
    """Eight images: left a checkerboard of some amplitude, right a red of some saturation."""
    board = detail * (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
    tint = torch.tensor([0.0, 1.0, 1.0])[:, None, None] * colour * 0.5
    jitter = 0.01 * torch.rand(8, 1, 1, 1, generator=generator)
    right = torch.arange(16) >= 8
    images = (0.6 + board * ~right - tint * right + jitter).clamp(0, 1)
    none = torch.zeros(8, 0)
    return Generated(images, images, 2.0, 0.1, none, none)


@pytest.fixture
def made(generator) -> dict[str, Generated]:
    """Images as the paper has them."""
    like = {
        "DDIM": (0.2, 0.4),
        "SDS": (0.05, 0.4),
        "SDS, high γ": (0.2, 0.9),
        "SDI, inverted κ": (0.18, 0.42),
        "SDI, begun κ": (0.205, 0.405),
    }
    runs = {n: pictures(generator, detail=d, colour=c) for n, (d, c) in like.items()}
    return runs | {"SDI, cached κ": runs["DDIM"]}


def test_images_as_the_paper_has_them_hold_all_claims(made):
    assert [claim.holds for claim in claims(made)] == [True] * 10


def test_the_opposite_images_hold_none(made, generator):
    swapped = made | {
        "SDS": made["SDI, inverted κ"],
        "SDS, high γ": pictures(generator, detail=0.05, colour=0.3),
        "DDIM": made["SDS"],
        "SDI, inverted κ": made["SDS, high γ"],
        "SDI, begun κ": pictures(generator, detail=0.35, colour=1.0),
    }
    assert [claim.holds for claim in claims(swapped)] == [False] * 10


def test_one_prompt_decides_nothing(made):
    none = torch.zeros(1, 0)
    one = {
        name: Generated(run.images[:1], run.latents[:1], 2.0, 0.1, run.residuals[:1], none)
        for name, run in made.items()
    }
    *statistics, identity = claims(one, PROMPTS[:1])
    assert {claim.holds for claim in statistics} == {None}
    assert identity.holds  # an identity needs no statistics


def test_the_same_sampler_is_recognised_by_its_latents(made):
    ddim = made["DDIM"]
    other = dataclasses.replace(ddim, latents=ddim.latents * 1.01)
    assert claims(made)[-1].holds
    assert not claims(made | {"SDI, cached κ": other})[-1].holds


def test_a_method_that_was_left_out_is_not_tested(made):
    fewer = {name: run for name, run in made.items() if name != "SDS, high γ"}
    assert claims(fewer)[1].holds is None


def test_the_figure_marks_each_item_and_the_mean(made):
    panel = draw(made, PROMPTS, measures(made)).axes[-2]
    assert panel.get_title(loc="left") == "fine detail"
    means = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
    expected = [float(each.mean()) for each in measures(made)["fine detail"].values()]
    assert means == pytest.approx(expected)
