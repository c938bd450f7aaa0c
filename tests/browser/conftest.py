"""A real browser without a network, and the servers that it looks at; skipped unless asked for, and where there is no browser."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
LIMIT = 240_000
"""Milliseconds until something that does not appear is called a failure: of a busy machine, two cores."""

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


@pytest.fixture
def page(chromium) -> Iterator:
    """A page of 1280 px; in the end nothing has left this machine, and nothing was missing."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(LIMIT)
    page = context.new_page()
    answered, wrong = [], []
    page.on("requestfinished", lambda request: answered.append(request.url))
    page.on("response", lambda got: got.status >= 400 and wrong.append((got.status, got.url)))
    page.on("pageerror", lambda error: wrong.append(error))
    yield page
    context.close()
    local = ("http://localhost:", "http://127.0.0.1:", "data:", "blob:", "file:", "about:")
    assert [url for url in answered if not url.startswith(local)] == []
    assert wrong == []


@pytest.fixture
def shoot(page) -> Callable[[str], bytes]:
    """Keep a screenshot, for people to look at; returns it."""

    def take(name: str) -> bytes:
        SHOTS.mkdir(parents=True, exist_ok=True)
        return page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    return take


@pytest.fixture
def button(page) -> Callable:
    """A button in sight, by what is written on it; its name for a reader aloud has its icon's letter in it, too."""

    def find(label: str):
        written = re.compile(rf"^\s*{re.escape(label)}\s*$")
        return page.locator("button:visible").filter(has_text=written)

    return find


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., tuple[int, subprocess.Popen]]]:
    """Start a server on a free port; all end with the session."""
    running = []

    def start(*words: str, folder: Path) -> tuple[int, subprocess.Popen]:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        # Its home is another: whatever a person has set up for Jupyter counts for nothing.
        ours = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(folder)}
        command = [sys.executable, *(word.format(port=port) for word in words)]
        with (folder / "server.log").open("w") as log:
            server = subprocess.Popen(
                command, cwd=folder, env=os.environ | ours, stdout=log, stderr=log
            )
        running.append(server)
        deadline = time.monotonic() + LIMIT / 1000
        while True:
            with socket.socket() as tried:
                if tried.connect_ex(("localhost", port)) == 0:
                    return port, server
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)

    yield start
    for server in running:
        server.send_signal(signal.SIGINT)
        server.send_signal(signal.SIGTERM)
        server.wait(30)
