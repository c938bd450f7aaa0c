"""JupyterLab as `make lab` opens it: at the first notebook, from which all can be run; what is saved is not stale."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from browser.steps import at_rest, drag, enter, explore, until
from derived import is_derived

from sdilib.lab.notebooks.sources import write_derived

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(
    str(path.relative_to(ROOT / "notebooks").with_suffix(""))
    for path in (ROOT / "notebooks").rglob("*.py")
)
BLANK = "there is a blank (...) left to fill"


@pytest.fixture(scope="module")
def lab(serve, tmp_path_factory):
    """A clone's notebooks, all set to the smallest preset."""
    clone = tmp_path_factory.mktemp("clone")
    for name in ("notebooks", "paper_figures"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("*.pdf"))
    for source in (clone / "notebooks").glob("*.py"):
        text = source.read_text()
        source.write_text(text.replace('preset: str = "laptop"', 'preset: str = "smoke"'))
    write_derived(clone / "notebooks")
    (clone / "sdilib").symlink_to(ROOT / "sdilib")  # where the settings of JupyterLab are
    for name in (".gitignore", ".gitattributes"):
        shutil.copy(ROOT / name, clone)
    for words in ("init -q", "add .", "commit -qm clone"):
        git(clone, *words.split())
    # As `make env` does.
    git(clone, "config", "filter.notebook.clean", f"'{sys.executable}' -m sdilib notebooks --clean")
    return *serve("lab", "--IdentityProvider.token=", folder=clone), clone


def git(clone: Path, *words: str) -> str:
    ours = ["git", "-c", "user.name=A reader", "-c", "user.email=reader@localhost"]
    # Looking on is not to hinder JupyterLab, which tells git of each saving.
    ours.append("--no-optional-locks")
    return subprocess.run(
        [*ours, *words], cwd=clone, check=True, capture_output=True, text=True
    ).stdout


def spent(server: psutil.Process, *, seconds: float) -> float:
    """Return how long it and its kernels compute meanwhile, in seconds."""
    every = server.children(recursive=True)
    began = sum(sum(each.cpu_times()[:2]) for each in every)
    time.sleep(seconds)
    return sum(sum(each.cpu_times()[:2]) for each in every) - began


def run_all(page) -> None:
    # A kernel that is restarted before it has begun may run nothing.
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']:visible").first.wait_for()
    page.get_by_role("menuitem", name="Run").click()
    page.get_by_text("Restart Kernel and Run All Cells…").click()
    page.get_by_role("button", name="Confirm Kernel Restart").or_(
        page.get_by_role("button", name="Restart", exact=True)
    ).click()


def save(page, notebook: Path) -> None:
    """Save the notebook in sight, and wait until it lies there with its outputs."""
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    while '"output_type"' not in notebook.read_text():
        page.wait_for_timeout(200)


def test_the_notebooks_open_run_and_are_saved(lab, page, button, shoot):
    port, server, clone = lab
    page.goto(f"http://localhost:{port}/")
    page.get_by_role("heading", name="Start here").wait_for()
    page.wait_for_timeout(2000)  # of a pop-up, if there were one
    assert not page.get_by_text("Jupyter news").is_visible()
    commands = [each.cmdline() for each in server.children(recursive=True)]
    kernels = [words[0] for words in commands if "ipykernel_launcher" in words]
    assert kernels == [sys.executable]
    shoot("lab")

    # Alone: what is open beside it is saved as well, every other minute.
    page.goto(f"http://localhost:{port}/lab/tree/notebooks/explore.ipynb?reset")
    page.get_by_role("heading", name="Explore").wait_for()
    run_all(page)
    page.get_by_text("paused: step 3 of 4").wait_for()
    button("Go on").click()
    page.get_by_text("finished: step 4 of 4").wait_for()
    page.get_by_text("The same as a figure").last.scroll_into_view_if_needed()
    page.locator(".jp-OutputArea-output img:visible").last.wait_for()
    button("Reset").click()
    page.get_by_text("Nothing runs yet.").wait_for()
    explore(page, button, shoot, "lab-explore")
    save(page, clone / "notebooks/explore.ipynb")

    page.goto(f"http://localhost:{port}/lab/tree/notebooks/results.ipynb?reset")
    page.get_by_role("heading", name="Results").wait_for()
    run_all(page)
    page.get_by_text(re.compile(r"^\d+ of \d+ runs")).wait_for()
    page.get_by_placeholder("filter:").fill("mushroom")
    page.get_by_text(re.compile(r"^2 of \d+ runs")).wait_for()
    page.locator(".sdi-run input[type=checkbox]").first.check()
    button("Mesh").click()
    surface = page.frame_locator(".sdi iframe").locator("canvas")
    surface.scroll_into_view_if_needed()
    before, place = at_rest(surface), surface.bounding_box()
    middle = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    drag(page, at=middle, by=(150, 0))
    until(lambda: surface.screenshot() != before)
    shoot("lab-results")
    page.get_by_role("heading", name="Results").click()  # keys go to the mesh otherwise
    save(page, clone / "notebooks/results.ipynb")

    # What was run and saved says what its source says, also to git, and so does what `make notebooks` makes of it.
    assert is_derived(clone / "notebooks/explore.py")
    assert is_derived(clone / "notebooks/results.py")
    until(lambda: not git(clone, "status", "--porcelain"))  # told of the last saving a moment later
    written = write_derived(clone / "notebooks")
    assert [path.stem for path in written] == ["explore", "results"]
    assert git(clone, "status", "--porcelain") == ""


def test_a_run_pauses_while_its_page_is_away(lab, page, button):
    port, server, clone = lab
    address = f"http://localhost:{port}/lab/tree/notebooks/explore.ipynb"
    page.goto(f"{address}?reset")
    page.get_by_role("heading", name="Explore").wait_for()
    run_all(page)
    page.get_by_text("paused: step 3 of 4").wait_for()
    save(page, clone / "notebooks/explore.ipynb")
    enter(page, {"steps": 100_000})
    button("Start").click()
    page.get_by_text("running: step").wait_for()
    page.wait_for_timeout(10_000)  # it is asked every other second whether it is there
    page.goto("about:blank")
    assert spent(server, seconds=5) > 0.5
    until(lambda: spent(server, seconds=5) < 0.1)
    page.goto(address)
    page.get_by_text("running: step").wait_for()  # since it is there again
    button("Stop").click()
    page.get_by_text("stopped: step").wait_for()


def test_the_60_lines_and_an_exercise_run(lab, page, shoot):
    port, *_ = lab
    page.goto(f"http://localhost:{port}/lab/tree/notebooks/exercises/05_sdi.ipynb")
    page.get_by_role("heading", name="5. SDI").wait_for()
    run_all(page)
    page.get_by_text(f"sdi: {BLANK}").wait_for()
    shoot("lab-exercise")

    page.goto(f"http://localhost:{port}/lab/tree/notebooks/sdi_in_60_lines.ipynb")
    page.get_by_role("heading", name="SDI in 60 lines").wait_for()
    run_all(page)
    page.locator(".jp-OutputArea-output img:visible").last.wait_for()
    page.wait_for_timeout(1000)
    shoot("lab-60-lines")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_runs_from_its_page(lab, page, name):
    port, _, clone = lab
    notebook = clone / f"notebooks/{name}.ipynb"
    page.goto(f"http://localhost:{port}/lab/tree/notebooks/{name}.ipynb?reset")
    page.locator(".jp-Notebook h1:visible").first.wait_for()
    run_all(page)
    page.keyboard.press("Escape")
    deadline = time.monotonic() + 900
    left = ["all"]
    while left and time.monotonic() < deadline:
        page.wait_for_timeout(1000)
        page.keyboard.press("Control+s")
        cells = json.loads(notebook.read_text())["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        wrong = [out for cell in code for out in cell["outputs"] if out["output_type"] == "error"]
        assert wrong == []
        left = [cell["source"] for cell in code if cell["execution_count"] is None]
    assert left == []
    assert (BLANK in notebook.read_text()) == name.startswith("exercises/")
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    with page.expect_response(lambda got: got.request.method == "DELETE"):
        page.get_by_text("Shut Down Kernel", exact=True).click()  # some hundred MiB each
