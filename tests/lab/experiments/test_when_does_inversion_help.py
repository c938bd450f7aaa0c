"""The ring's figure: a row for each rule there is, the reason for one that does not run, claims that follow numbers."""

import pytest
import torch
from made_up import held

from sdilib.guidance.named import RULES
from sdilib.lab.experiments import when_does_inversion_help as experiment


@pytest.fixture
def few(monkeypatch):
    """The rules that are compared, and one that no exact model can run."""
    some = {name: RULES[name] for name in ("sdi", "sds")}
    monkeypatch.setattr(experiment, "RULES", some | {"unheard of": RULES["sds"]})


def test_every_rule_is_a_row_and_what_they_cost_is_equal_where_it_says_so():
    rows = experiment.methods(20)
    assert set(RULES) <= set(rows)
    assert rows[experiment.EQUAL].run["num_steps"] > 80


def test_the_figure_follows_from_few_rings(few):
    numbers, runs = experiment.measured(num_rings=2, num_steps=2)
    sweeps = experiment.swept(num_rings=2, num_steps=2)
    assert sorted(numbers["left out"]) == sorted(f"unheard of, {m}" for m in experiment.MODELS)
    assert all("expected one of" in reason for reason in numbers["left out"].values())
    every = numbers | experiment.derived(numbers, sweeps)
    assert held(experiment.CLAIMS, every) == [None] * len(experiment.CLAIMS)
    spent = numbers[f"sample-forwards, {experiment.PERFECT}"]
    assert spent[experiment.EQUAL] == pytest.approx(spent[experiment.INVERSION], rel=0.3)
    figure = experiment.draw(numbers, runs, sweeps)
    assert len(figure.axes) == 4 + len(experiment.MODELS) + 4 + 2
    distances = figure.axes[4]
    names = [label.get_text() for label in distances.get_yticklabels()]
    assert names == list(numbers[f"distance, {experiment.PERFECT}"])


def test_the_error_is_in_its_own_model_alone(few):
    ring, size = experiment.MODELS[experiment.ERRING]
    assert size > 0
    assert all(
        not error for name, (_, error) in experiment.MODELS.items() if name != "with an error"
    )
    assert torch.equal(ring.textures, experiment.MODELS[experiment.PERFECT][0].textures)
