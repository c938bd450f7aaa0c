"""What a person does with the pages, in the app as in JupyterLab."""

import re
import time
from collections.abc import Callable

from sdilib.lab.explorer.parts import png

SMALL = {"steps": 4, "inversion steps n": 2}

_SIDEWAYS = """[...document.querySelectorAll('*')].filter(each => each.clientWidth
    && each.scrollWidth > each.clientWidth + 1
    && (each === document.documentElement || /auto|scroll/.test(getComputedStyle(each).overflowX))
).map(each => `${each.tagName} ${each.className}: ${each.scrollWidth} in ${each.clientWidth}`)"""


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 900
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def enter(page, values: dict[str, int]) -> None:
    for label, value in values.items():
        box = page.get_by_label(label, exact=True).locator("visible=true")
        box.fill(str(value))
        box.press("Enter")


def pictures(page) -> list[bytes]:
    """Of those in sight: the image of each run, then its three small ones."""
    read = "image => fetch(image.src).then(got => got.arrayBuffer()).then(got => [...new Uint8Array(got)])"
    return [bytes(each.evaluate(read)) for each in page.locator(".sdi-card img:visible").all()]


def finish(page, steps: int) -> None:
    """Wait for the run's end, and for its last pictures: the scrubber follows them."""
    page.get_by_text(f"finished: step {steps} of {steps}").wait_for()
    page.get_by_text(f"step {steps}", exact=True).locator("visible=true").wait_for()


def explore(page, button, shoot, name: str) -> None:
    """Control an explorer in which nothing has run, by all that an image has; a finished run is left.

    Args:
        page: that shows it.
        button: see conftest.
        shoot: likewise.
        name: of the screenshots.
    """
    blank = pictures(page)
    begun = page.get_by_label("steps", exact=True).first.input_value()

    # A prompt, and a run of it.
    page.get_by_label("object", exact=True).select_option("rocket")
    enter(page, SMALL)
    button("Start").click()
    finish(page, 4)
    first = pictures(page)
    assert not set(blank) & set(first)
    shoot(name)

    # The code makes the same image.
    button("Copy as code").click()
    names: dict = {}
    exec(page.evaluate("navigator.clipboard.readText()"), names)
    assert png(names["image"], 256) == first[0]

    # What cannot be cannot be started.
    enter(page, {"steps": 1})
    page.get_by_text("steps=1: expected an integer of at least 2").wait_for()
    button("Start").click()
    page.get_by_text("steps=1: expected an integer of at least 2").wait_for()
    assert pictures(page) == first
    enter(page, {"steps": 5000})

    # B beside A, from the same seed: paused, and gone on.
    button("Keep as A").click()
    enter(page, {"γ": 1})
    button("Start").click()
    button("Pause").click()
    page.get_by_text("paused: step").wait_for()
    button("Go on").click()
    page.get_by_text("running: step").wait_for()
    button("Stop").click()
    page.get_by_text("stopped: step").wait_for()
    page.get_by_text(re.compile(r"γ 1\b")).first.wait_for()
    until(lambda: len(pictures(page)) == 8)
    until(lambda: pictures(page)[0] == first[0] != pictures(page)[4])
    shoot(f"{name}-a-b")
    button("Reset").click()
    until(lambda: page.get_by_label("steps", exact=True).first.input_value() == begun)

    # Back through the run, by the keyboard.
    enter(page, SMALL)
    button("Start").click()
    finish(page, 4)
    last = pictures(page)
    page.locator(".noUi-handle:visible").first.focus()
    page.keyboard.press("Home")
    until(lambda: pictures(page)[0] != last[0])


def drag(page, at: tuple[float, float], by: tuple[float, float]) -> None:
    """Drag by the mouse, from a place in the window, so many pixels."""
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + by[0], at[1] + by[1], steps=4)
    page.mouse.up()


def at_rest(element) -> bytes:
    """A screenshot of an element that no longer changes by itself."""
    before = b""
    while (now := element.screenshot()) != before:
        before = now
    return now


def sideways(page) -> list[str]:
    """What can be scrolled sideways, of the page and all its parts."""
    return page.evaluate(_SIDEWAYS)
