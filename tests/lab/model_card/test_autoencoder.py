"""What is measured of an autoencoder tells one that keeps everything from one that is blind to hue."""

import pytest
import torch
from torch.nn import functional

from sdilib.lab.model_card.autoencoder import measure_autoencoder
from sdilib.lab.model_card.guidance import SCALES, TIMES, UPDATED, inverted_noise, one_update


class Whole:
    """Latents that are the pixels of each cell, rearranged: nothing is lost, and all is linear."""

    def encode(self, images):
        return functional.pixel_unshuffle(2 * images - 1, 4)

    def decode(self, latents):
        return (functional.pixel_shuffle(latents, 4) + 1) / 2


class Grey(Whole):
    """Blind to hue."""

    def encode(self, images):
        return super().encode(images.mean(1, keepdim=True).expand_as(images))


@pytest.fixture(scope="module")
def measured():
    return {
        kind.__name__: measure_autoencoder(kind(), image_size=32, count=48)
        for kind in (Whole, Grey)
    }


def test_one_that_keeps_everything_reaches_every_bar(measured):
    whole = measured["Whole"]
    assert min(whole["dB"].values()) > 80
    assert whole["fine detail"] == pytest.approx(1, abs=1e-3)
    assert min(whole["linear colour"].values()) > 0.999
    assert whole["mixes"]["falling"] == 1
    assert whole["mixes"]["largest rise"] <= 0
    assert whole["from grey"]["dB of 4 x 4 means"] > 40
    assert whole["from grey"]["object's colour off by"] < 0.005


def test_one_that_is_blind_to_hue_is_found_out_by_chroma_and_by_the_way_back(measured):
    whole, grey = measured["Whole"], measured["Grey"]
    assert grey["dB"]["renders"] < 40
    assert grey["dB"]["strongly coloured background"] < grey["dB"]["renders"] - 3
    assert grey["linear colour"]["Y"] > 0.7 > 0.5 > grey["linear colour"]["Q"]
    assert grey["from grey"]["mean colour off by"] > 3 * whole["from grey"]["mean colour off by"]


def test_the_noise_of_inversions_is_measured_on_the_models_own_way(tiny):
    found = inverted_noise(tiny, ["a red mug", "a cat"], [0, 1])
    assert list(found) == [f"{t:.1f}" for t in TIMES]
    for of in found.values():
        assert 0 < of["least"] <= of["mean"] <= of["most"]
    assert found == inverted_noise(tiny, ["a red mug", "a cat"], [0, 1])


def test_one_update_is_measured_for_each_gamma_kappa_and_t(tiny):
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = one_update(tiny, images, ["a red mug", "a cat"])
    assert len(found) == 3 * len(SCALES)
    assert all(list(row) == [f"{t:g}" for t in UPDATED] for row in found.values())
    # Where the inversion would begin above t, its noise is drawn; else it is found.
    assert found["γ = 3, inverted"] != found["γ = 3, random"]
    assert found == one_update(tiny, images, ["a red mug", "a cat"])
