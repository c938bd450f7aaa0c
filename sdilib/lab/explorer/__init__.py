"""Runs under a reader's hands, in a notebook: one as it is made, all that were, and both in one page."""

from sdilib.lab.explorer.app import App
from sdilib.lab.explorer.results import Results
from sdilib.lab.explorer.widgets import Explorer

__all__ = ["App", "Explorer", "Results"]
