"""Presets: the literal values that set how much each notebook computes, in one place.

`smoke` proves that a notebook runs (seconds) · `laptop` is the default, few samples · `full` is the same code with the
sample sizes that the claims need (hours on a CPU) · `gpu` is Stable Diffusion with the paper's settings.
The code that runs is the same at each of them.
"""

from typing import Any

from sdilib.checks import in_range, one_of, positive_int, reject

__all__ = [
    "MODELS",
    "NOTEBOOKS",
    "NUM_EXAMPLES",
    "PAPER_PROMPTS",
    "PRESETS",
    "SDS_PRACTISED",
    "SDS_TIMES",
    "WORLD_PROMPTS",
    "example_prompts",
    "resolve",
]

PRESETS = ("smoke", "laptop", "full", "gpu")

_STABLE_DIFFUSION = "stabilityai/stable-diffusion-2-1-base"

MODELS = {"smoke": "mini", "laptop": "mini", "full": "mini", "gpu": _STABLE_DIFFUSION}
"""The model of each preset: the bundled one, and the paper's, which has to be on disk or on the hub."""

NUM_EXAMPLES = 16
"""The prompts that a model has to show, `example_prompts`, and so the most a notebook can be given."""

WORLD_PROMPTS = (
    "a red spotted mushroom",
    "an orange striped cottage",
    "a blue rocket",
    "a green cactus",
    "a pink ice cream",
    "a yellow car",
    "a teal checkered teapot",
    "a purple snowman",
    "a yellow spotted mug",
    "a red striped cat",
    "a blue spotted boat",
    "an orange pumpkin",
    "a green striped turtle",
    "a pink checkered burger",
    "a red strawberry",
    "a teal astronaut",
)
"""Prompts in the bundled model's words."""

PAPER_PROMPTS = (
    "A photograph of a ninja",
    "A DSLR photograph of a hamburger",
    "A 3D model of an adorable cottage with a thatched roof",
    "An ice cream sundae",
    "Bagel filled with cream cheese and lox",
    "A small saguaro cactus planted in a clay pot",
    "A ripe strawberry",
    "A ceramic lion",
    "An iguana holding a balloon",
    "A DSLR photo of a white fluffy cat",
    "A sea turtle",
    "A photograph of a knight",
    "A plush dragon toy",
    "A car made out of sushi",
    "A cauldron full of gold coins",
    "An astronaut",
)
"""Some of the paper's prompts (figures 1 and 6 to 11, and Table 1)."""

SDS_TIMES: dict[str, Any] = {"t_schedule": "random", "t_end": 0.02}
"""How t runs in SDS: drawn again at each step, from DreamFusion's 0.02 (2209.14988) up to 1, where all runs here begin."""

SDS_PRACTISED: dict[str, Any] = SDS_TIMES | {"learning_rate": 0.1}
"""SDS as practised in 2D (Algorithm 1): by Adam, in latents, whose own size is about 1."""

_JUDGES: dict[str, int | float | str] = {
    "smoke": "evaluator",
    "laptop": "evaluator",
    "full": "evaluator",
    "gpu": "none",
}
"""Of what a notebook shows: the bundled evaluator knows the bundled world only."""

_QUALITIES: dict[str, int | float | str] = {
    "smoke": "smoke",
    "laptop": "laptop",
    "full": "laptop",
    "gpu": "gpu",
}
"""Preset of each 3D run's own settings: at full there are more runs, not longer ones."""

NOTEBOOKS: dict[str, dict[str, dict[str, int | float | str]]] = {
    "00_start_here": {
        "num_prompts": {"smoke": 1, "laptop": 4, "full": 8, "gpu": 4},
        "num_points": {"smoke": 8, "laptop": 64, "full": 256, "gpu": 64},
        "num_steps": {"smoke": 5, "laptop": 30, "full": 50, "gpu": 50},
        "sds_steps": {"smoke": 4, "laptop": 100, "full": 300, "gpu": 1000},
    },
    # 1,700 sample-forwards an image from laptop on, SDS and SDI at about the same: 27,000 at laptop.
    "fig01_teaser": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 2, "full": 4, "gpu": 4},
        "num_steps": {"smoke": 3, "laptop": 30, "full": 30, "gpu": 30},
        "sds_steps": {"smoke": 4, "laptop": 200, "full": 200, "gpu": 1000},
    },
    # An image: 13 a step of DDIM, all seven guidance scales: 12,000 at laptop, 25,000 at full.
    "fig03_guidance_scale": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 2, "laptop": 4, "full": 4, "gpu": 4},
        "num_steps": {"smoke": 2, "laptop": 30, "full": 30, "gpu": 50},
        "evaluator": _JUDGES,
    },
    # An image: 2 a step of DDIM, and 13 for each that is a scene, too: 900 at laptop, 7,000 at full.
    "fig04_evolution": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_scenes": {"smoke": 1, "laptop": 1, "full": 16, "gpu": 8},
        "num_steps": {"smoke": 4, "laptop": 30, "full": 30, "gpu": 30},
    },
    # 35 a prompt, and 16 for the first: 300 at laptop.
    "fig05_overview": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_steps": {"smoke": 5, "laptop": 30, "full": 30, "gpu": 30},
    },
    # An image: 60 for its render, and about 13 for each of nine times: 3,000 at laptop, 11,000 at full.
    "fig06_intermediates": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 2, "full": 4, "gpu": 4},
        "num_steps": {"smoke": 3, "laptop": 30, "full": 30, "gpu": 30},
    },
    # 3D: a run a prompt and seed; those of the first seed are shared with the figures that compare.
    "fig02_gallery": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 12, "gpu": 16},
        # 72 runs at full: fewer could not show that at most 5 % diverge.
        "num_seeds": {"smoke": 1, "laptop": 1, "full": 6, "gpu": 1},
        "quality": _QUALITIES,
        "evaluator": _JUDGES,
    },
    # 3D: three runs a prompt; at full with the runs of laptop, for the number of prompts.
    "fig01_teaser_3d": {
        "num_prompts": {"smoke": 1, "laptop": 1, "full": 8, "gpu": 4},
        "quality": _QUALITIES,
        "evaluator": _JUDGES,
    },
    # 3D: seven runs a prompt, two of them those of figure 1.
    "fig08_ablation": {
        "num_prompts": {"smoke": 1, "laptop": 1, "full": 8, "gpu": 2},
        "quality": _QUALITIES,
        "evaluator": _JUDGES,
    },
    # 3D: six runs a prompt, two of them those of figure 8.
    "fig09_noise_choice_3d": {
        "num_prompts": {"smoke": 1, "laptop": 1, "full": 8, "gpu": 2},
        "quality": _QUALITIES,
        "evaluator": _JUDGES,
    },
    # 3D: four runs a prompt, one of them that of figure 1.
    "fig10_guidance_scales_3d": {
        "num_prompts": {"smoke": 1, "laptop": 1, "full": 8, "gpu": 2},
        "quality": _QUALITIES,
        "evaluator": _JUDGES,
    },
    # 3D: six runs a prompt, one of them that of figure 1.
    "fig11_inversion_steps_3d": {
        "num_prompts": {"smoke": 1, "laptop": 1, "full": 8, "gpu": 2},
        "quality": _QUALITIES,
        "evaluator": _JUDGES,
    },
    # 3D: figure 1's runs by SDI.
    "fig04_evolution_3d": {
        "num_prompts": {"smoke": 1, "laptop": 1, "full": 8, "gpu": 4},
        "quality": _QUALITIES,
    },
    # 3D: half a run a prompt, and then 520 sample-forwards.
    "fig06_intermediates_3d": {
        "num_prompts": {"smoke": 1, "laptop": 1, "full": 8, "gpu": 4},
        "quality": _QUALITIES,
    },
    # Algorithms 1 and 2: 4 sample-forwards a prompt.
    "figA12_algorithms": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 4},
    },
    # An image: 42 a step of ISM to SDI, all five together, and DDIM: 14,000 at laptop, 110,000 at
    # full.
    "figA14_from_ism": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 1, "full": 2, "gpu": 4},
        "ddim_steps": {"smoke": 3, "laptop": 30, "full": 30, "gpu": 30},
        "num_steps": {"smoke": 3, "laptop": 40, "full": 80, "gpu": 500},
        "learning_rate": {"smoke": 0.2, "laptop": 0.2, "full": 0.1, "gpu": 0.1},
    },
    # An image: 13 a step of DDIM and SDI, 4 of SDS at both gammas: 31,000 at laptop, 85,000 at
    # full.
    "figA15_diversity": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 2, "laptop": 8, "full": 8, "gpu": 8},
        "num_steps": {"smoke": 3, "laptop": 20, "full": 20, "gpu": 30},
        "sds_steps": {"smoke": 3, "laptop": 55, "full": 100, "gpu": 1000},
        "learning_rate": {"smoke": 0.2, "laptop": 0.2, "full": 0.1, "gpu": 0.1},
    },
    # A point of the path 116 sample-forwards and 36 backward passes, a step of all six runs 63 and 20:
    # 38,000 at laptop, 120,000 at full, a backward pass counted as one.
    "fig09_noise_choice": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 2, "full": 4, "gpu": 4},
        "path_steps": {"smoke": 3, "laptop": 30, "full": 30, "gpu": 30},
        "num_times": {"smoke": 3, "laptop": 10, "full": 10, "gpu": 10},
        "num_steps": {"smoke": 2, "laptop": 20, "full": 30, "gpu": 30},
    },
    # A point of the path 35, one of the maps 114, a step of all four runs 37: 23,000 at laptop, 64,000
    # at full.
    "fig10_guidance_scales": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 2, "full": 4, "gpu": 4},
        "path_steps": {"smoke": 3, "laptop": 30, "full": 30, "gpu": 30},
        "num_times": {"smoke": 3, "laptop": 10, "full": 10, "gpu": 10},
        "num_steps": {"smoke": 2, "laptop": 30, "full": 30, "gpu": 30},
    },
    # A step of all six runs 80, as is a point of the path: 20,000 at laptop, 107,000 at full.
    "fig11_inversion_steps": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 1, "full": 2, "gpu": 4},
        "num_times": {"smoke": 2, "laptop": 10, "full": 10, "gpu": 10},
        "num_steps": {"smoke": 2, "laptop": 20, "full": 30, "gpu": 30},
    },
    # 600 for its one prompt.
    "figA17_noise_patterns": {
        "path_steps": {"smoke": 10, "laptop": 30, "full": 30, "gpu": 30},
    },
    # 15 a step and image, all strategies and both ways together: 7,000 at laptop, 29,000 at full.
    "figA18_whole_inversion": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 2, "full": 4, "gpu": 4},
        "num_steps": {"smoke": 3, "laptop": 30, "full": 30, "gpu": 30},
    },
    # An image: 47 a step of all five rows together: 10,000 at laptop, 46,000 at full.
    "figX1_published_code": {
        "num_prompts": {"smoke": 1, "laptop": 8, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 1, "full": 2, "gpu": 4},
        "num_steps": {"smoke": 3, "laptop": 25, "full": 30, "gpu": 30},
    },
    # An image: 11 a step, all six guidance scales: 5,300 at laptop, 35,000 at full.
    "the_world": {
        "num_prompts": {"smoke": 2, "laptop": 16, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 1, "full": 4, "gpu": 4},
        "num_steps": {"smoke": 2, "laptop": 30, "full": 50, "gpu": 50},
        "evaluator": dict.fromkeys(PRESETS, "evaluator"),
    },
    # The explorer begins with one run of SDI: 330 sample-forwards at laptop.
    "explore": {
        "num_steps": {"smoke": 4, "laptop": 30, "full": 30, "gpu": 30},
        "demo_steps": {"smoke": 2, "laptop": 30, "full": 30, "gpu": 30},
    },
    # An image: 820 for DDIM, SDS, SDI and the reader's rule, twice: 3,300 at laptop, 52,000 at full.
    "your_own_rule": {
        "num_prompts": {"smoke": 1, "laptop": 4, "full": 16, "gpu": 16},
        "num_seeds": {"smoke": 1, "laptop": 1, "full": 4, "gpu": 4},
        "num_steps": {"smoke": 3, "laptop": 30, "full": 30, "gpu": 30},
        "sds_steps": {"smoke": 4, "laptop": 150, "full": 150, "gpu": 1000},
    },
    # A step of 4 views costs 8 sample-forwards and, inverted, up to 80 more: 3,100 at laptop.
    "run3d": {
        "steps": {"smoke": 2, "laptop": 60, "full": 150, "gpu": 10_000},
        "cameras": {"smoke": 2, "laptop": 4, "full": 4, "gpu": 1},
        "updates": {"smoke": 1, "laptop": 2, "full": 3, "gpu": 1},
        "size": {"smoke": 64, "laptop": 64, "full": 64, "gpu": 512},
        "num_samples": {"smoke": 16, "laptop": 48, "full": 64, "gpu": 256},
        "levels": {"smoke": 12, "laptop": 12, "full": 12, "gpu": 16},
        "finest_resolution": {"smoke": 64, "laptop": 64, "full": 64, "gpu": 2048},
        "through": {"smoke": "decoder", "laptop": "decoder", "full": "decoder", "gpu": "encoder"},
        "rays_per_patch": {"gpu": 4096},  # deferred backpropagation: 64 x 64 pixels fit any memory
        "backend": {"gpu": "tinycudann"},  # where it is installed, else announced
    },
    "run": {
        "sds_steps": {"smoke": 4, "laptop": 150, "full": 300, "gpu": 1000},
        "sdi_steps": {"smoke": 3, "laptop": 50, "full": 50, "gpu": 50},
        "ism_steps": {"smoke": 3, "laptop": 50, "full": 50, "gpu": 50},
    },
}
"""Values by notebook, parameter and preset. "run" is `sdilib run --scene image`, "run3d" `sdilib run`, whose settings keep their
defaults where a preset names none."""


def example_prompts(draws_world: bool) -> tuple[str, ...]:
    """Return prompts to try: in the world's words, or the paper's.

    Args:
        draws_world: whether the model does, as `StableDiffusion` says.
    """
    return WORLD_PROMPTS if draws_world else PAPER_PROMPTS


def resolve(notebook: str, preset: str, **given: Any) -> dict[str, Any]:
    """Return a notebook's settings: what was given, and the preset's values for the rest.

    Args:
        notebook: name of the notebook, e.g. "fig01_teaser".
        preset: one of smoke, laptop, full, gpu.
        **given: parameters of the notebook, or `model`. An empty text or a zero means "from the preset".

    Returns:
        The values by name, `preset` and `model` among them.

    Raises:
        ValueError: unknown notebook, preset or parameter; a number below 1; more prompts than there are examples.
        TypeError: a value of another type than the preset's.

    Examples:
        >>> resolve("fig01_teaser", "smoke", num_prompts=2)["num_prompts"]
        2
    """
    one_of("notebook", notebook, NOTEBOOKS)
    one_of("preset", preset, PRESETS)
    values: dict[str, Any] = {"preset": preset, "model": MODELS[preset]}
    own = NOTEBOOKS[notebook].items()
    values |= {name: choices[preset] for name, choices in own if preset in choices}
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
            in_range(name, value, 1, NUM_EXAMPLES)
        elif kind is int:
            positive_int(name, value)
        values[name] = value
    return values
