"""The advice follows from the records: nothing stands on the page that their numbers do not show."""

from pathlib import Path

import numpy as np
import pytest

from sdilib.lab.notebooks.freshness import read_records
from sdilib.lab.notebooks.gallery import gallery
from sdilib.lab.notebooks.which_rule import RING, choices, shown, which_rule

FULL = Path(__file__).parents[3] / "paper_figures/full"
NEAR, FAR = (np.linspace(at, at + 0.1, 16).tolist() for at in (0.0, 1.0))


def ring(**distances):
    """A record of the ring: by model, the distances of every rule and of every other that it is compared with."""
    names = [(each["rule"], each["than"]) for each in choices()]
    by_model = {
        f"distance, {model}": {n: use for n, _ in names} | {t: over for _, t in names}
        for model, (use, over) in distances.items()
    }
    cost = {name: 2.0 for pair in names for name in pair}
    return {"figure": RING, "numbers": by_model | {"sample-forwards, perfect": cost}}


def table(**tied):
    cells = {name: {"CLIP Score": {"tied": is_tied}} for name, is_tied in tied.items()}
    return {"figure": "table1_2d", "numbers": {"tables": {"Equal steps": {"cells": cells}}}}


@pytest.mark.parametrize("choice", choices(), ids=lambda each: f"{each['if']}: {each['to']}")
def test_each_choice_is_shown_on_an_exact_model(choice):
    (record,) = (each for each in read_records(FULL) if each["figure"] == RING)
    assert shown(choice, record["numbers"])[True]


def test_the_page_is_what_the_records_say():
    assert (FULL / "which_rule.md").read_text(encoding="utf-8") == which_rule(read_records(FULL))


def test_what_was_not_shown_is_not_said():
    choice = {"rule": "a", "than": "b"}
    of = {"nearer": (NEAR, FAR), "farther": (FAR, NEAR), "alike": (NEAR, NEAR), "few": ([0], [1])}
    numbers = {f"distance, {name}": {"a": a, "b": b} for name, (a, b) in of.items()}
    numbers["amplitude, nearer"] = {"a": NEAR, "b": FAR}
    expected = {True: ["nearer"], False: ["farther"], None: ["alike", "few"]}
    assert shown(choice, numbers) == expected


def test_a_table_gives_its_leaders_and_what_is_not_made_is_named():
    page = which_rule([table(SDS=False, SDI=True, ISM=True)])
    assert "| by | Equal steps |" in page
    assert "| CLIP Score | SDI, ISM |" in page
    assert "**Not measured at this preset**: objects (`table1_3d`)." in page
    assert "exact models" not in page
    assert "Too few prompts: nothing is ranked." in which_rule([table(SDS=False)])
    assert "images (`table1_2d`), objects (`table1_3d`)" in which_rule([ring(one=(NEAR, FAR))])


def test_the_gallery_has_the_page_where_rules_were_compared(save):
    save()
    assert "which_rule" not in gallery(save.folder).read_text()
    assert not (save.folder / "which_rule.md").exists()
    save(name=RING, numbers=ring(one=(NEAR, FAR))["numbers"])
    assert "(which_rule.md)" in gallery(save.folder).read_text()
    assert "| 1 × | one |  |  |" in (save.folder / "which_rule.md").read_text()
