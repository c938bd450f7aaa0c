"""What tests make up: images, runs and objects that nobody computed, and what is claimed of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sdilib.lab.claims import Row, verdicts
from sdilib.lab.experiments.shared.objects import Comparison, run_of
from sdilib.lab.images import Generated
from sdilib.lab.runs import Finished
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import WorldScene
from sdilib.seeds import generator
from sdilib.storage import load_tensors
from sdilib.text_to_3d import Text3D

PROMPTS = [f"prompt {i}" for i in range(8)]
"""As few as anything is decided by."""


RULE = """
from sdilib.guidance import SDS
class Mine:
    def __init__(self, denoiser, guidance_scale=3.0, loud=True):
        self.inner = SDS(denoiser, guidance_scale)
    def __call__(self, *seen):
        return self.inner(*seen)
"""
"""A reader's own."""


SMALL: dict[str, Any] = {"model": "tiny", "cameras": 2, "size": 16, "num_samples": 16}
SMALL |= {"levels": 4, "finest_resolution": 16}
"""A run in 3D of a second."""


class Picture(NamedTuple):
    """One scene's picture, as `render_batch` draws it."""

    image: np.ndarray
    silhouette: np.ndarray
    depth: np.ndarray


def render_world(scene: WorldScene, **size: int) -> Picture:
    """A picture of the world."""
    return Picture(*(each[0] for each in render_batch([scene], **size)))


def small_3d(**settings: Any) -> Text3D:
    """A small run, and what is to be otherwise."""
    return Text3D.of(**SMALL | {"prompt": "a red mug"} | settings)


def same(one: Path, other: Path) -> bool:
    """Whether two runs' folders hold the same scene, to the bit."""
    a, b = (load_tensors(folder / "scene.safetensors") for folder in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def draws(count: int = 3, *, step: int = 0) -> list[torch.Generator]:
    """A rule's generators, one for each item."""
    return [generator(0, step, "guidance", item) for item in range(count)]


def held(rows: Sequence[Row], numbers: Any, groups: Any = None) -> list[bool | None]:
    """Whether each claim of a table holds."""
    return [claim.holds for claim in verdicts(rows, numbers, groups)]


def generated(images: Tensor, *, latents: Tensor | None = None, num_forwards=2.0, seconds=0.1):
    """Images that are their own latents, at some cost."""
    latents = images if latents is None else latents
    return Generated(images, latents, num_forwards, seconds)


def of_runs(
    prompts: Sequence[str], *, evaluator=None, looked: Mapping[str, Any] | None = None, numbers=None
) -> Comparison:
    """Runs in 3D of which the views matter alone, by method, or what was measured of them."""
    runs = [Finished(Path(), run_of({}, prompt), None, "", 0.0, 0, ()) for prompt in prompts]
    made = Comparison(prompts, dict.fromkeys(looked or {}, runs), evaluator)
    known = {"looked": looked, "numbers": numbers}
    made.__dict__.update({name: each for name, each in known.items() if each is not None})
    return made


def ahead(means: Mapping[str, float], *measures: str) -> Comparison:
    """Runs of eight prompts whose numbers scatter about a method's mean, the same for some measures."""
    spread = torch.linspace(0.9, 1.1, len(PROMPTS)).double()
    values = {name: mean * spread for name, mean in means.items()}
    return of_runs(PROMPTS, numbers=dict.fromkeys(measures or ("distance",), values))
