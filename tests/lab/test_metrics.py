"""The network-free metrics, on images whose numbers are known."""

import math

import pytest
import torch

from sdilib.lab.metrics import high_frequency_energy, psnr, saturation


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
