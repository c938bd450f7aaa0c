"""What every figure shares: a notebook shows it, and its legend covers no line."""

import ast
from pathlib import Path

import pytest
from IPython.core.formatters import DisplayFormatter

import sdilib.lab.experiments
from sdilib.lab.experiments.shared.drawing import Figure, legend

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
    assert imported <= {"FigureBase"}


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
