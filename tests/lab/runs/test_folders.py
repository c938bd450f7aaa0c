"""A run's folder: its name comes from all that made it, and it says what it is of."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_up import small_3d

from sdilib.lab.runs import address, config_of, distilled, known_runs, remove
from sdilib.lab.runs.folders import NUMERICS, settings_of
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import hash_json
from sdilib.text_to_image import Text2D

SOLID = small_3d(steps=2, cameras=1, rule="sds", progressive_share=0.5)
IMAGE = Text2D("a red mug", model="tiny", steps=3, rule="sds")
BOTH = pytest.mark.parametrize("config", [SOLID, IMAGE], ids=["nerf", "image"])


def another(name, value):
    texts = {
        "prompt": "a blue mug",
        "negative_prompt": "a green mug",
        "rule": "ism",
        "kappa": "random",
        "through": "decoder",
        "t_schedule": "random",
        "backend": "torch",
        "activation": "softplus",
        "background": "fixed",
        "weight": "1",
        "view_embeddings": "blended",
        "perp_neg_by": "azimuth",
        "precision": "float16",
        "latents": "free",
    }
    if isinstance(value, str):
        return texts[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (value[0] + 0.1, value[1])
    return value + 1 if isinstance(value, int) else value / 2 + 0.01


def test_a_run_from_before_a_setting_came_keeps_its_name_and_is_known():
    later = ("emptiness", "background_saturation")
    before = {k: v for k, v in settings_of(SOLID).items() if k not in later}
    assert config_of(before) == SOLID
    known = before | {"model": "abc", "numerics": NUMERICS}
    assert address(SOLID, "abc").endswith(hash_json(known))


@BOTH
def test_every_setting_and_the_weights_change_the_address(config):
    config = replace(config, rule="sdi", rule_settings={})
    here, own = address(config, "abc"), config.__dataclass_fields__
    for name, value in config.settings().items():
        if name == "model":  # whose weights count, not its name
            continue
        other = another(name, value)
        assert other != value, name
        changed = {name: other} | ({"rule_settings": {}} if name == "rule" else {})
        if name not in own:
            changed = {"rule_settings": {**config.rule_settings, name: other}}
        if name == "kappa":
            changed = {"rule_settings": {name: other}}
        assert address(replace(config, **changed), "abc") != here, name
    assert address(config, "abd") != here


def test_a_model_in_another_precision_makes_other_runs(tiny):
    half = StableDiffusion.from_pretrained("tiny", dtype=torch.bfloat16)
    assert tiny.identity == tiny.hash
    assert half.identity == f"{half.hash}-bfloat16"


def test_two_prompts_and_an_image_and_an_object_never_share_a_folder():
    prompts = ("一个红色的杯子", "красная кружка", "🫖", "a red mug", "a red mug!")
    configs = [replace(config, prompt=prompt) for config in (SOLID, IMAGE) for prompt in prompts]
    names = [address(config, "abc") for config in configs]
    assert len(set(names)) == len(names)
    assert names[0].startswith("sds-untitled-0-")


@pytest.mark.parametrize("word", ["../../up", "a/b", "C:\\con", "..", ".", "a\0b", "x" * 500])
def test_whatever_the_words_a_run_has_one_folder_below_the_root(word, tmp_path):
    name = address(replace(IMAGE, prompt=f"{word} mug"), "abc")
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert len(name) < 120
    (tmp_path / name).mkdir()


def test_a_rule_of_ones_own_is_known_by_its_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rules").mkdir()
    code = "class Mine:\n    def __init__(self, denoiser, scale=1.0): ...\n"
    code += "    def __call__(self, x0, t, view, generator): ...\n"
    Path("rules/mine.py").write_text(code)
    config = replace(IMAGE, rule="rules/mine.py:Mine", rule_settings={})
    first = address(config, "abc")
    assert first.startswith("mine-py-mine-a-red-mug-0-")
    assert address(config, "abc") == first
    Path("rules/mine.py").write_text(code + "# edited\n")
    assert address(config, "abc") != first


@BOTH
def test_settings_name_the_run_also_by_way_of_json(config):
    settings = json.loads(json.dumps(settings_of(config))) | {"model_hash": "abc"}
    assert config_of(settings) == config
    assert address(config_of(settings), "abc") == address(config, "abc")


@BOTH
def test_settings_of_another_version_are_refused(config):
    settings = settings_of(config)
    for wrong in (
        {name: value for name, value in settings.items() if name != "seed"},
        {name: value for name, value in settings.items() if name != "scene"},
    ):
        with pytest.raises(ValueError, match="expected those of this version"):
            config_of(wrong)
    with pytest.raises(ValueError, match="setting='depth': expected one of "):
        config_of(settings | {"depth": 3})


def test_both_kinds_are_listed_with_their_size_and_removed(tmp_path, tiny):
    made = [distilled(each, root=tmp_path, model=tiny, progress=False) for each in (SOLID, IMAGE)]
    runs = {run["config"]["scene"]: run for run in known_runs(tmp_path)}
    assert [runs[scene]["name"] for scene in ("nerf", "image")] == [run.folder.name for run in made]
    for run in runs.values():
        assert (run["state"], run["steps"], run["older"]) == ("done", run["config"]["steps"], False)
        assert run["bytes"] > 1000
        assert run["config"]["prompt"] == "a red mug"
    with pytest.raises(ValueError, match="run='other': expected one of the runs"):
        remove([made[0].folder.name, "other"], tmp_path)
    assert made[0].folder.exists()
    remove([run.folder.name for run in made], tmp_path)
    assert known_runs(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "older"),
    [
        ({}, False),
        ({"depth": 3}, True),
        ({"seed": None}, True),
        ({"scene": None}, True),  # as before runs were of images, too
        ({"numerics": NUMERICS}, False),
        ({"numerics": NUMERICS - 1}, True),
        ({"rule": "gone.py", "scale": 3.0}, False),
        ({"rule": "gone.py", "steps_of": 3.0, "t_end": None}, True),
    ],
    ids=str,
)
def test_settings_of_an_older_version_are_said_to_be_so(tmp_path, changed, older):
    settings = settings_of(IMAGE) | {"model_hash": "abc"} | changed
    settings = {name: value for name, value in settings.items() if value is not None}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(settings))
    (run,) = known_runs(tmp_path)
    assert run["older"] is older
    assert run["state"] == "unfinished"
