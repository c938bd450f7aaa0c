"""The program that tries installs, without installing: what it finds, gives and reports."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from installs import try_installs

PROGRAM = Path(__file__).with_name("try_installs.py")


def program(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.fixture
def attempt(monkeypatch, tmp_path):
    """What is reported of an environment whose `sdilib` is a line of shell."""

    def attempt(line: str) -> str:
        def install(room, *_):
            for name, said in (("sdilib", line), ("python", "echo 1.0")):
                program(room / "env/bin" / name, said)

        program(tmp_path / "bin/uv", "echo torch==1.0")
        monkeypatch.setenv("PYTHONPATH", "ours")
        monkeypatch.setattr(try_installs, "COMMANDS", (("sdilib runs", "2 runs"),))
        monkeypatch.setattr(try_installs, "LISTS", tmp_path)
        monkeypatch.setattr(try_installs, "install", install)
        return try_installs.attempt("3.11", "newest", tmp_path, [], argparse.Namespace())[1]

    return attempt


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("echo 2 runs", "ok"),
        ("mkdir runs && touch runs/one && echo 2 runs", "ok"),
        ("echo 1 run", "sdilib runs: expected '2 runs', printed '1 run\\n'"),
        ("echo Traceback >&2; echo a reason >&2; exit 1", "sdilib runs: a reason"),
        ("exit 3", "sdilib runs: exit code 3"),
        ("touch ~/.cache && echo 2 runs", "written outside runs/: home/.cache"),
        ("touch one && echo 2 runs", "written outside runs/: here/one"),
        ("test -z $PYTHONPATH && test $HF_HUB_OFFLINE = 1 && echo 2 runs", "ok"),
    ],
)
def test_a_verdict_is_ok_or_a_sentence(attempt, line, verdict):
    assert attempt(line) == verdict


def test_what_it_gives_is_in_the_readme():
    given = [command for command, _ in try_installs.COMMANDS if re.match("sdilib run", command)]
    assert len(given) == 4
    for command in given:
        theirs = re.sub(" --(steps 2|preset smoke)$", "", command)
        assert re.search(rf"^{re.escape(theirs)}( |$)", try_installs.README, re.MULTILINE), theirs


def test_a_python_that_only_says_where_it_is_counts_as_not_found(tmp_path):
    program(tmp_path / "python3.99", "exit 127")
    done = subprocess.run(
        [sys.executable, PROGRAM, "--python", "3.99"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.search("^3.99 +not found$", done.stdout, re.MULTILINE)
