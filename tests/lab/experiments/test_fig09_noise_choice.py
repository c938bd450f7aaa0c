"""Figure 9: choices, what they cost, and claims that follow numbers."""

import pytest
import torch
from made_up import PROMPTS, held

from sdilib.lab.experiments import fig09_noise_choice as experiment
from sdilib.lab.experiments.shared.path import follow
from sdilib.seeds import generator

COSTS = {
    "random": 0.0,
    "fixed": 0.0,
    "cached": 0.0,
    **{f"fixed point, ×{k}": 2.0 * k for k in (1, 2, 5, 10)},
    **{f"descent, ×{k}": 4.0 * k for k in (1, 2, 5, 10)},
    **{f"inversion, n = {n}": 1.1 * n for n in (1, 3, 10)},
    experiment.BEGUN: 11.0,
}


def test_costs_are_counted_in_forwards_and_a_backward_pass_as_one(oracle, monkeypatch):
    denoise = oracle.guided(oracle.prompt([[0], [1], [2]]), 7.5)
    x_1 = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator(0, 0, "x"))
    path = follow(denoise, x_1, (3, 4, 5), num_steps=10)
    measures = experiment.measures(path)
    costs = measures["costs"]
    monkeypatch.setattr("sdilib.lab.experiments.shared.path.BATCH", 1)
    assert costs == experiment.measures(path)["costs"]
    assert costs["random"] == costs["fixed"] == costs["cached"] == 0
    assert [costs[f"fixed point, ×{k}"] for k in (1, 2, 5, 10)] == [2, 4, 10, 20]
    assert [costs[f"descent, ×{k}"] for k in (1, 2, 5, 10)] == [4, 8, 20, 40]
    assert costs["inversion, n = 1"] == 2
    assert costs["inversion, n = 10"] == 11  # 2 (1 + … + 10) / 10
    assert list(measures["residuals"]) == list(experiment.choices(7.5) | experiment.cheaper(7.5))


def made_up(low: str, generator: torch.Generator) -> dict:
    """Residuals of 8 items at 3 times, jittered; `low` is pressed below all others."""
    jitter = 0.01 * torch.rand(8, 3, generator=generator)
    return {name: 1 + jitter for name in COSTS} | {low: 0.1 + jitter}


def test_claims_hold_for_numbers_as_the_paper_has_them(generator):
    r = made_up("inversion, n = 10", generator) | {"cached": torch.zeros(8, 3)}
    r[experiment.BEGUN] = r["inversion, n = 10"] / 2
    assert held(experiment.CLAIMS, experiment.summary(r, COSTS), PROMPTS) == [True] * 9


def test_at_equal_cost_means_the_cost_nearest_to_that_of_inversion(generator):
    r = {name: torch.rand(8, 3, generator=generator) for name in COSTS}
    mean = experiment.summary(r, COSTS)[experiment.MEAN]
    assert torch.equal(mean["fixed point at equal cost"], mean["fixed point, ×5"])  # 10, of 11
    assert torch.equal(mean["descent at equal cost"], mean["descent, ×2"])  # 8


def test_claims_fail_where_inversion_is_worst(generator):
    r = made_up("random", generator)
    r["inversion, n = 10"] = 2 + r["fixed"]
    r[experiment.BEGUN] = 3 + r["fixed"]
    assert held(experiment.CLAIMS, experiment.summary(r, COSTS), PROMPTS) == [False] * 9
    one = experiment.summary({name: each[:1] for name, each in r.items()}, COSTS)
    assert held(experiment.CLAIMS, one, PROMPTS[:1]) == [None] * 8 + [False]  # the last is exact


@pytest.mark.parametrize("count", [1, 8])
def test_the_figure_can_be_drawn(count, generator):
    columns = [f"a green striped object {i}" for i in range(count)]
    rows = dict.fromkeys(experiment.choices(7.5), torch.rand(count, 3, 8, 8))
    r = {name: 1 + torch.rand(count, 3, generator=generator) for name in COSTS}
    figure = experiment.draw(rows, columns, [1.0, 0.6, 0.3], r, COSTS)
    figure.draw_without_rendering()
    *_, over_t, against = figure.axes
    labels = [text.get_text() for text in over_t.get_legend().get_texts()]
    assert labels[0] == "random  (0)"
    assert len(labels) == len(rows)
    assert len(against.lines) == 7
