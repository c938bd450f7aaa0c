"""The card: its numbers come from the measurement, its costs from the logs."""

import json
import re
from pathlib import Path

import pytest

import sdilib
from sdilib.cli import main
from sdilib.lab.evaluator import ATTRIBUTES
from sdilib.lab.model_card import card as cards
from sdilib.lab.model_card import quality_table
from sdilib.lab.model_card.card import BARS, card, training_cost
from sdilib.lab.model_card.quality import JUDGED
from sdilib.lab.provenance import evaluator_hash
from sdilib.storage import write_json

MODELS = Path(sdilib.__file__).parent / "models"


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


def test_the_command_writes_card_and_numbers(judge, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        cards,
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


def test_the_bundled_card_is_what_its_numbers_fill_in():
    measured = json.loads((MODELS / "mini" / "quality.json").read_text())
    assert card(MODELS / "mini", measured) == (MODELS / "mini" / "README.md").read_text()


def test_what_was_not_measured_is_left_out():
    text = card(MODELS / "mini", made_up(dict.fromkeys(ATTRIBUTES, 0.9)))
    assert "## Data and training" not in text
    assert "Copies" not in text
