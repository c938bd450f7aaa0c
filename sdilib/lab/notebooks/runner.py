"""Notebooks run by a program: parameters checked before a kernel starts, figures kept only if all cells passed.

A run executes a notebook's source with this very interpreter, in the notebook's own folder, and talks to the kernel through
socket files. (ipykernel itself listens on one loopback port, for what its own child processes print.)
"""

import ast
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupytext
import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from sdilib.checks import finite, one_of, positive_int, reject
from sdilib.lab.notebooks.freshness import absolute
from sdilib.lab.presets import MODELS, NOTEBOOKS, PRESETS, resolve
from sdilib.stable_diffusion.names import check_name
from sdilib.storage import read_json, write_json

_HERE = str(Path(__file__).resolve().parents[3])
"""Where this very library is imported from, for the kernel to find the same one."""

_RUNNER_SETS = ("preset", "model", "folder")

_KINDS: dict[str, type] = {"bool": bool, "float": float, "int": int, "list": list, "str": str}
"""What a parameter may be declared as."""


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
    for name in set(given) & set(_RUNNER_SETS):
        reject(name, given[name], "to be given by its own option, not among the parameters")
    declared = papermill.inspect_notebook(jupytext.read(source))
    types = {name: each["inferred_type_name"] for name, each in declared.items()}
    kinds = {name: kind for name, kind in types.items() if kind in _KINDS}
    given = {name: _read(source.stem, kinds, name, value) for name, value in given.items()}
    for name, value in given.items():
        if name == "seed":
            positive_int(name, value, at_least=0)
        elif isinstance(value, float):
            finite(name, value)
    if model:
        _read(source.stem, kinds, "model", model)
    if source.stem in NOTEBOOKS:  # the presets know ranges
        known = given.keys() & NOTEBOOKS[source.stem].keys()
        resolve(source.stem, preset, **{name: given[name] for name in known})
    if "model" in kinds:
        check_name(model or MODELS[preset])
    build.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{source.stem}.", dir=build) as staging:
        ours = {"preset": preset, "model": absolute(model), "folder": str(Path(staging).resolve())}
        ours = {name: value for name, value in ours.items() if value and name in kinds}
        _execute(source, given | ours, build)
        return _move(Path(staging), folder, given)


def _read(notebook: str, kinds: Mapping[str, str], name: str, value: Any) -> Any:
    """A parameter's value, of the type that its notebook declares; text is read as a literal of it."""
    listed = ", ".join(f"{known}: {kind}" for known, kind in kinds.items()) or "it has none"
    if name not in kinds:
        reject("parameter", name, f"one of {notebook}'s: {listed}", known=kinds)
    kind, result = _KINDS[kinds[name]], value
    if isinstance(value, str) and kind is not str:
        try:
            result = ast.literal_eval({"true": "True", "false": "False"}.get(value, value))
        except (ValueError, SyntaxError):
            result = None
    if kind is float and type(result) is int:
        result = float(result)
    if type(result) is not kind:
        allowed = f"{kind.__name__}, as {notebook} declares it (its parameters: {listed})"
        reject(name, value, allowed)
    return result


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


def _move(staging: Path, folder: Path, given: Mapping[str, Any]) -> list[Path]:
    # Records last, as `write_figure` does: a record vouches for the images beside it, and for the figures made with it.
    files = sorted(
        (p for p in staging.rglob("*") if p.is_file()), key=lambda p: p.suffix == ".json"
    )
    records = [path for path in files if path.suffix == ".json"]
    asked = {name: value for name, value in given.items() if value not in ("", 0)}
    together = {"given": asked, "figures": [path.stem for path in records]}
    for path in records:
        write_json(path, read_json(path) | together)
    moved = [folder / path.relative_to(staging) for path in files]
    for path, target in zip(files, moved, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    return moved
