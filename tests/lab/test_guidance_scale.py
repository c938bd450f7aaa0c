"""A model's own guidance scale: the samples judged are DDIM's, and the γ named is where the numbers say."""

import pytest
import torch

from sdilib.lab.guidance_scale import GuidanceSweep, guidance_sweep
from sdilib.lab.images import ddim_images

PROMPTS, SEEDS = ["a red mug", "a blue rocket"], [0, 1]


class Judge:
    """Sees colour where an image's red exceeds a half, and names no pattern."""

    def features(self, images):
        return images.flatten(1)

    def accuracy(self, images, prompts):
        right = (images[:, 0].mean((1, 2)) > 0.5).float()
        return {
            "object": torch.ones(len(images)),
            "colour": right,
            "pattern": torch.full_like(right, float("nan")),
            "view": torch.zeros(len(images)),
        }


def test_samples_of_the_same_noise_are_judged_at_each_scale(tiny):
    references = torch.full((3, 3, *(tiny.factor * s for s in tiny.latent_shape[1:])), 0.5)
    judge = Judge()
    settings = {"scales": (1.0, 7.5), "num_steps": 2}
    found = guidance_sweep(tiny, judge, PROMPTS, SEEDS, references, **settings)
    assert found.num_forwards == 2 * (2 + 4)
    for k, scale in enumerate(found.scales):
        images = ddim_images(tiny, PROMPTS, SEEDS, num_steps=2, guidance_scale=scale).images
        expected = judge.accuracy(images, PROMPTS)["colour"]
        torch.testing.assert_close(found.shown[:, k], expected.double())
    assert found.table()["γ"] == [1.0, 7.5]


def test_the_best_is_nearest_to_renders_and_the_least_shows_its_words():
    shown = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 0]]).double()
    found = GuidanceSweep(
        (1.0, 2.0, 3.0, 7.5), shown, torch.tensor([9.0, 4.0, 5.0, 8.0]).double(), 0
    )
    assert (found.best, found.least) == (2.0, 3.0)


@pytest.mark.parametrize("scales", [(), (3.0, 1.0), (1.0, 1.0)])
def test_scales_that_do_not_rise_are_refused(tiny, scales):
    with pytest.raises(ValueError, match=r"^scales=\[.*\]: expected rising numbers"):
        guidance_sweep(tiny, Judge(), PROMPTS, SEEDS, torch.zeros(2, 3, 16, 16), scales=scales)
