"""`sdilib app`: the explorer and the results as a page in the browser, served by Voila to this machine only."""

import argparse
import secrets
import tempfile
from pathlib import Path

from sdilib.checks import positive_int
from sdilib.cli.arguments import Command, integer

_OURS = "'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws://localhost:* ws://127.0.0.1:*"
_POLICY = {"Content-Security-Policy": f"default-src {_OURS}"}
"""Restricts a page to this machine; Voila also bundles the style sheets that it would fetch from elsewhere."""

_FORGOTTEN = 3600
"""Seconds after which an idle kernel is ended, in case the browser was killed without closing its page."""


def add_app(command: Command) -> None:
    """Add the command to the program.

    Args:
        command: adds a command to it.
    """
    add = command("app", _app, "open the explorer and the results in the browser").add_argument
    add("--model", default="mini", help="mini (default), a folder, or a hub id")
    add("--root", default="runs", help="folder of all runs")
    add("--port", type=integer, default=8866, help="8866 (default); if it is taken, one near it")
    add("--no-browser", action="store_true", help="only print the address")


def _app(options: argparse.Namespace) -> int:
    # Once per user it lists the fonts, aloud: on the terminal rather than on the page, whose kernel finds them listed.
    import matplotlib.font_manager  # noqa: F401
    import nbformat
    from traitlets.config import Config
    from voila.app import Voila

    from sdilib.stable_diffusion.names import check_name

    check_name(options.model)
    positive_int("port", options.port, at_most=65_535)
    root = str(Path(options.root).resolve())
    lines = ["from sdilib.lab.explorer import App", f"App({options.model!r}, {root!r})"]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("\n".join(lines))],
        metadata={"kernelspec": {"name": "python3", "display_name": "sdilib"}},
    )
    with tempfile.TemporaryDirectory(prefix="sdilib") as folder:
        page = Path(folder) / "sdilib.ipynb"
        nbformat.write(notebook, page)
        config = Config()
        config.Voila.ip, config.Voila.port = "localhost", options.port
        config.Voila.open_browser = not options.no_browser
        # Voila ends a closed page's kernel only if the page has this cookie, which Voila never sets.
        cookie = {"Set-Cookie": f"_xsrf={secrets.token_hex()}; Path=/; SameSite=Strict"}
        config.Voila.tornado_settings = {"headers": _POLICY | cookie}
        config.MappingKernelManager.cull_idle_timeout = _FORGOTTEN
        config.VoilaConfiguration.show_tracebacks = True
        Voila.launch_instance([str(page)], config=config)
    return 0
