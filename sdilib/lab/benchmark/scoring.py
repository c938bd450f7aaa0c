"""Your own rule beside the others: checked first, then ranked on the ring, on images and on objects."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sdilib.checks import BROKEN, NonFiniteError, reject
from sdilib.guidance import Update, View
from sdilib.guidance.named import make_rule, rule_settings
from sdilib.lab import ring
from sdilib.lab.benchmark.table import Column, Ranking
from sdilib.lab.methods import Method
from sdilib.oracle import Ring
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion

_RINGS, _STEPS = 16, 60
_RING_COLUMNS = (
    Column("distance", -1, digits=3),
    Column("amplitude", 0),
    Column("fine", 0),
    Column("class", scale=100.0, digits=0, unit="%"),
    Column("coherence", scale=100.0, digits=0, unit="%"),
    Column("modes covered"),
    Column("sample-forwards", -1, digits=0),
)


def my_method(rule: str, settings: Mapping[str, Any]) -> tuple[str, Method]:
    """Return the name of your own rule in a table, and the rule as a method.

    Args:
        rule: where it is, such as "my_rule.py".
        settings: of the rule, and of a run, such as t_schedule or learning_rate.

    Raises:
        ValueError: no such rule.
    """
    rule_settings(rule)
    return Path(rule.rpartition("/")[2]).stem.removesuffix(".py"), Method(rule, dict(settings))


def check_rule(rule: str, settings: Mapping[str, Any], model: StableDiffusion) -> None:
    """Refuse a rule whose update no run can use, or that nobody could reproduce.

    Args:
        rule: where it is.
        settings: of the rule; others are ignored.
        model: frozen; it makes an update of two items.

    Raises:
        ValueError: the rule fails, returns a wrong shape or numbers that are not finite, or draws from a global stream;
            says which.
    """
    before = _streams()
    update = _asked(rule, settings, model)
    drawn = [name for name, state in _streams().items() if state != before[name]]
    if drawn:
        expected = "one that draws from its generator alone, not from the global stream of "
        reject("rule", rule, expected + drawn[0])
    if not isinstance(update, Update):
        reject("rule", rule, f"one that returns an Update, not {type(update).__name__}")
    for name in ("gradient", "target", "denoised", "kappa", "eps", "residual"):
        value, shape = (
            getattr(update, name),
            (2,) if name == "residual" else (2, *model.latent_shape),
        )
        if tuple(value.shape) != shape:
            reject(
                "rule", rule, f"one whose {name} has the shape {shape}, not {tuple(value.shape)}"
            )
        if not bool(value.isfinite().all()):
            reject("rule", rule, f"one whose {name} is finite")
    again = _asked(rule, settings, model)
    if not torch.allclose(again.gradient, update.gradient, rtol=1e-3, atol=1e-4):
        expected = (
            "one that answers the same if asked again: it draws from elsewhere than its generator"
        )
        reject("rule", rule, expected)


def _asked(rule: str, settings: Mapping[str, Any], model: StableDiffusion) -> Any:
    """What a fresh rule returns for two items, of whatever type."""
    read = rule_settings(rule)
    made: Any = make_rule(rule, model, {name: x for name, x in settings.items() if name in read})
    draws = [generator(0, 0, "check", item) for item in range(2)]
    x0 = normal(torch.zeros(2, *model.latent_shape, device=model.device), draws)
    text = "a red mug" if model.draws_world else "A ripe strawberry"
    t = torch.full((2,), 0.5, dtype=torch.float64)
    try:
        return made(x0, t, View(model.embed([text] * 2)), draws)
    except BROKEN as error:
        reject("rule", rule, f"one that answers (it raised {type(error).__name__}: {error})")


def ring_ranking(methods: Mapping[str, Method]) -> Ranking:
    """Rank methods on the ring, where everything is exact.

    All take the same number of whole steps, each with its own schedule of t. A method that needs a network, or diverges,
    is left out and named.

    Args:
        methods: by name.
    """
    truth = Ring.of()
    numbers: dict[str, dict[str, Any]] = defaultdict(dict)
    left_out = []
    for name, method in methods.items():
        read = rule_settings(method.rule)
        given = {key: value for key, value in method.common.items() if key in read}
        times = {k: v for k, v in method.common.items() if k in ("t_schedule", "t_end")}
        try:
            rule = make_rule(method.rule, truth.denoiser, given)
            made = ring.distilled(truth, rule, num_rings=_RINGS, num_steps=_STEPS, **times)
        except (NonFiniteError, ValueError) as error:
            left_out.append(f"{name} ({error})")
            continue
        found: dict[str, Any] = dict(ring.measures(truth, made.values))
        found["modes covered"] = np.full(_RINGS, ring.modes_covered(truth, made.values))
        found["sample-forwards"] = np.full(_RINGS, made.num_forwards)
        for measure, values in found.items():
            numbers[measure][name] = np.asarray(values)
    notes = ["Distance, amplitude, fine component, class and coherence against the exact textures."]
    notes += [f"Left out: {'; '.join(left_out)}."] if left_out else []
    groups = [f"ring {k}" for k in range(_RINGS)]
    return Ranking("The ring, equal steps", _RING_COLUMNS, numbers, groups, notes)


def _streams() -> dict[str, str]:
    """The states of the global random streams, in a form that can be compared."""
    numpy = np.random.get_state()  # noqa: NPY002  # only read, not drawn from
    return {"torch": repr(torch.random.get_rng_state().tolist()), "numpy": repr(numpy)}
