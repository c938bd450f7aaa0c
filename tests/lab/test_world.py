"""The world: pictures agree with the signed distance, and scene i is scene i."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from made_up import render_world

from sdilib.cameras import VIEWS
from sdilib.lab.world.captions import OPENINGS, WORDS, caption, is_held_out, prompt
from sdilib.lab.world.dataset import make_dataset, random_scene, scene_labels
from sdilib.lab.world.kinds import COLOURS, NUM_SHAPE, OBJECT_NAMES, PATTERNS, RADIUS, SHADES
from sdilib.lab.world.objects import colour_at, signed_distance
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import BACKGROUND, Light, Member, WorldCamera, WorldScene

ALL = [(name, c, p) for name in OBJECT_NAMES for c in COLOURS for p in PATTERNS]


def some(name, seed):
    """A member of an object's family."""
    return WorldScene.drawn(name, "red", "plain", np.random.default_rng([seed, 1]))


def rays(camera, size):
    """Origin and unit directions of a picture's rays, by rotation matrices: the obvious way."""
    a, e = np.radians(camera.azimuth_degrees), np.radians(camera.elevation_degrees)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    # Elevation turns the camera, at first on +z, about x; azimuth then about y.
    pose = turn @ tilt.T
    pixel = (np.arange(size) + 0.5) / size * 2 - 1
    half = np.tan(np.radians(camera.fov_degrees) / 2)
    x, y = np.meshgrid(pixel * half, -pixel * half)
    directions = np.stack([x, y, -np.ones_like(x)], axis=-1).reshape(-1, 3) @ pose.T
    return pose @ np.array([0, 0, camera.distance]), directions


def march(scene, size):
    """Depth of the first point within the tracer's tolerance, by equal steps along each ray; inf if there is none."""
    origin, directions = rays(scene.camera, size)
    depth = np.full(len(directions), np.inf)
    for z in np.arange(scene.camera.distance - 1.4, scene.camera.distance + 1.4, 0.004):
        inside = signed_distance(scene, origin + z * directions) < 5e-4
        depth = np.where(inside & np.isinf(depth), z, depth)
    return depth.reshape(size, size)


@pytest.mark.parametrize("name", OBJECT_NAMES)
def test_silhouette_and_depth_are_those_of_the_signed_distance(name):
    scene = replace(
        some(name, 3), camera=WorldCamera(35.0, 25.0, distance=3.4, fov_degrees=41.0), stretch=1.05
    )
    drawn = render_world(scene, height=24, width=24)
    truth = march(scene, 24)
    # Steps of 0.004 miss what a ray only grazes: a pixel or two of 576.
    assert (np.isfinite(drawn.depth) != np.isfinite(truth)).mean() < 0.004
    both = np.isfinite(drawn.depth) & np.isfinite(truth)
    assert both.mean() > 0.1
    # The march stops up to one step behind the surface; grazing rays may differ by more.
    behind = truth[both] - drawn.depth[both]
    assert np.mean((behind > -0.003) & (behind < 0.013)) > 0.97


def test_picture_shows_the_ground_truth_colour_of_the_surface_points():
    camera = WorldCamera(20.0, 20.0)
    scene = WorldScene("mushroom", "blue", "spotted", camera)
    scene = replace(scene, member=Member(grain=(0.0, 0.5, 0.5, 0.1)), light=Light(-60.0, 30.0))
    drawn = render_world(scene, height=48, width=48)
    origin, directions = rays(camera, 48)
    hit = np.isfinite(drawn.depth.ravel())
    points = origin + drawn.depth.ravel()[hit, None].astype(float) * directions[hit]
    assert np.abs(signed_distance(scene, points)).max() < 2e-3
    truth = colour_at(scene, points)
    error = np.abs(truth - drawn.image.reshape(-1, 3)[hit]).max(axis=1)
    # Pixels at an edge are averages of four rays.
    assert np.mean(error < 0.02) > 0.5
    flat = colour_at(scene, points, shaded=False)
    assert np.all(truth <= flat + 1e-9)


def test_background_is_the_named_grey_and_the_silhouette_is_a_share():
    drawn = render_world(
        WorldScene("mug", "teal", "striped", WorldCamera(0.0, 10.0)), height=40, width=52
    )
    assert drawn.image.shape == (40, 52, 3)
    np.testing.assert_allclose(drawn.image[drawn.silhouette == 0], BACKGROUND, atol=1e-6)
    assert set(np.unique(drawn.silhouette)) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert 0 < np.mean((drawn.silhouette > 0) & (drawn.silhouette < 1)) < 0.2


@pytest.mark.parametrize("name", OBJECT_NAMES)
def test_objects_lie_inside_their_ball_and_the_distance_is_a_lower_bound(name):
    random = np.random.default_rng(0)
    directions = random.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # A true distance changes by no more than the way between two points.
    a = random.uniform(-1.1, 1.1, size=(4000, 3))
    b = a + 0.02 * directions
    corners = product((-1.0, 1.0), repeat=NUM_SHAPE)
    for shape in ((0.0,) * NUM_SHAPE, *corners):
        scene = WorldScene(name, "red", "plain", WorldCamera(0.0, 0.0), member=Member(shape=shape))
        assert (signed_distance(scene, directions * RADIUS) > 0).all(), shape
        before, after = signed_distance(scene, a), signed_distance(scene, b)
        outside = np.minimum(before, after) > 0
        assert np.quantile(np.abs(before - after)[outside] / 0.02, 0.999) < 1.06, shape


def test_stretch_scales_the_object_along_y():
    points = np.random.default_rng(1).uniform(-1.1, 1.1, size=(3000, 3))
    scene = some("snowman", 0)
    tall = signed_distance(replace(scene, stretch=1.3), points * [1.0, 1.3, 1.0])
    usual = signed_distance(replace(scene, stretch=1.0), points)
    np.testing.assert_allclose(tall, usual, atol=1e-12)


@pytest.mark.parametrize("name", OBJECT_NAMES)
def test_every_number_of_the_shape_is_seen(name):
    for which in range(NUM_SHAPE):
        low, high = (tuple(end * (i == which) for i in range(NUM_SHAPE)) for end in (-1.0, 1.0))
        scenes = [
            WorldScene(name, "red", "plain", WorldCamera(azimuth, 15.0), member=Member(shape=shape))
            for shape in (low, high)
            for azimuth in (25.0, 115.0)
        ]
        images, _, _ = render_batch(scenes, height=48, width=48)
        assert (np.abs(images[:2] - images[2:]).max(3) > 0.05).sum() >= 8, which


def test_what_the_prompt_leaves_open_is_drawn_over_its_whole_range():
    scenes = [random_scene(0, i)[0] for i in range(400)]
    shapes = np.array([s.member.shape for s in scenes])
    assert np.abs(np.abs(shapes).max(0) - 1.0).max() < 0.02
    assert np.abs(np.corrcoef(shapes.T) - np.eye(NUM_SHAPE)).max() < 0.2
    values = np.array([s.background.top for s in scenes])
    assert values.min() < 0.2
    assert values.max() > 0.95
    plain = np.mean([s.background.top == s.background.bottom for s in scenes])
    assert 0.4 < plain < 0.6


def test_paint_is_muted_so_that_there_is_room_above():
    paints = np.array(
        [SHADES[s.colour].at(s.member.paint) for s, _ in (random_scene(0, i) for i in range(2000))]
    )
    saturation = 1.0 - paints.min(1) / paints.max(1)
    assert 0.3 < saturation.mean() < 0.5


def test_the_grain_is_fixed_in_space_and_the_second_view_sees_the_same():
    grained = Member(grain=(1.0, 0.0, 0.0, 0.3))
    scene = WorldScene("mushroom", "teal", "plain", WorldCamera(0.0, 10.0), member=grained)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, size=(50, 3))
    turned = replace(scene, camera=WorldCamera(140.0, 50.0))
    np.testing.assert_array_equal(colour_at(scene, points), colour_at(turned, points))
    smooth = replace(scene, member=Member())
    assert colour_at(scene, points, shaded=False).std(0).max() > 0.02
    assert (
        colour_at(smooth, points[:, :] * 0.01 + [0.0, 0.5, 0.0], shaded=False).std(0).max() < 1e-9
    )


def test_drawing_together_is_drawing_alone():
    scenes = [random_scene(3, i)[0] for i in range(5)]
    together, _, _ = render_batch(scenes, height=32, width=32)
    for scene, image in zip(reversed(scenes), together[::-1], strict=True):
        np.testing.assert_array_equal(render_world(scene, height=32, width=32).image, image)


def test_scene_i_is_the_same_whatever_was_drawn_before():
    first = [random_scene(7, i) for i in range(6)]
    assert [random_scene(7, i) for i in reversed(range(6))] == first[::-1]
    assert first != [random_scene(8, i) for i in range(6)]


def test_front_view_shows_the_front():
    # A cottage's door is seen from the front only.
    def dark(azimuth):
        image = render_world(
            WorldScene("cottage", "yellow", "plain", WorldCamera(azimuth, 5.0))
        ).image
        return (image[34:].max(axis=-1) < 0.3).sum()

    assert dark(0.0) > 30
    assert dark(180.0) == dark(90.0) == 0


@pytest.mark.parametrize(
    ("azimuth", "elevation", "view"),
    [
        (0, 10, "front"),
        (-44, 10, "front"),
        (46, 10, "side"),
        (-134, 10, "side"),
        (90, 0, "side"),
        (-100, 20, "side"),
        (180, 0, "back"),
        (-170, 30, "back"),
        (500, 0, "back"),
        (0, 60, "overhead"),
        (180, 80, "overhead"),
    ],
)
def test_view_words_follow_azimuth_and_elevation(azimuth, elevation, view):
    assert WorldCamera(float(azimuth), float(elevation)).view == view


def test_held_out_combinations_are_few_and_never_drawn():
    held = [c for c in ALL if is_held_out(*c)]
    assert 0.05 < len(held) / len(ALL) < 0.11
    drawn = [random_scene(0, i)[0] for i in range(3000)]
    assert not any(is_held_out(s.name, s.colour, s.pattern) for s in drawn)
    unseen = [random_scene(0, i, held_out=True)[0] for i in range(50)]
    assert all(is_held_out(s.name, s.colour, s.pattern) for s in unseen)
    # Each word is still seen in training, with all others but few.
    assert {s.name for s in drawn} == set(OBJECT_NAMES)
    assert {s.colour for s in drawn} == set(COLOURS)
    assert {s.pattern for s in drawn} == set(PATTERNS)


def test_captions_use_the_vocabulary_and_sometimes_leave_things_out():
    drawn = [random_scene(1, i) for i in range(2000)]
    texts = [text for _, text in drawn]
    used = {word for text in texts for word in text.replace(",", " ,").split()}
    assert used == set(WORDS)
    assert 0.70 < np.mean([" view" in text for text in texts]) < 0.80
    assert (
        0.12 < np.mean([s.colour not in t or s.pattern not in t + "plain" for s, t in drawn]) < 0.25
    )
    assert all(scene.name in text for scene, text in drawn)
    assert {o for o in OPENINGS if any(t.startswith(o) for t in texts)} == set(OPENINGS)


def test_caption_says_what_the_scene_shows():
    scene = WorldScene("ice cream", "orange", "checkered", WorldCamera(90.0, 0.0))
    said = {caption(scene, np.random.default_rng(i)) for i in range(200)}
    assert "a photo of an orange checkered ice cream, side view" in said
    assert not any(view in text for text in said for view in set(VIEWS) - {"side"})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: prompt("mugg", "red"), "name='mugg': expected one of .* did you mean mug"),
        (lambda: prompt("mug", "reed"), "colour='reed'.*did you mean red"),
        (lambda: prompt("mug", "red", view="top"), "view='top': expected one of front"),
        (lambda: WorldScene("tree", "red", "plain", WorldCamera(0.0, 0.0)), "name='tree'"),
        (lambda: Member(shape=(0.0,)), "shape=.*expected 4 numbers"),
        (lambda: Member(tilt=(0.0, 2.0)), "tilt=2.0"),
        (lambda: WorldCamera(0.0, 0.0, distance=1.0), "distance=1.0: expected a number in"),
        (lambda: WorldCamera(0.0, 95.0), "elevation_degrees=95.0"),
        (lambda: random_scene(0, -1), "index=-1: expected an integer of at least 0"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_dataset_is_made_once_and_holds_the_scenes(tmp_path):
    data = make_dataset(tmp_path / "data", count=20, image_size=16, seed=5)
    stamp = (tmp_path / "data" / "images.npy").stat().st_mtime_ns
    again = make_dataset(tmp_path / "data", count=20, image_size=16, seed=5)
    assert (tmp_path / "data" / "images.npy").stat().st_mtime_ns == stamp
    scene, text = random_scene(5, 13)
    assert again.captions[13] == text
    assert tuple(data.labels[13]) == scene_labels(scene)
    picture = render_world(scene, height=16, width=16).image
    np.testing.assert_array_equal(data.images[13], (picture * 255).round().astype(np.uint8))
    assert data.images.shape == (20, 16, 16, 3)
    with pytest.raises(ValueError, match=r"folder='.*data': expected .*\(there: count=20\)"):
        make_dataset(tmp_path / "data", count=24, image_size=16, seed=5)
    assert (tmp_path / "data" / "images.npy").stat().st_mtime_ns == stamp
