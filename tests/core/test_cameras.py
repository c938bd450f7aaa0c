"""Cameras: the rays are the world's, to the pixel, and so are the words for the views."""

import numpy as np
import pytest
import torch

from sdilib.cameras import OVERHEAD_DEGREES, VIEWS, Camera, sample_cameras
from sdilib.lab.world.render import _frame
from sdilib.lab.world.scene import WorldCamera
from sdilib.seeds import generator as generator_at

POSES = [
    (0.0, 0.0, 3.6, 40.0),
    (35.0, 25.0, 3.4, 41.0),
    (-100.0, -8.0, 3.9, 37.0),
    (180, 80, 2, 70),
]


def cameras(poses):
    return Camera(*torch.tensor(poses, dtype=torch.float64).T)


def test_rays_are_the_worlds():
    rays = cameras(POSES).rays(6, 4, dtype=torch.float64)
    for item, pose in enumerate(POSES):
        frame = np.array(_frame(WorldCamera(*map(float, pose))))
        position, right, up, forward = frame[:12].reshape(4, 3)
        for row in range(6):
            for column in range(4):
                # The world's own two lines, for one pixel.
                scale = 2.0 * frame[12] / 6
                v, u = (0.5 * 6 - row - 0.5) * scale, (column + 0.5 - 0.5 * 4) * scale
                along = forward + u * right + v * up
                length = np.linalg.norm(along)
                np.testing.assert_allclose(rays.origins[item, row, column], position, atol=1e-14)
                np.testing.assert_allclose(
                    rays.directions[item, row, column], along / length, atol=1e-14
                )
                assert float(rays.cosines[item, row, column]) == pytest.approx(1 / length)


def test_axes_are_right_up_and_back_of_the_view():
    camera = cameras([(0.0, 0.0, 3.6, 40.0), (90.0, 0.0, 3.6, 40.0)])
    expected = [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, -1], [0, 1, 0], [1, 0, 0]]]
    torch.testing.assert_close(camera.axes, torch.tensor(expected, dtype=torch.float64))
    axes = cameras(POSES).axes
    torch.testing.assert_close(
        axes @ axes.mT, torch.eye(3, dtype=torch.float64).expand(len(POSES), 3, 3)
    )


def test_words_are_the_worlds():
    poses = [(a, e, 3.6, 40.0) for a in range(-360, 400, 15) for e in (-20, 0, 59, 60, 85)]
    words = [WorldCamera(*map(float, pose)).view for pose in poses]
    assert cameras(poses).views == tuple(words)
    assert set(words) == {"front", "side", "back", "overhead"}


def test_samples_keep_to_their_ranges_and_share():
    camera = sample_cameras(4000, generator_at(0, 0, "camera"), overhead_share=0.25)
    assert abs(float(camera.azimuth_degrees.mean())) < 8  # 104 / sqrt(4000) = 1.6 a deviation
    assert float(camera.azimuth_degrees.abs().max()) <= 180
    above = camera.elevation_degrees >= 60
    assert float(above.double().mean()) == pytest.approx(0.25, abs=0.03)
    level = camera.elevation_degrees[~above]
    assert -8 <= float(level.min()) < -7
    assert 44 < float(level.max()) <= 45
    for values, (low, high) in ((camera.distance, (3.3, 3.9)), (camera.fov_degrees, (37.0, 43.0))):
        assert low <= float(values.min()) < float(values.max()) <= high


def test_antipodal_cameras_come_in_pairs_from_opposite_sides():
    draw = {"overhead_share": 0.5}
    camera = sample_cameras(5, generator_at(0, 0, "camera"), **draw, antipodal=True)
    free = sample_cameras(5, generator_at(0, 0, "camera"), **draw)
    for one, other in ((0, 1), (2, 3)):
        turned = camera.azimuth_degrees[other] - camera.azimuth_degrees[one]
        assert float(turned) == pytest.approx(180)
        assert camera.elevation_degrees[other] == camera.elevation_degrees[one]
    for name in ("distance", "fov_degrees"):  # each camera's own
        assert torch.equal(getattr(camera, name), getattr(free, name))
    for i in (0, 2, 4):  # the first of a pair, and one without another, are as without
        assert camera.azimuth_degrees[i] == free.azimuth_degrees[i]


def test_an_item_draws_what_it_would_draw_alone():
    each = [generator_at(0, 3, "camera", item) for item in range(3)]
    together = sample_cameras(3, each)
    alone = sample_cameras(1, [generator_at(0, 3, "camera", 1)])
    for name in ("azimuth_degrees", "elevation_degrees", "distance", "fov_degrees"):
        assert float(getattr(together, name)[1]) == float(getattr(alone, name)[0])


def test_how_much_of_each_view_a_view_is():
    camera = Camera.around([0, 45, -90, 120, 180, -360])
    expected = [
        [1, 0, 0, 0],
        [0.5, 0.5, 0, 0],
        [0, 1, 0, 0],
        [0, 2 / 3, 1 / 3, 0],
        [0, 0, 1, 0],
        [1, 0, 0, 0],
    ]
    torch.testing.assert_close(camera.view_shares, torch.tensor(expected, dtype=torch.float64))
    above = Camera.around([0, 100], elevation_degrees=OVERHEAD_DEGREES)
    assert above.view_shares.tolist() == [[0, 0, 0, 1]] * 2
    assert VIEWS == ("front", "side", "back", "overhead")  # the columns
