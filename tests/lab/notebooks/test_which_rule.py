"""The advice follows from the records: nothing stands on the page that their numbers do not show."""

from pathlib import Path

import numpy as np
import pytest

from sdilib.lab.benchmark.table import Column, Ranking
from sdilib.lab.notebooks.freshness import read_records
from sdilib.lab.notebooks.gallery import gallery
from sdilib.lab.notebooks.which_rule import RING, SIDE_BY_SIDE, choices, shown, which_rule

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


def table(num_prompts=8, figure="table1_2d"):
    """A record of Table 1: SDI and ISM lead by the score and SDS by saturation, where SDI ties; SJC diverges once."""
    far, high = np.full(num_prompts, 1.0), np.full(num_prompts, 30.0)
    near = high - np.arange(num_prompts) % 2 / 4  # neither always above the other
    numbers = {
        "CLIP Score": {"SDS": far, "SJC": far, "SDI": high - 0.1, "ISM": near},
        "deviation of saturation": {"SDS": far / 4, "SJC": far, "SDI": far / 4, "ISM": far},
        "sample-forwards": {"SDS": 100 * far, "SJC": 100 * far, "SDI": 1100 * far, "ISM": far},
        "diverged": {"SDS": 0 * far, "SJC": far / 4, "SDI": 0 * far, "ISM": 0 * far},
    }
    columns = [Column(name, 1 if name == "CLIP Score" else -1) for name in numbers]
    made = Ranking("Equal steps", columns, numbers, range(num_prompts))
    return {"figure": figure, "numbers": {"tables": {made.title: made.record}}}


def side_by_side(**distances):
    return {"figure": SIDE_BY_SIDE, "numbers": {"kernel distance": distances}}


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


def test_a_table_gives_its_leaders_with_their_means_cost_and_failures():
    page = which_rule([table()])
    assert "| the best by | Equal steps |" in page
    assert "| CLIP Score ↑ | SDI 29.9, ISM 29.9 |" in page
    assert "| saturation, off by ↓ | SDS 0.25, SDI 0.25 |" in page
    assert "| calls of the model, from the least | ISM 1, SDS 100, SJC 100, SDI 1,100 |" in page
    assert "| runs that diverged | SJC 25% |" in page
    assert "exact models" not in page
    assert "Too few prompts: nothing is ranked." in which_rule([table(num_prompts=4)])


def test_what_was_not_made_is_named_until_it_is():
    made = [ring(one=(NEAR, FAR)), table(), table(figure="table1_3d")]
    named = [
        "images (`table1_2d`)",
        "objects (`table1_3d`)",
        "objects beside SDI's (`fig07_methods`)",
    ]
    for count in (1, 2, 3):
        missing = f"**Not measured at this preset**: {', '.join(named[count - 1 :])}."
        assert missing in which_rule(made[:count])
    assert "Not measured" not in which_rule([*made, side_by_side(SDI=NEAR, SDS=FAR)])
    assert which_rule([]) == ""


def test_beside_sdi_stands_what_was_shown():
    page = which_rule([side_by_side(SDI=NEAR, SDS=FAR, ISM=NEAR, VSD=[-1.0] * 16)])
    assert "be nearer than: SDS. Farther than: VSD. Neither: ISM." in page
    assert "Beside SDI" not in which_rule([table(), {"figure": SIDE_BY_SIDE, "numbers": {}}])


def test_the_gallery_has_the_page_where_rules_were_compared(save):
    save()
    assert "which_rule" not in gallery(save.folder).read_text()
    assert not (save.folder / "which_rule.md").exists()
    save(name=RING, numbers=ring(one=(NEAR, FAR))["numbers"])
    assert "(which_rule.md)" in gallery(save.folder).read_text()
    assert "| 1 × | one |  |  |" in (save.folder / "which_rule.md").read_text()
