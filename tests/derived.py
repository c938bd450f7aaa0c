"""Whether a notebook on disk is the one that its source says."""

from pathlib import Path

import nbformat

from sdilib.lab.notebooks.sources import derive


def is_derived(source: Path) -> bool:
    """Whether the `.ipynb` beside a source says what the source says; outputs and what a saving adds do not count."""
    target = source.with_suffix(".ipynb")
    if not target.is_file():
        return False
    pair = nbformat.read(target, 4), nbformat.reads(derive(source), 4)
    return _said(pair[0]) == _said(pair[1])


def _said(notebook: nbformat.NotebookNode) -> list[tuple[str, str, list[str]]]:
    return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]
