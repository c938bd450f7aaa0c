"""Figure 5: the step drawn is the rules' own, and claims follow numbers."""

import io

import pytest
import torch
from made_up import PROMPTS, held
from matplotlib.patches import FancyBboxPatch

from sdilib.inversion import DDIMInversion
from sdilib.lab.experiments import fig05_overview as experiment
from sdilib.lab.experiments.fig05_overview import INVERSION, NETWORK, Overview
from sdilib.lab.experiments.shared.drawing import WIDTH
from sdilib.lab.experiments.shared.path import ddim_path

TWO, SEEDS, STEPS = ["a red mug", "a blue rocket"], [3, 4], 5


@pytest.fixture
def made(tiny) -> Overview:
    return experiment.one_step(tiny, TWO, SEEDS, num_steps=STEPS, t=0.4, guidance_scale=7.5)


def test_the_scene_is_ddims_x0_before_the_step_and_its_next_after_it(tiny, made):
    run = ddim_path(tiny, TWO, SEEDS, num_steps=STEPS)
    assert made.t == pytest.approx(run.times[3])
    torch.testing.assert_close(made.x0, run.x0[:, 2], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(made.ddim, run.x0[:, 3], rtol=1e-3, atol=1e-3)


def test_the_ladder_climbs_to_the_noised_render_and_targets_are_denoised_from_it(tiny, made):
    assert made.ladder_times == pytest.approx((0.1, 0.2, 0.3, 0.4))
    torch.testing.assert_close(made.ladder[-1:], made.x_t["SDI"][:1], rtol=1e-3, atol=1e-4)
    assert (made.x_t["SDS"] - made.x_t["SDI"]).abs().max() > 0.1
    for name, update in made.updates.items():
        eps = tiny.guided(tiny.embed(TWO), 7.5)(made.x_t[name], made.t)
        target = tiny.schedule.denoised(made.x_t[name], eps, made.t)
        torch.testing.assert_close(update.denoised, target, rtol=1e-3, atol=1e-3)


def test_the_inversion_asked_for_is_the_one_drawn(tiny):
    size = {"num_steps": STEPS, "guidance_scale": 7.5}
    one = experiment.one_step(tiny, TWO, SEEDS, t=0.4, inversion=DDIMInversion(0.0, 5), **size)
    assert len(one.ladder) == 2
    torch.testing.assert_close(one.ladder[-1:], one.x_t["SDI"][:1], rtol=1e-3, atol=1e-4)


def test_times_outside_the_run_take_its_second_or_last(tiny):
    size = {"num_steps": 3, "guidance_scale": 7.5}
    times = [experiment.one_step(tiny, TWO, SEEDS, t=t, **size).t for t in (1.0, 0.01)]
    assert times == pytest.approx([2 / 3, 1 / 3])
    with pytest.raises(ValueError, match=r"t=0\.0: expected"):
        experiment.one_step(tiny, TWO, SEEDS, t=0.0, **size)


def test_verdicts_follow_the_numbers():
    few, many = 0.1 * torch.arange(8.0), 1 + 0.1 * torch.arange(8.0)
    low, high = {"SDI": few, "SDS": many}, {"SDI": many, "SDS": few}

    def decided(residuals, distances, prompts=PROMPTS):
        numbers = {experiment.RESIDUAL: residuals, experiment.DISTANCE: distances}
        return held(experiment.CLAIMS, numbers, prompts)

    assert decided(low, low) == [True, True]
    assert decided(low, high) == [True, False]
    assert decided(high, low) == [False, True]
    assert decided(low, low, ["the same"] * 8) == [None, None]


def test_measures_are_the_rules_residuals_and_their_distance_from_ddim(made):
    numbers = experiment.measures(made)
    off = made.updates["SDS"].denoised - made.ddim
    expected = off.flatten(1).square().mean(1).sqrt()
    torch.testing.assert_close(numbers["distances to DDIM"]["SDS"], expected)
    assert torch.equal(numbers["residuals"]["SDI"], made.updates["SDI"].residual)


@pytest.mark.parametrize("prompt", ["a mug", "a squirrel in a kimono that plays the violin"])
def test_no_two_texts_of_the_diagram_overlap_nor_leave_it(tiny, made, prompt):
    figure = experiment.draw(experiment.images(tiny, made), made, prompt)
    assert figure.get_size_inches()[0] == WIDTH
    figure.savefig(io.BytesIO(), format="pdf")
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    whole = figure.bbox
    assert all(whole.x0 <= b.x0 and b.x1 <= whole.x1 and whole.y0 <= b.y0 for b in boxes)
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]]
    assert not any(a.overlaps(b) for a, b in pairs)
    (asked,) = (text.get_window_extent() for text in axes.texts if "prompt" in text.get_text())
    grounds = [p.get_window_extent() for p in axes.patches if isinstance(p, FancyBboxPatch)]
    inside = [g for g in grounds if g.x0 < asked.x0 and asked.x1 < g.x1 and g.y0 < asked.y0]
    assert len(inside) == 1
    assert INVERSION < inside[0].x0 / figure.dpi < inside[0].x1 / figure.dpi < NETWORK
