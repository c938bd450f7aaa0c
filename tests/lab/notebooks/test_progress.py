"""The time left of `make figures`: scaled from full, corrected by what was measured."""

import pytest

from sdilib.lab.notebooks import progress
from sdilib.lab.notebooks.progress import foreseen, over, write_plan
from sdilib.lab.presets import NOTEBOOKS
from sdilib.storage import write_json


@pytest.fixture
def reference(tmp_path):
    for figure, notebook, seconds in (
        ("one", "fig01_teaser", 640.0),
        ("objects", "the_world", 10.0),
        ("samples", "the_world", 150.0),
    ):
        record = {"notebook": notebook, "seconds": seconds}
        write_json(tmp_path / f"full/{figure}.json", record)
    return tmp_path / "full"


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(progress.time, "time", lambda: Clock.now)
    return Clock


def start(seconds):
    return 8.0 + seconds


def test_full_takes_what_it_took_and_other_presets_their_share(reference):
    names = ("fig01_teaser", "the_world", "a_new_one", "fig08_ablation")
    full, laptop, smoke = (
        foreseen(names, preset, reference=reference) for preset in ("full", "laptop", "smoke")
    )
    assert full["fig01_teaser"] == start(640)
    # 8 of 16 prompts, 1 of 4 seeds, the same steps.
    assert laptop["fig01_teaser"] == start(640 / 8)
    assert full["the_world"] == start(160)  # both of its figures
    assert laptop["the_world"] == start(160 / 4 * 30 / 50)
    assert laptop["a_new_one"] == start(60)
    # A 3D run of 2 steps and 2 cameras instead of 120 and 4, for one prompt instead of 16.
    assert smoke["fig08_ablation"] == pytest.approx(start(60 / 16 * 2 * 2 / (120 * 4)))


@pytest.mark.parametrize("preset", ["smoke", "laptop"])
def test_no_notebook_is_foreseen_longer_than_at_full(reference, preset):
    whole = foreseen(NOTEBOOKS, "full", reference=reference)
    for name, seconds in foreseen(NOTEBOOKS, preset, reference=reference).items():
        assert 8 < seconds <= whole[name]


def test_what_is_left_goes_on_at_the_pace_so_far(clock, tmp_path):
    plan = tmp_path / "plan"
    write_plan(plan, {"a": 100.0, "b": 300.0, "c": 50.0})
    clock.now += 200  # a machine of half the speed
    assert over(plan, "a", 200.0) == "a: 3 min; 1 of 3, about 12 min left"
    clock.now += 350  # two at once
    assert over(plan, "b", 550.0) == "b: 9 min; 2 of 3, about 69 s left"
    clock.now += 40
    assert over(plan, "c", 40.0) == "c: 40 s; 3 of 3"


def test_a_failed_one_is_over_and_says_nothing_of_the_speed(clock, tmp_path):
    plan = tmp_path / "plan"
    write_plan(plan, {"a": 1000.0, "b": 160.0})
    clock.now += 2
    assert over(plan, "a", 2.0, failed=True) == "a: 2 s; 1 of 2, about 3 min left"
    assert over(plan, "b", 60.0) == "b: 60 s; 2 of 2"


def test_a_notebook_of_an_older_plan_counts_for_nothing(clock, tmp_path):
    plan = tmp_path / "plan"
    write_plan(plan, {"a": 100.0})
    clock.now += 50
    assert over(plan, "b", 30.0) == "b: 30 s; 0 of 1, about 2 min left"
    assert over(plan, "a", 50.0) == "a: 50 s; 1 of 1"
