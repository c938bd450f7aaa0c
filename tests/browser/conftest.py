"""A real browser without a network, and the servers that it looks at; skipped unless asked for, and where there is no browser."""

import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
LIMIT = 300_000
"""Milliseconds until something that does not appear is called a failure: of a busy machine, two cores."""

ENDING = 60
"""Seconds until a server that Ctrl-C does not end is called a failure: it takes a few."""

_HEIGHT = "Math.max(...[...document.querySelectorAll('*')].map(each => each.scrollHeight))"
"""Of everything, in pixels: Voila scrolls an element of the page rather than the page."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = [
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--no-sandbox",  # containers run as root
]


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    if not os.environ.get("SDILIB_BROWSER"):
        pytest.skip("minutes long: make test-browser")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: apt install chromium, or likewise")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


_OF_JUPYTERLAB = re.compile("Canceled future for|Failed to execute 'removeChild'")
"""JupyterLab's own complaints when a kernel is restarted or shut down before it has answered, as tests ask of it."""

_LOCAL = re.compile(r"(http|ws)://(localhost|127\.0\.0\.1)[:/]|(data|blob|file|about):")


@pytest.fixture
def page(chromium) -> Iterator:
    """A page of 1280 px, kept as last.png; in the end it has asked for nothing from elsewhere, and nothing was missing."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(LIMIT)
    page = context.new_page()
    asked, sockets, wrong = [], [], []
    context.on("request", lambda request: asked.append(request))
    page.on("websocket", lambda opened: sockets.append(opened.url))
    page.on("response", lambda got: got.status >= 400 and wrong.append((got.status, got.url)))
    page.on("pageerror", lambda error: _OF_JUPYTERLAB.search(str(error)) or wrong.append(error))
    yield page
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "last.png")
    context.close()
    # What a page's own policy forbids is asked of nobody.
    urls = [*sockets, *(each.url for each in asked if each.failure != "csp")]
    assert [url for url in urls if not _LOCAL.match(url)] == []
    assert wrong == []


@pytest.fixture
def shoot(page) -> Callable[[str], bytes]:
    """Keep a screenshot, for people to look at; returns it. The window grows meanwhile to what is in it."""

    def take(name: str) -> bytes:
        SHOTS.mkdir(parents=True, exist_ok=True)
        window = page.viewport_size
        page.set_viewport_size(window | {"height": page.evaluate(_HEIGHT)})
        shot = page.screenshot(path=SHOTS / f"{name}.png")
        page.set_viewport_size(window)
        return shot

    return take


@pytest.fixture
def button(page) -> Callable:
    """A button in sight, by what is written on it; its name for a reader aloud has its icon's letter in it, too."""

    def find(label: str):
        written = re.compile(rf"^\s*{re.escape(label)}\s*$")
        return page.locator("button:visible").filter(has_text=written)

    return find


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., tuple[int, psutil.Process]]]:
    """Start a server by `make`, on a free port, which prints its address; all end by Ctrl-C, and leave nothing behind."""
    running = []

    def start(target: str, words: str, *, folder: Path) -> tuple[int, psutil.Process]:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        # Its home is another: whatever a person has set up for Jupyter counts for nothing.
        home = folder.with_name(f"{folder.name}-home")
        home.mkdir(exist_ok=True)
        ours = {"PYTHONPATH": str(ROOT), "HOME": str(home), "VIRTUAL_ENV": sys.prefix}
        ours["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        arguments = f"ARGS=--no-browser --port {port} {words}"
        command = ["make", "-f", str(ROOT / "Makefile"), target, "THREADS=1", arguments]
        told = home / "server.log"
        terminal, its_end = os.openpty()  # without one JupyterLab would not ask whether to end
        with told.open("w") as log:
            server = psutil.Popen(
                command,
                cwd=folder,
                env=os.environ | ours,
                stdin=its_end,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(its_end)
        running.append((server, told, terminal))
        deadline = time.monotonic() + LIMIT / 1000
        while f"http://localhost:{port}/" not in told.read_text():
            assert server.poll() is None, told.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        every = [each.net_connections() for each in server.children(recursive=True)]
        heard = {each.laddr.ip for sockets in every for each in sockets if not each.raddr}
        assert {"127.0.0.1"} <= heard <= {"127.0.0.1", "::1"}
        return port, server

    yield start
    left, said = [], []
    for server, told, terminal in running:
        every, before = [server, *server.children(recursive=True)], len(told.read_text())
        os.killpg(server.pid, signal.SIGINT)  # to all, as Ctrl-C in a terminal, and once
        left += psutil.wait_procs(every, ENDING)[1]
        said.append(told.read_text()[before:])
        os.close(terminal)
    for each in left:
        each.kill()
    assert left == []
    assert [text for text in said if "Traceback" in text] == []
