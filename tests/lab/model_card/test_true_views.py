"""The gate of an autoencoder: a NeRF fitted to true views through its encoder alone is the object, in its colours."""

import math

import pytest
import torch
from made_up import render_world

from sdilib.cameras import Camera
from sdilib.guidance import View
from sdilib.lab.model_card.true_views import TrueViews, TrueViewsFit, fit_true_views, true_pictures
from sdilib.lab.world.scene import WorldCamera, WorldScene
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion

TEAL = "a teal teapot"


BLUE = (0.2, 0.4, 0.9)


@pytest.fixture(scope="module")
def fit() -> TrueViewsFit:
    model = StableDiffusion.from_pretrained("mini")
    return fit_true_views(model, TEAL, steps=60, cameras=2, num_samples=48)


def test_the_background_is_the_same_behind_the_fit_and_the_true_views(tiny):
    sizes = {"steps": 1, "cameras": 1, "num_samples": 16, "size": 16}
    fit = fit_true_views(tiny, TEAL, num_views=1, behind=BLUE, **sizes)
    for images in (fit.images, fit.pictures):
        torch.testing.assert_close(images[0, :, 0, 0], torch.tensor(BLUE), atol=1e-2, rtol=0)


def test_a_fit_to_true_views_through_the_encoder_has_their_latents_and_shape(fit):
    assert fit.errors[-1] < 0.5 * fit.errors[0]
    assert fit.iou > 0.9


def test_a_fit_to_true_views_through_the_encoder_has_their_colours(fit):
    assert fit.colour_error < 0.05
    assert fit.psnr > 22


def test_the_target_is_the_latents_of_what_each_camera_sees(tiny):
    camera = Camera.around([20, 200], elevation_degrees=30, distance=3.4, fov_degrees=41)
    prompt, x0 = tiny.embed([TEAL] * 2), torch.zeros(2, 4, 8, 8)
    view = View(prompt, image=torch.zeros(2, 3, 16, 16), camera=camera)
    times, draw = torch.ones(2, dtype=torch.float64), generator(0, 0, "unused")
    update = TrueViews(tiny, TEAL)(x0, times, view, draw)
    cameras = [WorldCamera(azimuth, 30.0, 3.4, 41.0) for azimuth in (20.0, 200.0)]
    scenes = [WorldScene("teapot", "teal", "plain", each) for each in cameras]
    pictures = torch.stack(
        [
            torch.from_numpy(render_world(s, height=16, width=16).image).permute(2, 0, 1)
            for s in scenes
        ]
    )
    with torch.no_grad():
        torch.testing.assert_close(update.target, tiny.encode(pictures))
    torch.testing.assert_close(update.gradient, -update.target)
    assert update.num_forwards == 0
    with pytest.raises(ValueError, match="view='without camera or image': expected one of a scene"):
        TrueViews(tiny, TEAL)(x0, times, View(prompt), draw)


def test_a_fits_numbers_are_of_its_pictures():
    pictures, silhouettes = true_pictures(TEAL, Camera.around([0, 90]), 32)
    same = TrueViewsFit((1.0,), pictures, silhouettes, pictures, silhouettes)
    assert (same.iou, same.colour_error) == (1, 0)
    redder = pictures.clone()
    redder[:, 0] += 0.3
    other = TrueViewsFit((1.0,), redder, 0 * silhouettes, pictures, silhouettes)
    assert other.iou == 0
    assert other.colour_error == pytest.approx(0.3 / 3**0.5, rel=1e-4)
    assert other.psnr == pytest.approx(-10 * math.log10(0.09 / 3), rel=1e-4)
