"""Presets: the literal values that set how much each notebook computes, in one place.

`smoke` proves that a notebook runs (seconds) · `laptop` is the default, few samples · `full` is the same code with the
sample sizes that the claims need (hours on a CPU) · `gpu` is Stable Diffusion with the paper's settings.
The code that runs is the same at each of them.
"""

from collections.abc import Mapping
from functools import partial
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


class Setting(NamedTuple):
    """A parameter's value at each preset; None leaves it at its default.

    Attributes:
        smoke: seconds per notebook.
        laptop: few samples.
        full: as many as the claims need.
        gpu: the paper's.
        at_least: the smallest number that may be given.
    """

    smoke: Value | None
    laptop: Value | None
    full: Value | None
    gpu: Value | None
    at_least: int = 1


_steps = partial(Setting, at_least=2)

_BUNDLED = 3.0
"""gamma that the bundled model is sampled with. From 3 on it shows what a prompt names (a view apart), as its card says; a
higher one saturates the image with each update."""

_SAMPLED = {"guidance_scale": Setting(_BUNDLED, _BUNDLED, _BUNDLED, SAMPLED)}

_PROMPTS = Setting(1, 8, 16, 16)

_IMAGES = _SAMPLED | {"num_prompts": _PROMPTS, "num_seeds": Setting(1, 1, 4, 4)}

_FEWER_IMAGES = _SAMPLED | {"num_prompts": _PROMPTS, "num_seeds": Setting(1, 1, 2, 4)}

_PATH = {"path_steps": _steps(3, 30, 30, 30), "num_times": Setting(3, 10, 10, 10)}

_JUDGE = Setting("evaluator", "evaluator", "evaluator", "none")
"""Judge of a notebook's results: the bundled evaluator knows only the bundled world."""

_RUNS = {"quality": Setting("smoke", "laptop", "laptop", "gpu")}
"""Preset of the settings of each 3D run: at full there are more runs, not longer ones."""

_JUDGED_RUNS = _RUNS | {"evaluator": _JUDGE}

_RUN_3D: dict[str, tuple[Value, Value, Value]] = {
    "guidance_scale": (_BUNDLED, _BUNDLED, _BUNDLED),
    # Noise hides the bundled model's 16 x 16 latents sooner. The higher t, the more an update adds to a view's colours (see
    # the card), and no later one takes that back.
    "t_start": (0.6, 0.6, 0.6),
    "t_end": (0.02, 0.02, 0.02),
    "steps": (2, 120, 240),
    "cameras": (2, 4, 4),
    "size": (64, 64, 64),
    "num_samples": (16, 48, 64),
    "levels": (12, 12, 12),
    "finest_resolution": (64, 64, 64),
}
"""Settings of a 3D run at smoke, laptop and full; at gpu it has the paper's."""

_TABLE = {
    "encoder": Setting("evaluator", "evaluator", "evaluator", "openai/clip-vit-base-patch32"),
    "evaluator": _JUDGE,
}

_PROMPTS_OF_A_TABLE = Setting(1, 8, 16, 43)

NOTEBOOKS: dict[str, dict[str, Setting]] = {
    "00_start_here": {
        **_SAMPLED,
        "num_prompts": Setting(1, 4, 8, 4),
        "num_points": Setting(8, 64, 256, 64),
        # Inversion takes over at t = 0.2.
        "num_steps": Setting(5, 30, 50, 50, at_least=5),
        "sds_steps": Setting(4, 100, 300, 1000, at_least=3),
    },
    # Per image 1,700 sample-forwards from laptop on, about the same for SDS and SDI: 14,000 at laptop.
    "fig01_teaser": {
        **_IMAGES,
        "num_steps": _steps(3, 30, 30, 30),
        "sds_steps": _steps(4, 200, 200, 1000),
    },
    # Per image: 13 per step of DDIM, all seven guidance scales: 6,000 at laptop, 25,000 at full.
    "fig03_guidance_scale": {
        "num_prompts": _PROMPTS,
        "num_seeds": Setting(2, 2, 4, 4, at_least=2),
        "num_steps": _steps(2, 30, 30, 50),
        "evaluator": _JUDGE,
    },
    # Per image: 2 per step of DDIM, and 13 per step of those that are also scenes: 900 at laptop, 7,000 at full.
    "fig04_evolution": {
        **_SAMPLED,
        "num_prompts": _PROMPTS,
        "num_scenes": Setting(1, 1, 16, 8),
        "num_steps": _steps(4, 30, 30, 30),
    },
    # 35 per prompt, and 16 for the first: 300 at laptop.
    "fig05_overview": {**_SAMPLED, "num_prompts": _PROMPTS, "num_steps": _steps(5, 30, 30, 30)},
    # Per image: 60 for its render, and about 13 for each of nine times: 1,500 at laptop, 11,000 at full.
    "fig06_intermediates": {**_IMAGES, "num_steps": _steps(3, 30, 30, 30)},
    # 3D: a run per prompt and seed; those of the first seed are shared with the figures that compare.
    "fig02_gallery": {
        "num_prompts": Setting(1, 8, 12, 16),
        # 72 runs at full: fewer could not show that at most 5 % diverge.
        "num_seeds": Setting(1, 1, 6, 1),
        **_JUDGED_RUNS,
    },
    # 3D: three runs per prompt, SDI's those of figure 2; runs at full are those of laptop, but of more prompts.
    "fig01_teaser_3d": {"num_prompts": Setting(1, 8, 16, 4), **_JUDGED_RUNS},
    # 3D: eight runs per prompt, two of them those of figure 1.
    "fig08_ablation": {"num_prompts": Setting(1, 1, 16, 2), **_JUDGED_RUNS},
    # 3D: seven runs per prompt, two of them those of figure 8.
    "fig09_noise_choice_3d": {"num_prompts": Setting(1, 1, 8, 2), **_JUDGED_RUNS},
    # 3D: five runs per prompt, seed and length; those of the preset's own length are those of figures 1, 8 and 13.
    # The others, of a half and twice that length at full, take 22,000 sample-forwards per prompt: 1.5 hours of one core; those
    # of 4 times that length (num_lengths=4) 36,000 more.
    "convergence": {
        "num_prompts": Setting(1, 1, 8, 2),
        "num_seeds": Setting(1, 1, 1, 1),
        "num_lengths": _steps(2, 2, 3, 2),
        **_JUDGED_RUNS,
    },
    # 3D: twelve runs per prompt, four of them those of figures 1 and 8; the others take 13,200 sample-forwards: at full 6
    # minutes of one core per prompt.
    "backgrounds": {"num_prompts": Setting(1, 1, 8, 2), **_JUDGED_RUNS},
    # 3D: four runs per prompt, one of them that of figure 1.
    "fig10_guidance_scales_3d": {"num_prompts": Setting(1, 1, 8, 2), **_JUDGED_RUNS},
    # 3D: five runs per prompt, one of them that of figure 1; the other four take 21,000 sample-forwards per prompt.
    "fig11_inversion_steps_3d": {"num_prompts": Setting(1, 1, 8, 2), **_JUDGED_RUNS},
    # 3D: figure 1's runs by SDI.
    "fig04_evolution_3d": {"num_prompts": Setting(1, 1, 8, 4), **_RUNS},
    # 3D: half a run per prompt, and then 520 sample-forwards.
    "fig06_intermediates_3d": {"num_prompts": Setting(1, 1, 8, 4), **_RUNS},
    # Algorithms 1 and 2: 4 sample-forwards per prompt.
    "figA12_algorithms": {"num_prompts": Setting(1, 8, 16, 4)},
    # Per image: 42 per step of ISM to SDI, all five together, and DDIM: 14,000 at laptop,
    # 110,000 at full.
    "figA14_from_ism": {
        **_FEWER_IMAGES,
        "ddim_steps": _steps(3, 30, 30, 30),
        "num_steps": _steps(3, 40, 80, 500),
        "learning_rate": Setting(0.2, 0.2, 0.1, 0.1),
    },
    # Per image: 13 per step of DDIM and SDI, 4 of SDS at both gammas: 15,000 at laptop,
    # 85,000 at full.
    "figA15_diversity": {
        **_SAMPLED,
        "num_prompts": _PROMPTS,
        "num_seeds": Setting(2, 4, 8, 8, at_least=2),
        "num_steps": _steps(3, 20, 20, 30),
        "sds_steps": _steps(3, 55, 100, 1000),
        "learning_rate": Setting(0.2, 0.2, 0.1, 0.1),
    },
    # Per point of the path 128 sample-forwards and 36 backward passes, per step of all seven runs 76 and 20:
    # 21,000 at laptop, 128,000 at full, a backward pass counted as one.
    "fig09_noise_choice": {**_IMAGES, **_PATH, "num_steps": _steps(2, 20, 30, 30)},
    # Per point of the path 35, of the maps 114, per step of all four runs 37: 12,000 at laptop,
    # 64,000 at full.
    "fig10_guidance_scales": {**_IMAGES, **_PATH, "num_steps": _steps(2, 30, 30, 30)},
    # Per step of all six runs 80, as per point of the path: 20,000 at laptop, 107,000 at full.
    "fig11_inversion_steps": {
        **_FEWER_IMAGES,
        "num_times": Setting(2, 10, 10, 10),
        "num_steps": _steps(2, 20, 30, 30),
    },
    # 600 for its one prompt.
    "figA17_noise_patterns": {**_SAMPLED, "path_steps": _steps(10, 30, 30, 30)},
    # 15 per step and image, all strategies and both ways together: 4,000 at laptop, 29,000 at full.
    "figA18_whole_inversion": {**_IMAGES, "num_steps": _steps(3, 30, 30, 30)},
    # 3D: three runs per prompt. SDI's are those of figure 1, ISM's those of figure 7, and ISM's with SDI's times those of
    # convergence: 2,300 sample-forwards each.
    "figA13_ism": {"num_prompts": Setting(1, 1, 8, 2), **_JUDGED_RUNS},
    # 3D: six runs per prompt, one of them that of figure 1; the other five take 14,500 sample-forwards: at full 5 minutes
    # of one core per prompt.
    "figA14_from_ism_3d": {"num_prompts": Setting(1, 1, 8, 2), **_JUDGED_RUNS},
    # 3D: three runs per prompt and seed. At full SDI's 32 are among those of figure 2, and 16 of SDS's 64 those of figure 1:
    # 48 of 960 sample-forwards are left, half an hour of one core. Then a second per object for its kind.
    "figA16_diversity_3d": {
        "num_prompts": Setting(1, 1, 8, 4),
        "num_seeds": Setting(2, 2, 4, 4, at_least=2),
        **_JUDGED_RUNS,
    },
    # No network: exact models, seconds.
    "figA19_in_distribution": {
        "num_points": Setting(16, 256, 1024, 256),
        "num_steps": Setting(4, 20, 40, 20, at_least=4),
    },
    # 3D: figure 2's runs.
    "figH1_failures": {
        "num_prompts": Setting(1, 8, 12, 16),
        "num_seeds": Setting(1, 1, 6, 1),
        **_JUDGED_RUNS,
    },
    # Per image: 47 per step of the first five rows, 16 of two more, 4 of SDS both ways: 14,000 at laptop,
    # 68,000 at full.
    "figX1_published_code": {
        **_FEWER_IMAGES,
        "num_steps": Setting(3, 25, 30, 30, at_least=3),
        "sds_steps": _steps(3, 50, 100, 1000),
    },
    # Per image: 11 per step, all six guidance scales: 5,300 at laptop, 35,000 at full.
    "the_world": {
        "num_prompts": Setting(2, 16, 16, 16),
        "num_seeds": Setting(1, 1, 4, 4),
        "num_steps": _steps(2, 30, 50, 50),
        "evaluator": Setting("evaluator", "evaluator", "evaluator", "evaluator"),
    },
    # No network: an exact model, seconds.
    "rule_variance": {
        "num_points": Setting(2, 8, 12, 8),
        "num_runs": Setting(2, 16, 96, 16),
        "num_updates": _steps(2, 16, 64, 16),
    },
    # No network: exact models, about a minute.
    "when_does_inversion_help": {
        "num_rings": Setting(2, 8, 16, 16),
        "num_steps": _steps(3, 60, 60, 60),
    },
    # The explorer begins with one run of SDI: 330 sample-forwards at laptop.
    "explore": {"num_steps": _steps(4, 30, 30, 30), "demo_steps": Setting(2, 30, 30, 30)},
    # Per image: 820 for DDIM, SDS, SDI and the reader's rule, twice: 3,300 at laptop, 52,000 at full.
    "your_own_rule": {
        **_SAMPLED,
        "num_prompts": Setting(1, 4, 16, 16),
        "num_seeds": Setting(1, 1, 4, 4),
        "num_steps": _steps(3, 30, 30, 30),
        "sds_steps": _steps(4, 150, 150, 1000),
    },
    # Per image and step the paper's methods and ISM 29, at equal cost each SDI's 12, searched 29 again; the search tries
    # seven settings on four prompts: 60,000 at laptop.
    "table1_2d": {
        **_SAMPLED,
        "methods": Setting("paper", "paper", "all", "all"),
        "num_prompts": _PROMPTS_OF_A_TABLE,
        "num_seeds": Setting(1, 1, 1, 4),
        "num_steps": _steps(3, 30, 30, 1000),
        "budgets": Setting("both", "both", "both", "both"),
        "search": Setting("no", "yes", "yes", "no"),
        **_TABLE,
    },
    # 3D: a run per method, prompt and seed, the same as figure 7's: at full 56, about an hour of one core. Whoever asks gets
    # more: all methods take two and a half hours; with three seeds, equal cost and the search 14.
    "table1_3d": {
        "methods": Setting("paper", "paper", "paper", "all"),
        "num_prompts": Setting(1, 2, 8, 43),
        "num_seeds": Setting(1, 1, 1, 1),
        "budgets": Setting("steps", "steps", "steps", "steps"),
        "search": Setting("no", "no", "no", "no"),
        **_TABLE,
        **_RUNS,
    },
    "fig07_methods": {
        "num_prompts": Setting(1, 2, 8, 2),
        "methods": Setting("paper", "paper", "paper", "all"),
        **_JUDGED_RUNS,
    },
    # Per step of 4 views 8 sample-forwards and, inverted, up to 80 more: 3,100 at laptop.
    "run3d": {
        name: Setting(*_RUN_3D.get(name, (None, None, None)), paper)
        for name, paper in (paper_settings.gpu() | {"guidance_scale": SAMPLED}).items()
    },
    "run": {
        **_SAMPLED,
        "start_guidance_scale": _SAMPLED["guidance_scale"],
        # The first steps of an inversion err on the bundled model where the image is smooth, and SDI burns (figure 1).
        "inversion_start": Setting(0.1, 0.1, 0.1, None),
        "sds_steps": Setting(4, 150, 300, 1000),
        "sdi_steps": Setting(3, 50, 50, 50),
    },
}
"""Values by notebook, parameter and preset. "run" is `sdilib run --scene image`, "run3d" `sdilib run`, whose settings keep their
defaults where a preset names none."""


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
