"""The gallery shows each prompt's first object, and holds all of them to its bars."""

import pytest
import torch
from made_up import held, of_runs

from sdilib.lab.experiments.fig02_gallery import CLAIMS, draw, film
from sdilib.lab.experiments.shared.objects import Looked


def gallery(prompts, values):
    """Runs of which only the views matter: each in one grey."""
    looks = [Looked(torch.full((16, 3, 4, 4), value), torch.ones(16, 4, 4)) for value in values]
    return of_runs(prompts, looked={"SDI": looks})


def test_a_film_shows_objects_side_by_side_and_white_where_none_is():
    made = gallery(["a mug", "a car", "a cat"], [0.1, 0.2, 0.3])
    frames = film(made, columns=2, zoom=2)
    assert frames.shape == (16, 3, 16, 16)
    corners = frames[0, 0, [4, 4, 12, 12], [4, 12, 4, 12]].tolist()
    assert corners == pytest.approx([0.1, 0.2, 0.3, 1.0])
    assert film(gallery(["a mug"], [0.1]), zoom=1).shape == (16, 3, 4, 4)


def test_the_first_object_of_each_prompt_is_shown_from_eight_sides():
    figure = draw(gallery(["a red mug", "a car"] * 2, [0.1, 0.2, 0.3, 0.4]))
    drawn = [axes for axes in figure.axes if axes.images]
    assert [float(axes.images[0].get_array().mean()) for axes in drawn] == pytest.approx(
        [0.1] * 8 + [0.2] * 8
    )
    assert (drawn[8].get_ylabel(), drawn[1].get_title()) == ("a car", "45°")


@pytest.mark.parametrize(("better", "holds"), [(True, True), (False, False)])
def test_the_bars_are_passed_from_above_and_from_below(better, holds):
    at_least = dict.fromkeys(("object", "colour", "IoU"), 0.95 if better else 0.7)
    at_most = {
        f"deviation of {name}": 0.1 if better else 0.2 for name in ("saturation", "fine detail")
    }
    values = at_least | at_most | {"diverged": 0.0 if better else 1.0}
    numbers = {name: {"SDI": torch.full((96,), value)} for name, value in values.items()}
    assert held(CLAIMS, numbers, list(range(96))) == [holds] * 6


def test_a_model_of_another_world_is_held_to_no_bar_but_that_of_divergence():
    assert held(CLAIMS, {"diverged": {"SDI": torch.zeros(96)}}) == [True] + [None] * 5
