"""The nearest member of a family is the one that was drawn, and a family is covered by those that differ as it does."""

import numpy as np
import pytest

from sdilib.lab.world.nearest import mode_coverage, nearest_shape, rendered
from sdilib.lab.world.scene import WorldCamera, WorldScene

CAMERAS = [WorldCamera(azimuth, 15.0) for azimuth in (0.0, 100.0, 220.0)]


@pytest.mark.parametrize("name", ["mushroom", "teapot"])
def test_the_member_that_was_drawn_is_found_again(name):
    scene = WorldScene.drawn(name, "blue", "plain", np.random.default_rng(5))
    _, covers = rendered(scene, CAMERAS, size=1.1)
    found, size = nearest_shape(covers, CAMERAS, WorldScene(name, "blue", "plain"))
    seen = rendered(found, CAMERAS, size=size)[1]
    both, either = (seen > 0.5) & (covers > 0.5), (seen > 0.5) | (covers > 0.5)
    assert both.sum() / either.sum() > 0.95
    assert abs(size * found.stretch / (1.1 * scene.stretch) - 1.0) < 0.06
    assert np.abs(np.subtract(found.member.shape, scene.member.shape)).mean() < 0.25


def test_a_floater_changes_little():
    plain = WorldScene("mug", "red", "plain")
    scene = WorldScene.drawn("mug", "red", "plain", np.random.default_rng(6))
    _, covers = rendered(scene, CAMERAS)
    clean, _ = nearest_shape(covers, CAMERAS, plain)
    covers = covers.copy()
    covers[:, :5, :5] = 1.0
    dirty, _ = nearest_shape(covers, CAMERAS, plain)
    moved = np.subtract(dirty.member.shape, clean.member.shape)
    assert np.abs(moved).max() < 0.3


def test_objects_that_differ_as_the_worlds_do_cover_their_family():
    shapes = np.random.default_rng(7).uniform(-1, 1, (40, 4))
    whole = mode_coverage(shapes)
    assert whole.spread == pytest.approx([1.0] * 4, abs=0.25)
    assert whole.recall == pytest.approx(whole.expected, abs=0.12)
    one_mode = mode_coverage(0.2 * shapes)
    assert max(one_mode.spread) < 0.3
    assert one_mode.recall < 0.5 * one_mode.expected
    same = mode_coverage(np.full((5, 4), 0.3))
    assert same.spread == pytest.approx([0.0] * 4)
    assert same.recall == 0


def test_recall_is_the_share_of_the_family_within_reach_of_the_neighbours():
    fitted = np.array([[-0.9], [-0.8], [-0.6], [-0.5]])  # of 2, a union of intervals
    assert mode_coverage(fitted, neighbours=1).recall == pytest.approx(0.3, abs=0.05)
    assert mode_coverage(fitted, neighbours=2).recall == pytest.approx(0.4, abs=0.05)


def test_a_few_objects_cover_nothing_that_could_be_measured():
    with pytest.raises(ValueError, match="fitted=3: expected more rows than neighbours=3"):
        mode_coverage(np.zeros((3, 4)))
