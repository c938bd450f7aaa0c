"""A figure outlives a change of the code whose smaller run has the same numbers, and no other."""

import copy
from itertools import pairwise

import pytest

from sdilib.cli import main
from sdilib.lab.notebooks.freshness import check, known_pairs, stands_for, version
from sdilib.lab.notebooks.same_numbers import add_pairs
from sdilib.storage import read_json, write_json

NUMBERS = {"a": {"SDI": [1.0, None], "seconds": [3.0]}, "peak memory (GiB)": {"SDI": 2.0}}


@pytest.fixture
def record(save):
    return read_json(save())


@pytest.fixture
def made(tmp_path, record):
    """Writes a figure's record as some version of the code would have, and returns its folder."""

    def _made(folder: str, library: str, **changes) -> object:
        its = (
            copy.deepcopy(record) | {"numbers": NUMBERS, "library": {"sdilib.a": library}} | changes
        )
        (tmp_path / folder).mkdir(exist_ok=True)
        write_json(tmp_path / folder / f"{record['figure']}.json", its)
        return tmp_path / folder

    return _made


def test_the_same_numbers_are_kept_and_others_are_not(made, record, tmp_path):
    again = {"a": {"SDI": [1.0, None], "seconds": [9.0]}, "peak memory (GiB)": {"SDI": 8.0}}
    folder, notebook = tmp_path / "full", record["notebook"]
    said = add_pairs(made("one", "1"), made("two", "2", numbers=again), folder)
    assert said == {notebook: "same"}
    arm = NUMBERS | {"a": {"random κ, equal cost": [1.0]}}  # a method, not what it cost
    other = NUMBERS | {"a": {"random κ, equal cost": [2.0]}}
    said = add_pairs(made("two", "2", numbers=arm), made("three", "3", numbers=other), folder)
    assert said[notebook].endswith("has another number: /a/random κ, equal cost/0")
    made("two", "2", numbers=again)
    for changes, reason in (
        ({"numbers": {"a": {"SDI": [1.0, 2.0]}}}, "has another number: /a/SDI/1"),
        ({"numbers": {"a": {"SDI": [1.0]}}}, "has another number: /a/SDI/1"),
        ({"seed": 7}, "was made with another seed"),
        ({"model_hash": "other"}, "was made with another model_hash"),
    ):
        said = add_pairs(made("two", "2"), made("three", "3", **changes), folder)
        assert said[notebook].endswith(reason)
    assert [len(rows) for rows in known_pairs(folder).values()] == [1]


def test_versions_lead_on_and_not_back(made, record, tmp_path):
    folders = [made(name, name) for name in ("1", "2", "3")]
    first, second, third = (version(read_json(next(f.glob("*.json")))) for f in folders)
    for before, after in pairwise(folders):
        add_pairs(before, after, tmp_path / "full")
    pairs, notebook = known_pairs(tmp_path / "full"), record["notebook"]
    assert stands_for(pairs, notebook, first, third)
    assert stands_for(pairs, notebook, first, first)
    assert not stands_for(pairs, notebook, third, first)
    assert not stands_for(pairs, "another", first, second)


def test_a_figure_stays_fresh_where_its_smoke_run_is_the_same(save, tmp_path, monkeypatch):
    path = save()
    now = read_json(path)
    older = now | {"library": now["library"] | {"sdilib": "0"}}
    write_json(path, older)
    (problem,) = check(save.folder, notebooks=save.notebooks)
    assert "sdilib changed since" in problem
    for name, record in (("before", older), ("after", now)):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / path.name, record)
    assert (
        main(["same-numbers", str(tmp_path / "before"), str(tmp_path / "after"), str(save.folder)])
        == 0
    )
    assert check(save.folder, notebooks=save.notebooks) == []
    write_json(path, older | {"code": "0"})
    assert len(check(save.folder, notebooks=save.notebooks)) == 1
