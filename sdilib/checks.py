"""Checks of arguments; an error is one sentence: the argument's name, its value, what is allowed."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import field, fields, is_dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, NoReturn


class NonFiniteError(ArithmeticError):
    """A tensor holds nan or infinity; the message says which one and where."""


_LONGEST = 200
"""Most characters of a value that an error shows."""


def reject(parameter: str, value: Any, expected: str, *, known: Iterable[str] = ()) -> NoReturn:
    """Refuse an argument with the standard sentence.

    Args:
        parameter: name of the argument, as the caller wrote it.
        value: what was given.
        expected: what is allowed, in a few words.
        known: the allowed names, if the argument is a name; the closest is suggested.

    Raises:
        ValueError: always.
    """
    close = closest(str(value), known)
    hint = f"; did you mean {close}?" if close else ""
    given = repr(value)
    if len(given) > _LONGEST:  # a tensor's numbers do not help; a text's beginning does
        text = isinstance(value, str)
        given = f"{value[:_LONGEST]!r}…" if text else f"<{type(value).__name__}>"
    raise ValueError(f"{parameter}={given}: expected {expected}{hint}")


def closest(word: str, known: Iterable[str]) -> str:
    """Return the known name that a mistyped word is nearest to, or "" where none is near.

    Args:
        word: what was given; its case does not matter.
        known: the allowed names.

    Examples:
        >>> closest("rde", ["render", "red"])
        'red'
    """
    names = {name.lower(): name for name in known}
    typed = word.lower()
    # difflib counts two swapped letters as one too many and one too few.
    swapped = [name for name in names if sorted(name) == sorted(typed)]
    near = [*swapped, *get_close_matches(typed, names, n=1)]
    return names[near[0]] if near else ""


def positive_int(parameter: str, value: Any, at_least: int = 1, at_most: int | None = None) -> int:
    """Return `value` if it is an integer of at least `at_least`.

    Args:
        parameter: name of the argument.
        value: what was given; bool is not an integer here.
        at_least: the smallest allowed value.
        at_most: the largest; None for any.

    Raises:
        ValueError: not an integer, too small or too large.
    """
    allowed = f"an integer of at least {at_least}" + (
        "" if at_most is None else f" and at most {at_most}"
    )
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= at_least
    if not fits or (at_most is not None and value > at_most):
        reject(parameter, value, allowed)
    return value


def finite(parameter: str, value: Any) -> float:
    """Return `value` as a float if it is a finite number.

    Args:
        parameter: name of the argument.
        value: what was given.

    Raises:
        ValueError: not a number, nan or infinite.
    """
    if not _is_number(value) or not math.isfinite(value):
        reject(parameter, value, "a finite number")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def not_negative(parameter: str, value: Any) -> float:
    """Return `value` as a float if it is a finite number of at least 0.

    Args:
        parameter: name of the argument.
        value: what was given.

    Raises:
        ValueError: not a number, nan, infinite or negative.
    """
    if finite(parameter, value) < 0:
        reject(parameter, value, "a number of at least 0")
    return float(value)


def in_range(
    parameter: str, value: Any, low: int | float, high: int | float, *, open_low: bool = False
) -> float:
    """Return `value` as a float if it lies in [low, high], or in (low, high] with `open_low`.

    Args:
        parameter: name of the argument.
        value: what was given.
        low: lower end.
        high: upper end, included.
        open_low: whether the lower end itself is excluded.

    Raises:
        ValueError: outside the range, nan or not a number.
    """
    if not (_is_number(value) and value <= high and (low < value if open_low else low <= value)):
        reject(parameter, value, f"a number in {'(' if open_low else '['}{low:g}, {high:g}]")
    return float(value)


def ends(
    parameter: str, value: Any, low: int | float, high: int | float, *, open_low: bool = False
) -> tuple[float, float]:
    """Return a range's ends as floats if they lie in [low, high], or (low, high], in this order.

    Args:
        parameter: name of the argument.
        value: what was given, as a pair.
        low: smallest allowed lower end.
        high: largest allowed upper end, included.
        open_low: whether `low` itself is excluded.

    Raises:
        ValueError: not two numbers, outside [low, high], or in the wrong order.

    Examples:
        >>> ends("elevation_degrees", [0, 45], -89, 89)
        (0.0, 45.0)
    """
    allowed = f"two numbers in {'(' if open_low else '['}{low:g}, {high:g}], the lower first"
    if not isinstance(value, Sequence) or len(value) != 2 or not all(map(_is_number, value)):
        reject(parameter, value, allowed)
    first, last = value
    if not (low < first <= last <= high if open_low else low <= first <= last <= high):
        reject(parameter, value, allowed)
    return float(first), float(last)


def like(parameter: str, value: Any, default: Any) -> Any:
    """Return `value` if it has the default's type; a number of another type, such as NumPy's, is converted if it fits.

    Args:
        parameter: name of the argument.
        value: what was given.
        default: None allows any type.

    Raises:
        ValueError: another type.

    Examples:
        >>> like("guidance_scale", 30, 7.5)
        30.0
    """
    value = _as(default, value)
    if default is not None and type(value) is not type(default):
        reject(parameter, value, f"a value of type {type(default).__name__}")
    return value


_CHECK = "sdilib.check"


def setting(default: Any, check: Callable[..., Any], *allowed: Any, **options: Any) -> Any:
    """Return a field of a dataclass, with the check that `check_settings` makes of its value.

    Args:
        default: of the field.
        check: one of this module's, called with the field's name and value.
        *allowed: its further arguments.
        **options: likewise.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Mixed:
        ...     share: float = setting(0.5, in_range, 0, 1)
        ...     __post_init__ = check_settings
        >>> Mixed(share=2.0)
        Traceback (most recent call last):
        ValueError: share=2.0: expected a number in [0, 1]
    """
    return field(default=default, metadata={_CHECK: (check, allowed, options)})


def check_settings(settings: Any) -> None:
    """Check the fields made by `setting`, also those that a subclass only gives another default.

    Args:
        settings: an instance of a dataclass.

    Raises:
        ValueError: a value that its field's check refuses.
    """
    bases = (base for base in reversed(type(settings).__mro__) if is_dataclass(base))
    every = [each for base in bases for each in fields(base)]
    stated = {each.name: each.metadata[_CHECK] for each in every if _CHECK in each.metadata}
    for name, (check, allowed, options) in stated.items():
        check(name, getattr(settings, name), *allowed, **options)


def settle_numbers(settings: Any) -> None:
    """Convert the numbers of a frozen dataclass to the types of their defaults, in place: one setting has one form.

    Args:
        settings: an instance. What is no such number is left for other checks.
    """
    for each in fields(settings):
        object.__setattr__(settings, each.name, _as(each.default, getattr(settings, each.name)))


def _as(default: Any, value: Any) -> Any:
    """A number, also NumPy's, as the default's type if that can hold it; anything else as it is."""
    if isinstance(value, bool):
        return value
    if type(default) is float and isinstance(value, Real):
        with suppress(OverflowError):
            return float(value)
    return int(value) if type(default) is int and isinstance(value, Integral) else value


def one_of(parameter: str, value: Any, known: Iterable[str]) -> str:
    """Return `value` if it is one of the `known` names.

    Args:
        parameter: name of the argument.
        value: what was given.
        known: the allowed names.

    Raises:
        ValueError: not among them; the message lists them and suggests the closest.
    """
    names = list(known)
    if value not in names:
        reject(parameter, value, "one of " + ", ".join(names), known=names)
    return value


def text(parameter: str, value: Any, *, empty: bool = False) -> str:
    """Return `value` if it is a string with at least one word.

    Args:
        parameter: name of the argument.
        value: what was given.
        empty: whether "" is allowed, too.

    Raises:
        ValueError: not a string, or only spaces.
    """
    if not isinstance(value, str) or not (value.strip() or (empty and not value)):
        reject(parameter, value, "a text with at least one word" + (', or ""' if empty else ""))
    return value
