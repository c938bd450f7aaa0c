"""Your own rule beside the others: checked first, then ranked on the ring, on images and on objects."""

import random  # noqa: TID251  # only to ask whether a rule draws from it
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sdilib.cameras import Camera
from sdilib.checks import NonFiniteError, one_of, reject
from sdilib.guidance import Update, View
from sdilib.guidance.base import WEIGHTS
from sdilib.guidance.named import make_rule, rule_settings
from sdilib.lab import ring
from sdilib.lab.benchmark.scored import colours
from sdilib.lab.benchmark.table import Column, Ranking
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.methods import Method
from sdilib.lab.runs.folders import SCENES
from sdilib.oracle import Ring
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion

_WHOLE_TABLES = {"prompt", "model", "rule", "rule_settings", "steps", "seed"}
"""Settings in which the runs of a table do not differ, or that are given otherwise."""

_TIMES = (1.0, 0.5, 0.02)
"""When a rule is asked: SDS's t is drawn from between the first and the last."""

_RINGS, _STEPS = 16, 60
_RING_TIMES = {"t_schedule", "t_end"}
_RING_DRAWN = ("distance", "amplitude", "fine", "coherence")
_NEAREST = 1e-3  # smaller distances are drawn here
_RING_COLUMNS = (
    Column("distance", -1, digits=3),
    Column("amplitude", 0),
    Column("fine", 0),
    Column("class", scale=100.0, digits=0, unit="%"),
    Column("coherence", scale=100.0, digits=0, unit="%"),
    Column("modes covered"),
    Column("sample-forwards", -1, digits=0),
)


def my_method(
    rule: str, settings: Mapping[str, Any], stages: Sequence[str] = ("image",)
) -> tuple[str, Method]:
    """Return the name of your own rule in a table, and the rule as a method.

    Args:
        rule: where it is, such as "my_rule.py".
        settings: of the rule, and of a run, such as t_schedule or learning_rate.
        stages: where it is to be ranked: some of "ring", "image" and "nerf". What only the others read, the ring leaves.

    Raises:
        ValueError: no such rule, or a setting that a stage does not read, that is the whole table's, or that is refused.
    """
    own = rule_settings(rule, {key: of for key, of in settings.items() if key == "kappa"})
    scenes = [stage for stage in stages if stage in SCENES]
    for scene in scenes or ["image"]:
        run = {each.name for each in fields(SCENES[scene])} if scenes else _RING_TIMES
        for name in settings:
            one_of("setting", name, [*own, *sorted(run - _WHOLE_TABLES)])
        SCENES[scene].of(prompt="a red mug", rule=rule, **settings)
    return Path(rule.rpartition("/")[2]).stem.removesuffix(".py"), Method(rule, dict(settings))


def check_rule(
    rule: str, settings: Mapping[str, Any], model: StableDiffusion, scene: str = "image"
) -> None:
    """Refuse a rule whose update no run can use, or that nobody could reproduce.

    It is asked at the beginning, in the middle and near the end of a run.

    Args:
        rule: where it is.
        settings: of the rule; others are ignored.
        model: frozen; it makes updates of two items.
        scene: "image", or "nerf", whose views have a camera, an image and a depth.

    Raises:
        ValueError: the rule fails, returns a wrong shape or numbers that are not finite, or draws from a global stream;
            says which.
    """
    streams, before = (
        "one that draws from its generator alone, not from the global stream of",
        _streams(),
    )
    first = _asked(rule, settings, model, scene)
    drawn = [name for name, state in _streams().items() if state != before[name]]
    if drawn:
        reject("rule", rule, f"{streams} {drawn[0]}")
    for t, update in first.items():
        _check_update(rule, t, update, model)
    if not _alike(first, _asked(rule, settings, model, scene)):
        expected = (
            "one that answers the same if asked again: it draws from elsewhere than its generator"
        )
        reject("rule", rule, expected)
    # Python's own stream is no evidence by its state, since checkers of types draw from it as well.
    if not _alike(first, _asked(rule, settings, model, scene, stream=1)):
        reject("rule", rule, f"{streams} random")


def _check_update(rule: str, t: float, update: Any, model: StableDiffusion) -> None:
    if not isinstance(update, Update):
        reject("rule", rule, f"one that returns an Update, not {type(update).__name__}")
    latents = (2, *model.latent_shape)
    shapes = dict.fromkeys(("gradient", "target", "denoised", "kappa", "eps"), latents)
    for name, shape in {**shapes, "residual": (2,)}.items():
        value = getattr(update, name)
        if tuple(value.shape) != shape:
            reject(
                "rule", rule, f"one whose {name} has the shape {shape}, not {tuple(value.shape)}"
            )
        if not bool(value.isfinite().all()):
            reject("rule", rule, f"one whose {name} is finite, also at t = {t:g}")


def _asked(
    rule: str, settings: Mapping[str, Any], model: StableDiffusion, scene: str, stream: int = 0
) -> dict[float, Any]:
    """What a fresh rule returns for two items at each time, of whatever type, where Python's stream has this seed."""
    text = "a red mug" if model.draws_world else "A ripe strawberry"
    view, found = View(model.embed([text] * 2)), {}
    if scene == "nerf":
        size = [model.factor * side for side in model.latent_shape[1:]]
        depth = torch.full((2, *size), 3.6, device=model.device)
        depth[:, : size[0] // 4] = 0  # no surface there
        image = torch.full((2, 3, *size), 0.5, device=model.device)
        view = replace(view, camera=Camera.around([0, 90]), image=image, depth=depth)
    before = random.getstate()
    random.seed(stream)
    try:
        made: Any = make_rule(rule, model, _own(rule, settings))
        for step, t in enumerate(_TIMES):
            draws = [generator(0, step, "check", item) for item in range(2)]
            x0 = normal(torch.zeros(2, *model.latent_shape, device=model.device), draws)
            times = torch.full((2,), t, dtype=torch.float64)
            found[t] = made(x0, times, replace(view, done=1 - t), draws)
    except Exception as error:
        reject("rule", rule, f"one that answers (it raised {type(error).__name__}: {error})")
    finally:
        random.setstate(before)
    return found


def _alike(one: Mapping[float, Update], other: Mapping[float, Update]) -> bool:
    """Whether two answers have the same gradients, but for rounding."""
    pairs = ((one[t].gradient, other[t].gradient) for t in one)
    return all(torch.allclose(*pair, rtol=1e-3, atol=1e-4) for pair in pairs)


def _own(rule: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run's settings that its rule reads."""
    kappa = {key: value for key, value in settings.items() if key == "kappa"}
    read = rule_settings(rule, kappa)
    return {key: value for key, value in settings.items() if key in read}


def ring_ranking(rules: Mapping[str, Mapping[str, Any]]) -> Ranking:
    """Rank rules on the ring, where everything is exact.

    Rules alone are compared, as in `experiments.when_does_inversion_help`: all with gamma = 7.5, w = sigma(t), the same
    number of whole steps, and t falling linearly, except for settings given here. Published ones do not carry over: SDS's
    gamma of 100 and its random t are for Stable Diffusion and the small steps of Adam. A rule that needs a network, or
    diverges, is left out and named.

    Args:
        rules: by name in the table: the rule, as "rule", and what it is given of its own settings, t_schedule and t_end;
            others are ignored.
    """
    truth = Ring.of()
    numbers: dict[str, dict[str, Any]] = defaultdict(dict)
    notes = [
        "Distance, amplitude, fine component, class and coherence against the exact textures.",
        "Rules alone: each at γ = 7.5 and w = σ(t), as far as it reads them, with t falling linearly and by whole steps; "
        "published settings, which are for Stable Diffusion and Adam, are left out.",
    ]
    left_out = []
    for name, settings in rules.items():
        rule, own = settings["rule"], _own(settings["rule"], settings)
        times = {key: value for key, value in settings.items() if key in _RING_TIMES}
        if given := own | times:
            notes.append(f"{name}: {', '.join(f'{key}={value}' for key, value in given.items())}.")
        if rule_settings(rule).get("weight") in WEIGHTS:
            own = {"weight": "sigma"} | own
        try:
            made = ring.distilled_rings(
                truth,
                make_rule(rule, truth.denoiser, own),
                num_rings=_RINGS,
                num_steps=_STEPS,
                **times,
            )
        except (NonFiniteError, ValueError) as error:
            left_out.append(f"{name} ({error})")
            continue
        found: dict[str, Any] = dict(ring.measures(truth, made.values))
        found["modes covered"] = np.full(_RINGS, ring.modes_covered(truth, made.values))
        found["sample-forwards"] = np.full(_RINGS, made.num_forwards)
        for measure, values in found.items():
            numbers[measure][name] = np.asarray(values)
    notes += [f"Left out: {'; '.join(left_out)}."] if left_out else []
    groups = [f"ring {k}" for k in range(_RINGS)]
    return Ranking("The ring, equal steps", _RING_COLUMNS, numbers, groups, notes, "ring")


def draw_ring(ranking: Ranking) -> drawing.Figure:
    """Draw the distance, the amplitudes and the coherence of each ring, a line per method.

    Args:
        ranking: from `ring_ranking`.
    """
    shown = {
        name: {method: torch.as_tensor(each) for method, each in ranking.numbers[name].items()}
        for name in _RING_DRAWN
    }
    shown["distance"] = {n: each.clamp_min(_NEAREST) for n, each in shown["distance"].items()}
    rows = colours(ranking.cells)
    figure, (part,) = drawing.stacked(drawing.items_height(rows))
    drawing.draw_items(part, shown, rows)
    part.axes[0].set_xscale("log")
    return figure


def _streams() -> dict[str, str]:
    """The states of torch's and NumPy's global streams, in a form that can be compared."""
    numpy = np.random.get_state()  # noqa: NPY002  # only read, not drawn from
    return {"torch": repr(torch.random.get_rng_state().tolist()), "numpy": repr(numpy)}
