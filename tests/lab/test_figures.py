"""A figure on disk is whole or absent, its record says what made it, and the gallery says what it shows."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from sdilib.lab.claims import Claim
from sdilib.lab.notebooks.records import check, figure_folder, gallery, save_figure
from sdilib.lab.presets import resolve

NOTEBOOK = """# %% [markdown]
# # A title
#
# **The paper's claim.** It is
# so.
#
# ![A picture](a.png)
# %%
x = 1
# %% [markdown]
# **What differs from the paper.** It is not.
#
# ## Try
#
# - this
"""


def _figure() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1], [1, 0])
    return figure


def _claim(holds: bool | None) -> Claim:
    return Claim("a | b", {"mean": 0.123456}, 8, "a test", holds, "a note")


@pytest.fixture
def save(tmp_path):
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / "fig01_teaser.py").write_text(NOTEBOOK)

    def _save(figure=None, name="fig01_teaser", **changes):
        settings = {
            "numbers": {"a": np.arange(2.0), "b": torch.ones(1), "c": (1, "x", None)},
            "config": resolve("fig01_teaser", "laptop", model="random"),
            "seed": 0,
            "claims": [_claim(True), _claim(False), _claim(None)],
            "notebook_source": notebooks / "fig01_teaser.py",
            "model_hash": "0",
            "seconds": 1.0,
        }
        return save_figure(figure or _figure(), name, tmp_path / "laptop", **settings | changes)

    _save.folder, _save.notebooks = tmp_path / "laptop", notebooks
    return _save


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


class _Broken:
    def savefig(self, fname: io.BytesIO, *, format: str, dpi: int, metadata: dict) -> None:
        if format == "pdf":
            raise RuntimeError("no ink")
        Image.new("RGB", (2, 2)).save(fname, "PNG")


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


def test_a_fresh_figure_has_no_problem(save):
    save()
    assert check(save.folder, notebooks=save.notebooks) == []


def test_text_of_the_notebook_may_change_but_not_its_code(save):
    save()
    source = save.notebooks / "fig01_teaser.py"
    source.write_text(NOTEBOOK.replace("A title", "Another"))
    assert check(save.folder, notebooks=save.notebooks) == []
    source.write_text(NOTEBOOK.replace("x = 1", "x = 2"))
    (problem,) = check(save.folder, notebooks=save.notebooks)
    assert "code of" in problem.reason
    folder = str(Path("mine/model").resolve())
    for model, said in (
        ("mini", ""),
        ("owner/model", " MODEL=owner/model"),
        (folder, " MODEL=mine/model"),
    ):
        source.write_text(NOTEBOOK)
        save(config=resolve("fig01_teaser", "laptop", model=model))
        source.write_text(NOTEBOOK.replace("x = 1", "x = 3"))
        (problem,) = check(save.folder, notebooks=save.notebooks)
        assert str(problem).endswith(f"repair: make figures FIG=01 PRESET=laptop{said} AGAIN=1")


def test_other_settings_smoke_runs_missing_parts_and_weights_are_problems(save, tmp_path):
    def reason(**changes):
        save(**changes)
        (problem,) = check(save.folder, notebooks=save.notebooks)
        return problem.reason

    changed = resolve("fig01_teaser", "laptop", num_prompts=3)
    assert reason(config=changed) == "the preset laptop has another num_prompts now"
    runs = resolve("run3d", "laptop")
    save(config=resolve("fig01_teaser", "laptop", model="random") | {"run": runs})
    assert check(save.folder, notebooks=save.notebooks) == []
    changed = resolve("fig01_teaser", "laptop") | {"run": runs | {"steps": 7}}
    assert reason(config=changed) == "the preset laptop has another steps now"
    assert "smoke run" in reason(config=resolve("fig01_teaser", "smoke"))
    weights = tmp_path / "model"
    weights.mkdir()
    (weights / "a.safetensors").write_bytes(b"")
    config = resolve("fig01_teaser", "laptop", model=str(weights))
    assert "weights of" in reason(config=config)
    save(config=config, model_hash="")  # formulas alone: no weights can make it stale
    assert check(save.folder, notebooks=save.notebooks) == []
    judged = resolve("fig01_teaser", "laptop", model="random") | {"evaluator": str(weights)}
    save(config=judged)
    assert check(save.folder, notebooks=save.notebooks) == []
    (weights / "evaluator.json").write_text("{}")
    (problem,) = check(save.folder, notebooks=save.notebooks)
    assert problem.reason == f"the evaluator {weights} has changed since"
    save()
    (save.folder / "fig01_teaser.pdf").write_bytes(b"another")
    (problem,) = check(save.folder, notebooks=save.notebooks)
    assert "fig01_teaser.pdf is missing or is not the file" in problem.reason


def test_the_gallery_says_what_holds_and_is_left_alone_if_nothing_changed(save):
    save()
    page = gallery(save.folder)
    text = page.read_text()
    assert "3 claims: 1 hold, 1 do not, 1 not tested." in text
    assert "| [A title](#a-title) | 1 of 3 |" in text
    assert "| **no** | a \\| b. *a note* | mean 0.123 | 8 |" in text
    assert "Tested by: a test." in text
    bare = gallery(save.folder, notebooks="none").read_text()
    assert "claim.**" not in bare
    text = gallery(save.folder, notebooks=save.notebooks).read_text()
    claimed, picture = text.index("**The paper's claim.** It is\nso."), text.index("![A title]")
    assert claimed < picture < text.index("**What differs from the paper.** It is not.")
    assert "this" not in text.split("It is not.")[1].split("[Notebook]")[0]
    assert "![A title](fig01_teaser.png)" in text
    before = page.stat().st_mtime_ns
    gallery(save.folder, notebooks=save.notebooks)
    assert page.stat().st_mtime_ns == before


def test_a_film_is_a_file_of_the_figure_like_the_others(save):
    frames = torch.rand(3, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    record = json.loads(save(film=frames).read_text())
    path = save.folder / "fig01_teaser.gif"
    with Image.open(path) as film:
        assert (film.n_frames, film.size) == (3, (6, 4))
    assert set(record["files"]) == {"png", "pdf", "gif"}
    assert "(fig01_teaser.gif)" in gallery(save.folder).read_text()
    path.write_bytes(b"another")
    (problem,) = check(save.folder, notebooks=save.notebooks)
    assert "fig01_teaser.gif is missing or is not the file" in problem.reason


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    for function in (gallery, check):
        with pytest.raises(ValueError, match="expected a folder of figures"):
            function(tmp_path / "none")


def test_figures_go_to_the_repository_around_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "paper_figures").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert figure_folder("laptop") == tmp_path / "paper_figures" / "laptop"
    assert str(figure_folder("laptop", "elsewhere")) == "elsewhere"
