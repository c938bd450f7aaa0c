"""Presets: the literal values that set how much each notebook computes, in one place.

`smoke` proves that a notebook runs (seconds) · `laptop` is the default, few samples · `full` is the same code with the
sample sizes that the claims need (hours on a CPU) · `gpu` is Stable Diffusion with the paper's settings.
The code that runs is the same at each of them.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sdilib.checks import in_range, one_of, positive_int, reject
from sdilib.lab import paper_settings
from sdilib.lab.practice import SAMPLED
from sdilib.lab.prompts import NUM_EXAMPLES

Value = int | float | str | list[float]

PRESETS = ("smoke", "laptop", "full", "gpu")

_STABLE_DIFFUSION = "stabilityai/stable-diffusion-2-1-base"

MODELS = {"smoke": "mini", "laptop": "mini", "full": "mini", "gpu": _STABLE_DIFFUSION}
"""The model of each preset: the bundled one, and the paper's, which has to be on disk or on the hub."""


OF_RUNS = ("background_saturation",)
"""Settings of 3D runs that a notebook may have values of its own for."""


class Setting(NamedTuple):
    """A parameter's value at each preset; None leaves it at its default.

    Attributes:
        smoke: seconds per notebook.
        laptop: few samples.
        full: as many as the claims need.
        gpu: the paper's.
        at_least: the smallest number that may be given.
    """

    smoke: Value | None = None
    laptop: Value | None = None
    full: Value | None = None
    gpu: Value | None = None
    at_least: int = 1


def _setting(row: Any, rows: Mapping[str, Any]) -> Setting:
    """A parameter as the table writes it: its values, these with the smallest allowed, or the name of a row."""
    if isinstance(row, Mapping):
        return Setting(*row["values"], at_least=row["at_least"])
    return Setting(*(rows[row] if isinstance(row, str) else row))


def _notebooks() -> dict[str, dict[str, Setting]]:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    rows = table.pop("rows")
    found = {
        notebook: {name: _setting(row, rows) for name, row in of.items()}
        for notebook, of in table.items()
    }
    gpu = paper_settings.gpu() | {"guidance_scale": SAMPLED}
    run = {name: found["run3d"].get(name, Setting())._replace(gpu=of) for name, of in gpu.items()}
    return found | {"run3d": run}


NOTEBOOKS = _notebooks()
"""Values by notebook, parameter and preset, from `presets.toml`. "run" is `sdilib run --scene image`, "run3d" `sdilib run`."""


def resolve(notebook: str, preset: str, **given: Any) -> dict[str, Any]:
    """Return a notebook's settings: what was given, and the preset's values for the rest.

    Args:
        notebook: name of the notebook, e.g. "fig01_teaser".
        preset: one of smoke, laptop, full, gpu.
        **given: parameters of the notebook, or `model`. An empty text or a zero means "from the preset".

    Returns:
        The values by name, including `preset` and `model`.

    Raises:
        ValueError: unknown notebook, preset or parameter; a number below its minimum; more prompts than examples.
        TypeError: a value of another type than the preset's.

    Examples:
        >>> resolve("fig01_teaser", "smoke", num_prompts=2)["num_prompts"]
        2
    """
    one_of("notebook", notebook, NOTEBOOKS)
    one_of("preset", preset, PRESETS)
    values: dict[str, Any] = {"preset": preset, "model": MODELS[preset]}
    own = NOTEBOOKS[notebook]
    choices = {name: getattr(each, preset) for name, each in own.items()}
    values |= {name: choice for name, choice in choices.items() if choice is not None}
    for name, value in given.items():
        if name not in values or name == "preset":
            known = [known for known in values if known != "preset"]
            reject("parameter", name, f"one of {notebook}'s: {', '.join(known)}", known=known)
        kind = type(values[name])
        if isinstance(value, int) and not isinstance(value, bool) and kind is float:
            value = float(value)
        if value == "" or (value == 0 and not isinstance(value, bool)):
            continue
        if type(value) is not kind:
            raise TypeError(f"{name}={value!r}: expected {kind.__name__}, as in the presets")
        if name == "num_prompts":
            in_range(name, value, 1, max(NUM_EXAMPLES, int(choices[name] or 0)))
        elif kind is int:
            positive_int(name, value, own[name].at_least)
        values[name] = value
    return values


def fitting(settings: Mapping[str, Any], rule: str) -> dict[str, Any]:
    """Return a preset's settings, without those of a rule that this rule does not read.

    Args:
        settings: as `resolve("run3d", ...)` returns them, or those of "run".
        rule: one of `guidance.named.RULES`, or where your own rule is.

    Raises:
        ValueError: an unknown rule.
    """
    # Imports torch, which reading presets does not need.
    from sdilib.guidance.named import rule_settings

    unread = {"guidance_scale", "inversion_start"} - rule_settings(rule).keys()
    return {name: value for name, value in settings.items() if name not in unread}
