"""What a bundled model is meant to reach, each bar beside what was measured."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import inf
from operator import getitem
from typing import Any

from sdilib.lab.guidance_profile import SPREAD
from sdilib.lab.model_card.quality import DIVERSITY, GUIDED, OTHER_BACKGROUNDS

Measured = Mapping[str, Any]
"""What `measure` returns."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that is asked of a model.

    Attributes:
        what: the quantity.
        of: takes it from what was measured, which may lack it.
        low: smallest value that meets the bar.
        high: largest such value.
        form: of its numbers.
    """

    what: str
    of: Callable[[Measured], float]
    low: float = -inf
    high: float = inf
    form: str = "{:.2f}"

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
            measured: from `measure`.
        """
        try:
            value = self.of(measured)
        except (LookupError, ValueError):  # the latter of the worst of none
            return "-", "not measured"
        if value != value:
            return "-", "not measured"
        verdict = "met" if self.low <= value <= self.high else "missed"
        return self.form.format(value), verdict


def _at(*path: str) -> Callable[[Any], float]:
    """The number at a place of what was measured."""
    return lambda measured: reduce(getitem, path, measured)


def _of_fits(name: str, worst: Callable[[Iterable[float]], float]) -> Callable[[Measured], float]:
    def found(measured: Measured) -> float:
        usual = measured["to distil from"]["true views"]
        others = measured.get(OTHER_BACKGROUNDS, {})
        return worst(fit[name] for of in (usual, *others.values()) for fit in of.values())

    return found


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


_ENCODER = ("to distil from", "autoencoder")
_PICTURES = ("renders", *(f"hues turned by {angle}°" for angle in (30, 90, 180)))
_BEHIND = tuple(f"{name} background" for name in ("white", "dark", "strongly coloured"))
_SHARES = {"object": 0.95, "colour": 0.93, "pattern": 0.85, "view": 0.80}
_JUDGE = {"object": 0.98, "colour": 0.98, "pattern": 0.95, "view": 0.95}

BARS = (
    *(
        Bar(f"autoencoder, {name}", _at(*_ENCODER, "dB", name), low=30.0, form="{:.1f} dB")
        for name in (*_PICTURES, *_BEHIND)
    ),
    Bar(
        "pixels found from grey by latents alone, means over 4 x 4 pixels",
        _at(*_ENCODER, "from grey", "dB of 4 x 4 means"),
        low=25.0,
        form="{:.1f} dB",
    ),
    Bar(
        "pixels found from grey, mean colour off by",
        _at(*_ENCODER, "from grey", "mean colour off by"),
        high=0.03,
        form="{:.3f}",
    ),
    Bar(
        "mean colour explained by a linear map of the latents",
        _at(*_ENCODER, "linear colour", "RGB"),
        low=0.9,
        form="{:.1%}",
    ),
    Bar(
        "NeRF from true views, largest kernel distance", _of_fits("kernel distance", max), high=0.3
    ),
    Bar(
        "NeRF from true views, least share of views of the right colour",
        _of_fits("views of the right colour", min),
        low=1.0,
        form="{:.1%}",
    ),
    *(
        Bar(
            f"samples at γ = 7.5, {name}",
            _at("accuracy", GUIDED, "seen", name, "share"),
            low=low,
            form="{:.1%}",
        )
        for name, low in _SHARES.items()
    ),
    Bar(
        "γ of the least kernel distance, by a tenth of the samples",
        _best_scale,
        low=5.0,
        high=10.0,
        form="{:g}",
    ),
    Bar("saturation at γ = 100 over that at 7.5", _burning, low=1.25),
    Bar(
        "deviation of the noise that inversion finds, at t = 0.9",
        _at("to distil from", "noise of inversions", "0.9", "mean"),
        low=0.8,
        high=1.3,
    ),
    Bar("spread of guided x0(t) over draws at t = 0.3, over the data's", _spread, low=0.35),
    Bar("fine detail of samples over that of renders", _detail, low=0.9, high=1.1),
    Bar("diversity of a prompt's samples over that of renders", _diversity, low=0.8),
    *(
        Bar(f"evaluator on unseen renders, {name}", _at("evaluator", name), low=low, form="{:.1%}")
        for name, low in _JUDGE.items()
    ),
)
"""What is asked of a bundled model; shares of samples are of combinations seen in training."""
