"""Diversity in 3D: distances and kinds whose values are known, and claims that follow them."""

import pytest
import torch
from made_up import held, of_runs

from sdilib.lab.evaluator import Evaluator
from sdilib.lab.experiments import figa16_diversity_3d as experiment
from sdilib.lab.experiments.figa16_diversity_3d import (
    BLURRY,
    BURNT,
    CLAIMS,
    DISTANCE,
    KINDS,
    RATIO,
    RECALL,
    SHAPES,
    SPREAD,
    WORLD,
)
from sdilib.lab.experiments.shared.objects import AZIMUTHS, ELEVATION, Looked
from sdilib.lab.world.render import pictures
from sdilib.lab.world.scene import Member, WorldCamera, WorldScene

PROMPTS = ["a red mushroom", "a blue rocket"] * 3


def square(grey: float, wide: int) -> Looked:
    """A grey picture, a square of which is covered."""
    opacity = torch.zeros(16, 16, 16)
    opacity[:, :wide, :wide] = 1.0
    return Looked(torch.full((16, 3, 16, 16), grey), opacity)


@pytest.fixture
def seen():
    """Three seeds of two prompts: of SDI the first prompt's alone differ."""
    sdi = [square(0.2, 4), square(0.5, 8), square(0.4, 8), square(0.5, 8), square(0.6, 16)]
    same = [square(0.5, 8)] * 6
    return {"SDI": [*sdi, square(0.5, 8)], BLURRY: same, BURNT: same}


def test_distances_are_those_of_all_pairs_of_seeds(seen):
    numbers = experiment.measures(seen, {}, PROMPTS)
    assert numbers[DISTANCE]["SDI"].tolist() == pytest.approx([(0.2 + 0.4 + 0.2) / 3, 0.0])
    # Silhouettes of 16, 64 and 256 pixels within each other.
    assert numbers[SHAPES]["SDI"].tolist() == pytest.approx([1 - (1 / 4 + 1 / 16 + 1 / 4) / 3, 0])
    assert numbers[SHAPES][BURNT].tolist() == [0.0, 0.0]
    assert KINDS not in numbers


def test_empty_objects_are_alike_and_unlike_all_others(seen):
    runs = [square(0.5, 0), square(0.5, 8), square(0.5, 0), square(0.5, 8), square(0.5, 0)]
    vanished = seen | {BURNT: [*runs, square(0.5, 0)]}
    found = experiment.measures(vanished, {}, PROMPTS)[SHAPES][BURNT]
    # The first prompt's three are all empty, one of the second prompt's.
    assert found.tolist() == pytest.approx([0.0, 2 / 3])


def test_kinds_are_counted_by_the_halves_that_shapes_lie_in(seen):
    one = torch.full((6, 4), 0.5, dtype=torch.float64)
    other = one.clone()
    other[2, 0], other[4] = -0.5, torch.tensor([-0.5, 0.5, 0.5, -0.9])  # of the first prompt
    numbers = experiment.measures(seen, {"SDI": other, BLURRY: one}, PROMPTS)
    assert numbers[KINDS]["SDI"].tolist() == [3, 1]
    assert numbers[KINDS][BLURRY].tolist() == [1, 1]
    assert numbers[SPREAD][BLURRY].tolist() == [0.0, 0.0]
    assert numbers[SPREAD]["SDI"][0] > 0.3
    assert numbers[RECALL][BLURRY].tolist() == [0.0, 0.0]


def test_recall_is_that_of_as_many_draws_where_shapes_differ_as_the_worlds_do(seen):
    prompts = ["a red mushroom"] * 40
    shapes = torch.rand(40, 4, generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    many = {name: of[:1] * 40 for name, of in seen.items()}
    found = experiment.measures(many, {"SDI": shapes, BURNT: 0.3 * shapes}, prompts)[RECALL]
    assert float(found["SDI"]) == pytest.approx(1.0, abs=0.2)
    assert float(found[BURNT]) < 0.3


def test_the_worlds_own_are_different_objects_of_the_same_words():
    looked, judge = {"SDI": [square(0.5, 8)] * 6}, Evaluator.from_pretrained()
    whole = of_runs(PROMPTS, looked=looked, evaluator=judge)
    own = experiment.views(whole)[WORLD]
    assert len(own) == 6
    assert not torch.equal(own[0].opacity, own[2].opacity)  # the same prompt's
    assert torch.equal(own[0].images, experiment.views(whole)[WORLD][0].images)


def test_the_shape_of_an_object_is_found_and_that_of_nothing_is_the_plainest():
    cameras = [WorldCamera(azimuth, ELEVATION) for azimuth in AZIMUTHS]
    shapes = [(high, 0.0, 0.0, 0.0) for high in (-0.8, 0.8)]  # of a cottage's walls
    seen = [
        Looked(
            *pictures(
                [WorldScene("cottage", "red", "plain", c, member=Member(s)) for c in cameras], 64
            )
        )
        for s in shapes
    ]
    looks = {"cottages": seen, "nothing": [square(0.5, 0)] * 2}
    found = experiment.fitted_shapes(looks, ["a red cottage"] * 2)
    assert (found["cottages"] - torch.tensor(shapes)).abs().mean() < 0.15
    assert found["nothing"].tolist() == [[0.0] * 4] * 2


def test_another_worlds_prompts_are_compared_with_themselves_alone(seen):
    assert WORLD not in experiment.views(of_runs(PROMPTS, looked=seen))


def decided(sdi: float, blurry: float, burnt: float, world: float, count: int = 8):
    ramp = 1 + 0.01 * torch.arange(count).double()
    levels = {"SDI": sdi, BLURRY: blurry, BURNT: burnt, WORLD: world}
    values = {name: level * ramp for name, level in levels.items()}
    ratio = {"SDI": values["SDI"] / values[BLURRY]}
    numbers = dict.fromkeys((DISTANCE, SHAPES, KINDS, RECALL), values) | {RATIO: ratio}
    return held(CLAIMS, numbers)


def test_the_verdicts_follow_the_numbers():
    assert decided(sdi=3.0, blurry=2.0, burnt=1.0, world=4.0) == [True] * 6
    assert decided(sdi=2.0, blurry=3.0, burnt=2.5, world=1.0) == [False] * 6
    assert decided(sdi=3.0, blurry=2.0, burnt=1.0, world=4.0, count=7) == [None] * 6


def test_two_prompts_are_drawn_with_a_row_of_seeds_per_method(seen):
    shapes = {name: torch.zeros(6, 4).double() for name in seen}
    numbers = experiment.measures(seen, shapes, PROMPTS)
    figure = experiment.draw(seen, shapes, PROMPTS, numbers)
    figure.draw_without_rendering()
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 2 * 3 * 3
    greys = [float(axes.images[0].get_array().mean()) for axes in drawn[:3]]
    assert greys == pytest.approx([0.2, 0.4, 0.6])  # SDI's seeds of the first prompt
    titles = [axes.get_title(loc="left") for axes in figure.axes if not axes.images]
    assert titles[:4] == [DISTANCE, SHAPES, KINDS, RECALL]
    plain = experiment.draw(seen, {}, PROMPTS, experiment.measures(seen, {}, PROMPTS))
    assert len([axes for axes in plain.axes if not axes.images]) == 2
