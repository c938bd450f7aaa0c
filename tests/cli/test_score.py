"""`sdilib score`, `sdilib cite` and `sdilib sweep` as they are typed."""

import json
from pathlib import Path

import pytest
from made_up import RULE

from sdilib.cli import main
from sdilib.lab.benchmark import scoring


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_rule_has_its_row_and_its_runs_are_cited(capsys):
    Path("mine.py").write_text(RULE)
    words = "score mine.py --stages image --preset smoke --model tiny --methods SDS,SDI --set learning_rate=0.1"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "| mine |" in said
    assert "| SDI |" in said
    assert "nothing is ranked" in said
    for kind in ("md", "tex", "json", "png"):
        assert Path(f"build/score/mine-image.{kind}").is_file()
    record = json.loads(Path("build/score/mine-image.json").read_text())
    assert record["cells"].keys() == {"SDS", "SDI", "mine"}
    assert main(["cite", "sds-"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("@inproceedings{lukoianov2024score,")
    assert "poole2023dreamfusion" in said


def test_each_stage_ranks_its_scenes_methods_and_has_a_picture(capsys, monkeypatch):
    monkeypatch.setattr(scoring, "_STEPS", 2)
    Path("mine.py").write_text(RULE)
    words = (
        "score mine.py --stages ring --preset smoke --model tiny --methods paper --set loud=false"
    )
    assert main(words.split()) == 0
    assert "build/score/mine-ring.png" in capsys.readouterr().out
    assert Path("build/score/mine-ring.png").is_file()
    record = json.loads(Path("build/score/mine-ring.json").read_text())
    assert record["cells"].keys() == {"SDS", "SJC", "VSD", "HiFA", "SDI", "ISM", "mine"}
    assert "mine: loud=False." in record["notes"]


def test_a_rules_file_does_not_take_a_methods_row(capsys):
    Path("SDS.py").write_text(RULE)
    assert main(["score", "SDS.py", "--stages", "ring"]) == 2
    assert "rule='SDS.py': expected a file with another name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("score none.py --model tiny", "rule='none.py': expected an existing file"),
        (
            "score sdi --stages rink",
            "stages='rink': expected some of ring, image, nerf; did you mean ring?",
        ),
        ("score sdi --methods SDX", "methods='SDX': expected paper, all, or some of"),
        ("score sdi --methods SDS,SDS", "methods='SDS,SDS': expected each method once"),
        ("score sds --stages ring --set guidance_scal=3", "did you mean guidance_scale?"),
        ("score sdi --seeds 0", "seeds=0: expected an integer of at least 1"),
        ("cite none", "names='none': expected one of the runs in runs"),
        ("sweep none.toml", "file='none.toml': expected an existing .toml or .csv file"),
        ("sweep none.toml --workers 0", "workers=0: expected an integer of at least 1"),
        (
            "sweep a.toml --scheduler tcp://x --slurm a=1",
            "scheduler='tcp://x': expected none with --slurm",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(words, message, capsys):
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not Path("runs").exists()
