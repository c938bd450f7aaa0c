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
from sdilib.lab.notebooks.percent import cells, checked, code_hash, parameters
from sdilib.lab.notebooks.runner import (
    NotebookError,
    derive,
    find_notebook,
    run_notebook,
    sources_used,
    write_derived,
)

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


def test_cells_parameters_and_hash_are_read_from_the_text(source):
    assert [cell.kind for cell in cells(source)] == ["markdown", "code", "code", "code"]
    assert parameters(source)["scale"].default == 7.5
    assert parameters(source)["scale"].help == "gamma"
    assert checked(source, {"scale": "1e-3", "preset": "x"}) == {"scale": 1e-3, "preset": "x"}
    before = code_hash(source)
    source.write_text(TEXT.replace("A title", "Another"))
    assert code_hash(source) == before
    source.write_text(TEXT.replace("7.5", "7.0"))
    assert code_hash(source) != before


@pytest.mark.parametrize(
    "line", ["x = 1", "x: int = 1.0", "x: int = f()", "x: dict = {}", "import os"]
)
def test_a_parameters_cell_holds_annotated_literals_only(source, line):
    source.write_text(TEXT.replace("scale: float = 7.5", line))
    with pytest.raises(ValueError, match=r"parameters cell.*expected name: bool \| float \| int"):
        parameters(source)


def test_the_derived_ipynb_has_no_outputs_and_the_same_bytes_each_time(source):
    assert derive(source) == derive(source)
    notebook = nbformat.reads(derive(source), 4)
    nbformat.validate(notebook)
    assert notebook.cells[1].metadata.tags == ["parameters"]
    assert write_derived(source.parent) == [source.with_suffix(".ipynb")]
    assert write_derived(source.parent) == []


def test_a_notebook_is_found_by_path_name_or_number(source):
    for name in (source, "fig99_try", "99", "fig99"):
        assert find_notebook(name, folder=source.parent) == source
    (source.parent / "table1_benchmark.py").touch()
    assert find_notebook("tab01", folder=source.parent).stem == "table1_benchmark"
    with pytest.raises(
        ValueError, match="expected one of 99, table1_benchmark; did you mean fig99_try"
    ):
        find_notebook("fig98_try", folder=source.parent)
    (source.parent / "fig99_try_3d.py").touch()
    with pytest.raises(
        ValueError, match=r"notebook='99': expected one of fig99_try, fig99_try_3d$"
    ):
        find_notebook("99", folder=source.parent)


def test_a_models_folder_is_found_from_a_notebooks_own_and_its_files_are_used(
    source, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "unet").mkdir(parents=True)
    index, weights = tmp_path / "mine/model_index.json", tmp_path / "mine/unet/a.safetensors"
    index.write_text("{}")
    weights.write_bytes(b"")
    source.write_text(
        TEXT.replace("stop: bool", 'model: str = ""\nstop: bool').replace("{preset}", "{model}")
        + "from sdilib.lab.notebooks.records import check\n"
    )
    for given, seen in (("mine", str(tmp_path / "mine")), ("owner/none", "owner/none")):
        run_notebook(source, folder="f", build="b", preset="smoke", model=given)
        assert Path("f/fig.txt").read_text().split()[0] == seen
        assert (Path("mine/unet/a.safetensors") in sources_used(source, given)) is (given == "mine")


def test_the_sources_used_are_those_imported_directly_or_not(source):
    source.write_text(TEXT + "from sdilib import presets\n")
    names = {path.name for path in sources_used(source)}
    assert names == {"fig99_try.py", "__init__.py", "presets.py", "checks.py"}
    source.write_text(TEXT + "from sdilib.lab.notebooks.records import check\n")
    names = {path.name for path in sources_used(source)}
    assert {"storage.py", "percent.py", "claims.py", "loading.py"} <= names
    assert "cli.py" not in names
