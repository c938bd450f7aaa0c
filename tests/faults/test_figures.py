"""A figure that is killed while it is made: nothing half made is taken for finished, and the next one has the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sdilib.lab.notebooks.freshness import stale
from sdilib.storage import read_json

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "notebooks" / "figA19_in_distribution.py"


def start(place: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "sdilib", "notebook", str(SOURCE), "--preset", "smoke"]
    where = ["--folder", str(place / "figures"), "--build", str(place / "build")]
    ours = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*words, *where], env=os.environ | ours, start_new_session=True)


def content(folder: Path) -> dict[str, object]:
    """All that a figure consists of, but how long it took."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}
    records = {path.name: read_json(path) | {"seconds": 0.0} for path in folder.glob("*.json")}
    return found | records


def test_killed_at_random_moments_a_figure_has_the_same_bytes(tmp_path, times):
    if not (wanted := times(0, 50)):
        pytest.skip("takes half a minute: make soak tries it")
    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    length, whole = time.monotonic() - began, content(tmp_path / "whole" / "figures")
    figures, draw = tmp_path / "killed" / "figures", np.random.default_rng(0)
    for _ in range(wanted):
        process = start(tmp_path / "killed")
        time.sleep(draw.uniform(0.0, length))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if figures.is_dir() and not stale([SOURCE], figures, preset="smoke"):
            assert content(figures) == whole
    assert start(tmp_path / "killed").wait() == 0
    assert content(figures) == whole
