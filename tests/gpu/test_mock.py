"""The CUDA paths where there is no GPU, on a mock device; see `mock/checks.py`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

import sdilib
from sdilib.guidance.named import RULES

HERE = Path(__file__).parent / "mock"
COMPILER = shutil.which(os.environ.get("CXX", "c++"))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the checks print."""
    if torch.version.cuda or sys.platform != "linux" or COMPILER is None:
        pytest.skip("the mock needs a torch without CUDA, Linux and a C++ compiler")
    folder, library = tmp_path_factory.mktemp("mock"), Path(torch.__file__).parent / "lib"
    built = folder / "device.so"
    subprocess.run(
        [COMPILER, "-std=c++20", "-shared", "-fPIC", str(HERE / "device.cpp"), "-o", str(built)]
        + [f"-I{path}" for path in cpp_extension.include_paths()]
        + [f"-L{library}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{library}"],
        check=True,
    )
    root = str(Path(sdilib.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "checks.py"), str(built), str(folder / "runs")],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_all_checks_pass_but_those_of_kernels(found):
    verdicts = {check["name"]: check["passed"] for check in found["checks"]}
    kernels = {"render, nerfacc", "render within, nerfacc", "hash grid, tinycudann"}
    kernels |= {"guidance"}  # which is measured
    assert {name for name, passed in verdicts.items() if passed is None} == kernels
    assert all(passed for name, passed in verdicts.items() if name not in kernels), found["checks"]


def test_the_model_is_there_in_half_precision(found):
    assert found["model"] == ["cuda:0", "torch.float16"]


def test_no_run_breaks_down(found):
    assert len(found["runs"]) == 6
    assert set(found["runs"].values()) == {""}


def test_images_come_back_to_the_cpu(found):
    assert len(found["images"]) == 3 + len(RULES)
    assert set(found["images"].values()) == {"cpu"}


def test_figures_and_claims_take_what_is_there(found):
    assert found["residuals"] == "cuda:0"
    assert found["claim"] == 1


def test_a_step_reads_from_the_device_three_times(found):
    # Is all finite, is anything visible, and what goes into the log.
    assert found["waits"] == 3
