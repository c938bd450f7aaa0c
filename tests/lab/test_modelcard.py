"""The world's page: what is known exactly, and what guidance does to samples."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from sdilib.lab.evaluator import Evaluator
from sdilib.lab.model_card.quality import (
    balanced_items,
    renders,
    scenes_of,
)
from sdilib.lab.plotting.world import sweep_figure, world_figure
from sdilib.lab.studies.world import (
    SCALES,
    Row,
    guidance_sweep,
    surface_points,
    sweep_claims,
    sweep_measures,
    truth_claim,
    world_rows,
)
from sdilib.lab.train.evaluator import EvaluatorConfig, train_evaluator
from sdilib.lab.train.loop import LoopConfig
from sdilib.lab.world.objects import OBJECT_NAMES, signed_distance
from sdilib.lab.world.render import WorldCamera, WorldScene, render


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """An evaluator of random weights, nearly."""
    loop = LoopConfig(steps=1, learning_rate=1e-3, save_seconds=1e9, export_seconds=1e9)
    config = EvaluatorConfig(
        width=16, layers=1, heads=2, embedding=8, batch=4, count=8, test_count=16, loop=loop
    )
    out = tmp_path_factory.mktemp("judge")
    train_evaluator(config, out=out, image_size=16)
    return out / "evaluator"


def test_depth_carried_back_lies_on_the_surface():
    assert truth_claim(image_size=24).holds
    camera = WorldCamera(70.0, 30.0)
    depth = render(WorldScene("cat", "red", "plain", camera), height=32, width=32).depth
    points = surface_points(camera, depth)
    assert np.abs(signed_distance("cat", points)).max() < 2e-3
    # Of another camera the same depths lie elsewhere: the check can fail.
    assert (
        np.abs(signed_distance("cat", surface_points(WorldCamera(60.0, 30.0), depth))).max() > 0.05
    )


def test_what_guidance_does_is_decided_by_the_numbers():
    prompts = [f"a {name}" for name in OBJECT_NAMES[:8]]
    ramp = torch.linspace(0, 0.1, 8)

    def verdicts(fit, colour):
        measures = {
            "fit to the prompt": {"1": ramp, "7.5": ramp + fit},
            "saturation": {
                "7.5": 0.5 + ramp,
                "100": 0.5 + ramp + colour,
                "renders": 0.5 + ramp,
            },
        }
        return [claim.holds for claim in sweep_claims(measures, prompts)]

    assert verdicts(0.1, 0.2) == [True, True, True]
    assert verdicts(-0.1, -0.2) == [False, False, True]


def test_the_pages_are_drawn(judge, tiny):
    evaluator = Evaluator.from_pretrained(str(judge))
    items = balanced_items(3)
    pictures = renders(scenes_of(items, seed=0), image_size=16)
    prompts = [item.prompt for item in items]
    made = guidance_sweep(tiny, prompts, [0, 1, 2], num_steps=2)
    assert [round(run.num_forwards) for run in made.values()] == [2, 4, 4, 4, 4, 4]
    measures = sweep_measures(made, evaluator, prompts, pictures)
    assert set(measures["saturation"]) == {*(f"{scale:g}" for scale in SCALES), "renders"}
    images = {scale: run.images for scale, run in made.items()}
    figure = sweep_figure(images, pictures, prompts, measures)
    assert isinstance(figure, Figure)
    rows = world_rows(image_size=8)
    assert all(isinstance(row, Row) and len(row.titles) == len(row.values) == 8 for row in rows)
    assert world_figure(rows).get_size_inches()[0] == pytest.approx(7.2)
