"""3D objects are measured against the world's own: the truth itself scores as it must."""

import numpy as np
import pytest
import torch

from sdilib.cameras import Camera
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.studies.objects import (
    AZIMUTHS,
    ELEVATION,
    Looked,
    best_iou,
    looked_at,
    measures,
    pictured,
)
from sdilib.lab.world.render import WorldCamera, WorldScene, render_batch
from sdilib.nerf.scene import NeRFScene

PROMPT = "a red spotted mushroom"


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator.from_pretrained()


def truth(name="mushroom", *, turn=0.0, distance=3.6, colour="red", pattern="spotted"):
    scenes = [
        WorldScene(name, colour, pattern, WorldCamera(azimuth + turn, ELEVATION, distance))
        for azimuth in AZIMUTHS
    ]
    images, silhouettes, _ = render_batch(scenes)
    return Looked(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(silhouettes))


def test_the_true_object_has_the_true_numbers(evaluator):
    found = measures({"truth": [truth()]}, [PROMPT], evaluator)
    values = {name: float(each["truth"]) for name, each in found.items()}
    assert values["object"] == values["colour"] == 1.0
    assert min(values["pattern"], values["view"]) > 0.9
    assert values["IoU"] == values["saturation"] == values["fine detail"] == pytest.approx(1.0)
    # Unbiased for independent draws; views at equal turns are more alike than those.
    assert -0.8 < values["kernel distance"] < 0.3


def test_another_object_is_seen_to_be_another(evaluator):
    found = measures({"car": [truth("car", colour="blue")]}, [PROMPT], evaluator)
    assert float(found["object"]["car"]) == float(found["colour"]["car"]) == 0.0
    assert float(found["IoU"]["car"]) < 0.75
    assert float(found["kernel distance"]["car"]) > 1.0


def test_neither_a_turn_nor_a_scale_lowers_the_overlap():
    for changed in (truth("mug", turn=45.0), truth("mug", distance=3.6 / 1.08**2)):
        assert best_iou(changed.opacity, "mug") > 0.98


def test_the_overlap_is_that_of_one_turn_for_all_views():
    # Half of the views turned the other way: no turn of the whole object explains them.
    mixed = truth("teapot").opacity.clone()
    mixed[::2] = truth("teapot", turn=180.0).opacity[::2]
    assert best_iou(mixed, "teapot") < 0.96


def test_a_run_that_diverged_counts_as_the_empty_picture(evaluator):
    empty = looked_at(None)
    assert empty.empty
    found = measures({"SDI": [empty]}, [PROMPT], evaluator)
    assert float(found["IoU"]["SDI"]) == 0.0
    assert float(found["saturation"]["SDI"]) < 0.01
    assert all(bool(each["SDI"].isfinite().all()) for each in found.values())


def test_without_an_evaluator_only_plain_numbers_are_measured():
    assert set(measures({"SDI": [truth()]}, ["a ninja"], None)) == {"saturation", "fine detail"}


def test_two_objects_are_pictured_from_four_sides_and_one_from_eight():
    first, second = truth(), truth("car")
    rows, columns = pictured({"SDI": [first, second]}, [PROMPT, "a red car"])
    assert torch.equal(rows["SDI"][1], first.images[5])
    assert torch.equal(rows["SDI"][4], second.images[1])
    assert columns[:2] == ["a red spotted mushroom 22°", "112°"]
    assert columns[4] == "a red car 22°"
    rows, columns = pictured({"SDI": [first]}, [PROMPT])
    assert torch.equal(rows["SDI"][1], first.images[3])
    assert len(rows["SDI"]) == len(columns) == 8


def test_a_scene_is_looked_at_from_all_around(make_scene):
    seen = looked_at(make_scene())
    assert seen.images.shape == (16, 3, 16, 16)
    assert not seen.empty
    assert np.isfinite(seen.opacity.numpy()).all()


@pytest.fixture
def make_scene():
    from sdilib.nerf.field import NeRF

    return lambda: NeRFScene(NeRF(), Camera.around([0]), height=16, width=16, num_samples=16)
