"""The card: its numbers come from the measurement, its costs from the logs."""

import copy
import json
from pathlib import Path

import pytest

import sdilib
from sdilib.cli import main
from sdilib.lab.evaluator import ATTRIBUTES
from sdilib.lab.guidance_profile import SPREAD
from sdilib.lab.model_card import card as cards
from sdilib.lab.model_card import quality_table
from sdilib.lab.model_card.bars import BARS
from sdilib.lab.model_card.card import card, training_cost
from sdilib.lab.model_card.quality import DIVERSITY, GUIDED, JUDGED, OTHER_BACKGROUNDS
from sdilib.lab.provenance import evaluator_hash
from sdilib.storage import write_json

MODELS = Path(sdilib.__file__).parent / "models"


def made_up(shares):
    """A measurement that meets every bar but those of the shares given."""
    found = {name: {"share": s, "from": s, "to": s, "n": 9} for name, s in shares.items()}
    found[JUDGED] = {"share": 0.5, "from": 0.4, "to": 0.6, "n": 9}
    scales = {"1": 0.4, "7.5": 0.5, "100": 0.8}
    swept = {
        scale: {"saturation": s, "kernel distance": abs(s - 0.5), **dict.fromkeys(ATTRIBUTES, 0.5)}
        for scale, s in scales.items()
    }
    fit = {
        "a red mug": {
            "views of the right colour": 1.0,
            "kernel distance": 0.1,
            "colour off by": 0.01,
            "dB": 28.0,
            "IoU": 0.97,
        }
    }
    pictures = [bar.what.removeprefix("autoencoder, ") for bar in BARS[:7]]
    one = {"Fréchet distance": 1.0, "kernel distance": 0.1, "saturation": 0.5, "fine detail": 0.03}
    return {
        "training": {},
        "count": 36,
        "num_steps": 50,
        "evaluator": {"count": 10, **dict.fromkeys(ATTRIBUTES, 0.99)},
        "accuracy": {"samples, γ = 7.5": {"seen": found, "held out": found}},
        "by object": {"mug": found},
        "saturation against γ": {"n": 4, "renders": 0.6, "γ": swept},
        "likeness": {GUIDED: one, "other renders": one},
        DIVERSITY: {"prompts": 2, "seeds": 8, "samples": 0.11, "renders": 0.12},
        "autoencoder, dB": {"mean": 31.0, "least": 25.0, "n": 9},
        "to distil from": {
            "autoencoder": {
                "n": 9,
                "dB": dict.fromkeys(pictures, 31.0),
                "fine detail": 0.8,
                "linear colour": {"RGB": 0.98, "Y": 0.99, "I": 0.97, "Q": 0.96},
                "mixes": {"falling": 1.0, "largest rise": -0.1, "n": 224},
                "from grey": {
                    "dB of 4 x 4 means": 25.0,
                    "mean colour off by": 0.01,
                    "object's colour off by": 0.02,
                },
            },
            "true views": fit,
            "noise of inversions": {
                "0.9": {"mean": 1.1, "least": 0.9, "most": 1.3, "rms of x0": 1.2}
            },
            "one update": {"γ = 3, random": {"0.2": 1.05, "0.8": 1.5}},
            "guidance": {"t": [0.3, 1.0], SPREAD: [0.4, 0.9], "strength": [0.05, 0.02]},
        },
        OTHER_BACKGROUNDS: {"white": fit},
        "nearest training picture": {},
    }


HIGH = dict.fromkeys(ATTRIBUTES, 0.99)


def said(measured):
    lines = card(MODELS / "mini", measured).splitlines()
    return next(line for line in lines if line.startswith(("All that was", "Short of what was")))


def test_the_card_names_the_bars_that_are_missed():
    assert said(made_up(HIGH)) == "All that was meant is reached."
    low = made_up({**HIGH, "colour": 0.92, "view": 0.79})
    low["evaluator"]["pattern"] = 0.9
    missed = ("samples at γ = 7.5, colour", "samples at γ = 7.5, view")
    expected = "; ".join((*missed, "evaluator on unseen renders, pattern"))
    assert said(low) == f"Short of what was meant: {expected}."


def test_a_bar_that_nothing_was_measured_for_is_not_met():
    measured = made_up(HIGH)
    del measured[DIVERSITY]
    missing = "diversity of a prompt's samples over that of renders (not measured)"
    assert said(measured) == f"Short of what was meant: {missing}."
    assert {bar.row({}) for bar in BARS} == {("-", "not measured")}


def change(measured, value, *path):
    *parents, last = path
    for name in parents:
        measured = measured[name]
    measured[last] = value


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        (("to distil from", "autoencoder", "dB", "dark background"), 29.9, "dark background"),
        (("to distil from", "autoencoder", "from grey", "mean colour off by"), 0.031, "off by"),
        (("to distil from", "autoencoder", "linear colour", "RGB"), 0.89, "linear map"),
        ((OTHER_BACKGROUNDS, "white", "a red mug", "kernel distance"), 0.31, "kernel distance"),
        (("saturation against γ", "γ", "1", "kernel distance"), -0.1, "γ of the least"),
        (("saturation against γ", "γ", "100", "saturation"), 0.6, "saturation at"),
        (("to distil from", "noise of inversions", "0.9", "mean"), 1.31, "noise that inversion"),
        (("to distil from", "guidance", SPREAD), [0.34, 0.9], "spread of guided"),
        (("likeness", "other renders"), {"fine detail": 0.034}, "fine detail"),
        ((DIVERSITY, "samples"), 0.09, "diversity"),
    ],
)
def test_each_bar_is_judged_by_its_own_number(path, value, what):
    measured = copy.deepcopy(made_up(HIGH))
    change(measured, value, *path)
    missed = [bar.what for bar in BARS if bar.row(measured)[1] == "missed"]
    assert len(missed) == 1
    assert what in missed[0]


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


@pytest.mark.parametrize("changed", ["", "--again", "--count", "--evaluator"])
def test_only_what_is_missing_is_measured_again_unless_asked(changed, judge, tmp_path, monkeypatch):
    """What is there counts if the same weights, judge and number of samples made it."""
    before, given = json.loads((MODELS / "mini" / "quality.json").read_text()), []

    def measured(*_, known, **__):
        given.append(known)
        return made_up(HIGH)

    monkeypatch.setattr(cards, "measure", measured)
    value = {"--count": ["8"], "--evaluator": [str(judge)]}.get(changed, [])
    words = ["model-card", "--out", str(tmp_path), *([changed] if changed else []), *value]
    assert main(words) == 0
    assert given == [{} if changed else before]


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
