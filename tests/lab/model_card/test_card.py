"""The card: its numbers come from the measurement, its costs from the logs."""

import json
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
            "γ": {
                "1": {"saturation": 0.4, "kernel distance": 0.2, **dict.fromkeys(ATTRIBUTES, 0.5)}
            },
        },
        "likeness": {"samples, γ = 7.5": one},
        "autoencoder, dB": {"mean": 31.0, "least": 25.0, "n": 9},
        "to distil from": {
            "autoencoder": {
                "n": 9,
                "dB": {"renders": 31.0, "dark background": 30.0},
                "fine detail": 0.8,
                "linear colour": {"RGB": 0.98, "Y": 0.99, "I": 0.97, "Q": 0.96},
                "mixes": {"falling": 1.0, "largest rise": -0.1, "n": 224},
                "from grey": {
                    "dB of 4 x 4 means": 25.0,
                    "mean colour off by": 0.01,
                    "object's colour off by": 0.02,
                },
            },
            "true views": {
                "a red mug": {
                    "views of the right colour": 1.0,
                    "kernel distance": 0.1,
                    "colour off by": 0.01,
                    "dB": 28.0,
                    "IoU": 0.97,
                }
            },
            "noise of inversions": {
                "0.9": {"mean": 1.1, "least": 0.9, "most": 1.3, "rms of x0": 1.2}
            },
            "one update": {"γ = 3, random": {"0.2": 1.05, "0.8": 1.5}},
            "guidance": {"t": [0.5, 1.0], "spread": [0.3, 0.9], "strength": [0.05, 0.02]},
        },
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
