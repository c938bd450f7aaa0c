"""The model card: balanced prompts, intervals, what counts as copying, and a measurement that goes on where it stopped."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import sdilib
from sdilib.cli import main
from sdilib.lab import model_card as modelcard
from sdilib.lab.evaluator import ATTRIBUTES, Evaluator, asked, evaluator_hash
from sdilib.lab.model_card import BARS, card, measure, quality_table, training_cost
from sdilib.lab.studies.quality import (
    JUDGED,
    accuracies,
    autoencoder_psnr,
    balanced_items,
    copying,
    likeness,
    renders,
    scenes_of,
    share,
    training_features,
)
from sdilib.lab.train.evaluator import EvaluatorConfig, train_evaluator
from sdilib.lab.train.loop import LoopConfig
from sdilib.lab.world.captions import is_held_out
from sdilib.lab.world.dataset import random_scene
from sdilib.lab.world.objects import OBJECT_NAMES
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import write_json

MODELS = Path(sdilib.__file__).parent / "models"


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """An evaluator of random weights, nearly."""
    loop = LoopConfig(steps=1, learning_rate=1e-3, save_seconds=1e9, export_seconds=1e9)
    config = EvaluatorConfig(
        width=16, layers=1, heads=2, embedding=8, batch=4, count=8, test_count=16, loop=loop
    )
    out = tmp_path_factory.mktemp("judge")
    train_evaluator(config, out=out, image_size=16)
    return out / "evaluator"


def test_every_object_is_asked_for_equally_often():
    items = balanced_items(160)
    assert [item.name for item in items[:16]] == list(OBJECT_NAMES)
    assert {sum(item.name == name for item in items) for name in OBJECT_NAMES} == {10}
    for attribute in ("colour", "pattern", "view"):
        counts = np.unique([getattr(item, attribute) for item in items], return_counts=True)[1]
        assert counts.max() < 2.5 * counts.min()
    assert len({item.prompt for item in items}) == 160
    assert [item.seed for item in items] == list(range(160))
    assert balanced_items(20) == items[:20]


@pytest.mark.parametrize("held_out", [False, True])
def test_items_are_of_the_combinations_asked_for(held_out):
    items = balanced_items(80, held_out=held_out)
    assert {is_held_out(i.name, i.colour, i.pattern) for i in items} == {held_out}
    assert all(item.held_out == held_out for item in items)
    scenes = scenes_of(items, seed=3)
    for item, scene in zip(items, scenes, strict=True):
        assert (scene.name, scene.colour, scene.pattern) == (item.name, item.colour, item.pattern)
        assert scene.camera.view == item.view
        assert asked(item.prompt)["pattern"] == item.pattern
    assert scenes != scenes_of(items, seed=4)


def test_a_share_has_wilsons_interval():
    found = share([1.0] * 8 + [0.0] * 2 + [math.nan] * 5)
    assert found["share"] == 0.8
    assert found["n"] == 10
    z = 1.959964
    middle = (0.8 + z * z / 20) / (1 + z * z / 10)
    half = z / (1 + z * z / 10) * math.sqrt(0.8 * 0.2 / 10 + z * z / 400)
    assert [found["from"], found["to"]] == pytest.approx([middle - half, middle + half], abs=1e-5)
    assert share([math.nan]) == {"n": 0}


def test_all_looks_together_are_right_only_where_each_is(judge):
    class Scripted(Evaluator):
        def __init__(self):
            """Say nothing."""

        def accuracy(self, images, prompts):
            return {
                "object": torch.tensor([1.0, 1.0, 0.0]),
                "colour": torch.tensor([1.0, 0.0, 1.0]),
                "pattern": torch.ones(3),
                "view": torch.tensor([1.0, math.nan, math.nan]),
            }

    found = accuracies(Scripted(), torch.zeros(3, 3, 8, 8), ["a cat"] * 3)
    assert found[JUDGED]["share"] == pytest.approx(1 / 3)
    assert found["view"]["n"] == 1


def test_copies_are_told_from_new_images(generator):
    training = torch.randn(400, 8, generator=generator)
    unseen, samples = torch.randn(2, 200, 8, generator=generator).unbind()
    key = "samples nearer than the nearest 5 % of unseen renders"
    assert copying(samples, unseen, training)[key] < 0.12
    copies = training[:200] + 1e-3 * samples
    found = copying(copies, unseen, training)
    assert found[key] > 0.99
    assert found["samples, median"] < 0.1 * found["unseen renders, median"]


def test_training_pictures_are_drawn_anew_from_their_numbers(judge):
    evaluator = Evaluator.from_pretrained(str(judge))
    many = training_features(evaluator, count=10, seed=0, image_size=16, batch_size=4)
    seventh = renders([random_scene(0, 7)[0]], image_size=16)
    torch.testing.assert_close(many[7:8], evaluator.features(seventh), atol=1e-4, rtol=1e-3)


def test_likeness_of_a_set_with_itself_is_the_least(judge):
    evaluator = Evaluator.from_pretrained(str(judge))
    scenes = scenes_of(balanced_items(48), seed=1)
    real = renders(scenes, image_size=16)
    grey = torch.full_like(real, 0.5) + 0.1 * real
    found = likeness(evaluator, {"itself": real, "grey": grey}, real)
    assert found["itself"]["Fréchet distance"] == pytest.approx(0, abs=1e-3)
    assert found["grey"]["Fréchet distance"] > 0.1
    assert found["grey"]["kernel distance"] > found["itself"]["kernel distance"]
    assert found["grey"]["saturation"] < found["itself"]["saturation"]
    assert autoencoder_psnr(real, (real + 0.1).clamp(0, 1))["mean"] >= 20


def made_up(shares):
    """A measurement whose every share is given."""
    found = {name: {"share": s, "from": s, "to": s, "n": 9} for name, s in shares.items()}
    found[JUDGED] = {"share": 0.5, "from": 0.4, "to": 0.6, "n": 9}
    one = {"Fréchet distance": 1.0, "kernel distance": 0.1, "saturation": 0.5, "fine detail": 0.03}
    return {
        "training": {},
        "count": 36,
        "num_steps": 50,
        "evaluator": {"count": 10, **dict.fromkeys(ATTRIBUTES, 0.99)},
        "accuracy": {"samples, γ = 7.5": {"seen": found, "held out": found}},
        "by object": {"mug": found},
        "saturation against γ": {
            "n": 4,
            "renders": 0.6,
            "γ": {"1": {"saturation": 0.4, **dict.fromkeys(ATTRIBUTES, 0.5)}},
        },
        "likeness": {"samples, γ = 7.5": one},
        "autoencoder, dB": {"mean": 31.0, "least": 25.0, "n": 9},
        "nearest training picture": {},
    }


def test_the_card_names_the_bars_that_are_missed():
    high = dict.fromkeys(ATTRIBUTES, 0.99)
    assert set(BARS) == set(ATTRIBUTES)
    assert "All that was meant is reached." in card(MODELS / "mini", made_up(high))
    low = card(MODELS / "mini", made_up({**high, "colour": 0.94, "view": 0.79}))
    assert "Short of what was meant: colour, view." in low


def test_training_cost_is_read_from_the_logs(tmp_path):
    write_json(tmp_path / "data" / "info.json", {"count": 50, "seed": 3})
    for part in ("vae", "unet"):
        loop = {"learning_rate": 1e-3, "average": 0.99}
        write_json(tmp_path / part / "config.json", {"batch": 4, "loop": loop})
        lines = [json.dumps({"step": 50 * i, "loss": float(i)}) for i in range(1, 21)]
        (tmp_path / part / "log.jsonl").write_text("\n".join(lines) + "\n")
    cost = training_cost(tmp_path)
    assert (cost["pictures"], cost["seed"]) == (50, 3)
    assert cost["unet"]["steps"] == 1000
    assert cost["unet"]["samples"] == 4000
    assert cost["vae"]["loss"] == pytest.approx(15.5)


def test_the_card_tells_every_training_of_a_model_that_was_trained_on(tmp_path):
    was = json.loads((MODELS / "mini" / "quality.json").read_text())["training"]
    write_json(tmp_path / "data" / "info.json", {"count": 50, "seed": 3})
    loop = {"learning_rate": 1e-3, "average": 0.99}
    config = {"batch": 4, "loop": loop, "mismatched": 0.25, "start_share": 0.3}
    write_json(tmp_path / "unet" / "config.json", config)
    (tmp_path / "unet" / "log.jsonl").write_text('{"step": 1234, "loss": 0.5}\n')
    middle = was["unet"] | {
        "steps": 4321,
        "mismatched": 0.5,
        "before": {**was["unet"], "steps": 99},
    }
    del middle["before"]["before"], middle["before"]["mismatched"]
    write_json(tmp_path / "unet" / "started.json", was | {"unet": middle})
    cost = training_cost(tmp_path)
    assert cost["vae"] == was["vae"]
    assert cost["unet"]["before"]["steps"] == 4321
    quality = json.loads((MODELS / "mini" / "quality.json").read_text())
    text = card(MODELS / "mini", quality | {"training": cost})
    rows = re.findall(
        r"^\| (VAE|UNet and text encoder|the same, trained on) \| ([\d,]+) \|.*\| ([%\d]*) +\| [.\d]+ \|$",
        text,
        re.MULTILINE,
    )
    assert rows == [
        ("VAE", "6,000", ""),
        ("UNet and text encoder", "99", ""),
        ("the same, trained on", "4,321", "50%"),
        ("the same, trained on", "1,234", "25%"),
    ]
    assert "A share of the captions belongs to another picture" in text
    assert "lie a share of 0.3 of the way back" in text


def test_a_measurement_goes_on_where_it_stopped(judge, tmp_path, monkeypatch):
    evaluator, model = (
        Evaluator.from_pretrained(str(judge)),
        StableDiffusion.from_pretrained("tiny"),
    )
    options = {
        "count": 8,
        "training": {"pictures": 6, "seed": 0},
        "image_size": 16,
        "num_steps": 2,
        "build": tmp_path,
    }
    first = measure(model, evaluator, **options)
    spent = model.num_forwards
    assert spent == 8 * 2 * (2 + 1) + 2 * 2 * (2 * 5 + 1)
    assert measure(model, evaluator, **options) == first
    assert model.num_forwards == spent
    json.dumps(first, allow_nan=False)
    assert first["accuracy"]["samples, γ = 7.5"]["held out"]["object"]["n"] == 2
    assert first["nearest training picture"]["training pictures"] == 6
    assert not math.isnan(first["likeness"]["other renders"]["Fréchet distance"])


def test_the_command_writes_card_and_numbers(judge, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        modelcard,
        "measure",
        lambda *_, training, **__: made_up(dict.fromkeys(ATTRIBUTES, 0.9)) | {"training": training},
    )
    words = ["model-card", "--evaluator", str(judge), "--out", str(tmp_path), "--count", "8"]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "README.md")
    assert "Weakest" in (tmp_path / "README.md").read_text()
    written = json.loads((tmp_path / "quality.json").read_text())
    assert written["count"] == 36
    assert written["evaluator"]["hash"] == evaluator_hash(str(judge)) != evaluator_hash("evaluator")
    assert f"judged by the evaluator `{judge}`, a CLIP" in (tmp_path / "README.md").read_text()
    assert main([*words[:-1], "2"]) == 2
    assert main(["model-card", "--model", "tiny"]) == 2
    assert main(["model-card", "--evaluator", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split("=")[0] for line in said] == [
        "sdilib: count",
        "sdilib: model",
        "sdilib: evaluator",
    ]


def test_a_notebook_shows_the_quality_that_was_measured(tmp_path):
    assert "not measured yet" in quality_table(str(tmp_path))._repr_markdown_()
    write_json(tmp_path / "quality.json", made_up(dict.fromkeys(ATTRIBUTES, 0.9)))
    assert "| samples, γ = 7.5 | seen | 9 | 90.0%" in quality_table(str(tmp_path))._repr_markdown_()


@pytest.mark.skipif(not (MODELS / "evaluator").is_dir(), reason="no evaluator is shipped yet")
@pytest.mark.skipif(not (MODELS / "mini/quality.json").is_file(), reason="no model card yet")
def test_the_bundled_model_draws_what_its_card_says():
    """Thirty-two samples: none of its shares may lie 15 points below what the card says."""
    from sdilib.text_to_image import ddim_images

    measured = json.loads((MODELS / "mini" / "quality.json").read_text())
    promised = measured["accuracy"]["samples, γ = 7.5"]["seen"]
    model, items = StableDiffusion.from_pretrained("mini"), balanced_items(32)
    assert measured["model_hash"] == model.hash, "make model-card"
    prompts = [item.prompt for item in items]
    made = ddim_images(model, prompts, [item.seed for item in items], num_steps=20)
    found = accuracies(Evaluator.from_pretrained(), made.images, prompts)
    for name in ATTRIBUTES:
        assert found[name]["share"] >= promised[name]["share"] - 0.15, name
