import math
from dataclasses import dataclass

import numpy as np
import pytest

from sdilib.checks import (
    check_settings,
    finite,
    in_range,
    like,
    one_of,
    positive_int,
    reject,
    setting,
    settle_numbers,
    text,
)


def test_sentence_names_parameter_value_and_what_is_allowed():
    with pytest.raises(ValueError, match=r"^n=0: expected an integer of at least 1$"):
        reject("n", 0, "an integer of at least 1")


def test_the_closest_known_name_is_suggested_and_a_far_one_is_not():
    with pytest.raises(
        ValueError, match=r"^rule='sdj': expected one of sds, ism; did you mean sds"
    ):
        one_of("rule", "sdj", ["sds", "ism"])
    with pytest.raises(ValueError, match=r"^rule='zzzz': expected one of sds, ism$"):
        one_of("rule", "zzzz", ["sds", "ism"])


@pytest.mark.parametrize(
    ("word", "near"), [("rde", "red"), ("mgu", "mug"), ("rendr", "render"), ("RED", "red")]
)
def test_two_letters_that_changed_places_count_as_near(word, near):
    with pytest.raises(ValueError, match=rf"did you mean {near}\?$"):
        one_of("word", word, ["render", "red", "mug", "gum tree"])


def test_positive_int_refuses_what_is_above_its_largest():
    assert positive_int("size", 24, at_most=24) == 24
    with pytest.raises(
        ValueError, match="size=25: expected an integer of at least 1 and at most 24"
    ):
        positive_int("size", 25, at_most=24)


def test_a_setting_is_checked_also_where_a_subclass_only_changes_its_default():
    @dataclass
    class Base:
        share: float = setting(0.5, in_range, 0, 1)

        def __post_init__(self):
            check_settings(self)

    @dataclass
    class Other(Base):
        share: float = 1.0
        count: int = setting(2, positive_int, at_least=2)

    assert Other() == Other(1.0, 2)
    for wrong in ({"share": 1.5}, {"count": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Other(**wrong)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None])
def test_positive_int_refuses(value):
    with pytest.raises(ValueError, match=r"^n=.*: expected an integer of at least 1$"):
        positive_int("n", value)


@dataclass(frozen=True)
class Settings:
    name: str
    steps: int = 3
    rate: float = 0.5
    loud: bool = True

    def __post_init__(self):
        settle_numbers(self)


def test_numbers_have_the_types_of_their_defaults_whoever_gave_them():
    one = Settings("a", steps=np.int64(4), rate=np.float32(1.0))
    other = Settings("a", steps=4, rate=1)
    assert repr(one) == repr(other) == "Settings(name='a', steps=4, rate=1.0, loud=True)"
    left = Settings("a", steps=2.5, rate=True, loud=1)  # for other checks to refuse
    assert repr(left) == "Settings(name='a', steps=2.5, rate=True, loud=1)"
    assert Settings("a", rate=10**400).rate == 10**400


def test_a_number_like_a_default_is_converted_and_another_type_refused():
    assert repr(like("x", np.float64(2), 0.5)) == "2.0"
    assert repr(like("x", np.int8(2), 1)) == "2"
    for value, default, kind in ((2.5, 1, "int"), (True, 1, "int"), (1, True, "bool")):
        with pytest.raises(ValueError, match=rf"^x=.*: expected a value of type {kind}$"):
            like("x", value, default)


def test_positive_int_returns_its_value_from_the_lowest_allowed_on():
    assert positive_int("n", 1) == 1
    assert positive_int("n", 0, at_least=0) == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "7.5", None])
def test_finite_refuses(value):
    with pytest.raises(ValueError, match=r"^gamma=.*: expected a finite number$"):
        finite("gamma", value)


def test_finite_returns_a_float():
    assert isinstance(finite("gamma", 7), float)


@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, True, "0.5", None])
def test_in_range_refuses(value):
    with pytest.raises(ValueError, match=r"^t=.*: expected a number in \[0, 1\]$"):
        in_range("t", value, 0, 1)


def test_in_range_includes_both_ends_unless_the_lower_is_open():
    assert in_range("t", 0, 0, 1) == 0
    assert in_range("t", 1, 0, 1, open_low=True) == 1
    with pytest.raises(ValueError, match=r"^t=0: expected a number in \(0, 1\]$"):
        in_range("t", 0, 0, 1, open_low=True)


def test_a_value_of_many_numbers_is_named_by_its_kind():
    with pytest.raises(ValueError, match="guidance_scale=<list>: expected a finite number"):
        reject("guidance_scale", list(range(1000)), "a finite number")


def test_a_long_text_is_named_by_its_beginning():
    with pytest.raises(ValueError, match=r"^prompt='a red mug a red .*'…: expected a shorter one$"):
        reject("prompt", "a red mug " * 100, "a shorter one")


@pytest.mark.parametrize("value", ["", "  ", 3, None, ["a"]])
def test_text_refuses(value):
    with pytest.raises(ValueError, match=r"^prompt=.*: expected a text with at least one word$"):
        text("prompt", value)


def test_an_empty_text_is_taken_where_it_is_allowed():
    assert text("negative_prompt", "", empty=True) == ""
    with pytest.raises(ValueError, match=r'at least one word, or ""$'):
        text("negative_prompt", " ", empty=True)
