"""How good a model of the world is: what its samples show, how far they are from renders, what they copy.

Everything is measured against unseen renders of the same prompts, by an evaluator that saw renders only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice, product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import binomtest
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.cameras import VIEWS
from sdilib.checks import positive_int
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.metrics import (
    frechet_distance,
    high_frequency_energy,
    kernel_distance,
    nearest_distance,
    psnr,
    saturation,
)
from sdilib.lab.world.captions import is_held_out, prompt
from sdilib.lab.world.dataset import random_scene
from sdilib.lab.world.objects import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.lab.world.render import WorldScene, render_batch
from sdilib.lab.world.views import scene_of_view
from sdilib.stable_diffusion import StableDiffusion

__all__ = [
    "JUDGED",
    "Item",
    "accuracies",
    "autoencoder_psnr",
    "balanced_items",
    "copying",
    "likeness",
    "reconstructed",
    "renders",
    "scenes_of",
    "share",
    "training_features",
]

Images = Float[Tensor, "batch 3 height width"]

JUDGED = "object, colour and pattern"
"""All three right in one image."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to draw.

    Attributes:
        name: of the object.
        colour: its colour.
        pattern: its pattern.
        view: from where.
        seed: of the sample's noise.
    """

    name: str
    colour: str
    pattern: str
    view: str
    seed: int

    @property
    def prompt(self) -> str:
        """What is asked for, in the world's words."""
        return prompt(self.name, self.colour, pattern=self.pattern, view=self.view)

    @property
    def held_out(self) -> bool:
        """Whether no training picture shows this combination."""
        return is_held_out(self.name, self.colour, self.pattern)


def balanced_items(count: int, *, held_out: bool = False, seed: int = 0) -> list[Item]:
    """Return prompts in which every object comes equally often; colours, patterns and views in a shuffled order.

    The first of a longer list are those of a shorter one. An object without a combination of the kind asked for is left
    out.

    Args:
        count: number of prompts, each with a seed of its own.
        held_out: of the combinations kept out of training, instead of the others.
        seed: of the order, and the first of the samples' seeds.

    Raises:
        ValueError: `count` below 1.
    """
    positive_int("count", count)
    random = np.random.default_rng([seed, int(held_out)])
    queues = []
    for name in OBJECT_NAMES:
        looks = [
            (name, colour, pattern, view)
            for colour, pattern, view in product(COLOURS, PATTERNS, VIEWS)
            if is_held_out(name, colour, pattern) == held_out
        ]
        if looks:
            queues.append(cycle([looks[i] for i in random.permutation(len(looks))]))
    rounds = chain.from_iterable(zip(*queues, strict=True))
    drawn = enumerate(islice(rounds, count))
    return [
        Item(name, colour, pattern, view, seed + i) for i, (name, colour, pattern, view) in drawn
    ]


def scenes_of(items: Sequence[Item], *, seed: int) -> list[WorldScene]:
    """Return a scene an item: its looks, and a camera drawn at random within its view.

    Args:
        items: what is shown.
        seed: of the cameras; no data set's.
    """
    return [
        scene_of_view(item.name, item.colour, item.pattern, item.view, seed=seed, index=i)
        for i, item in enumerate(items)
    ]


def renders(scenes: Sequence[WorldScene], *, image_size: int) -> Images:
    """Return pictures of scenes, in [0, 1].

    Args:
        scenes: what is seen.
        image_size: height and width.
    """
    images, _, _ = render_batch(list(scenes), height=image_size, width=image_size)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def share(right: Iterable[float]) -> dict[str, float | int]:
    """Return the share of ones, its Wilson 95 % interval and n; items that are nan are left out.

    Args:
        right: 1, 0 or nan an item.

    Source: Wilson 1927, "Probable inference".
    """
    kept = [value for value in right if value == value]
    if not kept:
        return {"n": 0}
    interval = binomtest(int(sum(kept)), len(kept)).proportion_ci(method="wilson")
    return {
        "share": sum(kept) / len(kept),
        "from": float(interval.low),
        "to": float(interval.high),
        "n": len(kept),
    }


def accuracies(
    evaluator: Evaluator, images: Images, prompts: Sequence[str]
) -> dict[str, dict[str, float | int]]:
    """Return the share of images that show what their prompts ask for, by attribute, and all looks together.

    Args:
        evaluator: judges.
        images: in [0, 1].
        prompts: one an image.
    """
    right = evaluator.accuracy(images, prompts)
    looks = right["object"] * right["colour"] * right["pattern"]
    return {name: share(values.tolist()) for name, values in {**right, JUDGED: looks}.items()}


@torch.no_grad()
def reconstructed(model: StableDiffusion, images: Images, *, batch_size: int = 32) -> Images:
    """Return images after the model's autoencoder, in [0, 1].

    Args:
        model: whose autoencoder.
        images: in [0, 1].
        batch_size: images at a time.
    """
    parts = [
        model.decode(model.encode(some.to(model.device))).clamp(0, 1).cpu()
        for some in images.split(batch_size)
    ]
    return torch.cat(parts)


def likeness(
    evaluator: Evaluator, sets: Mapping[str, Images], references: Images
) -> dict[str, dict[str, float]]:
    """Return, for each set of images, how far it is from renders and how it looks.

    Args:
        evaluator: in whose features sets are compared.
        sets: images by name.
        references: unseen renders.

    Returns:
        By set: Fréchet and kernel distance to the references, mean saturation and mean fine detail.
    """
    real = evaluator.features(references)
    measured = {}
    for name, images in sets.items():
        features = evaluator.features(images)
        measured[name] = {
            "Fréchet distance": frechet_distance(features, real),
            "kernel distance": kernel_distance(features, real),
            "saturation": float(saturation(images).mean()),
            "fine detail": float(high_frequency_energy(images).mean()),
        }
    return measured


def autoencoder_psnr(images: Images, after: Images) -> dict[str, float | int]:
    """Return mean and least PSNR of reconstructions, in dB.

    Args:
        images: before.
        after: from `reconstructed`.
    """
    each = psnr(after, images)
    return {"mean": float(each.mean()), "least": float(each.min()), "n": len(each)}


def training_features(
    evaluator: Evaluator, *, count: int, seed: int, image_size: int, batch_size: int = 256
) -> Float[Tensor, "count width"]:
    """Return the features of the denoiser's training pictures, drawn anew from their numbers.

    Args:
        evaluator: whose features.
        count: number of training pictures.
        seed: of the data set.
        image_size: of its pictures.
        batch_size: pictures at a time.
    """
    parts = []
    for start in tqdm(range(0, count, batch_size), desc="training pictures", leave=False):
        numbers = range(start, min(start + batch_size, count))
        scenes = [random_scene(seed, i)[0] for i in numbers]
        parts.append(evaluator.features(renders(scenes, image_size=image_size)))
    return torch.cat(parts)


def copying(
    samples: Float[Tensor, "items width"],
    unseen: Float[Tensor, "more width"],
    training: Float[Tensor, "many width"],
) -> dict[str, Any]:
    """Compare the samples' distance to the nearest training picture with that of unseen renders.

    A model that copied its training pictures would lie nearer to them than fresh renders of the same prompts do.

    Args:
        samples: features of samples.
        unseen: features of renders of the same prompts, none of them a training picture.
        training: features of the training pictures.
    """
    ours, theirs = nearest_distance(samples, training), nearest_distance(unseen, training)
    levels = torch.tensor([0.05, 0.5], dtype=ours.dtype)
    low, median = ours.quantile(levels).tolist()
    unseen_low, unseen_median = theirs.quantile(levels).tolist()
    return {
        "samples, median": median,
        "samples, 5 % nearest": low,
        "unseen renders, median": unseen_median,
        "unseen renders, 5 % nearest": unseen_low,
        "samples nearer than the nearest 5 % of unseen renders": float(
            (ours < unseen_low).double().mean()
        ),
        "training pictures": len(training),
    }
