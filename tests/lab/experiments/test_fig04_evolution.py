"""Figure 4: both variables of one run, and claims that follow numbers."""

import pytest
import torch
from made_up import held

from sdilib.inversion import Cached, RandomNoise
from sdilib.lab.experiments import fig04_evolution as experiment
from sdilib.lab.experiments.shared.drawing import WIDTH
from sdilib.lab.experiments.shared.path import ddim_path, sdi_with

TWO, SEEDS, STEPS = ["a red mug", "a blue rocket"], [3, 4], 4


def test_the_scene_begins_at_x0_of_1_and_with_the_cached_kappa_stays_with_ddim(tiny, monkeypatch):
    monkeypatch.setattr("sdilib.lab.experiments.shared.path.BATCH", 1)
    run = ddim_path(tiny, TWO, SEEDS, num_steps=STEPS)
    size = {"num_steps": STEPS, "guidance_scale": 7.5}
    cached, other = (
        experiment.distilled(tiny, TWO, SEEDS, rule=sdi_with(make), **size)
        for make in (Cached, RandomNoise)
    )
    assert cached.shape == other.shape == run.x0.shape
    torch.testing.assert_close(cached, run.x0, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(other[:, 0], run.x0[:, 0])
    assert (other[:, 1:] - run.x0[:, 1:]).abs().max() > 0.1
    latents = {"x(t)": run.x_t, "scene": other, "x0(t)": run.x0}
    images = {name: torch.rand(2, STEPS, 3, 8, 8) for name in latents}
    exact = [experiment.measures(latents, images, made) for made in (cached, other)]
    assert [held(experiment.CLAIMS[:1], each) for each in exact] == [[True], [False]]


def test_what_is_picked_begins_and_ends_with_the_run():
    assert experiment.pick([1 - k / 30 for k in range(30)], 7)[::6] == [0, 29]
    assert experiment.pick([1.0, 0.5], 7) == [0, 1]
    with pytest.raises(ValueError, match="num_columns=1: expected"):
        experiment.pick([1.0, 0.5], 1)


def test_measures_of_known_latents():
    steady = torch.arange(4.0)[None, :, None, None, None].expand(2, 4, 3, 8, 8)
    images = {"x(t)": 2 * steady, "scene": steady[:1], "x0(t)": steady}
    found = experiment.measures(images, images, steady[:1])
    torch.testing.assert_close(found["change per step"]["x0(t)"], torch.ones(2, 3))
    distance = found["distance to the end"]
    torch.testing.assert_close(distance["x0(t)"], torch.tensor([[3.0, 2.0, 1.0, 0.0]] * 2))
    # The noisy run ends where x0(t) does, at 3.
    torch.testing.assert_close(distance["x(t)"], torch.tensor([[3.0, 1.0, 1.0, 3.0]] * 2))
    assert found[experiment.LAG]["x0(t)"].tolist() == [0.0]
    assert found[experiment.LAG]["x(t)"].tolist() == [1.0]


def decided(rise: float, far: float, near: float, count: int = 8) -> list[bool | None]:
    """What is claimed of runs whose detail rises, of x0(1)'s distance from the end, and of the scene's from x0(t)."""
    jitter = 0.01 * torch.arange(8.0)
    first, last = 2 + jitter, 2 + rise + jitter
    numbers = {
        experiment.ERROR: {"cached κ": torch.zeros(4)},
        experiment.SHARPNESS: {
            "x0(1)": first,
            "the last x0(t)": last,
            "the first scene": first[:count],
            "the last scene": last[:count],
        },
        experiment.START: {"x0(t)": far + jitter, "x(t)": 1 + jitter},
        experiment.LAG: {"x0(t)": (near + jitter)[:count], "x(t)": (1 + jitter)[:count]},
    }
    return held(experiment.CLAIMS, numbers)


def test_verdicts_follow_the_numbers():
    assert decided(1, 0.5, 0.2) == [True] * 5
    assert decided(-1, 1.5, 1.8) == [True] + [False] * 4
    assert decided(1, 0.5, 0.2, count=1) == [True] * 3 + [None] * 2


@pytest.mark.parametrize("columns", [2, 8])
def test_the_figure_has_a_picture_a_variable_and_time_and_one_scale_in_the_plane(
    columns, generator
):
    names = ["x(t)", "scene", "x0(t)"]
    images = {name: torch.rand(2, 8, 3, 8, 8, generator=generator) for name in names}
    numbers = experiment.measures(images, images, images["x0(t)"])
    run, times = experiment.plane_path(10), [1 - k / 8 for k in range(8)]
    figure = experiment.draw(images, times, numbers, run, num_columns=columns)
    assert figure.get_size_inches()[0] == WIDTH
    canvas, *curves, drawn = figure.axes
    assert len(canvas.images) == 3 * columns
    assert [axes.get_title(loc="left") for axes in curves] == [
        "b  fine detail",
        "c  distance to the end",
        "d  change per step",
    ]
    box = drawn.get_position()
    width, height = figure.get_size_inches()
    across, up = drawn.get_xlim(), drawn.get_ylim()
    scale = (across[1] - across[0]) / (box.width * width)
    assert (up[1] - up[0]) / (box.height * height) == pytest.approx(scale)
    points = torch.cat([run.x_bar, run.x0["DDIM"]])[:, 0]
    assert bool(((points[:, 0] > across[0]) & (points[:, 0] < across[1])).all())
    assert bool(((points[:, 1] > up[0]) & (points[:, 1] < up[1])).all())
