"""What git sees of a notebook that was run and saved is what it saw before."""

import io
import json
import sys
from types import SimpleNamespace

import pytest

from sdilib.cli import main
from sdilib.lab.notebooks.cleaning import cleaned

BEFORE = {
    "cells": [
        {"cell_type": "markdown", "id": "cell-00", "metadata": {}, "source": ["# γ\n", "\n", "of"]},
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "cell-01",
            "metadata": {"tags": ["parameters"]},
            "outputs": [],
            "source": ["x: int = 1"],
        },
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def saved() -> dict:
    """As JupyterLab leaves it."""
    notebook = json.loads(json.dumps(BEFORE))
    notebook["cells"][0]["metadata"] = {"jp-MarkdownHeadingCollapsed": True}
    output = {"name": "stdout", "output_type": "stream", "text": ["1"]}
    notebook["cells"][1] |= {"execution_count": 7, "outputs": [output]}
    notebook["cells"][1]["metadata"] |= {"execution": {}, "scrolled": True}
    notebook["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    notebook["metadata"] |= {"language_info": {"name": "python"}, "widgets": {}}
    return notebook


def test_what_running_adds_is_taken_away_and_an_edit_is_not(saved):
    assert json.loads(cleaned(json.dumps(saved))) == BEFORE
    saved["cells"][1]["source"] = ["x: int = 2"]
    assert json.loads(cleaned(json.dumps(saved))) != BEFORE


def test_the_command_is_a_filter_of_bytes(saved, monkeypatch):
    given = io.BytesIO(json.dumps(saved, ensure_ascii=False).encode())
    taken = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=given))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=taken))
    assert main(["notebooks", "--clean"]) == 0
    assert taken.getvalue().decode() == cleaned(json.dumps(saved))


@pytest.mark.parametrize("text", ["", "# %%", "[]", '{"worksheets": []}'])
def test_something_else_is_refused(text):
    with pytest.raises(ValueError, match=r"^notebook=.*: expected an \.ipynb of format 4$"):
        cleaned(text)
