"""What every figure shares: a notebook shows it, and its legend covers no line; colours, means, and rows of images."""

import ast
from pathlib import Path

import pytest
import torch
from IPython.core.formatters import DisplayFormatter

import sdilib.lab.experiments
from sdilib.lab.experiments.shared.drawing import (
    COLOURS,
    FORWARD,
    INVERSE,
    MOST_COLUMNS,
    WIDTH,
    Figure,
    colour_of,
    draw_mean,
    image_rows,
    images_and_items,
    legend,
)

FOLDER = Path(sdilib.lab.experiments.__file__).parent


def test_a_notebook_shows_a_figure_as_an_image():
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    shown, _ = DisplayFormatter().format(figure)
    assert shown["image/png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("source", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_no_figure_is_made_of_matplotlibs_own_class(source):
    imported = {
        alias.name
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "matplotlib.figure"
        for alias in node.names
    }
    assert imported <= {"FigureBase", "SubFigure"}


def test_a_legend_stands_above_the_lines():
    figure = Figure(figsize=(3, 2), dpi=100)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="a")
    axes.plot([0, 1], [1, 0], label="b")
    legend(axes)
    figure.draw_without_rendering()
    box = axes.get_legend().get_window_extent()
    highest = axes.transData.transform((0, 1))[1]
    assert box.y0 > highest


def test_a_methods_colour_is_that_of_the_longest_name_it_begins_with():
    assert colour_of("fixed point, ×10") == COLOURS["fixed point"] != COLOURS["fixed"]
    assert colour_of("SDS, high γ") == COLOURS["SDS"]
    assert colour_of("SDI, cached κ") == COLOURS["cached"] != COLOURS["SDI"]
    with pytest.raises(ValueError, match="empty"):
        colour_of("none of them")


def test_a_mean_has_a_band_only_where_there_are_several_items(generator):
    axes = Figure().subplots()
    draw_mean(axes, [0.0, 1.0], torch.ones(1, 2), "black")
    assert not axes.collections
    values = torch.rand(4, 2, generator=generator)
    draw_mean(axes, [0.0, 1.0], values, "black", label="mean")
    assert axes.lines[-1].get_ydata() == pytest.approx(values.mean(0).tolist())
    assert axes.lines[-1].get_label() == "mean"
    assert len(axes.collections) == 1


def test_below_images_stand_the_items_of_those_methods_that_were_measured():
    rows = {name: torch.rand(10, 3, 8, 8) for name in ("original", "(0, γ)", "DDIM")}
    measured = {"distance": {"(0, γ)": torch.rand(3), "DDIM": torch.rand(3)}}
    figure = images_and_items(rows, [f"prompt {i}" for i in range(10)], measured)
    *images, items = figure.axes
    assert len(images) == 3 * MOST_COLUMNS
    assert [label.get_text() for label in items.get_yticklabels()] == ["(0, γ)", "DDIM"]
    labels = [axes.get_ylabel() for axes in images[::MOST_COLUMNS]]
    assert labels == ["original", f"{INVERSE} = 0\n{FORWARD} = γ", "DDIM"]
    assert figure.get_size_inches()[0] == WIDTH


def test_rows_of_images_stand_where_their_labels_and_titles_say(generator):
    rows = {name: torch.rand(3, 3, 4, 4, generator=generator) for name in ("DDIM", "SDS, high γ")}
    figure = image_rows(rows, ["a red mug", "an orange striped cottage", "a cactus"])
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 6
    assert [axes.get_ylabel() for axes in drawn[::3]] == ["DDIM", "SDS\nhigh γ"]
    assert drawn[1].get_title() == "an orange\nstriped\ncottage"
    shown = torch.as_tensor(drawn[5].images[0].get_array())
    torch.testing.assert_close(shown, rows["SDS, high γ"][2].permute(1, 2, 0))
