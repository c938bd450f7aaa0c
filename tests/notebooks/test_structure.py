"""A notebook reads as a story: parameters, a call or two, a figure, claims. Logic lives in the library."""

import ast
from pathlib import Path

import jupytext
import pytest

from sdilib.lab.notebooks.percent import cells, parameters
from sdilib.lab.notebooks.runner import derive

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))
OWN_RULE = "your_own_rule"
LOGIC = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.If)

each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def logic(code: str) -> list[str]:
    return [type(node).__name__ for node in ast.walk(ast.parse(code)) if isinstance(node, LOGIC)]


def unread(source: Path) -> set[str]:
    """Parameters that no later cell reads."""
    own = [cell for cell in cells(source) if cell.kind == "code"]
    later = "\n".join(cell.source for cell in own if "parameters" not in cell.tags)
    loads = {
        n.id
        for n in ast.walk(ast.parse(later))
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
    first, *_ = own = cells(source)
    assert first.kind == "markdown"
    assert first.source.startswith("# # ")
    assert sum("parameters" in cell.tags for cell in own) == 1
    assert all(parameter.help for parameter in parameters(source).values())


@each
def test_every_parameter_is_read_later(source):
    assert unread(source) == set()


@each
def test_its_code_is_short_and_holds_no_logic(source):
    code = [cell.source for cell in cells(source) if cell.kind == "code"]
    assert sum(map(code_lines, code)) <= 60
    assert max(map(code_lines, code)) <= 12
    if source.stem != OWN_RULE:
        assert [found for cell in code for found in logic(cell)] == []


@each
def test_the_ipynb_is_derived_from_the_py(source):
    made = source.with_suffix(".ipynb")
    assert made.is_file(), "make notebooks"
    assert made.read_text(encoding="utf-8") == derive(source), "make notebooks"


@each
def test_our_reader_sees_the_cells_that_jupytext_sees(source):
    theirs = [cell.source for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    assert [cell.source for cell in cells(source) if cell.kind == "code"] == theirs


def test_the_checks_see_logic_and_unread_parameters(tmp_path):
    source = tmp_path / "bad.py"
    source.write_text(
        '# %% tags=["parameters"]\nused: int = 1  # a\nidle: int = 2  # b\n# %%\nx = used\n'
    )
    assert unread(source) == {"idle"}
    assert logic("for i in x:\n    def f(): ...\n") == ["For", "FunctionDef"]
