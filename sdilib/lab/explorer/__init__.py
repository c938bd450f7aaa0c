"""A distillation under a reader's hands, in a notebook."""

from sdilib.lab.explorer.widgets import Explorer

__all__ = ["Explorer"]
