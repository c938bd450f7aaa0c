"""Notebooks run with checked parameters, in this interpreter, and leave figures only if all cells passed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

import sdilib
from sdilib.lab.notebooks.runner import NotebookError, run_notebook
from sdilib.storage import read_json

TEXT = """# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
#     language: python
# ---

# %% [markdown]
# # A title

# %% tags=["parameters"]
preset: str = "laptop"  # smoke or laptop
folder: str = ""  # where
num_steps: int = 3  # at least 1
seed: int = 0  # of all
scale: float = 7.5  # gamma
stop: bool = False  # whether to fail

# %%
import sys
from pathlib import Path
import sdilib

text = f"{preset} {num_steps} {scale} {sys.executable} {sdilib.__file__}"
Path(folder, "fig.txt").write_text(text)

# %%
# the cell that may fail
1 / (not stop)
"""


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "notebooks" / "fig99_try.py"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


@pytest.fixture
def run(source, tmp_path):
    def _run(**given):
        return run_notebook(
            source,
            preset="smoke",
            folder=tmp_path / "figures",
            build=tmp_path / "build",
            given=given,
        )

    return _run


def test_a_notebook_runs_with_its_parameters_in_this_interpreter(run, tmp_path):
    assert run(num_steps="5", scale=3) == [tmp_path / "figures" / "fig.txt"]
    text = (tmp_path / "figures" / "fig.txt").read_text()
    assert text == f"smoke 5 3.0 {sys.executable} {sdilib.__file__}"
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["fig99_try.ipynb"]


def test_a_failed_notebook_leaves_its_copy_and_no_figure(run, tmp_path):
    with pytest.raises(
        NotebookError, match=r"fig99_try: cell 4 .*ZeroDivisionError: division by zero"
    ):
        run(stop="true")
    assert not (tmp_path / "figures").exists()
    (copy,) = (tmp_path / "build").iterdir()
    assert copy.name == "fig99_try.failed.ipynb"
    outputs = [out for cell in nbformat.read(copy, 4).cells for out in cell.get("outputs", [])]
    assert [out.ename for out in outputs if out.output_type == "error"] == ["ZeroDivisionError"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"num_step": "3"},
            "parameter='num_step': expected one of fig99_try's: preset: str, .*mean num_steps",
        ),
        ({"num_steps": "3.5"}, "num_steps='3.5': expected int, as fig99_try declares it"),
        ({"num_steps": True}, "num_steps=True: expected int"),
        ({"stop": "1"}, "stop='1': expected bool"),
        ({"scale": "high"}, "scale='high': expected float"),
        ({"scale": "1e400"}, "scale=inf: expected a finite number"),
        ({"seed": "-1"}, "seed=-1: expected an integer of at least 0"),
        ({"preset": "full"}, "preset='full': expected to be given by its own option"),
    ],
)
def test_wrong_parameters_are_refused_before_a_kernel_starts(run, tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        run(**given)
    assert not (tmp_path / "build").exists()


def test_a_notebook_without_a_model_parameter_refuses_a_model(source, tmp_path):
    with pytest.raises(ValueError, match="parameter='model'"):
        run_notebook(source, folder=tmp_path / "f", build=tmp_path / "b", model="tiny")


def test_ctrl_c_is_one_sentence(source, tmp_path):
    source.write_text(TEXT + "import time\nPath('../started').touch()\ntime.sleep(600)\n")
    words = ["notebook", str(source), "stop=false", "--folder", "figures", "--build", "build"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sdilib", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(sdilib.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while not (tmp_path / "started").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "sdilib: stopped\n"
    assert process.returncode == 130


def test_a_models_folder_is_found_from_a_notebooks_own(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    source.write_text(
        TEXT.replace("stop: bool", 'model: str = ""\nstop: bool').replace("{preset}", "{model}")
    )
    for given, seen in (("mine", str(tmp_path / "mine")), ("owner/none", "owner/none")):
        run_notebook(source, folder="f", build="b", preset="smoke", model=given)
        assert Path("f/fig.txt").read_text().split()[0] == seen


def test_a_number_out_of_the_presets_range_is_refused_before_a_kernel_starts(tmp_path):
    source = tmp_path / "00_start_here.py"
    source.write_text(TEXT)
    words = {"preset": "smoke", "folder": tmp_path / "f", "build": tmp_path / "b"}
    with pytest.raises(ValueError, match=r"^num_steps=4: expected an integer of at least 5$"):
        run_notebook(source, given={"num_steps": "4"}, **words)
    assert not (tmp_path / "b").exists()


def test_records_name_what_was_given_and_the_figures_made_together(source, tmp_path, run):
    source.write_text(
        TEXT + "for name in 'ab':\n    Path(folder, f'{name}.json').write_text('{}')\n"
    )
    run(num_steps="5", scale=0)
    for name in "ab":
        record = read_json(tmp_path / "figures" / f"{name}.json")
        assert record == {"given": {"num_steps": 5}, "figures": ["a", "b"]}
