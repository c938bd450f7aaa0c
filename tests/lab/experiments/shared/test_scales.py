"""One sweep of guidance scales, and its numbers against gamma."""

import pytest
import torch

from sdilib.lab.experiments.shared.drawing import Figure
from sdilib.lab.experiments.shared.scales import draw_against, sweep
from sdilib.lab.images import ddim_images


def test_a_sweep_samples_the_same_noise_at_each_scale(tiny):
    work = (tiny, ["a red mug", "a cat"], [0, 3])
    made = sweep(*work, scales=(1.0, 7.5), num_steps=2)
    assert [(name, run.num_forwards) for name, run in made.items()] == [("1", 2.0), ("7.5", 4.0)]
    alone = ddim_images(*work, num_steps=2, guidance_scale=7.5)
    assert torch.equal(made["7.5"].latents, alone.latents)


def test_items_are_ticks_and_their_means_a_line():
    axes = Figure().subplots()
    numbers = {"1": torch.tensor([1.0, 3.0]), "7.5": torch.tensor([4.0, 5.0, 6.0])}
    draw_against(axes, (1.0, 7.5), numbers, "fit")
    low, high, means = axes.lines
    assert list(low.get_xdata()) == [1.0, 1.0]
    assert list(high.get_ydata()) == [4.0, 5.0, 6.0]
    assert list(means.get_ydata()) == pytest.approx([2.0, 5.0])
    assert axes.get_title(loc="left") == "fit"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "7.5"]
