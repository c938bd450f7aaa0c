"""Claims: sentences that a program checks against numbers, and the statistics that may decide them.

An item is one measured number, usually of one (prompt, seed). Items of one prompt are not independent of each other, so
they form a group and the group is the unit that n counts: its mean is one observation. With fewer groups than a test
needs the verdict is "not tested", never a guess.

A figure states its claims as a table: rows of `Less`, `Within`, `Rare` and `Exact`, which name a measure and the methods
compared. `verdicts` checks them against numbers by measure, then method.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, permutation_test
from torch import Tensor

from sdilib.checks import in_range, positive_int, reject

__all__ = [
    "Claim",
    "Exact",
    "Less",
    "Numbers",
    "Rare",
    "Row",
    "Table",
    "Within",
    "bound_claim",
    "exact_claim",
    "markdown_row",
    "paired_claim",
    "share_claim",
    "table",
    "verdicts",
]

_RESAMPLES = 9999
_MINIMUM_N = 8


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of the paper and what was measured about it.

    Attributes:
        claim: the statement, a sentence.
        measured: numbers by name.
        n: independent observations: groups (prompts) if items were grouped, else items.
        test: which statistic decided, in words.
        holds: whether it holds here; None is "not tested".
        note: what a reader should know beside the numbers.
    """

    claim: str
    measured: dict[str, float]
    n: int
    test: str
    holds: bool | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, as they stand in the figure's JSON."""
        return asdict(self)


def _items(parameter: str, values: ArrayLike) -> NDArray[np.float64]:
    values = values.cpu() if isinstance(values, Tensor) else values
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        reject(parameter, array.shape, "a sequence of numbers, one per item")
    if not np.isfinite(array).all():
        reject(parameter, "nan or infinity", "finite numbers")
    return array


def _grouped(values: NDArray[np.float64], groups: Sequence[Hashable] | None) -> NDArray[np.float64]:
    if groups is None:
        return values
    if len(groups) != len(values):
        reject("groups", len(groups), f"one group an item, {len(values)} in all")
    members: dict[Hashable, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        members.setdefault(group, []).append(float(value))
    return np.array([np.mean(each) for each in members.values()], dtype=np.float64)


def _interval(values: NDArray[np.float64], seed: int, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of the mean, by percentiles."""
    draws = np.random.default_rng(seed).integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_claim(
    claim: str,
    *,
    smaller: ArrayLike,
    larger: ArrayLike,
    names: tuple[str, str] = ("smaller", "larger"),
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    significance: float = 0.05,
    minimum_n: int = _MINIMUM_N,
    note: str = "",
) -> Claim:
    """Test that one quantity is smaller than another on the same items.

    The test flips the sign of each group's mean difference, in all ways if there are at most 13 groups and in 9999 random
    ways otherwise, and asks how often the mean comes out as low as measured (one-sided). It assumes only that without an
    effect a difference is as likely positive as negative.

    Args:
        claim: the statement, a sentence.
        smaller: (items,) the numbers claimed to be smaller.
        larger: (items,) the numbers claimed to be larger, of the same items.
        names: what the two are called among the measured numbers.
        groups: (items,) the group of each item, e.g. its prompt; None makes each item its own.
        seed: of the random sign flips and of the bootstrap.
        significance: p at or below which the claim holds, in (0, 1].
        minimum_n: fewest groups; below, the claim is not tested.
        note: kept, with the verdict's reason added where it does not hold.

    Returns:
        The claim; `measured` holds both means, the mean difference (smaller minus larger), its 95 % bootstrap
        interval over groups, p, and the share of groups that agree.

    Raises:
        ValueError: lengths differ, or numbers that are not finite.
    """
    a, b = _items("smaller", smaller), _items("larger", larger)
    if len(a) != len(b):
        reject("larger", len(b), f"as many numbers as smaller has, {len(a)}")
    in_range("significance", significance, 0.0, 1.0, open_low=True)
    positive_int("minimum_n", minimum_n)
    difference = _grouped(a - b, groups)
    low, high = _interval(difference, seed)
    measured = {f"{names[0]} (mean)": float(a.mean()), f"{names[1]} (mean)": float(b.mean())}
    measured |= {"difference": float(difference.mean()), "from": low, "to": high}
    measured["agree"] = float((difference < 0).mean())
    n = len(difference)
    test = "one-sided paired sign-flip permutation test of the mean difference"
    if n < minimum_n:
        return Claim(claim, measured, n, test, None, _join(note, f"fewer than {minimum_n} groups"))
    p = float(
        permutation_test(
            (difference, np.zeros(n)),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            alternative="less",
            n_resamples=_RESAMPLES,
            rng=np.random.default_rng(seed),
            vectorized=True,
        ).pvalue
    )
    measured["p"] = p
    if p <= significance:
        return Claim(claim, measured, n, test, True, note)
    shown = "the opposite was measured" if low > 0 else "no difference was shown"
    return Claim(claim, measured, n, test, False, _join(note, shown))


def bound_claim(
    claim: str,
    values: ArrayLike,
    *,
    at_least: float = -np.inf,
    at_most: float = np.inf,
    name: str = "mean",
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    minimum_n: int = _MINIMUM_N,
    note: str = "",
) -> Claim:
    """Test that a mean lies within bounds: the whole of its 95 % bootstrap interval has to.

    "a within x % of b" is this claim on the items' |a - b| / |b| with `at_most=x / 100`, or on a / b with both bounds.

    Args:
        claim: the statement, a sentence.
        values: (items,) the numbers.
        at_least: lower bound of the mean.
        at_most: upper bound of the mean.
        name: what the mean is called among the measured numbers.
        groups: (items,) the group of each item, e.g. its prompt; None makes each item its own.
        seed: of the bootstrap.
        minimum_n: fewest groups; below, the claim is not tested.
        note: kept, with the verdict's reason added where it does not hold.

    Raises:
        ValueError: no bound or an empty range, or numbers that are not finite.
    """
    if at_least > at_most or not np.isfinite([at_least, at_most]).any():
        reject("at_least, at_most", (at_least, at_most), "a bound or two, the lower one first")
    positive_int("minimum_n", minimum_n)
    means = _grouped(_items("values", values), groups)
    low, high = _interval(means, seed)
    measured = {name: float(means.mean()), "from": low, "to": high}
    measured |= {"at least": at_least} if np.isfinite(at_least) else {}
    measured |= {"at most": at_most} if np.isfinite(at_most) else {}
    n, test = len(means), "95 % bootstrap interval of the mean within the bounds"
    if n < minimum_n:
        return Claim(claim, measured, n, test, None, _join(note, f"fewer than {minimum_n} groups"))
    if at_least <= low and high <= at_most:
        return Claim(claim, measured, n, test, True, note)
    outside = high < at_least or low > at_most
    reason = "the mean lies outside" if outside else "the interval reaches over a bound"
    return Claim(claim, measured, n, test, False, _join(note, reason))


def share_claim(
    claim: str, happened: Sequence[bool], *, at_most: float, name: str = "share", note: str = ""
) -> Claim:
    """Test that something happens in at most a share of cases, by the exact interval of a binomial (Clopper, Pearson).

    A bootstrap cannot: of no case at all its interval has no width.

    Args:
        claim: the statement, a sentence.
        happened: (cases,) whether it did, in independent cases.
        at_most: the largest share, in (0, 1).
        name: what the share is called among the measured numbers.
        note: kept, with the verdict's reason added where it does not hold.

    Raises:
        ValueError: no case, or a share out of range.
    """
    in_range("at_most", at_most, 0, 1, open_low=True)
    n, count = len(happened), sum(map(bool, happened))
    if not n:
        reject("happened", happened, "a case at least")
    interval = binomtest(count, n).proportion_ci(method="exact")
    measured = {name: count / n, "from": float(interval.low), "to": float(interval.high)}
    measured["at most"] = at_most
    test = "95 % Clopper-Pearson interval of the share below the bound"
    if interval.high <= at_most:
        return Claim(claim, measured, n, test, True, note)
    if interval.low > at_most:
        return Claim(claim, measured, n, test, False, _join(note, "the share is larger"))
    if binomtest(0, n).proportion_ci(method="exact").high > at_most:
        return Claim(claim, measured, n, test, None, _join(note, "too few cases to show it"))
    return Claim(claim, measured, n, test, False, _join(note, "the interval reaches over it"))


def exact_claim(
    claim: str,
    deviations: ArrayLike,
    *,
    at_most: float,
    name: str = "largest deviation",
    note: str = "",
) -> Claim:
    """Check an identity: no deviation may exceed the tolerance. No statistics, so one item is enough.

    Args:
        claim: the statement, a sentence.
        deviations: (items,) absolute deviations.
        at_most: the tolerance, e.g. what rounding explains.
        name: what the largest of them is called among the measured numbers.
        note: kept as it is.

    Raises:
        ValueError: numbers that are not finite.
    """
    items = np.abs(_items("deviations", deviations))
    measured = {name: float(items.max()), "at most": float(at_most)}
    holds = bool(items.max() <= at_most)
    return Claim(claim, measured, len(items), "largest deviation within the tolerance", holds, note)


Numbers = Mapping[str, Mapping[Any, ArrayLike]]
"""By measure, then method: one number an item."""


@runtime_checkable
class Row(Protocol):
    """A claim before its numbers are known: one row of a figure's table."""

    @property
    def said(self) -> str:
        """The statement, a sentence."""
        ...

    def check(self, numbers: Numbers, groups: Sequence[Hashable] | None) -> Claim:
        """Return the claim.

        Args:
            numbers: by measure, then method.
            groups: of the items, such as their prompts; None makes each item its own.

        Raises:
            KeyError: a measure or method that is not among the numbers.
        """
        ...


@dataclass(frozen=True, slots=True)
class Less:
    """One method has less of a measure than another, see `paired_claim`.

    Attributes:
        said: the statement.
        measure: whose numbers are compared.
        lower: method claimed to have less.
        higher: method claimed to have more.
        note: what a reader should know beside the numbers.
        unit: what n counts: "prompt", which is the group of an item, or "item".
    """

    said: str
    measure: str
    lower: Any
    higher: Any
    note: str = ""
    unit: str = "prompt"

    def check(self, numbers: Numbers, groups: Sequence[Hashable] | None) -> Claim:
        """Return the claim; see `Row`."""
        of = numbers[self.measure]
        return paired_claim(
            self.said,
            smaller=of[self.lower],
            larger=of[self.higher],
            names=(str(self.lower), str(self.higher)),
            groups=groups if self.unit == "prompt" else None,
            note=self.note,
        )


@dataclass(frozen=True, slots=True)
class Within:
    """The mean of a method's measure lies within bounds, see `bound_claim`.

    Attributes:
        said: the statement.
        measure: whose mean is meant.
        of: the method.
        at_least: lower bound.
        at_most: upper bound.
        note: what a reader should know beside the numbers.
        unit: what n counts, as in `Less`.
    """

    said: str
    measure: str
    of: Any
    at_least: float = -np.inf
    at_most: float = np.inf
    note: str = ""
    unit: str = "prompt"

    def check(self, numbers: Numbers, groups: Sequence[Hashable] | None) -> Claim:
        """Return the claim; see `Row`."""
        return bound_claim(
            self.said,
            numbers[self.measure][self.of],
            at_least=self.at_least,
            at_most=self.at_most,
            name=f"{self.measure} (mean)",
            groups=groups if self.unit == "prompt" else None,
            note=self.note,
        )


@dataclass(frozen=True, slots=True)
class Rare:
    """Something happens to a method in at most a share of the items, see `share_claim`.

    Attributes:
        said: the statement.
        measure: 1 where it happened, 0 where not.
        of: the method.
        at_most: the largest share, in (0, 1).
    """

    said: str
    measure: str
    of: Any
    at_most: float

    def check(self, numbers: Numbers, groups: Sequence[Hashable] | None) -> Claim:
        """Return the claim; see `Row`."""
        happened = _items(self.measure, numbers[self.measure][self.of]) > 0
        return share_claim(self.said, happened.tolist(), at_most=self.at_most, name=self.measure)


@dataclass(frozen=True, slots=True)
class Exact:
    """An identity: no deviation of a method exceeds the tolerance, see `exact_claim`.

    Attributes:
        said: the statement.
        measure: the deviations.
        of: the method.
        at_most: the tolerance.
        note: what a reader should know beside the numbers.
    """

    said: str
    measure: str
    of: Any
    at_most: float
    note: str = ""

    def check(self, numbers: Numbers, groups: Sequence[Hashable] | None) -> Claim:
        """Return the claim; see `Row`."""
        deviations = numbers[self.measure][self.of]
        name = f"largest {self.measure}"
        return exact_claim(self.said, deviations, at_most=self.at_most, name=name, note=self.note)


def verdicts(
    rows: Sequence[Row], numbers: Numbers, groups: Sequence[Hashable] | None = None
) -> list[Claim]:
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


def _join(note: str, reason: str) -> str:
    return f"{note}; {reason}" if note else reason


VERDICTS = {True: "holds", False: "does not hold", None: "not tested"}


@dataclass(frozen=True, slots=True)
class Table:
    """Claims as a notebook shows them.

    Attributes:
        claims: one a row.
    """

    claims: tuple[Claim, ...]

    def _repr_markdown_(self) -> str:
        lines = ["| claim | verdict | measured | n | note |", "|---|---|---|---|---|"]
        for claim in self.claims:
            measured = ", ".join(f"{name} {value:.3g}" for name, value in claim.measured.items())
            said = (claim.claim, f"**{VERDICTS[claim.holds]}**", measured, str(claim.n), claim.note)
            lines.append(markdown_row(said))
        return "\n".join(lines)


def markdown_row(fields: Sequence[str]) -> str:
    """Return a row of a table in Markdown.

    Args:
        fields: their texts, whatever they hold.
    """
    escaped = [text.replace("|", "\\|").replace("\n", " ") for text in fields]
    return f"| {' | '.join(escaped)} |"


def table(claims: Sequence[Claim]) -> Table:
    """Return claims as a table that a notebook displays.

    Args:
        claims: any number.
    """
    return Table(tuple(claims))
