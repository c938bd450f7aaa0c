"""How good a model of the world is: what its samples show, how far they are from renders, what they copy.

Everything is measured against unseen renders of the same prompts, by an evaluator that saw only renders. Samples are
kept in a build folder, so that an interrupted measurement can continue.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, cycle, islice, product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import binomtest
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from sdilib.cameras import VIEWS
from sdilib.checks import positive_int
from sdilib.lab import metrics
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.guidance_profile import guidance_profile
from sdilib.lab.images import ddim_images
from sdilib.lab.model_card.autoencoder import CELL, measure_autoencoder, reconstructed
from sdilib.lab.model_card.guidance import inverted_noise, one_update
from sdilib.lab.model_card.true_views import fit_true_views
from sdilib.lab.world.captions import is_held_out, prompt
from sdilib.lab.world.dataset import random_scene
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.lab.world.render import pictures
from sdilib.lab.world.scene import WorldScene
from sdilib.lab.world.views import scene_of_view
from sdilib.schedule import Images
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import hash_json, load_tensors, read_json, save_tensors, write_json

JUDGED = "object, colour and pattern"
"""All three right in one image."""

GUIDED, FREE = "samples, γ = 7.5", "samples, γ = 1"
SWEEP = (1.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 100.0)
DIVERSITY, OTHER_BACKGROUNDS = "diversity of a prompt", "true views on other backgrounds"

BACKDROPS = {"white": (1.0, 1.0, 1.0), "dark": (0.06, 0.06, 0.06), "blue": (0.2, 0.4, 0.9)}
"""Colours of the other backgrounds."""

_BATCH = 50
_PATHS = 24  # samples whose path is followed
_VARIED, _SEEDS = 16, 8  # prompts, and seeds per prompt, by which diversity is measured
_FEW_FITS = 1  # objects fitted on each of the other backgrounds
_HELD_OUT_SHARE, _SWEEP_SHARE = 0.25, 0.1  # of the samples
_REFERENCES, _OTHERS = 101, 102  # seeds of the renders that samples are compared with


@dataclass(frozen=True, slots=True)
class Item:
    """One sample to draw.

    Attributes:
        name: of the object.
        colour: its colour.
        pattern: its pattern.
        view: the word for its view.
        seed: of the sample's noise.
    """

    name: str
    colour: str
    pattern: str
    view: str
    seed: int

    @property
    def prompt(self) -> str:
        """The prompt, in the world's words."""
        return prompt(self.name, self.colour, pattern=self.pattern, view=self.view)


def measure(
    model: StableDiffusion,
    evaluator: Evaluator,
    *,
    count: int,
    training: Mapping[str, Any],
    image_size: int,
    num_steps: int = 50,
    build: str | Path = "build/model-card",
    fits: int = len(COLOURS),
    known: Mapping[str, Any] = MappingProxyType({}),
    again: bool = False,
) -> dict[str, Any]:
    """Measure a model of the world: 2 * 50 sample-forwards per sample at γ = 7.5, 50 at γ = 1, as many for the sweep.

    Args:
        model: frozen.
        evaluator: the judge.
        count: number of samples; a quarter of them of held-out combinations.
        training: from `training_cost`; without it nothing is compared with training pictures.
        image_size: of the renders.
        num_steps: of DDIM.
        build: folder in which samples are kept.
        fits: number of objects fitted to true views through the autoencoder, half a minute each.
        known: parts of an earlier measurement with the same arguments; only the others are measured.
        again: measure also what is kept in `build`, but for the samples, whose names say what they are.

    Returns:
        What `quality.json` holds.
    """
    held_out = balanced_items(max(1, round(_HELD_OUT_SHARE * count)), held_out=True)
    seen = balanced_items(count - len(held_out))
    items, few = [*seen, *held_out], seen[: max(2, round(_SWEEP_SHARE * count))]
    folder = Path(build) / model.hash

    @cache
    def rendered(seed: int) -> Images:
        return renders(scenes_of(items, seed=seed), image_size=image_size)

    def sampled(of: Sequence[Item], scale: float) -> Images:
        """Samples in batches, each kept in a file named after its contents."""
        parts = []
        for start in tqdm(range(0, len(of), _BATCH), desc=f"samples at γ = {scale:g}", leave=False):
            prompts, seeds = _asked(of[start : start + _BATCH])
            path = folder / f"{hash_json([prompts, seeds, scale, num_steps])}.safetensors"
            if not path.is_file():
                made = ddim_images(model, prompts, seeds, num_steps=num_steps, guidance_scale=scale)
                save_tensors(path, {"images": made.images})
            parts.append(load_tensors(path)["images"])
        return torch.cat(parts)

    @cache
    def samples() -> dict[str, Images]:
        return {GUIDED: sampled(items, 7.5), FREE: sampled(items, 1.0)}

    @cache
    def after() -> Images:
        return reconstructed(model, rendered(_OTHERS))

    def judged(images: Images, of: Sequence[Item]) -> dict[str, dict[str, float | int]]:
        return accuracies(evaluator, images, [item.prompt for item in of])

    def accuracy() -> dict[str, Any]:
        return {
            name: {
                "seen": judged(images[: len(seen)], seen),
                "held out": judged(images[len(seen) :], held_out),
            }
            for name, images in {**samples(), "renders": rendered(_REFERENCES)}.items()
        }

    def by_object() -> dict[str, Any]:
        rows = {n: [i for i, item in enumerate(seen) if item.name == n] for n in OBJECT_NAMES}
        images = samples()[GUIDED]
        return {n: judged(images[of], [seen[i] for i in of]) for n, of in rows.items() if of}

    def swept(images: Images) -> dict[str, float | int | None]:
        shares = {name: found.get("share") for name, found in judged(images, few).items()}
        mine, real = (evaluator.features(each) for each in (images, rendered(_REFERENCES)))
        distance = metrics.kernel_distance(mine, real)
        return {"saturation": _saturation(images), "kernel distance": distance, **shares}

    def sweep() -> dict[str, Any]:
        return {
            "n": len(few),
            "renders": _saturation(rendered(_REFERENCES)[: len(few)]),
            "γ": {f"{scale:g}": swept(sampled(few, scale)) for scale in SWEEP},
        }

    def alike() -> dict[str, Any]:
        others = rendered(_OTHERS)
        sets = {"other renders": others, "other renders after the autoencoder": after()}
        return likeness(evaluator, samples() | sets, rendered(_REFERENCES))

    def varied() -> dict[str, Any]:
        each = [replace(item, seed=k) for item in few[:_VARIED] for k in range(_SEEDS)]
        real = renders(scenes_of(each, seed=_REFERENCES), image_size=image_size)
        return {
            "prompts": len(each) // _SEEDS,
            "seeds": _SEEDS,
            "samples": diversity(sampled(each, 7.5), _SEEDS),
            "renders": diversity(real, _SEEDS),
        }

    def to_distil() -> dict[str, Any]:
        return to_distil_from(model, evaluator, few[:_PATHS], fits, image_size=image_size)

    def elsewhere() -> dict[str, Any]:
        count = min(fits, _FEW_FITS)
        return {
            name: fitted(model, evaluator, count, size=image_size, behind=colour)
            for name, colour in BACKDROPS.items()
        }

    def copied() -> dict[str, Any]:
        if not training:
            return {}
        ours, theirs = (evaluator.features(of) for of in (samples()[GUIDED], rendered(_REFERENCES)))
        drawn = {"count": training["pictures"], "seed": training["seed"]}
        pictures = training_features(evaluator, **drawn, image_size=image_size)
        return copying(ours, theirs, pictures)

    judge_hash = hash_json([evaluator.card, count, fits])
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "accuracy": accuracy,
        "by object": by_object,
        "saturation against γ": sweep,
        "likeness": alike,
        DIVERSITY: varied,
        "autoencoder, dB": lambda: autoencoder_psnr(rendered(_OTHERS), after()),
        "to distil from": lambda: _kept(
            folder / f"to-distil-from-{judge_hash}.json", to_distil, again
        ),
        OTHER_BACKGROUNDS: elsewhere,
        "nearest training picture": copied,
    }
    return {
        "model_hash": model.hash,
        "training": dict(training),
        "count": count,
        "num_steps": num_steps,
        "guidance_scale": 7.5,
        "evaluator": {
            k: v for k, v in evaluator.card.get("accuracy", {}).items() if k != "by object"
        },
        **{name: known[name] if name in known else part() for name, part in parts.items()},
    }


def _kept(path: Path, made: Callable[[], dict[str, Any]], again: bool) -> dict[str, Any]:
    if again or not path.is_file():
        write_json(path, made())
    return read_json(path)


def to_distil_from(
    model: StableDiffusion,
    evaluator: Evaluator,
    items: Sequence[Item],
    fits: int,
    *,
    image_size: int,
) -> dict[str, Any]:
    """Return what matters for score distillation from a model: its autoencoder's gradient, and its guidance.

    Args:
        model: frozen.
        evaluator: the judge.
        items: whose samples are followed, at about 700 sample-forwards each.
        fits: see `measure`.
        image_size: of renders.
    """
    prompts, seeds = _asked(items)
    real = renders(scenes_of(items, seed=_REFERENCES), image_size=image_size)
    return {
        "autoencoder": measure_autoencoder(model, image_size=image_size, count=4 * len(items)),
        "true views": fitted(model, evaluator, fits, size=image_size),
        "noise of inversions": inverted_noise(model, prompts, seeds),
        "guidance": guidance_profile(model, model.encode(real), model.embed(prompts)),
        "one update": one_update(model, real, prompts),
    }


def fitted(
    model: StableDiffusion, evaluator: Evaluator, count: int, **settings: Any
) -> dict[str, dict[str, float]]:
    """Return how well objects turn out that are fitted to true views through the autoencoder, by their words.

    Args:
        model: whose autoencoder is used.
        evaluator: the judge.
        count: number of objects; each takes the next colour.
        **settings: of the fits, see `fit_true_views`.
    """
    found = {}
    for name, colour, _ in zip(OBJECT_NAMES, cycle(COLOURS), range(count), strict=False):
        words = prompt(name, colour)
        fit = fit_true_views(model, words, num_views=16, **settings)
        seen, true = evaluator.features(fit.images), evaluator.features(fit.pictures)
        right = evaluator.accuracy(fit.images, [words] * len(fit.images))["colour"]
        found[words] = {
            "views of the right colour": float(right.mean()),
            "kernel distance": metrics.kernel_distance(seen, true),
            "colour off by": fit.colour_error,
            "dB": fit.psnr,
            "IoU": fit.iou,
        }
    return found


def _asked(items: Sequence[Item]) -> tuple[list[str], list[int]]:
    return [item.prompt for item in items], [item.seed for item in items]


def _saturation(images: Images) -> float:
    return float(metrics.saturation(images).mean())


def balanced_items(count: int, *, held_out: bool = False) -> list[Item]:
    """Return prompts in which every object occurs equally often, with colours, patterns and views in shuffled order.

    A longer list begins with the shorter ones. An object without such a combination is left out.

    Args:
        count: number of prompts, with seeds from 0 on.
        held_out: use the combinations kept out of training, instead of the others.

    Raises:
        ValueError: `count` below 1.
    """
    positive_int("count", count)
    random = np.random.default_rng([0, int(held_out)])
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
    return [Item(name, colour, pattern, view, i) for i, (name, colour, pattern, view) in drawn]


def scenes_of(items: Sequence[Item], *, seed: int) -> list[WorldScene]:
    """Return a scene per item: its looks, and a camera drawn at random within its view.

    Args:
        items: what is shown.
        seed: of the cameras; no data set has it.
    """
    return [
        scene_of_view(item.name, item.colour, item.pattern, item.view, seed=seed, index=i)
        for i, item in enumerate(items)
    ]


def renders(scenes: Sequence[WorldScene], *, image_size: int) -> Images:
    """Return pictures of scenes, in [0, 1].

    Args:
        scenes: to be drawn.
        image_size: height and width.
    """
    return pictures(scenes, image_size)[0]


def share(right: Iterable[float]) -> dict[str, float | int]:
    """Return the share of ones, its Wilson 95 % interval and n; items that are nan are left out.

    Args:
        right: 1, 0 or nan per item.

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
    """Return the share of images that show what their prompts ask for, by attribute, and for `JUDGED` together.

    Args:
        evaluator: the judge.
        images: in [0, 1].
        prompts: one per image.
    """
    right = evaluator.accuracy(images, prompts)
    looks = right["object"] * right["colour"] * right["pattern"]
    return {name: share(values.tolist()) for name, values in {**right, JUDGED: looks}.items()}


def likeness(
    evaluator: Evaluator, sets: Mapping[str, Images], references: Images
) -> dict[str, dict[str, float]]:
    """Return, for each set of images, how far it is from renders and how it looks.

    Args:
        evaluator: whose features are compared.
        sets: images by name.
        references: unseen renders.

    Returns:
        By set: Fréchet and kernel distance to the references, mean saturation and mean fine detail.
    """
    real = evaluator.features(references)
    return {
        name: {
            "Fréchet distance": metrics.frechet_distance(features, real, at_least=2),
            "kernel distance": metrics.kernel_distance(features, real),
            "saturation": _saturation(images),
            "fine detail": float(metrics.high_frequency_energy(images).mean()),
        }
        for name, images in sets.items()
        for features in [evaluator.features(images)]
    }


def diversity(images: Images, num_seeds: int) -> float:
    """Return how far a prompt's images differ: the distance of two of them, mean over all pairs and prompts.

    The root mean square of pixels after averaging over 4 × 4 of them: shape and colour count, grain does not.

    Args:
        images: in [0, 1], prompt by prompt.
        num_seeds: number of images per prompt, 2 or more.
    """
    small = functional.avg_pool2d(images, CELL).flatten(1)
    each = [metrics.diversity(of) for of in small.split(num_seeds)]
    return sum(each) / len(each) / small.shape[1] ** 0.5


def autoencoder_psnr(images: Images, after: Images) -> dict[str, float | int]:
    """Return mean and least PSNR of reconstructions, in dB.

    Args:
        images: before.
        after: from `reconstructed`.
    """
    each = metrics.psnr(after, images)
    return {"mean": float(each.mean()), "least": float(each.min()), "n": len(each)}


def training_features(
    evaluator: Evaluator, *, count: int, seed: int, image_size: int, batch_size: int = 256
) -> Float[Tensor, "count width"]:
    """Return the features of the denoiser's training pictures, which are drawn again.

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
    ours, theirs = (metrics.nearest_distance(some, training) for some in (samples, unseen))
    levels = torch.tensor([0.05, 0.5], dtype=ours.dtype)
    (low, median), (unseen_low, unseen_median) = (
        some.quantile(levels).tolist() for some in (ours, theirs)
    )
    nearer = float((ours < unseen_low).double().mean())
    return {
        "samples, median": median,
        "samples, 5 % nearest": low,
        "unseen renders, median": unseen_median,
        "unseen renders, 5 % nearest": unseen_low,
        "samples nearer than the nearest 5 % of unseen renders": nearer,
        "training pictures": len(training),
    }
