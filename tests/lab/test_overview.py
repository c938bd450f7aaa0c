"""Figure 5: the step drawn is the rules' own, and claims follow numbers."""

import io

import pytest
import torch
from matplotlib.patches import FancyBboxPatch

from sdilib.guidance import SDI
from sdilib.inversion import Cached, DDIMInversion
from sdilib.lab.experiments.shared.drawing import WIDTH
from sdilib.lab.plotting.overview import INVERSION, NETWORK, overview
from sdilib.lab.studies import overview as study
from sdilib.lab.studies.evolution import distilled, sampled
from sdilib.lab.studies.overview import Overview

PROMPTS = [f"prompt {i}" for i in range(8)]
TWO, SEEDS, STEPS = ["a red mug", "a blue rocket"], [3, 4], 5


@pytest.fixture
def made(tiny) -> Overview:
    return study.one_step(tiny, TWO, SEEDS, num_steps=STEPS, t=0.4)


def test_the_scene_is_ddims_x0_before_the_step_and_its_next_after_it(tiny, made):
    run = sampled(tiny, TWO, SEEDS, num_steps=STEPS)
    assert made.t == pytest.approx(run.times[3])
    torch.testing.assert_close(made.x0, run.x0[:, 2], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(made.ddim, run.x0[:, 3], rtol=1e-3, atol=1e-3)
    again = distilled(
        tiny, TWO, SEEDS, rule=lambda m, eps: SDI(m, kappa=Cached(eps)), num_steps=STEPS
    )
    torch.testing.assert_close(made.x0, again[:, 2])


def test_the_ladder_climbs_to_the_noised_render_and_targets_are_denoised_from_it(tiny, made):
    assert made.ladder_times == pytest.approx((0.1, 0.2, 0.3, 0.4))
    torch.testing.assert_close(made.ladder[-1:], made.x_t["SDI"][:1], rtol=1e-3, atol=1e-4)
    assert (made.x_t["SDS"] - made.x_t["SDI"]).abs().max() > 0.1
    for name, update in made.updates.items():
        eps = tiny.guided(tiny.embed(TWO), 7.5)(made.x_t[name], made.t)
        target = tiny.schedule.denoised(made.x_t[name], eps, made.t)
        torch.testing.assert_close(update.denoised, target, rtol=1e-3, atol=1e-3)


def test_the_inversion_asked_for_is_the_one_drawn(tiny):
    one = study.one_step(tiny, TWO, SEEDS, num_steps=STEPS, t=0.4, inversion=DDIMInversion(0.0, 5))
    assert len(one.ladder) == 2
    torch.testing.assert_close(one.ladder[-1:], one.x_t["SDI"][:1], rtol=1e-3, atol=1e-4)


def test_times_outside_the_run_take_its_second_or_last(tiny):
    times = [study.one_step(tiny, TWO, SEEDS, num_steps=3, t=t).t for t in (1.0, 0.01)]
    assert times == pytest.approx([2 / 3, 1 / 3])
    with pytest.raises(ValueError, match=r"t=0\.0: expected"):
        study.one_step(tiny, TWO, SEEDS, num_steps=3, t=0.0)


def test_verdicts_follow_the_numbers():
    few, many = 0.1 * torch.arange(8.0), 1 + 0.1 * torch.arange(8.0)
    low, high = {"SDI": few, "SDS": many}, {"SDI": many, "SDS": few}

    def verdicts(residuals, distances, prompts=PROMPTS):
        return [c.holds for c in study.overview_claims(residuals, distances, prompts)]

    assert verdicts(low, low) == [True, True]
    assert verdicts(low, high) == [True, False]
    assert verdicts(high, low) == [False, True]
    assert verdicts(low, low, ["the same"] * 8) == [None, None]


def test_root_mean_square_is_one_number_an_item():
    both = torch.stack([torch.full((4, 2, 2), 3.0), torch.zeros(4, 2, 2)])
    assert study.root_mean_square(both).tolist() == [3.0, 0.0]


@pytest.mark.parametrize("prompt", ["a mug", "a squirrel in a kimono that plays the violin"])
def test_no_two_texts_of_the_diagram_overlap_nor_leave_it(tiny, made, prompt):
    figure = overview(
        study.overview_images(tiny, made),
        {name: update.kappa[0] for name, update in made.updates.items()},
        prompt=prompt,
        t=made.t,
        ladder_times=made.ladder_times,
        residuals={"SDI": 0.123, "SDS": 12.3},
    )
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
