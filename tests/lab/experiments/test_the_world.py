"""The world's page: depths on surfaces, what guidance does by the numbers, and both drawings."""

import numpy as np
import pytest
import torch
from made_up import generated, held, render_world

from sdilib.lab.evaluator import Evaluator
from sdilib.lab.experiments import the_world
from sdilib.lab.experiments.shared.scales import sweep
from sdilib.lab.model_card.quality import balanced_items, renders, scenes_of
from sdilib.lab.world.kinds import OBJECT_NAMES
from sdilib.lab.world.objects import signed_distance
from sdilib.lab.world.scene import WorldCamera, WorldScene


def test_depth_carried_back_lies_on_the_surface():
    numbers = the_world.world_measures(image_size=24)
    assert held(the_world.WORLD_CLAIMS, numbers)[0]
    camera = WorldCamera(70.0, 30.0)
    scene = WorldScene("cat", "red", "plain", camera)
    depth = render_world(scene, height=32, width=32).depth
    points = the_world.surface_points(camera, depth)
    assert np.abs(signed_distance(scene, points)).max() < 2e-3
    # Of another camera the same depths lie elsewhere: the check can fail.
    elsewhere = the_world.surface_points(WorldCamera(60.0, 30.0), depth)
    assert np.abs(signed_distance(scene, elsewhere)).max() > 0.05


class Scripted(Evaluator):
    """Finds the object in every image, and the view in none; nothing else is asked for."""

    def __init__(self):
        """Load nothing."""

    def score(self, images, prompts):
        return images.flatten(1).mean(1)

    def accuracy(self, images, prompts):
        one, open_ = torch.ones(len(images)), torch.full((len(images),), torch.nan)
        return {"object": one, "colour": open_, "pattern": open_, "view": 0 * one}


def reds(saturation: torch.Tensor, brightness: float) -> torch.Tensor:
    """Even red images of a saturation and a brightness."""
    others = (brightness * (1 - saturation))[:, None].expand(-1, 2)
    colour = torch.cat([torch.full((len(saturation), 1), brightness), others], 1)
    return colour[..., None, None].expand(-1, -1, 4, 4)


@pytest.mark.parametrize(
    ("fit", "colour", "expected"), [(0.1, 0.2, [True] * 3), (-0.1, -0.2, [False, False, True])]
)
def test_what_guidance_does_is_decided_by_the_numbers(fit, colour, expected):
    prompts, ramp = [f"a {name}" for name in OBJECT_NAMES[:8]], torch.linspace(0, 0.1, 8)
    low, usual = reds(0.5 + ramp, 0.6), reds(0.5 + ramp, 0.6 + fit)
    made = {
        "1": generated(low),
        "7.5": generated(usual),
        "100": generated(reds(0.5 + ramp + colour, 0.6)),
    }
    numbers = the_world.sweep_measures(made, Scripted(), prompts, usual)
    assert held(the_world.SWEEP_CLAIMS, numbers, prompts) == expected
    assert numbers["object"]["7.5"].tolist() == [1.0] * 8
    assert numbers["colour"]["7.5"].tolist() == []


def test_samples_are_drawn_beside_renders(tiny):
    items = balanced_items(3)
    pictures = renders(scenes_of(items, seed=0), image_size=16)
    prompts = [item.prompt for item in items]
    made = sweep(tiny, prompts, [0, 1, 2], scales=the_world.SCALES, num_steps=2)
    assert [round(run.num_forwards) for run in made.values()] == [2, 4, 4, 4, 4, 4]
    numbers = the_world.sweep_measures(made, Scripted(), prompts, pictures)
    assert list(numbers["saturation"]) == ["1", "3", "7.5", "15", "30", "100", "renders"]
    figure = the_world.draw_sweep(made, prompts, pictures, numbers)
    labels = [axes.get_ylabel() for axes in figure.axes[:: len(prompts)] if axes.images]
    assert labels[:2] == ["renders", "γ = 1"]
    # Colour and pattern were asked for nowhere.
    assert [line.get_label() for line in figure.axes[-1].lines] == ["object", "view"]


def test_the_world_is_drawn_by_rows_of_eight():
    rows = the_world.world_rows(image_size=8)
    assert all(len(row.titles) == len(row.values) == 8 for row in rows)
    assert [name for row in rows[:2] for name in row.titles] == list(OBJECT_NAMES)
    figure = the_world.draw_world(rows)
    assert figure.get_size_inches()[0] == pytest.approx(7.2)
    assert sum(bool(axes.images) for axes in figure.axes) == 8 * len(rows)
