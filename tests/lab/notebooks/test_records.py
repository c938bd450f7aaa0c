"""A figure on disk is whole or absent, and its record says what made it."""

import io
import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image


def test_three_files_are_written_and_nothing_else(save):
    record = json.loads(save().read_text())
    names = sorted(path.name for path in save.folder.iterdir())
    assert names == ["fig01_teaser.json", "fig01_teaser.pdf", "fig01_teaser.png"]
    assert record["numbers"] == {"a": [0, 1], "b": [1], "c": [1, "x", None]}
    assert record["title"] == "A title"
    assert record["claims"][2]["holds"] is None
    assert record["config"]["num_prompts"] == 8
    assert "torch" in record["versions"]


def test_the_same_numbers_give_the_same_bytes(save):
    save()
    before = {path: path.read_bytes() for path in save.folder.iterdir()}
    save()
    assert before == {path: path.read_bytes() for path in save.folder.iterdir()}


def test_a_picture_keeps_its_colours_to_two_levels_of_256(save):
    figure = Figure(figsize=(1, 1))
    figure.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((50, 50, 3)))
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=150)
    with Image.open(save(figure).with_suffix(".png")) as saved, Image.open(whole) as drawn:
        gap = np.asarray(saved.convert("RGB"), int) - np.asarray(drawn.convert("RGB"), int)
    assert np.abs(gap).max() <= 2


@pytest.mark.parametrize(("pixels", "dots"), [(20, 110), (150, 200), (400, 300)])
def test_a_pdf_is_a_little_finer_than_its_pictures(save, pixels, dots):
    figure = Figure(figsize=(1, 1))
    figure.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((pixels, pixels, 3)))
    found = re.search(rb"/Width (\d+)", save(figure).with_suffix(".pdf").read_bytes())
    assert found is not None
    assert int(found[1]) == pytest.approx(dots, abs=2)


class _Broken(Figure):
    def savefig(self, *given, format: str, **settings) -> None:
        if format == "pdf":
            raise RuntimeError("no ink")
        super().savefig(*given, format=format, **settings)


def test_a_figure_that_cannot_be_drawn_leaves_nothing(save):
    with pytest.raises(RuntimeError, match="no ink"):
        save(_Broken())
    assert not save.folder.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../x"}, "name='../x'"),
        ({"numbers": {"a": [1.0, float("nan")]}}, r"numbers\.a\[1\]=nan: expected a finite number"),
    ],
)
def test_bad_names_and_numbers_are_refused_before_anything_is_written(save, changes, message):
    with pytest.raises(ValueError, match=message):
        save(**changes)
    assert not save.folder.exists()
