"""The convergence figure: lengths that double, curves that are flat where the rest gains little, claims that follow."""

import pytest
import torch
from made_up import of_runs

from sdilib.lab import presets
from sdilib.lab.experiments import convergence as study
from sdilib.lab.experiments import fig08_ablation
from sdilib.lab.experiments.shared.objects import Comparison, Looked, run_of
from sdilib.lab.runs import address

SETTINGS = presets.resolve("run3d", "laptop")
STEPS = [30, 60, 120]


def made_up(means: dict[str, list[float]], forwards: dict[str, int]) -> Comparison:
    """Runs of eight prompts, by the mean distance of each method at each length and its cost per step."""
    prompts = [f"a mug, number {k}" for k in range(8)]
    spread = torch.linspace(0.9, 1.1, 8).double()
    names = {(m, n): f"{m}, {n} steps" for m in study.METHODS for n in STEPS}
    distance = {name: means[m][STEPS.index(n)] * spread for (m, n), name in names.items()}
    spent = {
        name: torch.full((8,), float(forwards[m] * n)).double() for (m, n), name in names.items()
    }
    grey = Looked(torch.full((16, 3, 8, 8), 0.5), torch.zeros(16, 8, 8))
    looked = {name: [grey] * 8 for name in names.values()}
    return of_runs(prompts, looked=looked, numbers={"distance": distance, "sample-forwards": spent})


MEANS = {method: [9.0, 6.0, 5.9] for method in study.METHODS} | {"SDI": [7.0, 5.0, 3.0]}
COSTS = dict.fromkeys(study.METHODS, 2) | {"SDI": 5}


def test_lengths_double_from_half_the_presets():
    assert study.lengths(SETTINGS, 4) == [60, 120, 240, 480]
    assert study.lengths(SETTINGS | {"steps": 1}, 2) == [1, 2]


def test_runs_of_the_presets_own_length_are_those_of_figure_8():
    ours, theirs = study.variants(SETTINGS, 2), fig08_ablation.variants(SETTINGS)
    assert len(ours) == 2 * len(study.METHODS)
    for mine, other in (
        ("SDS", "SDS"),
        ("random κ, t annealed", "annealed t"),
        ("SDI", "inversion"),
    ):
        both = ours[f"{mine}, 120 steps"], theirs[other]
        assert len({address(run_of(SETTINGS, "a mug", **each), "weights") for each in both}) == 1
    every = [address(run_of(SETTINGS, "a mug", **each), "weights") for each in ours.values()]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    ("distances", "place"),
    [([9.0, 5.0, 5.0, 5.0], 1), ([9.0, 8.0, 7.0, 1.0], None), ([5.0, 6.0, 7.0, 8.0], 0)],
)
def test_a_curve_is_flat_where_the_rest_gains_little(distances, place):
    assert study.flat_from(torch.tensor([distances, distances])) == place


def test_claims_say_which_are_flat_and_who_is_ahead():
    made = made_up(MEANS, COSTS)
    claims = study.claims(made, STEPS)
    flat, ahead, equal = claims[:5], claims[5:9], claims[9:]
    assert list(study.flat_lengths(made, STEPS).values()) == [60, 60, 60, None, 60]
    assert [claim.holds for claim in flat] == [True, True, True, False, True]
    assert [claim.holds for claim in ahead] == [True] * 4
    # SDI's 60 steps cost what 150 of the others do: 120 are nearest, as 60 are to SDI's 30, but longer; SDI is ahead.
    assert all("SDI after 60 steps" in each.claim and "after 120" in each.claim for each in equal)
    assert {each.note for each in equal} == {"the latter costs 0.80 times as much"}
    assert [each.holds for each in equal] == [True] * 4


def test_every_method_is_drawn_at_every_length_and_marked_where_it_is_flat():
    made = made_up(MEANS, COSTS)
    figure = study.draw(made, STEPS)
    panels = [axes for axes in figure.axes if axes.get_xlabel()]
    assert [axes.get_xlabel() for axes in panels] == ["optimiser steps", "sample-forwards"]
    marks = [tuple(line.get_xydata()[0]) for line in panels[0].lines if len(line.get_xdata()) == 1]
    assert [step for step, _ in marks] == [60] * 4  # SDI's curve still falls
    assert figure.axes[0].get_title().replace("\n", " ") == "a mug, number 0: 30 steps"
