"""What is drawn in inches stands where it was put, and a pattern is shown free of its scale."""

import pytest
import torch

from sdilib.lab.experiments.shared.canvas import canvas, noise_images, picture
from sdilib.lab.experiments.shared.drawing import WIDTH


def test_a_picture_stands_where_it_was_put_and_leaves_the_unit_an_inch():
    figure, axes = canvas(2.0)
    picture(axes, torch.rand(3, 8, 8), 1.0, 1.5, 0.5, frame="black")
    figure.draw_without_rendering()
    assert axes.get_xlim() == (0, WIDTH)
    box = axes.images[0].get_window_extent()
    inches = [edge / figure.dpi for edge in (box.x0, box.x1, box.y0, box.y1)]
    assert inches == pytest.approx([0.75, 1.25, 1.25, 1.75])
    assert axes.patches[0].get_bbox().bounds == (0.75, 1.25, 0.5, 0.5)


def test_a_pattern_is_shown_free_of_its_scale_and_offset(generator, on_a_device):
    kappa = torch.randn(2, 4, 6, 6, generator=generator)
    shown = noise_images(kappa)
    assert shown.shape == (2, 3, 24, 24)
    torch.testing.assert_close(noise_images(3 * kappa - 1), shown)
    assert noise_images(on_a_device(kappa)).numpy().tolist() == shown.tolist()
    assert ((shown >= 0) & (shown <= 1)).all()
    assert shown.mean() == pytest.approx(0.5, abs=0.01)
    assert (shown[..., :4, :4] == shown[..., :1, :1]).all()
