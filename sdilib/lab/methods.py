"""Published methods as data: rule, settings, the paper's numbers, and the small search that tunes all of them alike.

Settings are the authors' as far as they carry over: gamma, in the paper's eq. 3; what a rule has of its own; and how t is drawn
or falls. VSD, ESD, ISM, CSD and the second stage of SDS-Bridge lower the highest t in the course of a run (here all after a
fifth), ASD draws t from a window that falls, and CFD's t falls piece by piece in 3D. CSD's gamma is 1 for its authors, whose
gradient is not weighed against penalties by its size; here it has that of SDS. The optimiser is Adam, or in 2D the whole step of
SDI, MV-SDI and PFD, while VSD's authors take AdamW and SJC's Adamax. In 3D all have SDI's regularisers; SJC has its emptiness
loss and HiFA its z-variance loss in addition, which SDI's settings for the bundled model lack.

Steps are set by the budget, the same for all; learning rates are chosen by this repository for its models, or by the search.
A method whose rule is not in `RULES` is left out.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import product
from types import MappingProxyType
from typing import Any

from sdilib.checks import reject
from sdilib.guidance.named import RULES, rule_settings
from sdilib.lab.practice import SAMPLED, SDS_TIMES
from sdilib.lab.prompts import WORLD_PROMPTS

Settings = Mapping[str, Any]

TRAINED = 25_000
"""Steps of a run by VSD's authors, at whose rate an adapter hardly learns in a hundred."""

_FASTEST = 0.01

_ELEMENTS = 4 * 64 * 64
"""Of the latents over which authors sum, where a penalty here is weighed against a mean."""

_EMPTINESS = 0.1
"""SJC's own 1e4 would be 0.61 here, at which objects of the bundled model get holes; this clears the fog around them."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method at its authors' settings, as far as they carry over; see the module.

    Attributes:
        rule: name in `RULES`, or where your own rule is.
        common: settings in 2D and in 3D.
        image: settings in 2D only.
        nerf: settings in 3D only.
        of_views: whether it differs from another only where a scene has several views.
    """

    rule: str
    common: Settings = field(default_factory=dict)
    image: Settings = field(default_factory=dict)
    nerf: Settings = field(default_factory=dict)
    of_views: bool = False

    def settings(
        self, scene: str, guidance_scale: float = SAMPLED, steps: int = TRAINED
    ) -> dict[str, Any]:
        """Return all settings for a scene, including the rule.

        Args:
            scene: "image" or "nerf".
            guidance_scale: gamma that the model is sampled with; the method's gamma is scaled with it.
            steps: of a run; an adapter learns faster in a shorter one.
        """
        own = {"rule": self.rule, **self.common, **(self.image if scene == "image" else self.nerf)}
        if rate := own.get("adapter_rate"):
            own["adapter_rate"] = min(_FASTEST, rate * TRAINED / steps)
        return own | scaled(own, guidance_scale)


def scaled(settings: Settings, guidance_scale: float) -> dict[str, float]:
    """Return the gamma of settings for Stable Diffusion, if they name one, scaled to a model sampled with another.

    Args:
        settings: of a method.
        guidance_scale: gamma that the model is sampled with.
    """
    asked = settings.get("guidance_scale")
    if asked is None:
        return {}
    return {"guidance_scale": asked * guidance_scale / SAMPLED}


_ADAM: Settings = {"learning_rate": 0.1, "latents": "free"}
"""In 2D their authors optimise latents that nothing holds to an image's; a rule that inverts has to see an image."""


_LOWERED: Settings = {"t_schedule": "lowered"}


def _drawn(rule: str, gamma: float, **more: Any) -> Method:
    """A method whose noise is drawn at each step: by default t at random, and Adam."""
    times = SDS_TIMES | {"guidance_scale": gamma}
    return Method(rule, times | more, _ADAM)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "SDS": _drawn("sds", 100.0, weight="1-alpha"),
        "SJC": replace(_drawn("sjc", 100.0), nerf={"emptiness": _EMPTINESS}),
        "VSD": _drawn("vsd", 7.5, adapter_rate=1e-4, **_LOWERED),
        "ESD": replace(_drawn("esd", 7.5, adapter_rate=1e-4, **_LOWERED), of_views=True),
        "HiFA": replace(
            _drawn("hifa-one-step", 100.0, t_schedule="sqrt", t_end=0.3),
            nerf={"z_variance": 100 / _ELEMENTS},
        ),
        "SDI": Method("sdi"),
        "ISM": replace(_drawn("ism", 7.5, **_LOWERED), image={"learning_rate": 0.1}),
        "HiFA, official": _drawn("hifa", 100.0, t_schedule="sqrt", t_end=0.3),
        "NFSD": _drawn("nfsd", 7.5),
        "CSD": _drawn("csd", 100.0, **_LOWERED),
        "StableSD": _drawn("stablesd", 7.5),
        "SteinDreamer": _drawn("steindreamer", 100.0),
        "PFD": Method("pfd"),
        "MV-SDI": Method("mv-sdi", of_views=True),
        "ASD": _drawn("asd", 7.5, t_schedule="window"),
        "SDS-Bridge": Method(
            "sds-bridge",
            SDS_TIMES,
            {"guidance_scale": 40.0, **_ADAM},
            {"guidance_scale": 100.0, "first_share": 0.8, "wanted": "", **_LOWERED},
        ),
        "CFD": Method(
            "cfd",
            SDS_TIMES | {"t_schedule": "linear"},
            {"guidance_scale": 8.0, **_ADAM},
            {"guidance_scale": 71.0, "t_schedule": "pieces"},
        ),
    }
)
"""Methods by name: first the six of the paper's Table 1, with HiFA in its reduced form there, then ISM, then the others."""

_COMPARED = 7  # the paper's six, and ISM


def _papers() -> Mapping[str, Mapping[str, tuple[float, ...]]]:
    with (files("sdilib.lab") / "paper_table1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return MappingProxyType(
        {
            row.pop("method"): {
                name: tuple(map(json.loads, cell.split(" ± "))) for name, cell in row.items()
            }
            for row in rows
        }
    )


PAPERS = _papers()
"""The paper's own Table 1: mean and standard deviation, or one number; for Stable Diffusion 2.1, 43 prompts and 50 views."""

SEARCHED: Mapping[str, Mapping[str, Sequence[float]]] = MappingProxyType(
    {
        "image": {"guidance_scale": (7.5, 30.0), "learning_rate": (0.0, 0.05, 0.2)},
        "nerf": {"guidance_scale": (7.5, 30.0), "learning_rate": (0.02, 0.05)},
    }
)
"""What the search tries for every method, in all combinations, in addition to the authors' settings."""

_SEARCH_WORLD = (
    "a red striped boat",
    "a teal spotted pumpkin",
    "a green checkered rocket",
    "a pink cat",
)
_SEARCH_OPEN = (
    "A tank made of chocolate",
    "A shiny red apple with droplets of water",
    "A wooden rocking chair",
    "A blue porcelain teapot",
)


def known_methods(which: str, scene: str = "nerf") -> dict[str, Method]:
    """Return the methods whose rules are in the library.

    Args:
        which: "paper" (its six, and ISM), "all", or names with commas.
        scene: "image" or "nerf". In an image ESD is VSD, and MV-SDI is SDI: there they have to be named.

    Raises:
        ValueError: an unknown name, one whose rule is missing, or one that is there twice.
    """
    there = {name: method for name, method in METHODS.items() if method.rule in RULES}
    if which in ("all", "paper"):
        asked = list(METHODS)[: _COMPARED if which == "paper" else None]
        found = {name: there[name] for name in asked if name in there}
        return {name: of for name, of in found.items() if scene == "nerf" or not of.of_views}
    found = {}
    for name in which.split(","):
        if name.strip() not in there:
            reject("methods", name, f"paper, all, or some of {', '.join(there)}", known=there)
        if name.strip() in found:
            reject("methods", which, f"each method once, not {name.strip()} twice")
        found[name.strip()] = there[name.strip()]
    return found


def method_of(rule: str) -> Method:
    """Return the method of a rule at its authors' settings; a rule of your own is run like SDI.

    Args:
        rule: one of `guidance.named.RULES`, or where your own rule is.

    Raises:
        ValueError: an unknown rule.
    """
    rule_settings(rule)
    return next((each for each in METHODS.values() if each.rule == rule), Method(rule))


def candidates(
    method: Method, scene: str, guidance_scale: float = SAMPLED, steps: int = TRAINED
) -> Iterator[dict[str, Any]]:
    """Yield the settings that the search tries for a method, the authors' first.

    Args:
        method: a rule without one of the searched settings is searched over the rest.
        scene: "image" or "nerf".
        guidance_scale: as in `Method.settings`.
        steps: likewise.
    """
    own = method.settings(scene, guidance_scale, steps)
    yield own
    read = rule_settings(method.rule)
    grid = {
        name: values
        for name, values in SEARCHED[scene].items()
        if name == "learning_rate" or name in read
    }
    for values in product(*grid.values()):
        tried = dict(zip(grid, values, strict=True))
        changed = own | tried | scaled(tried, guidance_scale)
        if changed != own:
            yield changed


def paper_prompts() -> tuple[str, ...]:
    """Return the 43 prompts of the paper's Table 1, in its order and spelling (appendix A.4)."""
    text = (files("sdilib.lab") / "paper_prompts.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def table_prompts(draws_world: bool) -> tuple[str, ...]:
    """Return the prompts of a table: in the world's words, or the paper's 43.

    Args:
        draws_world: of the model, see `StableDiffusion`.
    """
    return WORLD_PROMPTS if draws_world else paper_prompts()


def search_prompts(draws_world: bool) -> tuple[str, ...]:
    """Return the prompts on which settings are searched; none of them is in a table.

    Args:
        draws_world: as in `table_prompts`.
    """
    return _SEARCH_WORLD if draws_world else _SEARCH_OPEN
