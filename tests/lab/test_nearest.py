"""The nearest member of a family is the one that was drawn, and a family is covered by those that differ as it does."""

import numpy as np
import pytest

from sdilib.lab.world.nearest import mode_coverage, nearest, rendered
from sdilib.lab.world.scene import Member, WorldCamera, WorldScene

CAMERAS = [WorldCamera(azimuth, 15.0) for azimuth in (0.0, 100.0, 220.0)]


@pytest.mark.parametrize(("name", "pattern"), [("mushroom", "plain"), ("teapot", "striped")])
def test_the_member_that_was_drawn_is_found_again(name, pattern):
    scene = WorldScene.drawn(name, "blue", pattern, np.random.default_rng(5))
    images, covers = rendered(scene, CAMERAS, size=1.1)
    found = nearest(images, covers, CAMERAS, name=name, colour="blue", pattern=pattern)
    assert found.iou > 0.95
    assert abs(found.size * found.scene.stretch / (1.1 * scene.stretch) - 1.0) < 0.06
    assert np.abs(np.subtract(found.scene.member.shape, scene.member.shape)).mean() < 0.25
    assert found.colour_error < 0.13  # what is left is the grain, and edges of stripes


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
    with pytest.raises(ValueError, match="cameras=1: expected one for each of 3 views"):
        nearest(images, covers, CAMERAS[:1], name="mug", colour="red", pattern="plain")


def test_members_that_differ_as_the_worlds_do_cover_their_family():
    random = np.random.default_rng(7)
    members = [Member.drawn(random) for _ in range(40)]
    whole = mode_coverage(members)
    assert whole.spread == pytest.approx([1.0] * 7, abs=0.25)
    assert whole.recall == pytest.approx(whole.expected, abs=0.12)
    near = [Member(shape=tuple(0.2 * x for x in member.shape)) for member in members]
    one_mode = mode_coverage(near)
    assert max(one_mode.spread[:4]) < 0.3
    assert one_mode.spread[4:] == (0.0, 0.0, 0.0)
    assert one_mode.recall < 0.5 * one_mode.expected


def test_a_few_members_cover_nothing_that_could_be_measured():
    with pytest.raises(ValueError, match="members=3: expected more than neighbours=3"):
        mode_coverage([Member()] * 3)
