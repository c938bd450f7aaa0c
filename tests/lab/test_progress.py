"""The time left of `make figures`: scaled from full, corrected by what was measured, shared by what runs beside."""

import pytest

from sdilib.lab.notebooks import progress
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
    def foreseen(notebook, preset):
        return progress.foreseen_seconds(notebook, preset, reference=reference)

    assert foreseen("fig01_teaser", "full") == start(640)
    # 8 of 16 prompts, 2 of 4 seeds, the same steps.
    assert foreseen("fig01_teaser", "laptop") == start(640 / 4)
    assert foreseen("the_world", "full") == start(160)  # both of its figures
    assert foreseen("the_world", "laptop") == start(160 / 4 * 30 / 50)
    assert foreseen("a_new_one", "laptop") == start(60)
    # A 3D run of 2 steps and 2 cameras instead of 60 and 4, for one prompt instead of 8.
    assert foreseen("fig08_ablation", "smoke") == start(60 / 8 * 2 * 2 / (60 * 4))


@pytest.mark.parametrize("preset", ["smoke", "laptop"])
def test_no_notebook_is_foreseen_longer_than_at_full(reference, preset):
    for notebook in NOTEBOOKS:
        whole = progress.foreseen_seconds(notebook, "full", reference=reference)
        assert 8 < progress.foreseen_seconds(notebook, preset, reference=reference) <= whole


def test_one_at_a_time(reference, clock, tmp_path):
    plan = tmp_path / "plan"
    plan.write_text("todo the_world\ntodo fig01_teaser\n")
    progress.begin(plan, "the_world")
    clock.now += 2 * start(160)  # a machine of half the speed
    said = progress.end(plan, "the_world", preset="full", reference=reference)
    left = 2 * start(640) / 60
    assert said == f"the_world: 6 min; 1 of 2, about {left:.0f} min left"
    progress.begin(plan, "fig01_teaser")
    clock.now += 45
    said = progress.end(plan, "fig01_teaser", preset="full", reference=reference)
    assert said == "fig01_teaser: 45 s; 2 of 2"


def test_two_at_a_time_share_what_is_left(reference, clock, tmp_path):
    plan = tmp_path / "plan"
    plan.write_text("todo fig01_teaser\ntodo the_world\ntodo new\n")
    progress.begin(plan, "fig01_teaser")
    progress.begin(plan, "the_world")
    clock.now += start(160)
    said = progress.end(plan, "the_world", preset="full", reference=reference)
    left = (start(640) - start(160) + start(60)) / 2 / 60
    assert said == f"the_world: 3 min; 1 of 3, about {left:.0f} min left"


def test_a_failed_one_is_over_and_says_nothing_of_the_speed(reference, clock, tmp_path):
    plan = tmp_path / "plan"
    plan.write_text("todo fig01_teaser\ntodo the_world\n")
    progress.begin(plan, "fig01_teaser")
    clock.now += 2
    how = {"preset": "full", "reference": reference}
    said = progress.end(plan, "fig01_teaser", failed=True, **how)
    assert said == f"fig01_teaser: 2 s; 1 of 2, about {start(160) / 60:.0f} min left"
    progress.begin(plan, "the_world")
    clock.now += 60
    assert progress.end(plan, "the_world", **how) == "the_world: 60 s; 2 of 2"


def test_what_ran_longer_than_foreseen_counts_as_nearly_done(reference, clock, tmp_path):
    plan = tmp_path / "plan"
    plan.write_text("todo new\ntodo the_world\n")
    progress.begin(plan, "new")
    clock.now += 4 * start(60)
    progress.begin(plan, "the_world")
    clock.now += start(160)
    said = progress.end(plan, "the_world", preset="full", reference=reference)
    assert said == "the_world: 3 min; 1 of 2, about 0 s left"
