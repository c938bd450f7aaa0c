"""The network-free metrics, on images whose numbers are known."""

import math

import pytest
import torch

from sdilib.lab.metrics import (
    back_faces,
    chamfer_distance,
    diversity,
    frechet_distance,
    high_frequency_energy,
    psnr,
    saturation,
)


def test_saturation_ignores_pale_dirt_and_refuses_no_share():
    image = torch.full((1, 3, 10, 10), 0.9)
    image[:, :, :2] = torch.tensor([0.8, 0.2, 0.4])[:, None, None]
    clean = saturation(image)
    image[:, 0, 5:] = 0.8
    torch.testing.assert_close(saturation(image), clean)
    assert saturation(image, share=1.0) < clean
    with pytest.raises(ValueError, match="share"):
        saturation(image, share=0.0)


def test_saturation_of_a_flat_colour_is_its_hsv_saturation_and_grey_background_does_not_count():
    image = torch.full((1, 3, 8, 8), 0.92)
    image[:, :, :4] = torch.tensor([0.8, 0.2, 0.4])[:, None, None]
    torch.testing.assert_close(saturation(image), torch.tensor([0.6 / 0.8]))
    assert saturation(torch.full((1, 3, 4, 4), 0.5)) == 0


def test_high_frequency_energy_of_a_checkerboard_is_its_amplitude_and_of_a_flat_image_zero():
    # A 3x3 binomial blur takes a checkerboard to its mean, so all of its amplitude is taken away.
    board = 0.5 + 0.2 * (-1.0) ** (torch.arange(9)[:, None] + torch.arange(9))
    inner = high_frequency_energy(board.expand(1, 3, 9, 9))
    assert 0.17 < float(inner) <= 0.2 + 1e-6  # the replicated border keeps a little
    assert high_frequency_energy(torch.full((1, 3, 9, 9), 0.3)) < 1e-6


def test_blur_lowers_high_frequency_energy(generator):
    image = torch.rand(1, 3, 16, 16, generator=generator)
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    assert high_frequency_energy(blurred) < 0.6 * high_frequency_energy(image)


def test_psnr_is_minus_ten_log_of_the_squared_error():
    a, b = torch.full((1, 3, 2, 2), 0.4), torch.full((1, 3, 2, 2), 0.5)
    torch.testing.assert_close(psnr(a, b), torch.tensor([20.0]))
    assert math.isinf(psnr(a, a))
    torch.testing.assert_close(psnr(a, b + 9), psnr(a, torch.ones_like(b)))


def test_a_frechet_distance_of_few_items_is_refused(generator):
    few = torch.randn(100, 3, generator=generator)
    with pytest.raises(ValueError, match="features=100: expected 2048 items or more"):
        frechet_distance(few, few)
    assert frechet_distance(few, few, at_least=100) == pytest.approx(0, abs=1e-9)


def test_diversity_is_the_mean_distance_of_pairs():
    assert diversity(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)
    assert diversity(torch.ones(4, 2)) == 0
    with pytest.raises(ValueError, match="two items or more"):
        diversity(torch.ones(1, 2))


def test_back_faces_are_fronts_seen_from_behind():
    shown = ["front", "side", "back", "back"]
    assert back_faces(["front", "front", "front", "back"], shown) == 0.5
    assert back_faces(shown, shown) == 0.0
    with pytest.raises(ValueError, match="one from behind among them"):
        back_faces(["front"], ["front"])


def test_chamfer_distance_of_two_spheres_is_the_difference_of_their_radii(generator):
    points = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=1)
    assert chamfer_distance(points, 1.2 * points) == pytest.approx(0.2, abs=0.01)
    half = points[points[:, 0] > 0]  # a half has no point far from the whole, but not the reverse
    assert 0 < chamfer_distance(half, points) == chamfer_distance(points, half)
    with pytest.raises(ValueError, match="at least one point"):
        chamfer_distance(points[:0], points)
