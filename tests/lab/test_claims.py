"""Claims say what the numbers allow: yes, no, or not tested."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

from sdilib.lab.claims import Claim, Exact, Less, Rare, Within, sign_flip, verdicts


def _numbers(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


def _less(a: ArrayLike, b: ArrayLike, groups: Sequence | None = None, *, note: str = "") -> Claim:
    return Less("a is below b", "size", "a", "b", note=note).check(
        {"size": {"a": a, "b": b}}, groups
    )


def _within(values: ArrayLike, **bounds: float) -> Claim:
    return Within("the mean is bounded", "size", "a", **bounds).check({"size": {"a": values}})


def _rare(values: ArrayLike, at_most: float) -> Claim:
    return Rare("a is rare", "share", "a", at_most).check({"share": {"a": values}})


def _exact(values: ArrayLike, at_most: float) -> Claim:
    return Exact("a is nothing", "error", "a", at_most).check({"error": {"a": values}})


def test_numbers_on_a_device_are_taken(on_a_device):
    low, high = torch.arange(8.0), torch.arange(8.0) + 1
    with pytest.raises(TypeError, match="to numpy"):
        np.asarray(on_a_device(low))
    assert _less(on_a_device(low), on_a_device(high)) == _less(low, high)


def test_a_difference_in_every_pair_holds_with_the_exact_p():
    larger = _numbers(0, 8)
    made = _less(larger - 1 - 0.1 * _numbers(1, 8) ** 2, larger)
    assert made.holds is True
    assert made.n == 8
    assert made.measured["p"] == pytest.approx(2**-8)  # one of the 256 ways to flip 8 signs
    assert made.measured["agree"] == 1
    assert made.measured["from"] < made.measured["difference"] < made.measured["to"] < 0
    assert made.measured["b (mean)"] == pytest.approx(larger.mean())


def test_the_opposite_difference_does_not_hold_and_says_so():
    larger = _numbers(0, 12)
    made = _less(larger + 1, larger, note="as drawn")
    assert made.holds is False
    assert made.note == "as drawn; the opposite was measured"


def test_an_interval_too_narrow_for_few_groups_does_not_show_the_opposite():
    apart = np.array([1.1, 0.3, 0.1, 0.4, 2.4, 0.6, 0.7, -0.9])
    made = _less(apart, np.zeros(8))
    assert made.measured["from"] > 0
    assert sign_flip(apart, "greater") > 0.05
    assert made.note == "no difference was shown"


def test_mere_noise_does_not_hold_and_says_so():
    made = _less(_numbers(0, 12), _numbers(1, 12))
    assert made.holds is False
    assert made.note == "no difference was shown"


def test_fewer_groups_than_the_minimum_are_not_tested():
    larger = _numbers(0, 7)
    made = _less(larger - 5, larger)
    assert made.holds is None
    assert made.note == "fewer than 8 groups"
    assert "p" not in made.measured


def test_seeds_of_one_prompt_are_one_observation():
    prompts = [prompt for prompt in "abcd" for _ in range(5)]
    larger = _numbers(0, 20)
    assert _less(larger - 5, larger).holds is True
    grouped = _less(larger - 5, larger, prompts)
    assert grouped.n == 4
    assert grouped.holds is None


def test_without_an_effect_at_most_a_twentieth_of_claims_holds():
    # 300 null experiments: 15 expected, standard deviation 3.8; beyond 29 lies a chance of about 1e-4.
    held = [_less(_numbers(2 * i, 10), _numbers(2 * i + 1, 10)).holds for i in range(300)]
    assert 2 <= held.count(True) <= 29


def test_grouping_keeps_the_false_alarms_down_where_prompts_differ():
    def null(seed: int, grouped: bool) -> bool | None:
        # 8 prompts whose difference is their own, 8 seeds each that hardly add to it: 8 observations, not 64.
        difference = np.repeat(_numbers(seed, 8), 8) + 0.1 * _numbers(seed + 1000, 64)
        groups = np.repeat(np.arange(8), 8).tolist() if grouped else None
        return _less(difference, 0 * difference, groups).holds

    assert [null(seed, True) for seed in range(100)].count(True) <= 13  # 5 expected, deviation 2.2
    assert [null(seed, False) for seed in range(100)].count(True) > 20


@pytest.mark.parametrize(
    ("count", "bounds", "holds", "note"),
    [
        (50, {"at_most": 1.0}, True, ""),
        (50, {"at_least": -1.0, "at_most": 1.0}, True, ""),
        (50, {"at_least": 1.0}, False, "the mean lies outside"),
        (50, {"at_most": 0.0}, False, "the interval reaches over a bound"),
        (7, {"at_most": 9.0}, None, "fewer than 8 groups"),
    ],
)
def test_a_bound_holds_only_if_the_whole_interval_keeps_it(count, bounds, holds, note):
    made = _within(_numbers(0, count), **bounds)
    assert made.holds is holds
    assert made.note == note
    assert {name.replace(" ", "_") for name in made.measured} & {"at_least", "at_most"} == {*bounds}


def test_an_identity_needs_one_item_and_looks_at_the_largest():
    assert _exact([1e-9], 1e-8).holds is True
    assert _exact([0, -2e-8], 1e-8).holds is False


def test_equal_numbers_have_an_interval_of_no_width():
    assert _within(np.ones(10), at_most=1.0).holds is True


def test_the_same_numbers_give_the_same_claim():
    a, b = _numbers(0, 20), _numbers(1, 20)  # 20 groups: signs and bootstrap are drawn
    assert _less(a, b) == _less(a, b)


@pytest.mark.parametrize(
    ("count", "n", "holds", "note"),
    [
        (0, 72, True, ""),
        (0, 71, None, "too few cases to show it"),
        (1, 80, False, "the interval reaches over a bound"),
        (20, 80, False, "the share is larger"),
        (10, 10, False, "the share is larger"),
    ],
)
def test_a_share_is_held_to_the_binomials_exact_interval(count, n, holds, note):
    claim = _rare([1.0] * count + [0.0] * (n - count), 0.05)
    assert (claim.holds, claim.note, claim.n) == (holds, note, n)
    assert claim.measured["from"] <= claim.measured["share"] <= claim.measured["to"]
    if not count:
        assert claim.measured["to"] == pytest.approx(1 - 0.025 ** (1 / n))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _less([1.0], [1.0, 2.0]), "size of b=2: expected 1 numbers, one per item"),
        (lambda: _less([np.nan], [1.0]), "size of a='nan or infinity'"),
        (lambda: _less([], []), r"size of a=\(0,\): expected a sequence"),
        (lambda: _less([1.0], [2.0], []), "groups=0: expected one"),
        (lambda: _rare([], 0.1), r"share of a=\(0,\): expected a sequence"),
        (lambda: _rare([1.0], 1.5), "at_most=1.5"),
        (lambda: _exact([np.inf], 1.0), "error of a='nan or infinity'"),
        (lambda: _within([1.0]), "at_least, at_most=.*: expected a bound or two"),
        (lambda: _within([1.0], at_least=2.0, at_most=1.0), "at_least, at_most="),
    ],
)
def test_bad_numbers_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


NUMBERS = {
    "blur": {"a": _numbers(0, 8) - 5, "b": _numbers(1, 8), "ratio": np.ones(8)},
    "diverged": {"a": np.zeros(100)},
}
ROWS = [
    Less("a is less blurred than b", "blur", "a", "b"),
    Less("b is less blurred than a", "blur", "b", "a"),
    Within("the ratio is one", "blur", "ratio", at_least=0.9, at_most=1.1),
    Rare("a seldom diverges", "diverged", "a", at_most=0.05),
    Exact("the ratio is at most one", "blur", "ratio", at_most=1.0),
]


def test_a_table_of_claims_is_checked_row_by_row():
    made = verdicts(ROWS, NUMBERS)
    assert [claim.claim for claim in made] == [row.said for row in ROWS]
    assert [claim.holds for claim in made] == [True, False, True, True, True]
    assert made[0].measured.keys() >= {"a (mean)", "b (mean)", "p"}


def test_a_row_counts_prompts_or_items():
    prompts = ["p"] * 8
    by_prompt = Less("a is less blurred than b", "blur", "a", "b")
    by_item = Less("a is less blurred than b", "blur", "a", "b", unit="item")
    made = verdicts([by_prompt, by_item], NUMBERS, prompts)
    assert [(claim.n, claim.holds) for claim in made] == [(1, None), (8, True)]


@pytest.mark.parametrize("row", [Less("x", "sharpness", "a", "b"), Exact("x", "blur", "c", 1.0)])
def test_what_was_not_measured_is_not_tested(row):
    (made,) = verdicts([row], NUMBERS)
    assert made.holds is None
    assert "was not measured for this model" in made.note
