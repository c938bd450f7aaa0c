"""A py:percent notebook as text: its cells, its parameters and the hash of its code.

The `.py` file is a notebook's source. A line that starts with `# %%` opens a cell; `[markdown]` after it makes the cell
text, `tags=["parameters"]` marks the cell whose literals may be set from outside. Reading it needs no Jupyter.
"""

import ast
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdilib.checks import reject

__all__ = ["Cell", "Parameter", "cells", "checked", "code_hash", "parameters"]

KINDS: dict[str, type] = {"bool": bool, "float": float, "int": int, "list": list, "str": str}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a notebook.

    Attributes:
        kind: "code" or "markdown".
        tags: the tags in the cell's header.
        source: its text, without blank lines at its end.
    """

    kind: str
    tags: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of a parameters cell: `name: kind = default  # help`.

    Attributes:
        name: the parameter.
        kind: one of int, float, str, bool, list.
        default: its literal value.
        help: the comment behind it.
    """

    name: str
    kind: type
    default: Any
    help: str


def cells(source: str | Path) -> list[Cell]:
    """Return the cells of a py:percent notebook, its YAML header left out.

    Args:
        source: path of the `.py` file.

    Raises:
        FileNotFoundError: no such file.
    """
    found, head, lines = [], None, []
    for line in [*Path(source).read_text(encoding="utf-8").splitlines(), "# %%"]:
        if not re.match(r"# %%(\s|$)", line):
            lines.append(line)
            continue
        if head is not None:
            tags = re.search(r"tags=(\[[^\]]*\])", head)
            kind = "markdown" if "[markdown]" in head or "[md]" in head else "code"
            text = "\n".join(lines).strip("\n")
            found.append(Cell(kind, tuple(ast.literal_eval(tags[1])) if tags else (), text))
        head, lines = line, []
    return found


def code_hash(source: str | Path) -> str:
    """Return 16 hexadecimal digits that name a notebook's code cells; its text may change freely.

    Args:
        source: path of the `.py` file.

    Raises:
        FileNotFoundError: no such file.
    """
    code = [cell.source for cell in cells(source) if cell.kind == "code"]
    return hashlib.sha256("\n\0".join(code).encode()).hexdigest()[:16]


def parameters(source: str | Path) -> dict[str, Parameter]:
    """Return the parameters of a notebook by name, in its own order.

    Args:
        source: path of the `.py` file. A notebook without a parameters cell has none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line of the parameters cell that is not `name: kind = literal`, kind one of
            int, float, str, bool, list.
    """
    text = "\n".join(c.source for c in cells(source) if "parameters" in c.tags)
    lines, found = text.splitlines(), {}
    for node in ast.parse(text).body:
        line = lines[node.lineno - 1]
        match node:
            case ast.AnnAssign(ast.Name(name), ast.Name(kind), ast.expr() as value) if (
                kind in KINDS
            ):
                default = _literal(value)
                if type(default) is KINDS[kind]:
                    _, _, help = lines[(node.end_lineno or node.lineno) - 1].partition("#")
                    found[name] = Parameter(name, KINDS[kind], default, help.strip())
                    continue
        known = " | ".join(KINDS)
        reject(f"{Path(source).name}: parameters cell", line, f"name: {known} = literal  # meaning")
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def checked(source: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given parameters, checked against those the notebook declares.

    Args:
        source: path of the `.py` file.
        given: values by name. Text (as a command line gives it) is read as the parameter's kind.

    Raises:
        ValueError: a parameter that the notebook does not have, or a value of another kind; the
            message names the notebook's parameters.
    """
    known = parameters(source)
    return {name: _read(source, known, name, value) for name, value in given.items()}


def _read(source: str | Path, known: Mapping[str, Parameter], name: str, value: Any) -> Any:
    stem = Path(source).stem
    if name not in known:
        reject("parameter", name, f"one of {stem}'s: {_list(known)}", known=known)
    kind = known[name].kind
    result = value
    if isinstance(value, str) and kind is not str:
        try:
            result = ast.literal_eval({"true": "True", "false": "False"}.get(value, value))
        except (ValueError, SyntaxError):
            result = None
    if kind is float and type(result) is int:
        result = float(result)
    if type(result) is not kind:
        allowed = f"{kind.__name__}, as {stem} declares it (its parameters: {_list(known)})"
        reject(name, value, allowed)
    return result


def _list(known: Mapping[str, Parameter]) -> str:
    return ", ".join(f"{p.name}: {p.kind.__name__}" for p in known.values()) or "it has none"
