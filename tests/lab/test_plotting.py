"""Figures draw what they are given."""

import pytest
import torch

from sdilib.lab.experiments.shared.drawing import image_rows
from sdilib.lab.plotting.objects import film


def test_rows_of_images_stand_where_their_labels_and_titles_say(generator):
    rows = {name: torch.rand(3, 3, 4, 4, generator=generator) for name in ("DDIM", "SDS, γ = 7.5")}
    figure = image_rows(rows, ["a red mug", "an orange striped cottage", "a cactus"])
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 6
    assert [axes.get_ylabel() for axes in drawn[::3]] == ["DDIM", "SDS\nγ = 7.5"]
    assert drawn[1].get_title() == "an orange\nstriped\ncottage"
    shown = torch.as_tensor(drawn[5].images[0].get_array())
    torch.testing.assert_close(shown, rows["SDS, γ = 7.5"][2].permute(1, 2, 0))


def test_a_film_shows_objects_side_by_side_and_white_where_none_is():
    objects = [torch.full((2, 3, 4, 4), value) for value in (0.1, 0.2, 0.3)]
    frames = film(objects, columns=2, zoom=2)
    assert frames.shape == (2, 3, 16, 16)
    corners = frames[0, 0, [4, 4, 12, 12], [4, 12, 4, 12]].tolist()
    assert corners == pytest.approx([0.1, 0.2, 0.3, 1.0])
    assert film(objects[:1], columns=6, zoom=1).shape == (2, 3, 4, 4)
