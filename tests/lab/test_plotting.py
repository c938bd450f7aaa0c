"""Figures draw what they are given."""

import torch

from sdilib.lab.experiments.shared.drawing import image_rows
from sdilib.lab.plotting.plane import toy_argument
from sdilib.lab.plotting.teaser import teaser
from sdilib.lab.studies.toy import practised_sds, ring, toy_paths, update_errors


def test_rows_of_images_stand_where_their_labels_and_titles_say(generator):
    rows = {name: torch.rand(3, 3, 4, 4, generator=generator) for name in ("DDIM", "SDS, γ = 7.5")}
    figure = image_rows(rows, ["a red mug", "an orange striped cottage", "a cactus"])
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 6
    assert [axes.get_ylabel() for axes in drawn[::3]] == ["DDIM", "SDS\nγ = 7.5"]
    assert drawn[1].get_title() == "an orange\nstriped\ncottage"
    shown = torch.as_tensor(drawn[5].images[0].get_array())
    torch.testing.assert_close(shown, rows["SDS, γ = 7.5"][2].permute(1, 2, 0))


def test_the_teaser_marks_each_item_and_the_mean(generator):
    rows = {name: torch.rand(2, 3, 4, 4, generator=generator) for name in ("DDIM", "SDS")}
    items = {"DDIM": torch.tensor([1.0, 2.0]), "SDS": torch.tensor([3.0, 5.0])}
    figure = teaser(rows, ["a", "b"], {"fine detail": items})
    panel = figure.axes[-1]
    assert panel.get_title(loc="left") == "fine detail"
    means = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
    assert means == [1.5, 4.0]


def test_the_plane_has_six_panels():
    mixture, sizes = ring(), {"num_points": 5, "num_steps": 4}
    paths, late = toy_paths(mixture, **sizes), toy_paths(mixture, t_from=0.5, **sizes)
    practised = practised_sds(mixture, num_points=5, num_steps=4)
    figure = toy_argument(paths, late, practised, *update_errors(mixture, **sizes))
    titles = [axes.get_title(loc="left")[0] for axes in figure.axes]
    assert titles == list("abcdef")
