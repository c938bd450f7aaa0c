"""Notebooks run by a program: parameters checked before a kernel starts, figures kept only if all cells passed.

A notebook's source is its `.py` (py:percent); the `.ipynb` beside it is derived from it. A run executes the source with this
very interpreter, in the notebook's own folder, and talks to the kernel through socket files. (ipykernel itself listens on one
loopback port, for what its own child processes print.)
"""

import ast
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from sdilib.checks import one_of, reject
from sdilib.lab.notebooks.percent import checked, parameters
from sdilib.lab.presets import MODELS, PRESETS
from sdilib.storage import atomic_write

__all__ = [
    "NotebookError",
    "derive",
    "find_notebook",
    "run_notebook",
    "sources_used",
    "write_derived",
]

_HERE = str(Path(__file__).resolve().parents[3])
"""Where this very library is imported from, for the kernel to find the same one."""

_RUNNER_SETS = ("preset", "model", "folder")


class NotebookError(RuntimeError):
    """A notebook stopped; the message names the notebook, the cell, the error and the executed copy."""


class _Kernel(AsyncKernelManager):
    """This interpreter as a kernel, over ipc: needs no kernel to be installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        # Its own log is quiet: what a cell raises comes back by the protocol, and a kernel that is ended by Ctrl-C logs a
        # traceback of its closed socket.
        quiet = "--log-level=50"
        arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", quiet]
        ours = {"PYTHONPATH": os.pathsep.join(filter(None, (_HERE, os.environ.get("PYTHONPATH"))))}
        return KernelSpec(argv=arguments, display_name="Python 3", language="python", env=ours)


def find_notebook(name: str | Path, *, folder: str | Path = "notebooks") -> Path:
    """Return the source of a notebook.

    Args:
        name: a path, the notebook's name ("fig01_teaser"), or what stands before its first underscore, with or without
            "fig" and leading zeros, in any case ("1", "01", "A14", "a14", "00"); "tab01" is "table1".
        folder: where the notebooks are.

    Raises:
        ValueError: none or several of that name; the message lists those known, or the several.
    """
    if str(name).endswith(".py") and Path(name).is_file():
        return Path(name)
    known = sorted(Path(folder).glob("*.py"))
    key = _key(str(name))
    found = [p for p in known if key in (_key(p.stem), _key(p.stem.split("_")[0]))]
    if len(found) > 1:
        reject("notebook", str(name), "one of " + ", ".join(path.stem for path in found))
    if not found:
        names = [path.stem for path in known]
        # A figure's number says enough, and stands for the notebooks of both 2D and 3D.
        short = list(dict.fromkeys(re.sub(r"^(?:fig)?([A-Z]?\d+)_.*", r"\1", n) for n in names))
        expected = "one of " + (", ".join(short) or "none")
        reject("notebook", str(name), expected, known=[*short, *names])
    return found[0]


def _key(name: str) -> str:
    """What is compared of a name; the Makefile's KEY is the same."""
    return re.sub("^(fig)?0*(?=.)", "", re.sub(r"^tab0*(?=\d)", "table", name.lower()))


def derive(source: str | Path) -> str:
    """Return the `.ipynb` of a notebook's source: no outputs, and the same bytes each time.

    Args:
        source: path of the `.py` file.

    Raises:
        FileNotFoundError: no such file.
    """
    notebook = jupytext.read(Path(source))
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index:02d}"  # jupytext draws them at random
    return nbformat.writes(notebook) + "\n"


def run_notebook(
    source: str | Path,
    *,
    preset: str = "laptop",
    folder: str | Path,
    build: str | Path,
    model: str = "",
    given: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Run a notebook and keep the figures it saved.

    The notebook is handed `preset`, `model` (if not empty) and `folder` as far as it declares them. Its figures are written
    aside and moved into `folder` when the last cell has passed, so a failed notebook changes nothing there.

    Args:
        source: path of the `.py` file.
        preset: smoke, laptop, full or gpu.
        folder: where the figures go.
        build: where the executed copy goes: `<name>.ipynb`, or `<name>.failed.ipynb`.
        model: name, folder or hub id; empty is the preset's.
        given: further parameters by name; text is read as the parameter's type.

    Returns:
        The files moved into `folder`.

    Raises:
        ValueError: an unknown preset or parameter, or one of the wrong type; no kernel was started.
        NotebookError: a cell failed.
    """
    source, folder, build = Path(source), Path(folder), Path(build)
    one_of("preset", preset, PRESETS)
    given = dict(given or {})
    declared = parameters(source)
    if _is_folder(model):  # a kernel works in the notebook's folder
        model = str(Path(model).expanduser().resolve())
    for name in set(given) & set(_RUNNER_SETS):
        reject(name, given[name], "to be given by its own option, not among the parameters")
    values = checked(source, given | ({"model": model} if model else {}))
    build.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{source.stem}.", dir=build) as staging:
        ours = {"preset": preset, "folder": str(Path(staging).resolve())}
        values |= {name: value for name, value in ours.items() if name in declared}
        _execute(source, values, build)
        return _move(Path(staging), folder)


def _is_folder(model: str) -> bool:
    """Whether `loading.model_folder` takes a name for a path; that module takes seconds to import."""
    index = Path(model).expanduser() / "model_index.json"
    return model not in ("", *MODELS.values()) and index.is_file()


def _execute(source: Path, values: Mapping[str, Any], build: Path) -> None:
    good, failed = build / f"{source.stem}.ipynb", build / f"{source.stem}.failed.ipynb"
    good.unlink(missing_ok=True)
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a warning about the debugger
    # A short path of its own for the sockets: it may have 104 characters at most.
    sockets = tempfile.TemporaryDirectory(prefix="sdi")
    try:
        papermill.execute_notebook(
            jupytext.read(source),
            str(failed),
            parameters=dict(values),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=str(source.resolve().parent),
            kernel_manager_class=_Kernel,
            config=Config(
                KernelManager={"transport": "ipc", "connection_file": f"{sockets.name}/k"}
            ),
        )
    except PapermillExecutionError as error:
        cell = error.source.strip().splitlines()[0] if error.source.strip() else ""
        raise NotebookError(
            f"{source.stem}: cell {error.exec_count} ({cell}) stopped with "
            f"{error.ename}: {error.evalue}; executed copy: {failed}"
        ) from error
    except DeadKernelError as error:
        message = f"{source.stem}: its kernel was killed (out of memory?); executed copy: {failed}"
        raise NotebookError(message) from error
    finally:
        sockets.cleanup()
    failed.replace(good)


def _move(staging: Path, folder: Path) -> list[Path]:
    # Records last, as `figures.save_figure` does: a record vouches for the images beside it.
    files = sorted(
        (p for p in staging.rglob("*") if p.is_file()), key=lambda p: p.suffix == ".json"
    )
    moved = [folder / path.relative_to(staging) for path in files]
    for path, target in zip(files, moved, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    return moved


def sources_used(source: str | Path, model: str = "") -> list[Path]:
    """Return the files a notebook depends on: itself, the library's modules it imports, directly or not, and the models.

    Args:
        source: path of the `.py` file.
        model: as given to `run_notebook`; the bundled models are always among the files.
    """
    package = Path(str(find_spec("sdilib").submodule_search_locations[0]))  # pyright: ignore[reportOptionalMemberAccess, reportOptionalSubscript]
    used, waiting = set(), [Path(source)]
    while waiting:
        path = waiting.pop()
        if path in used:
            continue
        used.add(path)
        for name in _imports(path.read_text(encoding="utf-8")):
            parts = name.split(".")[1:]
            for depth in range(len(parts) + 1):
                stem = package.joinpath(*parts[:depth])
                waiting += [
                    p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()
                ]
    if package / "stable_diffusion" / "loading.py" in used:
        folders = [package / "models", *([Path(model).expanduser()] if _is_folder(model) else [])]
        files = [path for folder in folders for path in folder.rglob("*")]
        used |= {path for path in files if path.suffix in (".json", ".safetensors")}
    return sorted(used)


def _imports(text: str) -> set[str]:
    """Return the dotted names under sdilib that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] == "sdilib"}


def write_derived(folder: str | Path = "notebooks") -> list[Path]:
    """Write the `.ipynb` of each notebook whose derived form differs from the one on disk.

    Args:
        folder: where the notebooks are.

    Returns:
        The files written.
    """
    written = []
    for source in sorted(Path(folder).glob("*.py")):
        target, text = source.with_suffix(".ipynb"), derive(source)
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            written.append(atomic_write(target, text))
    return written
