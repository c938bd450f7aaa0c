"""The backgrounds' figure: what it changes, and claims that are as the numbers and the fog are."""

import pytest
import torch
from made_up import PROMPTS, of_runs

from sdilib.lab import presets
from sdilib.lab.experiments import backgrounds as study
from sdilib.lab.experiments import fig01_teaser_3d, fig08_ablation
from sdilib.lab.experiments.shared.objects import Looked, run_of
from sdilib.lab.runs import address

SETTINGS = presets.resolve("run3d", "laptop")


def name_of(**changes):
    return address(run_of(SETTINGS, "a mug", **changes), "weights")


def test_runs_over_any_colour_are_those_of_figures_1_and_8():
    ours, first = study.variants(SETTINGS), fig01_teaser_3d.variants(SETTINGS)
    theirs = first | {"random κ": fig08_ablation.variants(SETTINGS)[fig08_ablation.RANDOM]}
    for method in study.METHODS:
        mine = ours[study.name(method, "any colour")]
        assert name_of(**mine) == name_of(**theirs[method]), method
    assert len({name_of(**each) for each in ours.values()}) == len(ours) == 12


@pytest.mark.parametrize("clear", [True, False])
def test_fog_is_what_is_neither_empty_nor_solid(clear):
    def looked(hazy):
        opacity = torch.zeros(16, 8, 8)
        opacity[:, :hazy] = 0.3
        return Looked(torch.full((16, 3, 8, 8), 0.5), opacity)

    rows = [study.name(m, b) for b in study.BACKGROUNDS for m in study.METHODS]
    seen = {
        row: [looked(k % 3 + (row.endswith("any colour") is clear)) for k in range(8)]
        for row in rows
    }
    distance = dict.fromkeys(rows, torch.linspace(0.9, 1.1, len(PROMPTS)).double())
    made = of_runs(PROMPTS, looked=seen, numbers={"distance": distance})
    found = {claim.claim: claim.holds for claim in study.claims(made)}
    about = [holds for said, holds in found.items() if "leaves less fog over" in said]
    assert about == [clear] * 8
    assert not any(holds for said, holds in found.items() if "fog" not in said)
    assert len(found) == 8 + 8 + 9
    assert study.draw(made).axes
