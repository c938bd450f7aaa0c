"""Claims: sentences that a program checks against numbers, and the statistics that decide them.

A figure states its claims as a table: rows of `Less`, `Within`, `Rare` and `Exact`, which name a measure and the methods
compared. `verdicts` checks them against numbers by measure, then method.

An item is one measured number, usually for one (prompt, seed). Items of one prompt are not independent of each other, so
they form a group whose mean is one observation; n counts groups. With fewer groups than a test needs, the verdict is "not
tested", never a guess. Resampling has a fixed seed, so equal numbers give equal claims.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, permutation_test
from torch import Tensor

from sdilib.checks import in_range, reject

Numbers = Mapping[str, Mapping[Any, ArrayLike]]
"""By measure, then method: one number per item."""

Groups = Sequence[Hashable] | None
"""The group of each item, such as its prompt; None makes each item a group of its own."""

_RESAMPLES = 9999
SIGNIFICANCE = 0.05
MINIMUM_N = 8
_TOO_FEW = f"fewer than {MINIMUM_N} groups"
_OPEN = "no difference was shown", "the interval reaches over a bound"
"""Reasons why a claim was neither shown nor refuted."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of the paper and what was measured about it.

    Attributes:
        claim: the statement, a sentence.
        measured: numbers by name.
        n: independent observations: groups (prompts) if items were grouped, else items.
        test: which statistic decided, in words.
        holds: whether it holds here; None is "not tested".
        note: what else a reader should know.
    """

    claim: str
    measured: dict[str, float]
    n: int
    test: str
    holds: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row(ABC):
    """A claim before its numbers are known: one row of a figure's table.

    Attributes:
        said: the statement, a sentence.
        measure: name of the measure.
        note: what else a reader should know; if the claim does not hold, the reason is added.
    """

    said: str
    measure: str
    note: str = field(default="", kw_only=True)

    @abstractmethod
    def check(self, numbers: Numbers, groups: Groups = None) -> Claim:
        """Return the claim.

        Args:
            numbers: by measure, then method.
            groups: of the items.

        Raises:
            KeyError: a measure or method that is not among the numbers.
            ValueError: numbers that are not finite, or that do not match the groups or each other in count.
        """

    def _items(self, numbers: Numbers, method: Any) -> NDArray[np.float64]:
        values = numbers[self.measure][method]
        values = values.cpu() if isinstance(values, Tensor) else values
        array, name = np.asarray(values, dtype=np.float64), f"{self.measure} of {method}"
        if array.ndim != 1 or not array.size:
            reject(name, array.shape, "a sequence of numbers, one per item")
        if not np.isfinite(array).all():
            reject(name, "nan or infinity", "finite numbers")
        return array

    def _claim(
        self, test: str, measured: dict[str, float], n: int, holds: bool | None, reason: str = ""
    ) -> Claim:
        note = "; ".join(filter(None, (self.note, reason)))
        return Claim(self.said, measured, n, test, holds, note)


@dataclass(frozen=True, slots=True)
class Less(Row):
    """One method has less of a measure than another on the same items.

    The test flips the signs of the groups' mean differences, in all combinations for at most 13 groups and in 9999 random
    ones otherwise, and counts how often the mean is as low as measured (one-sided). It assumes only that, without an
    effect, a difference is as likely to be positive as negative. The claim reports both means, the mean difference (lower
    minus higher), its 95 % bootstrap interval over groups, the share of groups that agree, and p. Where it does not hold, its
    note says that the opposite was measured only if the interval and the test the other way both say so.

    Attributes:
        lower: method claimed to have less.
        higher: method claimed to have more.
        unit: what n counts: "prompt" (the group of an item) or "item".
    """

    lower: Any
    higher: Any
    unit: str = field(default="prompt", kw_only=True)

    def check(self, numbers: Numbers, groups: Groups = None) -> Claim:
        """Return the claim; see `Row`."""
        a, b = self._items(numbers, self.lower), self._items(numbers, self.higher)
        if len(a) != len(b):
            reject(f"{self.measure} of {self.higher}", len(b), f"{len(a)} numbers, one per item")
        difference = group_means(a - b, groups if self.unit == "prompt" else None)
        n, (low, high) = len(difference), interval(difference)
        measured = {
            f"{self.lower} (mean)": float(a.mean()),
            f"{self.higher} (mean)": float(b.mean()),
            "difference": float(difference.mean()),
            "from": low,
            "to": high,
            "agree": float((difference < 0).mean()),
        }
        test = "one-sided paired sign-flip permutation test of the mean difference"
        claim = partial(self._claim, test, measured, n)
        if n < MINIMUM_N:
            return claim(None, _TOO_FEW)
        measured["p"] = sign_flip(difference, "less")
        if measured["p"] <= SIGNIFICANCE:
            return claim(True)
        opposite = low > 0 and sign_flip(difference, "greater") <= SIGNIFICANCE
        return claim(False, "the opposite was measured" if opposite else _OPEN[0])


@dataclass(frozen=True, slots=True)
class Within(Row):
    """The mean of a method's measure lies within bounds, and so does its whole 95 % bootstrap interval.

    "a within x % of b" is this claim on the items' |a - b| / |b| with `at_most=x / 100`, or on a / b with both bounds.

    Attributes:
        of: the method.
        at_least: lower bound.
        at_most: upper bound.
        unit: what n counts, as in `Less`.

    Raises:
        ValueError: no bound, or an empty range.
    """

    of: Any
    at_least: float = -np.inf
    at_most: float = np.inf
    unit: str = field(default="prompt", kw_only=True)

    def __post_init__(self) -> None:
        """Refuse an empty range, or no bound at all."""
        bounds = (self.at_least, self.at_most)
        if self.at_least > self.at_most or not np.isfinite(bounds).any():
            reject("at_least, at_most", bounds, "a bound or two, the lower one first")

    def check(self, numbers: Numbers, groups: Groups = None) -> Claim:
        """Return the claim; see `Row`."""
        items = self._items(numbers, self.of)
        means = group_means(items, groups if self.unit == "prompt" else None)
        n, (low, high) = len(means), interval(means)
        measured = {f"{self.measure} (mean)": float(means.mean()), "from": low, "to": high}
        bounds = {"at least": self.at_least, "at most": self.at_most}
        measured |= {name: bound for name, bound in bounds.items() if np.isfinite(bound)}
        test = "95 % bootstrap interval of the mean within the bounds"
        claim = partial(self._claim, test, measured, n)
        if n < MINIMUM_N:
            return claim(None, _TOO_FEW)
        if self.at_least <= low and high <= self.at_most:
            return claim(True)
        outside = high < self.at_least or low > self.at_most
        return claim(False, "the mean lies outside" if outside else _OPEN[1])


@dataclass(frozen=True, slots=True)
class Rare(Row):
    """Something happens to a method in at most a given share of the items, by the exact binomial interval.

    A bootstrap cannot show this: without a single case, its interval has no width. The measure is above 0 where it happened.

    Attributes:
        of: the method.
        at_most: the largest share, in (0, 1].

    Raises:
        ValueError: a share out of range.

    Source: Clopper and Pearson 1934.
    """

    of: Any
    at_most: float

    def __post_init__(self) -> None:
        """Refuse a share out of range."""
        in_range("at_most", self.at_most, 0, 1, open_low=True)

    def check(self, numbers: Numbers, groups: Groups = None) -> Claim:
        """Return the claim; see `Row`. Items count as independent, whatever their groups."""
        happened = self._items(numbers, self.of) > 0
        n, count = len(happened), int(happened.sum())
        interval = binomtest(count, n).proportion_ci(method="exact")
        measured = {self.measure: count / n, "from": float(interval.low)}
        measured |= {"to": float(interval.high), "at most": self.at_most}
        test = "95 % Clopper-Pearson interval of the share below the bound"
        claim = partial(self._claim, test, measured, n)
        if interval.high <= self.at_most:
            return claim(True)
        if interval.low > self.at_most:
            return claim(False, "the share is larger")
        if binomtest(0, n).proportion_ci(method="exact").high > self.at_most:
            return claim(None, "too few cases to show it")
        return claim(False, _OPEN[1])


@dataclass(frozen=True, slots=True)
class Exact(Row):
    """An identity: no deviation of a method exceeds the tolerance. No statistics, so one item is enough.

    Attributes:
        of: the method.
        at_most: the tolerance, e.g. what rounding explains.
    """

    of: Any
    at_most: float

    def check(self, numbers: Numbers, groups: Groups = None) -> Claim:
        """Return the claim; see `Row`."""
        items = np.abs(self._items(numbers, self.of))
        largest = float(items.max())
        measured = {f"largest {self.measure}": largest, "at most": float(self.at_most)}
        test = "largest deviation within the tolerance"
        return self._claim(test, measured, len(items), largest <= self.at_most)


def verdicts(rows: Sequence[Row], numbers: Numbers, groups: Groups = None) -> list[Claim]:
    """Check a table of claims; one whose measure or method was not measured is "not tested".

    Args:
        rows: the table.
        numbers: by measure, then method.
        groups: (items,) the group of each item, such as its prompt.
    """
    checked = []
    for row in rows:
        try:
            checked.append(row.check(numbers, groups))
        except KeyError as missing:
            note = f"{missing.args[0]} was not measured for this model"
            checked.append(Claim(row.said, {}, 0, "none", None, note))
    return checked


def sign_flip(differences: NDArray[np.float64], alternative: str = "two-sided") -> float:
    """Return how often the mean difference is at least as extreme when the sign of each group is drawn at random.

    Args:
        differences: one per group.
        alternative: "two-sided", "less" or "greater".
    """
    flipped = permutation_test(
        (differences, np.zeros(len(differences))),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        alternative=alternative,
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
        vectorized=True,
    )
    return float(flipped.pvalue)


def group_means(values: NDArray[np.float64], groups: Groups) -> NDArray[np.float64]:
    """Return the mean of each group, in order of appearance.

    Args:
        values: (items,).
        groups: (items,) the group of each item; None makes each item a group of its own.

    Raises:
        ValueError: not one group per value.
    """
    if groups is None:
        return values
    if len(groups) != len(values):
        reject("groups", len(groups), f"one group per item, {len(values)} in all")
    members: dict[Hashable, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        members.setdefault(group, []).append(float(value))
    return np.array([np.mean(each) for each in members.values()], dtype=np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean, by percentiles.

    Args:
        values: (groups,) the mean of each group.
    """
    draws = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [(1 - 0.95) / 2, (1 + 0.95) / 2])
    return float(low), float(high)


def verdict(holds: bool | None, note: str) -> str:
    """Return "yes", "no", "not shown" (nor was the opposite) or "not tested".

    Args:
        holds: of the claim.
        note: of the claim.
    """
    if holds is None:
        return "not tested"
    return "yes" if holds else "not shown" if note.endswith(_OPEN) else "no"


def claims_table(claims: Sequence[Claim]) -> str:
    """Return claims as a table in Markdown.

    Args:
        claims: one per row.
    """
    lines = ["| holds | claim | measured | n | note |", "|---|---|---|---|---|"]
    for claim in claims:
        measured = ", ".join(f"{name} {value:.3g}" for name, value in claim.measured.items())
        holds = f"**{verdict(claim.holds, claim.note)}**"
        lines.append(markdown_row((holds, claim.claim, measured, str(claim.n), claim.note)))
    return "\n".join(lines)


def markdown_row(fields: Sequence[str]) -> str:
    """Return a row of a table in Markdown.

    Args:
        fields: texts of the cells; bars and line breaks are allowed.
    """
    escaped = [text.replace("|", "\\|").replace("\n", " ") for text in fields]
    return f"| {' | '.join(escaped)} |"
