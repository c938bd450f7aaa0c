"""The exercises' notebooks: short, with blanks and no solution; graded in a process of their own."""

import ast
from pathlib import Path

import nbformat
import pytest
from derived import is_derived

from sdilib.cli import main
from sdilib.lab.exercises.grading import grade, mark_notebook
from sdilib.lab.exercises.tasks import EXERCISES
from sdilib.lab.notebooks.sources import cells, code

FOLDER = Path(__file__).parents[2] / "notebooks" / "exercises"
SOURCES = sorted(FOLDER.glob("*.py"))
SDS = (
    "def sds(x0, t, noise, eps):\n    x_t = alpha(t).sqrt() * x0 + (1 - alpha(t)).sqrt() * noise\n"
)
SOLVED = f"{SDS}    return sigma(t) * (eps(x_t, t) - noise)\n"
WEIGHED = f"{SDS}    return (1 - alpha(t)) * (eps(x_t, t) - noise)\n"

each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def handed_in(function: str, path: Path) -> Path:
    """The notebook of SDS with its function written."""
    imports, _, checks = cells(FOLDER / "03_sds.py", "code")
    if path.suffix == ".py":
        path.write_text("".join(f"# %%\n{cell}\n" for cell in (imports, function, checks)))
    else:
        new = nbformat.v4.new_code_cell
        notebook = nbformat.v4.new_notebook(cells=[*map(new, (imports, function, checks))])
        nbformat.write(notebook, path)
    return path


def test_there_is_one_for_each_exercise():
    defined = [
        node.name
        for source in SOURCES
        for node in ast.walk(ast.parse(code(source)))
        if isinstance(node, ast.FunctionDef)
    ]
    assert defined == list(EXERCISES)


@each
def test_it_is_a_title_a_function_with_blanks_and_a_check(source):
    text, *_ = cells(source, "markdown")
    assert text.startswith(f"# {int(source.stem[:2])}. ")
    assert "$" in text
    imports, function, checks = cells(source, "code")
    assert "from sdilib.lab.exercises import" in imports
    assert checks == f"check({ast.parse(function).body[0].name})"
    assert sum(map(len, (imports, function))) < 800
    constants = [n.value for n in ast.walk(ast.parse(function)) if isinstance(n, ast.Constant)]
    assert constants.count(...) == function.count("...") >= 1


@each
def test_its_ipynb_is_derived(source):
    assert is_derived(source), "make notebooks"


@each
@pytest.mark.parametrize("kind", [".py", ".ipynb"])
def test_as_it_is_it_has_blanks(source, kind):
    verdict = mark_notebook(source.with_suffix(kind))
    assert not verdict.right
    assert verdict.says == "there is a blank (...) left to fill"


def test_a_whole_notebook_runs_and_shows_its_verdict(tmp_path):
    names: dict = {}
    for cell in cells(handed_in(SOLVED, tmp_path / "anna.ipynb"), "code"):
        exec(cell, names)
    assert repr(names["check"](names["sds"])) == "sds: right"


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (f"%matplotlib inline\n{SOLVED}", "code cell 2 stopped with SyntaxError: invalid syntax"),
        ("import no_such_module", "code cell 2 stopped with ModuleNotFoundError"),
        ("raise SystemExit(3)", "code cell 2 stopped with SystemExit: 3"),
        ("def solution(): ...", "code cell 3 stopped with NameError: name 'sds'"),
        (f"{SDS}    return x_t[0]", "the gradient has the shape (4, 2, 2)"),
        (f"{SDS}    return x_t / 0", "the gradient holds numbers that are not finite"),
        (f"{SDS}    return sgima(t)", "it stopped with NameError: name 'sgima' is not defined"),
    ],
)
def test_what_stops_is_one_sentence(cell, says, tmp_path):
    verdict = mark_notebook(handed_in(cell, tmp_path / "anna.ipynb"))
    assert not verdict.right
    assert verdict.says.startswith(says)
    assert "\n" not in verdict.says


def test_a_cell_that_stops_is_passed_over_where_the_function_is_there(tmp_path):
    notebook = handed_in(f"{SOLVED}\n1 / 0", tmp_path / "anna.py")
    assert mark_notebook(notebook).right


def test_a_file_that_is_no_notebook(tmp_path):
    (tmp_path / "anna.ipynb").write_text("no notebook")
    assert mark_notebook(tmp_path / "anna.ipynb").says.startswith("reading it stopped with ")
    (tmp_path / "empty.py").write_text("")
    assert mark_notebook(tmp_path / "empty.py").says.startswith("it defines none of add_noise, ")


def test_grading_is_a_line_for_each(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    handed_in(f"print('loud')\n{SOLVED}", Path("anna.py"))
    handed_in(WEIGHED, Path("ben.ipynb"))
    assert main(["grade", "anna.py", "ben.ipynb", "--seconds", "300"]) == 1
    said = "anna.py: sds: right\nben.ipynb: sds: your weight is 1 - α where σ is asked\n"
    assert capsys.readouterr().out == said
    assert {path.name for path in tmp_path.iterdir()} == {"anna.py", "ben.ipynb"}


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("while True: pass", "it was stopped after 8 seconds: is there a loop without an end?"),
        ("import os; os._exit(3)", "its process ended with code 3"),
        (
            "class Own(Exception): pass\nraise Own('of a kind')",
            "code cell 2 stopped with Own: of a kind",
        ),
    ],
)
def test_a_process_that_does_not_end_well_is_one_sentence(cell, says, tmp_path):
    verdict = grade(
        handed_in(cell, tmp_path / "anna.py"), seconds=8.0 if "while" in cell else 300.0
    )
    assert verdict.says.startswith(says)
    assert (verdict.of, verdict.right) == ("anna", False)


def test_a_process_that_the_notebook_started_is_not_waited_for(tmp_path):
    cell = f"import subprocess\nsubprocess.Popen(['sleep', '400'])\n{SOLVED}"
    assert grade(handed_in(cell, tmp_path / "anna.py"), seconds=300.0).right
