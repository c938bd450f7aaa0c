"""README's pictures of the explorer and the results, by `make screenshots`: some minutes, most of them two 3D runs.

`make screenshots ARGS="-k film"` takes the film of the explorer alone.

No test, and so not collected: it makes what it shows with the bundled model.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "paper_figures"
WIDTH, FILM_WIDTH = 1000, 720  # in pixels
MOST, FILM_MOST = 300_000, 400_000  # in bytes, of a picture and of a film
STEPS, EACH = 60, 3  # of a run that is filmed, and from one picture to the next
MINUTES = 60_000
PAINTED = re.compile(r"^step \d+$")  # beside the scrubber, once the images are


@pytest.fixture
def app(serve, page, button, tmp_path) -> None:
    port, _ = serve("app", "--root runs", folder=tmp_path)
    page.set_viewport_size({"width": 1000, "height": 800})
    page.goto(f"http://localhost:{port}/")
    button("Start").wait_for()


@pytest.fixture
def look(page, shoot) -> Callable[[int], Image.Image]:
    """The whole page, so many pixels wide."""

    def take(width: int) -> Image.Image:
        shot = Image.open(io.BytesIO(shoot("readme"))).convert("RGB")
        size = (width, round(shot.height * width / shot.width))
        return shot.resize(size, Image.Resampling.LANCZOS)

    return take


@pytest.fixture
def keep(page, look) -> Callable[[str], None]:
    def write(name: str) -> None:
        page.wait_for_timeout(1000)
        path = FOLDER / f"{name}.png"
        look(WIDTH).quantize(256).save(path, optimize=True)
        assert path.stat().st_size <= MOST

    return write


def start(page, button, rule: str, **settings: int) -> None:
    page.get_by_label("rule", exact=True).select_option(rule)
    for label, value in settings.items():
        box = page.get_by_label(label, exact=True).locator("visible=true")
        box.fill(str(value))
        box.press("Enter")
    button("Start").click()
    page.get_by_text("running: step").wait_for()


def finish(page) -> None:
    page.get_by_text("finished: step").wait_for(timeout=60 * MINUTES)


def test_film_the_explorer(app, page, button, look):
    button("3D object").click()
    page.get_by_label("views per step").locator("visible=true").wait_for()
    start(page, button, "sds", steps=STEPS)
    finish(page)
    button("Keep as A").click()
    start(page, button, "sdi")
    frames, shown = [], 0
    while not page.get_by_text("finished: step").is_visible():
        page.wait_for_timeout(100)
        step = int(page.get_by_text(PAINTED).locator("visible=true").inner_text().split()[1])
        if step >= shown + EACH:
            frames.append(look(FILM_WIDTH))
            shown = step
    page.wait_for_timeout(1000)
    frames.append(look(FILM_WIDTH))
    # Other methods give thin lines a wrong hue.
    colours = frames[-1].quantize(160, method=Image.Quantize.FASTOCTREE)
    first, *others = [each.quantize(palette=colours, dither=Image.Dither.NONE) for each in frames]
    path, lasting = FOLDER / "explorer.gif", [200] * len(others) + [4000]
    first.save(path, save_all=True, append_images=others, duration=lasting, loop=0)
    assert path.stat().st_size <= FILM_MOST


def test_take_the_results(app, page, button, keep):
    page.get_by_role("tab", name="Results").click()
    page.get_by_text("3 of 3 runs").wait_for()
    page.get_by_placeholder("filter").fill("mushroom")
    page.get_by_text("2 of 3 runs").wait_for()
    first, second = page.locator(".sdi-run input[type=checkbox]").all()
    first.check()
    second.check()
    button("Compare").click()
    page.locator(".sdi-card:not(.sdi-run) img:visible").nth(1).wait_for()
    first.uncheck()
    button("Mesh").click()
    page.frame_locator("iframe").locator("canvas").wait_for()
    page.wait_for_timeout(MINUTES / 20)
    keep("results")
