"""`sdilib app` in a browser: a run is made, looked at, kept, laid beside others, turned and deleted."""

import pytest
from browser.steps import at_rest, enter, explore, finish, pictures, sideways, until

from sdilib.lab.explorer.results import EXAMPLES
from sdilib.lab.runs import known_runs

OBJECT = {"views per step": 1, "steps": 3, "size (px)": 16, "num samples": 8, "levels": 4}


@pytest.fixture(scope="module")
def app(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    return *serve("app", "--model tiny --root runs", folder=folder), folder / "runs"


def test_a_run_is_made_and_looked_at(app, page, button, shoot):
    port, server, root = app
    alone = len(server.children(recursive=True))
    page.goto(f"http://localhost:{port}/")
    button("Start").wait_for()
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    explore(page, button, shoot, "explorer")
    button("Save run").click()
    page.get_by_text("saved: ").wait_for()
    assert [run["state"] for run in known_runs(root)] == ["done"]

    # A 3D object, turned.
    button("3D object").click()
    page.get_by_label("rule", exact=True).select_option("sds")
    button("more settings").press("Enter")
    enter(page, OBJECT)  # first one that no image has: until it is there, "steps" are the image's
    button("Start").click()
    finish(page, 3)
    before = pictures(page)[0]
    page.locator(".noUi-handle:visible").nth(1).focus()
    page.keyboard.press("PageUp")
    until(lambda: pictures(page)[0] != before)
    button("more settings").click()
    shoot("explorer-3d")
    assert sideways(page) == []
    button("Save run").click()
    until(lambda: len(known_runs(root)) == 2)

    # The results: filtered, side by side, and one deleted.
    page.get_by_role("tab", name="Results").click()
    examples = len(known_runs(EXAMPLES))
    page.get_by_text(f"{2 + examples} of {2 + examples} runs").wait_for()
    shoot("results-first")
    page.get_by_placeholder("filter").fill("model=tiny")
    page.get_by_text(f"2 of {2 + examples} runs").wait_for()
    for box in page.locator(".sdi-run input[type=checkbox]").all():
        box.check()
    button("Compare").click()
    page.get_by_text("residual").or_(page.locator("img:visible")).first.wait_for()
    until(lambda: len(page.locator(".sdi-card:not(.sdi-run) img:visible").all()) == 2)
    shoot("results")
    assert sideways(page) == []

    # The surface turns within the page, and goes along with an export.
    page.locator(".sdi-run input[type=checkbox]:checked").last.uncheck()
    button("Mesh").click()
    surface = page.frame_locator("iframe").locator("canvas")
    surface.scroll_into_view_if_needed()
    before = at_rest(surface)
    surface.press("ArrowLeft")
    until(lambda: surface.screenshot() != before)
    shoot("results-mesh")
    button("Export…").click()
    button("Export").click()
    page.get_by_text("written to ").wait_for()
    (folder,) = (path.parent for path in root.rglob("mesh.glb"))
    assert (folder / "mesh.html").is_file()
    page.get_by_placeholder("filter").fill("sds steps=3")
    page.get_by_text(f"1 of {2 + examples} runs").wait_for()
    page.set_viewport_size({"width": 480, "height": 900})
    shoot("results-narrow")
    assert sideways(page) == []
    page.get_by_role("tab", name="Explore").click()
    shoot("explorer-narrow")
    assert sideways(page) == []
    page.get_by_role("tab", name="Results").click()
    page.locator(".sdi-run input[type=checkbox]").check()
    button("Delete…").click()
    page.get_by_text("for good?").wait_for()
    assert len(known_runs(root)) == 2
    button("Delete").click()
    page.get_by_text(f"0 of {1 + examples} runs").wait_for()
    assert [run["config"]["scene"] for run in known_runs(root)] == ["image"]

    # Nobody is left behind, not even by a run that goes on.
    page.get_by_role("tab", name="Explore").click()
    enter(page, {"steps": 5000})
    button("Start").click()
    page.get_by_text("running: step").wait_for()
    assert len(server.children(recursive=True)) > alone
    page.goto("about:blank")
    until(lambda: len(server.children(recursive=True)) == alone)
