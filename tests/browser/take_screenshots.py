"""README's pictures of the explorer and the results, by `make screenshots`: some minutes, most of them two 3D runs.

No test, and so not collected: it makes what it shows with the bundled model.
"""

import io
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
WIDTH = 1000  # of a picture, in pixels
MINUTES = 60_000


def keep(page, name: str) -> None:
    """Write the page as a picture of 64 colours, small enough for a repository."""
    page.wait_for_timeout(1000)
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    size = (WIDTH, round(shot.height * WIDTH / shot.width))
    small = shot.resize(size, Image.Resampling.LANCZOS).quantize(64)
    small.save(ROOT / "paper_figures" / f"{name}.png", optimize=True)


def run(page, button, rule: str, **settings: int) -> None:
    page.get_by_label("rule", exact=True).select_option(rule)
    for label, value in settings.items():
        box = page.get_by_label(label, exact=True).locator("visible=true")
        box.fill(str(value))
        box.press("Enter")
    button("Start").click()
    page.get_by_text("running: ").wait_for()
    page.get_by_text("finished: step").wait_for(timeout=60 * MINUTES)


def test_take(serve, page, button, tmp_path):
    words = "-m sdilib app --root runs --no-browser --port {port}"
    port, _ = serve(*words.split(), folder=tmp_path)
    page.set_viewport_size({"width": 1100, "height": 800})
    page.goto(f"http://localhost:{port}/")
    button("Start").wait_for()
    run(page, button, "sds")
    button("Keep as A").click()
    run(page, button, "sdi")
    keep(page, "explorer")
    button("Reset").click()
    button("3D object").click()
    for rule in ("sds", "sdi"):
        run(page, button, rule, steps=60)
        button("Save run").click()
        page.get_by_text("saved: ").wait_for()
    keep(page, "explorer_3d")
    page.get_by_role("tab", name="Results").click()
    page.get_by_text("2 of 2 runs").wait_for()
    for box in page.locator(".sdi-run input[type=checkbox]").all():
        box.check()
    button("Compare").click()
    page.locator(".sdi-card:not(.sdi-run) img:visible").nth(1).wait_for()
    page.wait_for_timeout(MINUTES / 4)
    keep(page, "results")
