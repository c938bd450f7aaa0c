"""Figure 14 in 3D: each row is one change, and the claims come out as the numbers are."""

from itertools import pairwise

import pytest
from made_up import ahead

from sdilib.lab import presets
from sdilib.lab.experiments.figa14_from_ism_3d import CLAIMS, ISM, OURS, WALK, variants
from sdilib.lab.experiments.shared.objects import run_of

SETTINGS = presets.resolve("run3d", "laptop")
VARIANTS = variants(SETTINGS)


def test_each_row_is_one_change():
    runs = [run_of(SETTINGS, "a red mug", **VARIANTS[name]).settings() for name in WALK]
    changed = [
        {name for name in a.keys() & b.keys() if a[name] != b[name]} for a, b in pairwise(runs)
    ]
    times = {"t_start", "t_end"}
    assert changed == [times, {"t_schedule"}, {"inversion_guidance_scale"}, {"rule"}]
    # The last one's further settings are as if they were not there.
    full = runs[-1]
    off = {name: full[name] for name in full.keys() - runs[-2].keys()}
    assert off.pop("kappa") == "inversion"
    assert off.pop("renoise")
    assert not any(off.values())


def test_the_labels_of_the_rows_fit_beside_them():
    # A longer line would begin outside the figure; labels are broken at commas.
    assert max(len(line) for name in VARIANTS for line in name.split(", ")) <= 15


def test_ism_begins_with_its_authors_times():
    ism = run_of(SETTINGS, "a red mug", **VARIANTS[ISM])
    assert (ism.t_schedule, ism.t_end, ism.t_start) == ("random", 0.02, 0.5)
    assert ism.rule_settings["inversion_guidance_scale"] == 0.0


@pytest.mark.parametrize("sign", [1, -1])
def test_a_walk_that_leads_up_holds_and_one_that_leads_down_does_not(sign):
    means = {name: 10.0 - sign * k for k, name in enumerate(VARIANTS)}
    made = ahead(means, "distance", "saturation")
    assert [claim.holds for claim in made.check(CLAIMS)] == [sign > 0] * 6
    assert [*VARIANTS][-1] == OURS
