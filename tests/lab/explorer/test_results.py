"""The results without a browser: what is found, laid side by side, exported and deleted."""

import io
import json
import shutil
import threading
from dataclasses import replace

import pytest
from made_up import small_3d
from PIL import Image

from sdilib.checks import reject
from sdilib.lab.explorer import results
from sdilib.lab.explorer.curves import HUES
from sdilib.lab.explorer.parts import differences
from sdilib.lab.explorer.results import Results
from sdilib.lab.runs import distilled, known_runs
from sdilib.lab.runs.folders import read_log
from sdilib.lab.world.mesh import mesh
from sdilib.lab.world.scene import WorldScene
from sdilib.text_to_image import Text2D

IMAGE = Text2D.of(prompt="a blue rocket", model="tiny", rule="sds", steps=3)
KEPT = {
    "config.json",
    "done.json",
    "log.jsonl",
    "frames",
    "image.png",
    "turntable.gif",
    "mesh.html",
}
"""Of an example."""

OBJECT = small_3d(rule="sds", steps=2, cameras=1, num_samples=8)


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for config in (IMAGE, replace(IMAGE, seed=1), OBJECT, replace(OBJECT, seed=1)):
        distilled(config, root=root, model=tiny, progress=False, preview_seconds=0.0)
    return root


@pytest.fixture
def root(made, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "runs")


@pytest.fixture
def shown(root, tiny, monkeypatch):
    monkeypatch.setattr(results, "EXAMPLES", root / "examples")
    monkeypatch.setattr(results, "_model", lambda name: tiny)
    made = Results(str(root))
    yield made
    made.view.close()


def choose(shown: Results, *words: str) -> None:
    for tile in shown.tiles:
        config = tile.run["config"]
        tile.box.value = f"{config['scene']} {config['seed']}" in words


def buttons(shown: Results) -> list:
    return [each for each in shown._sure.children if hasattr(each, "click")]


def test_all_runs_are_there_with_a_picture_and_their_size(shown):
    assert len(shown.tiles) == 4
    assert "4 of 4 runs · " in shown._about.value
    assert f'title="{shown.root}"' in shown._about.value
    for tile in shown.tiles:
        picture, box, told = tile.children
        assert Image.open(io.BytesIO(picture.value)).size[0] >= 150
        assert box.description == "sds"
        assert tile.run["config"]["prompt"] in told.value


@pytest.mark.parametrize(
    ("asked", "count"),
    [("rocket", 2), ("SDS seed=1", 2), ("mug seed=0", 1), ("done", 4), ("sdi", 0)],
)
def test_they_are_filtered_by_words(shown, asked, count):
    shown.asked.value = asked
    assert len(shown.tiles) == count
    assert f"{count} of 4 runs" in shown._about.value


def test_what_can_be_used_says_what_it_is(shown):
    used = (shown.asked, shown.turn, *shown._acts, *(tile.box for tile in shown.tiles))
    assert all(each.tooltip for each in used)


def test_a_word_typed_does_not_read_the_folder_again(shown, monkeypatch):
    monkeypatch.setattr(results, "known_runs", lambda root: pytest.fail("read again"))
    shown.asked.value = "mug"


def test_what_can_be_done_depends_on_what_is_chosen(shown):
    names = ("compare_button", "mesh_button", "export_button", "delete_button")

    def can() -> list[bool]:
        return [not getattr(shown, name).disabled for name in names]

    assert can() == [False, False, False, False]
    choose(shown, "image 0")
    assert can() == [True, False, True, True]
    choose(shown, "nerf 0")
    assert can() == [True, True, True, True]
    choose(shown, "image 0", "nerf 0")
    assert can() == [True, False, True, True]


def test_at_most_six_are_laid_side_by_side(shown, monkeypatch):
    monkeypatch.setattr(results, "MOST", 3)
    choose(shown, "image 0", "image 1", "nerf 0", "nerf 1")
    assert shown.compare_button.disabled
    choose(shown, "image 0", "image 1", "nerf 0")
    assert not shown.compare_button.disabled
    assert len(HUES) == 6


def test_what_takes_long_leaves_the_page_free_and_its_buttons_off(shown, monkeypatch):
    on = threading.Event()
    monkeypatch.setattr(results, "nerf_mesh", lambda field: on.wait(60) and None)
    choose(shown, "nerf 0")
    shown.mesh_button.click()  # which returns, or this test waits for itself
    acts = (shown.compare_button, shown.mesh_button, shown.export_button, shown.delete_button)
    choose(shown, "image 0")
    assert all(each.disabled for each in acts)
    assert "looking for the surface" in shown.status.value
    monkeypatch.setattr(results, "write_mesh_page", lambda run, mesh: reject("mesh", "none", "one"))
    on.set()
    shown.wait()
    assert [each.disabled for each in acts] == [False, True, False, False]
    assert "mesh=&#x27;none&#x27;: expected one" in shown.status.value


def test_exports_that_can_be_made_are_made(shown):
    choose(shown, "image 0", "image 1")
    broken, whole = shown.chosen
    others = broken["config"] | {"model_hash": "other"}
    (broken["folder"] / "config.json").write_text(json.dumps(others))
    shown._export()
    shown.wait()
    assert (whole["folder"] / "image.png").exists()
    assert "expected the weights" in shown.status.value


def test_turntables_turn_together(shown, monkeypatch):
    choose(shown, "nerf 0", "nerf 1", "image 0")
    frames = [Image.new("RGB", (8, 8), (5 * k, 0, 0)) for k in range(48)]
    for run in shown.chosen:
        if run["config"]["scene"] == "nerf":
            frames[0].save(run["folder"] / "turntable.gif", save_all=True, append_images=frames[1:])
    shown.compare()
    shown.wait()
    assert len(shown._side.children) == 3
    assert shown._turning.layout.display == ""
    before = [card.children[0].value for card in shown._side.children]
    shown.turn.value = 20
    after = [card.children[0].value for card in shown._side.children]
    turned = [a != b for a, b in zip(before, after, strict=True)]
    assert turned == [run["config"]["scene"] == "nerf" for run in shown.chosen]
    assert "seed 1" in "".join(card.children[1].value for card in shown._side.children)


def test_an_older_run_is_looked_at_and_not_made_again(shown, root):
    choose(shown, "nerf 0")
    (run,) = shown.chosen
    (run["folder"] / "config.json").write_text(
        '{"prompt": "a", "rule": "sdi", "steps": 2, "model_hash": ""}'
    )
    shown.refresh()
    (tile,) = [each for each in shown.tiles if each.run["older"]]
    tile.box.value = True
    shown.compare()
    shown.wait()
    assert len(shown._films) == 1
    assert shown.mesh_button.disabled


def test_a_run_is_deleted_once_that_is_confirmed(shown, root):
    choose(shown, "image 0")
    shown.delete_button.click()
    assert "for good?" in shown._sure.children[0].value
    _, no = buttons(shown)
    no.click()
    assert shown._sure.children == ()
    assert len(known_runs(root)) == 4
    shown.delete_button.click()
    buttons(shown)[0].click()
    shown.wait()
    assert len(known_runs(root)) == len(shown.tiles) == 3


def test_three_small_runs_of_this_version_come_with_the_package():
    known = known_runs(results.EXAMPLES)
    made = {(run["config"]["scene"], run["config"]["rule"]) for run in known}
    assert made == {("nerf", "sdi"), ("nerf", "sds"), ("image", "sdi")}
    assert all(run["state"] == "done" and not run["older"] for run in known)
    assert sum(run["bytes"] for run in known) <= 3 * 2**20
    for run in known:
        folder = results.EXAMPLES / run["name"]
        assert read_log(folder / "log.jsonl")[-1]["step"] == run["config"]["steps"] - 1
        turns = [(folder / name).exists() for name in ("turntable.gif", "mesh.html")]
        assert turns == [run["config"]["scene"] == "nerf"] * 2
        # Nothing tells where it was made.
        assert "/" not in "".join(path.read_text() for path in folder.glob("*.json*"))
        assert {path.name for path in folder.iterdir()} <= KEPT


def test_examples_are_looked_at_without_their_scenes_and_stay_as_they_are(root, monkeypatch):
    monkeypatch.setattr(results, "EXAMPLES", root)
    shown = Results(str(root / "none"))
    assert all(tile.run["example"] for tile in shown.tiles)
    choose(shown, "nerf 0")
    (run,) = shown.chosen
    (run["folder"] / "scene.safetensors").unlink()
    (run["folder"] / "mesh.html").write_text("<p>turns</p>")
    assert shown.delete_button.disabled
    assert shown.export_button.disabled
    shown.compare()
    shown.mesh()
    shown.wait()
    assert "turns" in shown._solid.value
    shown.view.close()


def test_an_image_is_exported_and_one_of_other_weights_is_not(shown, monkeypatch):
    choose(shown, "image 0")
    (run,) = shown.chosen
    shown.export_button.click()
    assert not (run["folder"] / "image.png").exists()
    buttons(shown)[0].click()
    shown.wait()
    assert (run["folder"] / "image.png").exists()
    assert "image.png" in shown.status.value
    others = run["config"] | {"model_hash": "other"}
    (run["folder"] / "config.json").write_text(json.dumps(others))
    shown._export()
    shown.wait()
    assert "expected the weights that the run was made with" in shown.status.value


def test_a_mesh_is_shown_and_saved_as_a_page(shown, monkeypatch):
    monkeypatch.setattr(
        results, "nerf_mesh", lambda field: mesh(WorldScene("mug", "red", "plain"), resolution=16)
    )
    choose(shown, "nerf 0")
    (run,) = shown.chosen
    shown.mesh_button.click()
    shown.wait()
    page = (run["folder"] / "mesh.html").read_text()
    assert "<title>a red mug</title>" in page
    assert "srcdoc=" in shown._solid.value
    assert f"{run['name']}/mesh.html" in shown.status.value


def test_a_field_without_a_surface_is_one_sentence(shown):
    choose(shown, "nerf 0")
    shown.mesh()
    shown.wait()
    assert "density=" in shown.status.value or "srcdoc" in shown._solid.value


def test_an_empty_folder_says_where_runs_come_from(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "EXAMPLES", tmp_path)
    shown = Results(str(tmp_path / "none"))
    assert "make one in the explorer, or by sdilib run" in shown._about.value
    shown.view.close()


def test_what_only_some_read_is_not_told():
    runs = [{"rule": "sdi", "n": 3, "seed": 0}, {"rule": "sds", "seed": 0}]
    assert differences(runs) == ["rule sdi", "rule sds"]
    assert differences(runs[:1]) == [""]


def test_settings_are_told_as_people_say_them():
    runs = [{"prompt": p, "tau_max": x} for p, x in (("a mug", 0.0), ("a car", 1 / 30))]
    assert differences(runs) == ["a mug · τ at most 0", "a car · τ at most 0.0333"]


def test_looking_again_keeps_what_is_chosen_and_the_tiles_that_are_the_same(shown, root):
    choose(shown, "image 0", "nerf 0")
    before, (first, second) = list(shown.tiles), shown.chosen
    (root / first["name"] / "more").write_bytes(b"1")
    shown.refresh()
    assert [run["name"] for run in shown.chosen] == [first["name"], second["name"]]
    assert len(set(before) - set(shown.tiles)) == 1
