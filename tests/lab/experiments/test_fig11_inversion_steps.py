"""Figure 11 in 2D: claims that follow the images, and the drawing with what a step costs."""

import pytest
import torch
from made_up import PROMPTS, generated, held

from sdilib.lab.experiments.fig11_inversion_steps import CLAIMS, RESIDUAL, draw, measures
from sdilib.lab.images import Generated


def boards(amplitude: float) -> Generated:
    """Eight checkerboards of some contrast."""
    board = amplitude * (-1.0) ** (torch.arange(8)[:, None] + torch.arange(8))
    images = 0.5 + board + 0.001 * torch.arange(8.0)[:, None, None, None].expand(8, 3, 8, 8)
    return generated(images, num_forwards=250.0)


def runs(one: float, ten: float, thirty: float) -> dict[str, Generated]:
    amplitudes = {"DDIM": 0.2, "n = 1": one, "n = 10": ten, "n = 30": thirty}
    return {name: boards(amplitude) for name, amplitude in amplitudes.items()}


@pytest.mark.parametrize(
    ("amplitudes", "holds"), [((0.05, 0.18, 0.18), True), ((0.1, 0.05, 0.19), False)]
)
def test_claims_follow_the_images(amplitudes, holds):
    assert held(CLAIMS, measures(runs(*amplitudes)), PROMPTS) == [holds] * 4


def test_rows_say_what_a_step_costs_and_curves_are_means_over_n():
    made = runs(0.05, 0.18, 0.19)
    residual = {name: torch.rand(8) for name in list(made)[1:]}
    numbers = measures(made) | {RESIDUAL: residual}
    figure = draw(made, PROMPTS, numbers, num_steps=20)
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert labels[:2] == ["DDIM", "n = 1\n12.5 forwards\n5 ms/step"]
    panel = figure.axes[-1]
    assert panel.get_title(loc="left") == RESIDUAL
    line = panel.lines[0]
    assert list(line.get_xdata()) == [1.0, 10.0, 30.0]
    assert list(line.get_ydata()) == pytest.approx(
        [float(each.mean()) for each in residual.values()]
    )
    figure.draw_without_rendering()
