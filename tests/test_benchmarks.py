"""The benchmarks run, at their smallest; what they measure is not judged."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("arguments", "row"),
    [
        ("bench_step.py --batch 1 --model tiny", "SDI, inversion"),
        ("bench_step_3d.py --batch 1 --steps 2", "backward, penalties"),
        (
            "bench_deferred.py --sizes 16 --samples 8 --samples-size 16 --patch 64 --levels 2",
            "patches of 64",
        ),
        ("bench_explorer.py --model tiny", "first picture, nerf"),
        ("bench_sweep.py --runs 2 --workers 2 --scaling 0", "a run is handed out"),
    ],
)
def test_it_prints_a_row_for_each_part(arguments, row, tmp_path):
    program, *given = arguments.split()
    command = [sys.executable, str(Path(__file__).with_name("benchmarks") / program), *given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert row in done.stdout
