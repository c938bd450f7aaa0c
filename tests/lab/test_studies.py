"""The figures' claims follow the numbers, whichever way they point."""

import dataclasses

import pytest
import torch

from sdilib.lab.studies.plane import plane_claims
from sdilib.lab.studies.teaser import same_sampler, teaser_claims, teaser_measures
from sdilib.lab.studies.toy import practised_sds, ring, toy_paths, update_errors
from sdilib.text_to_image import Generated

PROMPTS = [f"prompt {i}" for i in range(8)]


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
        "SDS, γ = 7.5": (0.05, 0.4),
        "SDS, γ = 100": (0.2, 0.9),
        "SDI, inverted κ": (0.18, 0.42),
        "SDI, inverted unit κ": (0.21, 0.38),
    }
    runs = {n: pictures(generator, detail=d, colour=c) for n, (d, c) in like.items()}
    return runs | {"SDI, cached κ": runs["DDIM"]}


def test_images_as_the_paper_has_them_hold_all_claims(made):
    verdicts = {
        claim.claim: claim.holds for claim in teaser_claims(made, teaser_measures(made), PROMPTS)
    }
    assert set(verdicts.values()) == {True}
    assert len(verdicts) == 8


def test_the_opposite_images_hold_none(made, generator):
    swapped = made | {
        "SDS, γ = 7.5": made["SDI, inverted κ"],
        "SDS, γ = 100": pictures(generator, detail=0.05, colour=0.3),
        "DDIM": made["SDS, γ = 7.5"],
        "SDI, inverted κ": made["SDS, γ = 100"],
        "SDI, inverted unit κ": made["SDS, γ = 100"],
    }
    assert {claim.holds for claim in teaser_claims(swapped, teaser_measures(swapped), PROMPTS)} == {
        False
    }


def test_one_prompt_decides_nothing(made):
    none = torch.zeros(1, 0)
    one = {
        name: Generated(run.images[:1], run.latents[:1], 2.0, 0.1, run.residuals[:1], none)
        for name, run in made.items()
    }
    *claims, identity = teaser_claims(one, teaser_measures(one), PROMPTS[:1])
    assert {claim.holds for claim in claims} == {None}
    assert identity.holds  # an identity needs no statistics


def test_the_same_sampler_is_recognised_by_its_latents(made):
    other = dataclasses.replace(made["DDIM"], latents=made["DDIM"].latents * 1.01)
    assert same_sampler(made["DDIM"], made["DDIM"]).holds
    assert not same_sampler(made["DDIM"], other).holds


def test_the_plane_holds_all_but_inversion_from_the_average():
    mixture, sizes = ring(), {"num_points": 16, "num_steps": 30}
    paths, late = toy_paths(mixture, **sizes), toy_paths(mixture, t_from=0.2, **sizes)
    practised = practised_sds(mixture, num_points=16, num_steps=200)
    _, errors = update_errors(mixture, **sizes)
    claims = plane_claims(mixture, paths, late, practised, errors)
    assert [claim.holds for claim in claims] == [True, True, True, False, True]
