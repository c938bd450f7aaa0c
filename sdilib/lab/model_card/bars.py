"""What a bundled model is meant to reach, each bar beside what was measured."""

import csv
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from math import inf
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple, cast

from sdilib.lab.guidance_profile import SPREAD
from sdilib.lab.model_card.quality import DIVERSITY, GUIDED, OTHER_BACKGROUNDS

__all__ = ["BARS", "Bar"]

Measured = Mapping[str, Any]
"""What `measure` returns."""


class Bar(NamedTuple):
    """One thing that is asked of a model.

    Attributes:
        what: the quantity.
        place: of its number in what was measured, by names; or one of `COMPUTED`.
        low: smallest value that meets the bar.
        high: largest such value.
        form: of its numbers.
    """

    what: str
    place: str
    low: float
    high: float
    form: str

    @property
    def asked(self) -> str:
        """The range that meets the bar, in words."""
        low, high = self.form.format(self.low), self.form.format(self.high)
        if self.high == inf:
            return f"at least {low}"
        return f"at most {high}" if self.low == -inf else f"{low} to {high}"

    def row(self, measured: Measured) -> tuple[str, str]:
        """Return the measured number and "met", "missed" or "not measured".

        Args:
            measured: from `measure`, which may lack it.
        """
        try:
            if compute := COMPUTED.get(self.place):
                value = compute(measured)
            else:
                value = reduce(getitem, self.place.split(" / "), cast(Any, measured))
        except (LookupError, ValueError):  # the latter of the worst of none
            return "-", "not measured"
        verdict = "met" if self.low <= value <= self.high else "missed"
        return self.form.format(value), verdict


def _of_fits(name: str, measured: Measured) -> Iterator[float]:
    usual, others = measured["to distil from"]["true views"], measured.get(OTHER_BACKGROUNDS, {})
    return (fit[name] for of in (usual, *others.values()) for fit in of.values())


def _best_scale(measured: Measured) -> float:
    swept = measured["saturation against γ"]["γ"]
    return float(min(swept, key=lambda scale: swept[scale]["kernel distance"]))


def _burning(measured: Measured) -> float:
    swept = measured["saturation against γ"]["γ"]
    return swept["100"]["saturation"] / swept["7.5"]["saturation"]


def _spread(measured: Measured) -> float:
    profile = measured["to distil from"]["guidance"]
    return dict(zip(profile["t"], profile[SPREAD], strict=True))[0.3]


def _detail(measured: Measured) -> float:
    found = measured["likeness"]
    return found[GUIDED]["fine detail"] / found["other renders"]["fine detail"]


def _diversity(measured: Measured) -> float:
    return measured[DIVERSITY]["samples"] / measured[DIVERSITY]["renders"]


COMPUTED: Mapping[str, Callable[[Measured], float]] = {
    "largest kernel distance of fits": lambda measured: max(_of_fits("kernel distance", measured)),
    "least right colour of fits": lambda measured: min(
        _of_fits("views of the right colour", measured)
    ),
    "the scale of the least kernel distance": _best_scale,
    "saturation at a high scale": _burning,
    "spread at 0.3": _spread,
    "fine detail": _detail,
    "diversity": _diversity,
}
"""What follows from several numbers."""


def _bars() -> Iterator[Bar]:
    text = Path(__file__).with_name("bars.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        low, high = float(row["low"] or -inf), float(row["high"] or inf)
        yield Bar(row["what"], row["place"], low, high, row["form"] or "{:.2f}")


BARS = tuple(_bars())
"""What is asked of a bundled model, by `bars.csv`; shares of samples are of combinations seen in training."""
