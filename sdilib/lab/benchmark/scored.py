"""Measures of several methods' runs on the same items: images, or objects from 16 sides.

A run that diverged counts as an empty picture.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import to_hex
from torch import Tensor

from sdilib.lab.benchmark.table import Column, Ranking
from sdilib.lab.encoders import Encoder, clip_iqa, clip_score, r_precision
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.images import places
from sdilib.lab.experiments.shared.objects import (
    PLAIN,
    Comparison,
    family_features,
    family_views,
    spent,
)
from sdilib.lab.experiments.shared.surfaces import best_chamfer
from sdilib.lab.methods import table_prompts
from sdilib.lab.metrics import diversity, kernel_distance
from sdilib.lab.runs import Finished
from sdilib.lab.world.scene import BACKGROUND
from sdilib.stable_diffusion import StableDiffusion

SCORE = "CLIP Score"

_PERCENT: Any = {"scale": 100.0, "digits": 0, "unit": "%"}
COLUMNS = (
    Column(SCORE, digits=1),
    *(Column(name, **_PERCENT) for name in ("R-precision", "quality", "sharpness", "real")),
    *(Column(name, **_PERCENT) for name in ("object", "colour", "pattern", "view")),
    Column("kernel distance", -1),
    Column("Janus", -1, **_PERCENT),
    Column("IoU"),
    Column("Chamfer", -1, digits=3),
    Column("deviation of saturation", -1),
    Column("deviation of fine detail", -1),
    Column("diversity", 0),
    Column("diverged", -1, **_PERCENT),
    Column("sample-forwards", -1, digits=0),
    Column("seconds", 0, digits=1),
    Column("peak memory (GiB)", 0),
)
"""Columns that were not measured, for want of a true object or of an encoder that knows photos, are left out.

Seconds and memory are shown but not ranked: they depend on what else the machine and the process did at the time, and runs
that figures share were made at different times.
"""

_UNRANKED = "Seconds and memory: with whatever else the machine did at the time, so not ranked."

_DRAWN = (
    (SCORE, "R-precision", "kernel distance"),
    ("deviation of saturation", "deviation of fine detail", "sample-forwards"),
)


def colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each method: the one that it has in all figures, or else one by its place.

    Args:
        names: of the methods.
    """
    hues = {name: to_hex(colormaps["tab20"](k % 20)) for k, name in enumerate(names)}
    return {name: drawing.COLOURS.get(name, hue) for name, hue in hues.items()}


@dataclass(frozen=True, eq=False)
class Scored:
    """Runs of several variants on the same items.

    Attributes:
        scene: "image" or "nerf".
        model: that made them.
        encoder: computes the scores.
        evaluator: judge of the world's objects; None for a model of another world.
        prompts: of the items.
        runs: by variant, one per item.
    """

    scene: str
    model: StableDiffusion
    encoder: Encoder
    evaluator: Evaluator | None
    prompts: Sequence[str]
    runs: Mapping[str, Sequence[Finished]]

    @property
    def has_seeds(self) -> bool:
        """Whether a prompt has several seeds."""
        return len(set(self.prompts)) < len(self.prompts)

    @cached_property
    def pool(self) -> list[str]:
        """The prompts among which R-precision has to find an image's own."""
        return list(dict.fromkeys((*table_prompts(self.model.draws_world), *self.prompts)))

    @cached_property
    def objects(self) -> Comparison:
        """The runs as figures in 3D compare them."""
        return Comparison(self.prompts, self.runs, self.evaluator)

    @cached_property
    def views(self) -> dict[str, list[Float[Tensor, "views 3 height width"]]]:
        """The views of each run: its image, or its object from 16 sides."""
        if self.scene == "nerf":
            looked = self.objects.looked
            return {name: [each.images for each in of] for name, of in looked.items()}
        return {name: [self._image(run) for run in runs] for name, runs in self.runs.items()}

    @cached_property
    def clip(self) -> dict[str, dict[str, list[float]]]:
        """The encoder's scores, by variant, then measure: one number per item, the mean over its views."""
        said, by = {}, self.encoder
        for name, views in self.views.items():
            found: dict[str, list[float]] = defaultdict(list)
            for images, prompt in zip(views, self.prompts, strict=True):
                texts = [prompt] * len(images)
                values = {SCORE: clip_score(by, images, texts)}
                values["R-precision"] = r_precision(by, images, texts, pool=self.pool)
                values |= clip_iqa(by, images) if by.knows_photos else {}
                for measure, each in values.items():
                    found[measure].append(float(each.mean()))
            said[name] = dict(found)
        return said

    @cached_property
    def numbers(self) -> dict[str, dict[str, Float[Tensor, " items"]]]:
        """One number per item, by measure, then variant."""
        found = self._of_objects() if self.scene == "nerf" else self._of_images()
        for name, each in self.clip.items():
            for measure, values in each.items():
                found[measure][name] = values
        if self.has_seeds:
            for name, views in self.views.items():
                seen = torch.stack([self.encoder.features(each).mean(0) for each in views])
                found["diversity"][name] = self._by_prompt(diversity, seen)
        return {
            measure: {n: torch.as_tensor(v, dtype=torch.float64) for n, v in of.items()}
            for measure, of in found.items()
        }

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why runs diverged, by variant; those that did not are left out."""
        return {n: [run.diverged for run in runs if run.diverged] for n, runs in self.runs.items()}

    def ranking(self, title: str, notes: Sequence[str] = ()) -> Ranking:
        """Return the runs as a table.

        Args:
            title: what all methods were given.
            notes: further notes, after the encoder's.
        """
        told = f"R-precision among {len(self.pool)} prompts"
        by = f"Encoder: {self.encoder.name}; {told}; model: {self.model.name}."
        failed = "; ".join(f"{n}: {why[0]}" for n, why in self.reasons.items() if why)
        counted = f"Diverged, and counted as an empty picture: {failed}."
        said = [by, *([counted] if failed else []), _UNRANKED, *notes]
        return Ranking(title, COLUMNS, self.numbers, self.prompts, said)

    def draw(self) -> drawing.Figure:
        """Draw the first view of each prompt, a row per variant, and below them the numbers of all items."""
        columns = list(dict.fromkeys(self.prompts))[: drawing.MOST_COLUMNS]
        first = [list(self.prompts).index(prompt) for prompt in columns]
        side = 1 if self.scene == "nerf" else 0  # an object is shown a little turned
        rows = {n: torch.stack([v[k][side] for k in first]) for n, v in self.views.items()}
        known = self.numbers
        lines = [{name: known[name] for name in line if name in known} for line in _DRAWN]
        return drawing.images_and_items(rows, columns, *lines, colour=colours(rows).__getitem__)

    def _image(self, run: Finished) -> Float[Tensor, "1 3 height width"]:
        if run.scene is None:
            height, width = (self.model.factor * n for n in self.model.latent_shape[1:])
            return torch.full((1, 3, height, width), BACKGROUND)
        with torch.no_grad():
            decoded = self.model.decode(run.scene.values.to(self.model.device))
        return decoded.clamp(0, 1).float().cpu()

    def _of_objects(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        found |= {measure: dict(of) for measure, of in self.objects.numbers.items()}
        if "IoU" in found:
            for name, runs in self.runs.items():
                fields = [getattr(run.scene, "field", None) for run in runs]
                items = zip(fields, self.prompts, self.objects.looked[name], strict=True)
                found["Chamfer"][name] = [best_chamfer(*item) for item in items]
        return found

    def _of_images(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        judge = self.objects.judge
        for name, runs in self.runs.items():
            images = torch.cat(self.views[name])
            for run in runs:
                for measure, value in spent(run).items():
                    found[measure].setdefault(name, []).append(value)
            for measure, of in PLAIN.items():
                found[measure][name] = of(images)
            if judge is None:
                continue
            right = judge.accuracy(images, self.prompts)
            for attribute in ("object", "colour", "pattern"):
                found[attribute][name] = right[attribute].nan_to_num(1.0)
            size = images.shape[-1]
            true = {p: family_views(p, size, placed=False).images for p in set(self.prompts)}
            for measure, of in PLAIN.items():
                reference = torch.stack([of(true[prompt]).mean() for prompt in self.prompts])
                off = (found[measure][name] / reference - 1).abs()
                found[f"deviation of {measure}"][name] = off
            if self.has_seeds:
                real = {p: family_features(judge, p, size, placed=False) for p in true}
                seen = judge.features(images)
                found["kernel distance"][name] = self._by_prompt(kernel_distance, seen, real)
        return found

    def _by_prompt(
        self, measure: Any, features: Tensor, others: Mapping[str, Tensor] | None = None
    ) -> list[float]:
        """One number from all items of a prompt, repeated for each of them."""
        found = {}
        for prompt, own in places(self.prompts).items():
            also = [others[prompt]] if others else []
            found[prompt] = measure(features[own], *also)
        return [found[prompt] for prompt in self.prompts]
