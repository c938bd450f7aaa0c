"""The paper's 3D settings beside those of its published code and ours at preset `gpu`, which is read from this table.

The table is `paper_settings.csv`: settings of the run, then those of its rule. The paper says little about its scene and
cameras; for them its code, threestudio's `sdi.yaml`, is the source.
"""

import csv
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, NamedTuple

from sdilib.storage import atomic_write

PAGE = Path(__file__).parents[2] / "paper_figures" / "settings.md"
"""The table as a page, which figures at preset `gpu` refer to."""

_TEMPLATE = Path(__file__).with_suffix(".md")
"""The rest of the page, such as what is not a setting."""


class Row(NamedTuple):
    """One setting.

    Attributes:
        name: of the setting.
        paper: its value there; None if the paper does not say.
        where: in the paper.
        official: the published code's; None if it has none.
        ours: at preset `gpu`; None is the paper's, or else the published code's.
        why: why ours differs, or what a number leaves open.
    """

    name: str
    paper: Any
    where: str
    official: Any
    ours: Any
    why: str

    @property
    def value(self) -> Any:
        """Ours at preset `gpu`."""
        asked = self.official if self.paper is None else self.paper
        return asked if self.ours is None else self.ours


def _rows(of: str) -> tuple[Row, ...]:
    """The settings of a run or of its rule; a field is JSON, a text, or empty for None."""
    text = (files("sdilib.lab") / "paper_settings.csv").read_text(encoding="utf-8")
    lines = [line for line in csv.DictReader(text.splitlines()) if line.pop("of") == of]
    return tuple(
        Row(**line | {name: _value(line[name]) for name in ("paper", "official", "ours")})
        for line in lines
    )


def _value(field: str) -> Any:
    try:
        return json.loads(field)
    except json.JSONDecodeError:
        return field or None


RUN = _rows("run")
"""Settings of `Text3D`; the others have their defaults."""

RULE = _rows("rule")
"""Settings of SDI, whose defaults in 3D are the paper's."""

OFFICIAL_2D: Mapping[str, Any] = MappingProxyType(
    {"guidance_scale": 8.5, "inversion_guidance_scale": -6.5, "t_end": 0.02}
    | {"renoise": False, "entropy": 0.3, "tau_max": 0.1}
)
"""What the published notebook does in 2D, as far as settings can express it. Without Perp-Neg its code computes
e_y + γ (e_y - e_∅), which is eq. 3 at γ + 1."""


def gpu() -> dict[str, Any]:
    """Return the settings of `Text3D` at preset `gpu`."""
    return {row.name: row.value for row in RUN}


def official() -> dict[str, Any]:
    """Return where the published code differs from the paper in 3D, as far as settings can express it."""
    other = [row for row in RUN + RULE if row.official not in (None, row.value)]
    return {row.name: row.official for row in other}


def page() -> Path:
    """Write the table to `PAGE`, and return its path."""
    rows = [(f"`{r.name}`", r.paper, r.where, r.official, r.value, r.why) for r in RUN + RULE]
    settings = "\n".join(f"| {' | '.join(map(_said, row))} |" for row in rows)
    whole = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(settings=settings)
    return atomic_write(PAGE, whole)


def _said(value: Any) -> str:
    match value:
        case None:
            return "not said"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}".replace("-", "−")
        case list():
            return " … ".join(map(_said, value))
    return str(value)
