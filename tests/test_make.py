"""make: the list of targets, incremental figures, failures that stop nothing else; and the README's snippets."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from sdilib.cli import _parser
from sdilib.lab.notebooks.cleaning import tell_git
from sdilib.lab.notebooks.sources import write_derived

ROOT = Path(__file__).parents[1]
NOTEBOOK = """# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
#     language: python
# ---
# %% [markdown]
# # A title
# %% tags=["parameters"]
folder: str = ""  # where
# %%
from pathlib import Path
from matplotlib.figure import Figure
from sdilib.lab.notebooks.page import Page
page = Page("NAME", {"preset": "laptop"}, Path(folder), 0, 0.0)
# %%
page.save(Figure(), {}, seconds=0.0)
"""


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    ours = {
        "VIRTUAL_ENV": sys.prefix,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    kept = {
        k: v for k, v in os.environ.items() if k not in ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    return subprocess.run(
        ["make", *words], cwd=folder, env=kept | ours, capture_output=True, text=True
    )


@pytest.fixture
def clone(tmp_path) -> Path:
    """A clone with two notebooks of its own, of which the second can be broken."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "sdilib").symlink_to(ROOT / "sdilib")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "paper_figures").mkdir()
    for name in ("fig97_one", "fig98_two"):
        (tmp_path / f"notebooks/{name}.py").write_text(NOTEBOOK.replace("NAME", name))
    return tmp_path


def test_make_alone_lists_every_target():
    listed = make(ROOT).stdout
    targets = "env figures table1 check-figures test soak installs lint notebooks lab app train model-card bench bench-memory gpu-check clean"
    for target in targets.split():
        assert re.search(rf"^{target} ", listed, re.MULTILINE), target


def test_gpu_check_without_a_cuda_device_says_so(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = make(ROOT, "gpu-check")
    assert done.returncode == 2
    assert "device='cuda': expected one that torch" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_figure_is_refused(clone):
    (clone / "notebooks/the_rest.py").touch()
    done = make(clone, "figures", "FIG=A97")
    assert done.returncode == 2
    expected = "FIG='A97': expected one of 97, 98, the_rest; did you mean 97?\n"
    assert done.stderr.startswith(f"sdilib: {expected}")


@pytest.mark.parametrize("key", ["97", "FIG97", "fig97_one", "notebooks/fig97_one.py"])
def test_a_figure_is_named_by_number_name_or_path(clone, key):
    (clone / "notebooks/table1_methods.py").touch()
    planned = make(clone, "-n", "figures", f"FIG={key}").stdout
    assert re.findall(r"notebook notebooks/(\w+)\.py", planned) == ["fig97_one"]
    planned = make(clone, "-n", "figures").stdout
    assert re.findall(r"notebook notebooks/(\w+)\.py", planned) == ["fig97_one", "fig98_two"]


def test_both_tables_are_made_together(clone):
    for name in ("table1_2d", "table1_3d"):
        (clone / f"notebooks/{name}.py").write_text(NOTEBOOK.replace("NAME", name))
    planned = make(clone, "-n", "table1").stdout
    assert re.findall(r"notebook notebooks/(\w+)\.py", planned) == ["table1_2d", "table1_3d"]


@pytest.mark.parametrize("threads", ["abc", "0", "1.5", "-1", "1 2"])
def test_a_number_of_threads_that_is_none_is_refused(clone, threads):
    done = make(clone, "figures", f"THREADS={threads}")
    assert done.returncode == 2
    assert f"THREADS='{threads}': expected an integer of at least 1" in done.stderr
    assert "SDILIB" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("words", "threads"), [([], "3"), (["THREADS=2"], "2")])
def test_the_environments_number_of_threads_counts_unless_one_is_given(
    clone, monkeypatch, words, threads
):
    monkeypatch.setenv("SDILIB_THREADS", "3")
    (clone / "show.mk").write_text("include Makefile\nshow:\n\t@echo $$SDILIB_THREADS\n")
    assert make(clone, "-f", "show.mk", "show", *words).stdout == f"{threads}\n"


def test_figures_that_nobody_made_yet_are_not_wrong(clone):
    done = make(clone, "check-figures")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no figures are made yet at preset laptop: make figures PRESET=laptop" in done.stdout
    mistyped = make(clone, "check-figures", "FOLDER=paper_figures/laptob")
    assert mistyped.returncode == 2
    assert "folder='paper_figures/laptob': expected a folder of figures" in mistyped.stderr


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"notebook notebooks/(\w+)\.py", done.stdout)


def test_figures_are_made_once_and_again_only_if_something_changed(clone):
    figures = clone / "paper_figures/laptop"
    done = make(clone, "figures")
    assert done.returncode == 0
    assert re.search(r"^fig97_one: \d+ s; 1 of 2, about \d+ s left$", done.stdout, re.MULTILINE)
    assert re.search(r"^fig98_two: \d+ s; 2 of 2$", done.stdout, re.MULTILINE)
    for name in ("fig97_one", "fig98_two"):
        for kind in ("json", "pdf", "png"):
            assert (figures / f"{name}.{kind}").is_file()
    assert "fig98_two" in (figures / "README.md").read_text()
    done = make(clone, "figures")
    assert (ran(done), done.returncode) == ([], 0)
    assert "all figures are up to date" in done.stdout
    assert make(clone, "check-figures").returncode == 0
    os.utime(clone / "notebooks/fig97_one.py")  # times count for nothing
    assert ran(make(clone, "-n", "figures")) == []
    assert ran(make(clone, "-n", "figures", "AGAIN=1", "FIG=97")) == ["fig97_one"]
    (figures / "fig97_one.png").unlink()  # a figure that is gone is made again, the other is not
    done = make(clone, "figures")
    assert ran(done) == ["fig97_one"]
    assert re.search(r"^fig97_one: \d+ s; 1 of 1$", done.stdout, re.MULTILINE)
    source = clone / "notebooks/fig98_two.py"
    source.write_text(source.read_text() + "# %%\n0\n")
    assert ran(make(clone, "-n", "figures")) == ["fig98_two"]  # make and the check agree
    done = make(clone, "check-figures")
    assert done.returncode == 2
    assert "repair: make figures FIG=98 PRESET=laptop\n" in done.stdout


def test_a_failed_notebook_stops_no_other_and_leaves_no_figure(clone):
    broken = clone / "notebooks/fig97_one.py"
    broken.write_text(broken.read_text() + "# %%\nraise RuntimeError('on purpose')\n")
    done = make(clone, "-j2", "figures")
    assert done.returncode == 2
    assert "RuntimeError: on purpose" in done.stderr
    counts = re.findall(r"^fig9._\w+: \d+ s; (\d) of 2", done.stdout, re.MULTILINE)
    assert sorted(counts) in (["1", "2"], ["2", "2"])  # they may end at once
    made = sorted(path.name for path in (clone / "paper_figures/laptop").iterdir())
    assert made == ["README.md", "fig98_two.json", "fig98_two.pdf", "fig98_two.png"]
    left = sorted(path.name for path in (clone / "build/figures/laptop").iterdir())
    assert left == ["fig97_one.failed.ipynb", "fig98_two.ipynb", "plan"]
    assert ran(make(clone, "-n", "figures")) == ["fig97_one"]


def test_without_an_active_environment_make_sets_up_its_own(clone):
    ours = {
        k: v
        for k, v in os.environ.items()
        if k not in ("VIRTUAL_ENV", "CONDA_PREFIX", "MAKEFLAGS", "MAKELEVEL")
    }
    for more in ({}, {"CONDA_PREFIX": "/conda", "CONDA_DEFAULT_ENV": "base"}):
        words = ["make", "-n", "env"]
        plan = subprocess.run(
            words, cwd=clone, env=ours | more, capture_output=True, text=True
        ).stdout
        assert "-m venv .venv" in plan
        first, second = re.findall(r"^\.venv/bin/python -m pip install.*$", plan, re.MULTILINE)
        assert "torch==" in first
        assert "constraints.txt" in second
    plan = make(clone, "-n", "env").stdout
    assert "venv .venv" not in plan


def test_a_notebook_that_was_run_and_saved_is_the_same_to_git(clone):
    def git(*words: str) -> str:
        ours = ["git", "-c", "user.name=A reader", "-c", "user.email=reader@localhost"]
        done = subprocess.run([*ours, *words], cwd=clone, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    write_derived(clone / "notebooks")
    shutil.copy(ROOT / ".gitattributes", clone)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "clone")
    (setup,) = re.findall(r"^.*git config.*$", make(clone, "-n", "env").stdout, re.MULTILINE)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(setup, cwd=clone, shell=True, check=True, env=environment)
    path = clone / "notebooks/fig97_one.ipynb"
    notebook = nbformat.read(path, 4)
    output = nbformat.v4.new_output("stream", text="a γ")
    notebook.cells[-1].update(execution_count=3, outputs=[output])
    nbformat.write(notebook, path)
    tell_git(path)  # as make lab does
    assert git("status", "--porcelain") == ""
    assert "a γ" in path.read_text()  # for the reader nothing has changed
    assert write_derived(path.parent) == [path]
    assert git("status", "--porcelain") == ""
    notebook.cells[-1].source += "  # edited"
    nbformat.write(notebook, path)
    tell_git(path)
    assert git("status", "--porcelain") == " M notebooks/fig97_one.ipynb\n"


def test_every_constraint_is_a_name_and_a_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert any(line.startswith("torch==") for line in pinned)


def test_a_wheel_holds_the_package_and_its_models(tmp_path):
    words = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
    ]
    subprocess.run([*words, str(tmp_path), str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [
        p for p in (ROOT / "sdilib").rglob("*") if p.is_file() and "__pycache__" not in p.parts
    ]
    assert {p.relative_to(ROOT).as_posix() for p in files} <= names
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "unpacked")
    words = "-m sdilib run --prompt mug --model tiny --preset smoke".split()
    clean = os.environ | {"PYTHONPATH": str(tmp_path / "unpacked")}
    subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=clean, check=True, capture_output=True
    )
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_the_readme_runs(capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(snippet, {})  # the README's own code
        assert capsys.readouterr().out.split("\n")[:-1] == re.findall(
            r"print\(.*\)  # (.*)", snippet
        )


@pytest.mark.parametrize(
    "page", ["README.md", "sdilib/lab/sweeps.md", "notebooks/exercises/README.md"]
)
def test_every_command_of_a_text_has_the_options_that_it_gives(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    commands = re.findall(r"^sdilib (.*)", text, re.MULTILINE)
    assert commands
    for command in commands:
        _parser().parse_args(shlex.split(command, comments=True))


def test_every_make_target_in_the_texts_exists():
    targets = set(re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        used = set(re.findall(r"(?:`|^)make (?:-\S+ )*(\w[\w-]*)", text, re.MULTILINE))
        assert used <= targets
        assert used
