"""A notebook reads as a story: parameters, a call or two, a figure, claims. Logic lives in the library."""

import ast
import re
from pathlib import Path

import jupytext
import papermill
import pytest
from derived import is_derived

from sdilib.lab.notebooks.sources import cells, code
from sdilib.lab.presets import NOTEBOOKS

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))
WRITTEN_OUT = ("sdi_in_60_lines", "your_own_rule")
"""Notebooks whose subject is code: the method without the library, and a rule of the reader's."""
LOGIC = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.If)

each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def logic(code: str) -> list[str]:
    return [type(node).__name__ for node in ast.walk(ast.parse(code)) if isinstance(node, LOGIC)]


def parameters(source: Path) -> dict[str, dict[str, str]]:
    """Type, default and help by name, as papermill finds them."""
    return papermill.inspect_notebook(jupytext.read(source))


def tagged(source: Path) -> list[str]:
    read = jupytext.read(source).cells
    return [cell.source for cell in read if "parameters" in cell.metadata.get("tags", ())]


def unread(source: Path) -> set[str]:
    """Parameters that no other cell reads."""
    (own,) = tagged(source)
    loads = {
        n.id
        for n in ast.walk(ast.parse(code(source).replace(own, "")))
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    return set(parameters(source)) - loads


def code_lines(text: str) -> int:
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") for line in text.splitlines()
    )


def test_there_are_notebooks():
    assert SOURCES


@each
def test_it_opens_with_a_title_and_then_one_parameters_cell(source):
    first, *_ = jupytext.read(source).cells
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert len(tagged(source)) == 1


@each
def test_its_parameters_are_literals_of_a_declared_type_with_a_meaning(source):
    (own,) = tagged(source)
    found = parameters(source)
    assert len(ast.parse(own).body) == len(found)
    for each in found.values():
        kind = type(ast.literal_eval(each["default"])).__name__
        assert each["inferred_type_name"] == kind in ("bool", "float", "int", "list", "str")
        assert each["help"]


@each
def test_the_presets_know_the_least_that_a_parameters_help_says(source):
    settings = NOTEBOOKS.get(source.stem, {})
    for name, each in parameters(source).items():
        if said := re.search(r"(\d+) (?:or more|to \d+)", each["help"]):
            assert name not in settings or settings[name].at_least == int(said[1]), name


@each
def test_every_parameter_is_read_later(source):
    assert unread(source) == set()


@each
def test_its_code_is_short_and_holds_no_logic(source):
    own = cells(source, "code")
    assert sum(map(code_lines, own)) <= 60
    assert max(map(code_lines, own)) <= 12
    if source.stem not in WRITTEN_OUT:
        assert logic(code(source)) == []


@each
def test_the_ipynb_is_derived_from_the_py(source):
    assert is_derived(source), "make notebooks"


@pytest.mark.parametrize("name", ["explore", "results"])
def test_a_page_of_widgets_shows_no_picture_that_voila_would_not_serve(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert re.findall(r"!\[[^]]*\]\(\.\..*", text) == []  # it serves the notebook's own folder


def test_the_checks_see_logic_and_unread_parameters(tmp_path):
    source = tmp_path / "bad.py"
    source.write_text(
        "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n#     display_name: Python 3\n#     language: python\n# ---\n"
        '# %% tags=["parameters"]\nused: int = 1  # a\nidle: int = 2  # b\n# %%\nx = used\n'
    )
    assert unread(source) == {"idle"}
    assert logic("for i in x:\n    def f(): ...\n") == ["For", "FunctionDef"]
