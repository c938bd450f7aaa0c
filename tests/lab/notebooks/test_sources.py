"""Notebooks are found by name, read as jupytext reads them, and derived."""

from pathlib import Path

import nbformat
import pytest
from derived import is_derived

from sdilib.lab.notebooks.sources import (
    cells,
    code,
    derive,
    find_notebook,
    find_notebooks,
    paragraphs,
    write_derived,
)

TEXT = """# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
#     language: python
# ---
# %% [markdown]
# # A title
#
# Its claim,
# in two lines.
# %% tags=["parameters"]
x: int = 1  # a number
# %%
x + 1
"""


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "fig99_try.py"
    path.write_text(TEXT)
    return path


def test_cells_and_paragraphs_are_read_from_the_text(source):
    assert cells(source, "code") == ["x: int = 1  # a number", "x + 1"]
    assert code(source) == "x: int = 1  # a number\nx + 1"
    assert paragraphs(source) == [["# A title", "Its claim,\nin two lines."]]


def test_the_derived_ipynb_has_no_outputs_and_the_same_bytes_each_time(source):
    assert derive(source) == derive(source)
    notebook = nbformat.reads(derive(source), 4)
    nbformat.validate(notebook)
    assert notebook.cells[1].metadata.tags == ["parameters"]
    assert write_derived(source.parent) == [source.with_suffix(".ipynb")]
    assert write_derived(source.parent) == []
    with pytest.raises(ValueError, match=r"no such place.*expected one with"):
        write_derived(source.parent / "no such place")


def test_exercises_are_derived_with_the_notebooks(source):
    exercise = source.parent / "exercises" / "01_try.py"
    exercise.parent.mkdir()
    exercise.write_text(TEXT)
    derived = [path.with_suffix(".ipynb") for path in (exercise, source)]
    assert sorted(write_derived(source.parent)) == sorted(derived)


def test_a_notebook_that_was_run_and_saved_is_still_derived_and_one_that_was_edited_is_not(source):
    assert not is_derived(source)
    (made,) = write_derived(source.parent)
    assert is_derived(source)
    notebook = nbformat.read(made, 4)
    assert "jupytext" not in notebook.metadata  # JupyterLab would write the source again
    cell = notebook.cells[2]
    cell.outputs = [nbformat.v4.new_output("stream", text="2")]
    cell.execution_count, notebook.metadata["widgets"] = 7, {}
    cell.metadata["trusted"] = True
    nbformat.write(notebook, made)
    assert is_derived(source)
    cell.source = "x + 2"
    nbformat.write(notebook, made)
    assert not is_derived(source)


def test_a_notebook_is_found_by_path_name_or_number(source):
    for name in (source, "fig99_try", "99", "fig99"):
        assert find_notebook(name, folder=source.parent) == source
    (source.parent / "table1_benchmark.py").touch()
    assert find_notebook("tab01", folder=source.parent).stem == "table1_benchmark"
    with pytest.raises(
        ValueError, match="expected one of 99, table1_benchmark; did you mean fig99_try"
    ):
        find_notebook("fig98_try", folder=source.parent)
    (source.parent / "fig99_try_3d.py").touch()
    with pytest.raises(
        ValueError, match=r"notebook='99': expected one of fig99_try, fig99_try_3d$"
    ):
        find_notebook("99", folder=source.parent)
    assert len(find_notebooks("99", folder=source.parent)) == 2
    assert find_notebooks("fig99_try", folder=source.parent) == [source]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("3", "fig03_scale"),
        ("03", "fig03_scale"),
        ("fig3", "fig03_scale"),
        ("a12", "figA12_way"),
        ("FIGA12", "figA12_way"),
        ("00", "00_start"),
        ("0", "00_start"),
        ("the_rest", "the_rest"),
        ("The", "the_rest"),
        ("fig03_scale", "fig03_scale"),
        ("FIG04_way", "fig04_way"),
    ],
)
def test_case_and_leading_zeros_of_a_figure_do_not_matter(tmp_path, key, name):
    others = ("00_start", "fig03_scale", "fig30_more", "fig04_way", "fig04_way_3d", "figA12_way")
    for other in (*others, "the_rest"):
        (tmp_path / f"{other}.py").touch()
    assert [path.stem for path in find_notebooks(key, folder=tmp_path)] == [name]
