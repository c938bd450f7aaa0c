"""Figures draw what they are given."""

import torch

from sdilib.lab.experiments.shared.drawing import image_rows


def test_rows_of_images_stand_where_their_labels_and_titles_say(generator):
    rows = {name: torch.rand(3, 3, 4, 4, generator=generator) for name in ("DDIM", "SDS, γ = 7.5")}
    figure = image_rows(rows, ["a red mug", "an orange striped cottage", "a cactus"])
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 6
    assert [axes.get_ylabel() for axes in drawn[::3]] == ["DDIM", "SDS\nγ = 7.5"]
    assert drawn[1].get_title() == "an orange\nstriped\ncottage"
    shown = torch.as_tensor(drawn[5].images[0].get_array())
    torch.testing.assert_close(shown, rows["SDS, γ = 7.5"][2].permute(1, 2, 0))
