"""README's pictures of the explorer and the results, by `make screenshots`: some minutes, most of them two 3D runs.

`make screenshots ARGS="-k explorer"` takes the explorer's alone.

No test, and so not collected: it makes what it shows with the bundled model.
"""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
WIDTH = 1000  # of a picture, in pixels
MINUTES = 60_000


@pytest.fixture
def app(serve, page, button, tmp_path) -> None:
    port, _ = serve("app", "--root runs", folder=tmp_path)
    page.set_viewport_size({"width": 1060, "height": 800})
    page.goto(f"http://localhost:{port}/")
    button("Start").wait_for()


@pytest.fixture
def keep(page, shoot) -> Callable[[str], None]:
    """Write the whole page as a picture of 64 colours, small enough for a repository."""

    def write(name: str) -> None:
        page.wait_for_timeout(1000)
        shot = Image.open(io.BytesIO(shoot(name))).convert("RGB")
        size = (WIDTH, round(shot.height * WIDTH / shot.width))
        small = shot.resize(size, Image.Resampling.LANCZOS).quantize(64)
        small.save(ROOT / "paper_figures" / f"{name}.png", optimize=True)

    return write


def run(page, button, rule: str, **settings: int) -> None:
    page.get_by_label("rule", exact=True).select_option(rule)
    for label, value in settings.items():
        box = page.get_by_label(label, exact=True).locator("visible=true")
        box.fill(str(value))
        box.press("Enter")
    button("Start").click()
    page.get_by_text("running: ").wait_for()
    page.get_by_text("finished: step").wait_for(timeout=60 * MINUTES)


def test_take_the_explorer(app, page, button, keep):
    run(page, button, "sds")
    button("Keep as A").click()
    run(page, button, "sdi")
    keep("explorer")


def test_take_an_object_and_the_results(app, page, button, keep):
    button("3D object").click()
    for rule in ("sds", "sdi"):
        run(page, button, rule, steps=60)
        button("Save run").click()
        page.get_by_text("saved: ").wait_for()
    keep("explorer_3d")
    page.get_by_role("tab", name="Results").click()
    page.get_by_text("2 of 2 runs").wait_for()
    for box in page.locator(".sdi-run input[type=checkbox]").all():
        box.check()
    button("Compare").click()
    page.locator(".sdi-card:not(.sdi-run) img:visible").nth(1).wait_for()
    page.wait_for_timeout(MINUTES / 4)
    keep("results")
