"""The nearest member of a family is the one that was drawn."""

import numpy as np
import pytest

from sdilib.world.nearest import nearest, rendered
from sdilib.world.scene import WorldCamera, WorldScene

CAMERAS = [WorldCamera(azimuth, 15.0) for azimuth in (0.0, 72.0, 144.0, 216.0, 288.0)]


@pytest.mark.parametrize(("name", "pattern"), [("mushroom", "plain"), ("teapot", "striped")])
def test_the_member_that_was_drawn_is_found_again(name, pattern):
    scene = WorldScene.drawn(name, "blue", pattern, np.random.default_rng(5))
    images, covers = rendered(scene, CAMERAS, size=1.1)
    found = nearest(images, covers, CAMERAS, name=name, colour="blue", pattern=pattern)
    assert found.iou > 0.95
    assert abs(found.size * found.scene.stretch / (1.1 * scene.stretch) - 1.0) < 0.06
    assert np.abs(np.subtract(found.scene.member.shape, scene.member.shape)).mean() < 0.25
    assert found.colour_error < 0.08


def test_a_floater_changes_little():
    scene = WorldScene.drawn("mug", "red", "plain", np.random.default_rng(6))
    images, covers = rendered(scene, CAMERAS)
    clean = nearest(images, covers, CAMERAS, name="mug", colour="red", pattern="plain")
    covers = covers.copy()
    covers[:, :5, :5] = 1.0
    dirty = nearest(images, covers, CAMERAS, name="mug", colour="red", pattern="plain")
    moved = np.subtract(dirty.scene.member.shape, clean.scene.member.shape)
    assert np.abs(moved).max() < 0.3


def test_views_and_cameras_have_to_be_as_many():
    images, covers = rendered(WorldScene("mug", "red", "plain", CAMERAS[0]), CAMERAS)
    with pytest.raises(ValueError, match="cameras=1: expected one for each of 5 views"):
        nearest(images, covers, CAMERAS[:1], name="mug", colour="red", pattern="plain")
