"""Notebooks as files: found by name, read by jupytext, and derived.

A notebook's source is its `.py` (py:percent); the `.ipynb` beside it is derived from it.
"""

import re
from pathlib import Path

import jupytext
import nbformat

from sdilib.checks import reject
from sdilib.lab.notebooks.cleaning import cleaned, tell_git
from sdilib.storage import atomic_write


def cells(source: str | Path, kind: str) -> list[str]:
    """Return the text of a notebook's cells of one kind.

    Args:
        source: path of the `.py` file.
        kind: "code" or "markdown".

    Raises:
        FileNotFoundError: no such file.
    """
    return [cell.source for cell in jupytext.read(Path(source)).cells if cell.cell_type == kind]


def code(source: str | Path) -> str:
    """Return a notebook's code, as one text.

    Args:
        source: path of the `.py` file.
    """
    return "\n".join(cells(source, "code"))


def makes_figures(source: str | Path) -> bool:
    """Return whether a notebook saves figures; others are pages to work with.

    Args:
        source: path of the `.py` file.
    """
    return "page.save(" in Path(source).read_text(encoding="utf-8")


def paragraphs(source: str | Path) -> list[list[str]]:
    """Return the paragraphs of a notebook's text, by cell.

    Args:
        source: path of the `.py` file.
    """
    texts = [text.split("\n\n") for text in cells(source, "markdown")]
    return [[part.strip() for part in parts if part.strip()] for parts in texts]


def find_notebooks(
    name: str | Path, *, folder: str | Path = "notebooks", parameter: str = "notebook"
) -> list[Path]:
    """Return the sources that a name stands for: at least one.

    Args:
        name: a path, the notebook's name ("fig01_teaser"), or what stands before its first underscore, with or without
            "fig" and leading zeros, in any case ("1", "01", "A14", "a14", "00"); "tab01" is "table1".
        folder: where the notebooks are.
        parameter: what the name was given as, for the message.

    Raises:
        ValueError: none of that name; the message lists those known.
    """
    if str(name).endswith(".py") and Path(name).is_file():
        return [Path(name)]
    known = sorted(Path(folder).glob("*.py"))
    key = _key(str(name))
    whole = [path for path in known if _key(path.stem) == key]
    found = whole or [path for path in known if _key(path.stem.split("_")[0]) == key]
    if not found:
        names = [path.stem for path in known]
        # A figure's number says enough, and stands for the notebooks of both 2D and 3D.
        short = list(dict.fromkeys(re.sub(r"^(?:fig)?([A-Z]?\d+)_.*", r"\1", n) for n in names))
        expected = "one of " + (", ".join(short) or "none")
        reject(parameter, str(name), expected, known=[*short, *names])
    return found


def _key(name: str) -> str:
    """What is compared of a name."""
    return re.sub("^(fig)?0*(?=.)", "", re.sub(r"^tab0*(?=\d)", "table", name.lower()))


def find_notebook(name: str | Path, *, folder: str | Path = "notebooks") -> Path:
    """Return the one source that a name stands for.

    Args:
        name: as for `find_notebooks`.
        folder: where the notebooks are.

    Raises:
        ValueError: none or several of that name; the message lists those known, or the several.
    """
    found = find_notebooks(name, folder=folder)
    if len(found) > 1:
        reject("notebook", str(name), "one of " + ", ".join(path.stem for path in found))
    return found[0]


def derive(source: str | Path) -> str:
    """Return the `.ipynb` of a notebook's source: no outputs, and the same bytes each time.

    It is not paired with its source: who runs and saves it in JupyterLab leaves the source as it is.

    Args:
        source: path of the `.py` file.

    Raises:
        FileNotFoundError: no such file.
    """
    notebook = jupytext.read(Path(source))
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index:02d}"  # jupytext draws them at random
    return cleaned(nbformat.writes(notebook))


def write_derived(folder: str | Path = "notebooks") -> list[Path]:
    """Write the `.ipynb` of each notebook, and exercise, whose derived form differs from the one on disk.

    Args:
        folder: where the notebooks are.

    Returns:
        The files written.

    Raises:
        ValueError: no notebook in it.
    """
    written, sources = [], [*Path(folder).glob("*.py"), *Path(folder).glob("exercises/*.py")]
    if not sources:
        reject("folder", str(folder), "one with notebooks as .py files in it")
    for source in sorted(sources):
        target, text = source.with_suffix(".ipynb"), derive(source)
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            written.append(atomic_write(target, text))
            tell_git(target)
    return written
