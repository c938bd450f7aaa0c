"""JupyterLab as `make lab` opens it: at the first notebook, from which all can be run; what is saved is not stale."""

import json
import shutil
from pathlib import Path

import pytest

from sdilib.lab.notebooks.sources import is_derived, write_derived

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(serve, tmp_path_factory):
    """A clone's notebooks, of which the explorer's is set to the smallest preset."""
    clone = tmp_path_factory.mktemp("clone")
    for name in ("notebooks", "paper_figures"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("*.pdf"))
    explore = clone / "notebooks/explore.py"
    explore.write_text(
        explore.read_text().replace('preset: str = "laptop"', 'preset: str = "smoke"')
    )
    write_derived(clone / "notebooks")
    settings = ROOT / "sdilib/lab/notebooks/jupyterlab.json"
    words = (
        f"-m jupyterlab --config={settings} --no-browser --IdentityProvider.token= --port {{port}}"
    )
    return serve(*words.split(), folder=clone)[0], clone


def test_the_notebooks_open_run_and_are_saved(lab, page, shoot):
    port, clone = lab
    page.goto(f"http://localhost:{port}/")
    page.get_by_role("heading", name="Start here").wait_for()
    page.wait_for_timeout(2000)  # of a pop-up, if there were one
    assert not page.get_by_text("Jupyter news").is_visible()
    shoot("lab")

    page.goto(f"http://localhost:{port}/lab/tree/notebooks/explore.ipynb")
    page.get_by_role("heading", name="Explore").wait_for()
    page.get_by_role("menuitem", name="Run").click()
    page.get_by_text("Restart Kernel and Run All Cells…").click()
    page.get_by_role("button", name="Confirm Kernel Restart").or_(
        page.get_by_role("button", name="Restart", exact=True)
    ).click()
    page.get_by_text("paused: step 3 of 4").or_(page.get_by_text("step 2 of")).first.wait_for()
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("finished: step 4 of 4").wait_for()
    page.get_by_text("The same as a figure").scroll_into_view_if_needed()
    page.locator(".jp-OutputArea-output img").last.wait_for()
    shoot("lab-explore")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    saved = clone / "notebooks/explore.ipynb"
    page.wait_for_timeout(3000)
    cells = json.loads(saved.read_text())["cells"]
    assert any(cell.get("outputs") for cell in cells)
    source = saved.with_suffix(".py")
    assert is_derived(source)
    changed = source.read_text().replace('preset: str = "smoke"', 'preset: str = "laptop"')
    assert changed == (ROOT / "notebooks/explore.py").read_text()
