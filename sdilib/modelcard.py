"""The model card: what a model of the world was made of, how good it measured, and what it cannot do.

The measurement is `quality.json` in the model's folder; the card, `README.md`, is written from it. Samples are kept in a
build folder, so that a measurement that was stopped goes on where it was.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.checks import positive_int, reject
from sdilib.evaluator import ATTRIBUTES, Evaluator, evaluator_hash
from sdilib.generate import ddim_images
from sdilib.metrics import saturation
from sdilib.pretrained import PARTS, model_folder
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import (
    atomic_write,
    hash_json,
    load_tensors,
    read_json,
    save_tensors,
    write_json,
)
from sdilib.studies import quality
from sdilib.studies.quality import JUDGED, Item
from sdilib.train.unet import STARTED

__all__ = [
    "BARS",
    "GUIDANCE_SCALE",
    "QualityTable",
    "card",
    "measure",
    "quality_table",
    "training_cost",
    "write_model_card",
]

BARS = {"object": 0.95, "colour": 0.95, "pattern": 0.85, "view": 0.80}
"""Shares that a bundled model is meant to reach on combinations seen in training."""

GUIDANCE_SCALE = 7.5
SWEEP = (1.0, 3.0, 7.5, 15.0, 30.0, 100.0)
QUALITY = "quality.json"

_BATCH = 50
_HELD_OUT_SHARE = 0.25
_SWEEP_SHARE = 0.1
_REFERENCES, _OTHERS = 101, 102  # seeds of the renders that samples are compared with


def write_model_card(
    model: str = "mini",
    *,
    out: str | Path = "",
    evaluator: str = "evaluator",
    training: str | Path = "",
    count: int = 1000,
    build: str | Path = "build/model-card",
) -> Path:
    """Measure a model and write `quality.json` and `README.md`.

    Args:
        model: "mini" (bundled), or a folder that `sdilib train unet` wrote.
        out: folder they go to; "" is the model's own.
        evaluator: see `Evaluator.from_pretrained`.
        training: folder that the model was trained in; "" takes what an earlier `quality.json` says of it.
        count: number of samples, 8 or more.
        build: folder in which samples are kept.

    Returns:
        Path of the card.

    Raises:
        ValueError: no such model or evaluator, a model of other words than the world's, or too few samples.
    """
    positive_int("count", count, at_least=8)
    folder = model_folder(model)
    if folder is None or not (folder / "world.json").is_file():
        reject("model", model, "mini, or a folder that was trained on the world (world.json)")
    out = Path(out or folder)
    if str(training):
        trained = training_cost(training)
    else:
        before = folder / QUALITY
        trained = read_json(before)["training"] if before.is_file() else {}
    measured = measure(
        StableDiffusion.from_pretrained(model),
        Evaluator.from_pretrained(evaluator),
        count=count,
        training=trained,
        image_size=read_json(folder / "world.json")["image_size"],
        build=build,
    )
    measured["evaluator"] |= {"name": evaluator, "hash": evaluator_hash(evaluator)}
    write_json(out / QUALITY, measured)
    return atomic_write(out / "README.md", card(folder, measured))


def training_cost(folder: str | Path) -> dict[str, Any]:
    """Return what a training folder says of data and training.

    Args:
        folder: with `data`, `vae` and `unet` as `sdilib train` leaves them.

    Raises:
        FileNotFoundError: one of them is not there.
    """
    folder = Path(folder)
    info = read_json(folder / "data" / "info.json")
    cost: dict[str, Any] = {"pictures": info["count"], "seed": info["seed"]}
    started = folder / "unet" / STARTED
    before = read_json(started) if started.is_file() else {}
    for part in ("vae", "unet"):
        if before and part == "vae":  # the autoencoder comes with the model that was trained on
            cost[part] = before[part]
            continue
        config = read_json(folder / part / "config.json")
        lines = (folder / part / "log.jsonl").read_text(encoding="utf-8").splitlines()
        logged = [json.loads(line) for line in lines]
        last = [row["loss"] for row in logged[-10:]]
        steps = max(row["step"] for row in logged)
        cost[part] = {
            "steps": steps,
            "batch": config["batch"],
            "samples": steps * config["batch"],
            "learning_rate": config["loop"]["learning_rate"],
            "average": config["loop"]["average"],
            "loss": sum(last) / len(last),
        }
        if "mismatched" in config:
            cost[part]["mismatched"] = config["mismatched"]
    if before:
        cost["unet"] |= {"before": before["unet"], "start_share": config["start_share"]}
    return cost


def measure(
    model: StableDiffusion,
    evaluator: Evaluator,
    *,
    count: int,
    training: Mapping[str, Any],
    image_size: int,
    num_steps: int = 50,
    build: str | Path = "build/model-card",
) -> dict[str, Any]:
    """Measure a model of the world: 2 * 50 sample-forwards a sample at gamma = 7.5, 50 at gamma = 1, a few for the sweep.

    Args:
        model: frozen.
        evaluator: judges.
        count: number of samples; a quarter of them of held-out combinations.
        training: from `training_cost`; without it nothing is compared with training pictures.
        image_size: of the renders.
        num_steps: of DDIM.
        build: folder in which samples are kept.

    Returns:
        What `quality.json` holds.
    """
    held_out = quality.balanced_items(max(1, round(_HELD_OUT_SHARE * count)), held_out=True)
    seen = quality.balanced_items(count - len(held_out))
    few = seen[: max(2, round(_SWEEP_SHARE * count))]
    references, others = (
        quality.renders(quality.scenes_of([*seen, *held_out], seed=seed), image_size=image_size)
        for seed in (_REFERENCES, _OTHERS)
    )
    folder = Path(build) / model.hash

    def sampled(of: Sequence[Item], scale: float) -> Float[Tensor, "batch 3 height width"]:
        return _sampled(model, of, guidance_scale=scale, num_steps=num_steps, folder=folder)

    guided, free = (
        torch.cat([sampled(seen, scale), sampled(held_out, scale)])
        for scale in (GUIDANCE_SCALE, 1.0)
    )
    after = quality.reconstructed(model, others)
    sets = {
        "samples, γ = 7.5": guided,
        "samples, γ = 1": free,
        "other renders": others,
        "other renders after the autoencoder": after,
    }

    def judged(images: Tensor, of: Sequence[Item]) -> dict[str, Any]:
        return quality.accuracies(evaluator, images, [item.prompt for item in of])

    whole = {"samples, γ = 7.5": guided, "samples, γ = 1": free, "renders": references}
    accuracy = {
        name: {
            "seen": judged(images[: len(seen)], seen),
            "held out": judged(images[len(seen) :], held_out),
        }
        for name, images in whole.items()
    }
    by_object = {
        name: judged(guided[rows], [seen[i] for i in rows])
        for name in ATTRIBUTES["object"]
        if (rows := [i for i, item in enumerate(seen) if item.name == name])
    }
    sweep = {
        f"{scale:g}": {
            "saturation": float(saturation(images).mean()),
            **{name: found.get("share") for name, found in judged(images, few).items()},
        }
        for scale in SWEEP
        for images in [sampled(few, scale)]
    }
    copied = {}
    if training:
        many = quality.training_features(
            evaluator, count=training["pictures"], seed=training["seed"], image_size=image_size
        )
        copied = quality.copying(evaluator.features(guided), evaluator.features(references), many)
    return {
        "model_hash": folder.name,
        "training": dict(training),
        "count": count,
        "num_steps": num_steps,
        "guidance_scale": GUIDANCE_SCALE,
        "evaluator": {
            k: v for k, v in evaluator.card.get("accuracy", {}).items() if k != "by object"
        },
        "accuracy": accuracy,
        "by object": by_object,
        "saturation against γ": {
            "n": len(few),
            "renders": float(saturation(references[: len(few)]).mean()),
            "γ": sweep,
        },
        "likeness": quality.likeness(evaluator, sets, references),
        "autoencoder, dB": quality.autoencoder_psnr(others, after),
        "nearest training picture": copied,
    }


def _sampled(
    model: StableDiffusion,
    items: Sequence[Item],
    *,
    guidance_scale: float,
    num_steps: int,
    folder: Path,
) -> Float[Tensor, "batch 3 height width"]:
    """Samples in batches, each kept in a file that is named by what it holds."""
    parts = []
    starts = range(0, len(items), _BATCH)
    for start in tqdm(starts, desc=f"samples at γ = {guidance_scale:g}", leave=False):
        some = items[start : start + _BATCH]
        prompts, seeds = [item.prompt for item in some], [item.seed for item in some]
        name = hash_json([prompts, seeds, guidance_scale, num_steps])
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            made = ddim_images(
                model, prompts, seeds, num_steps=num_steps, guidance_scale=guidance_scale
            )
            save_tensors(path, {"images": made.images})
        parts.append(load_tensors(path)["images"])
    return torch.cat(parts)


_HEAD = """# Model card: {title}

A small text-to-image latent diffusion model of a toy world, trained from nothing. It is in the stock
`diffusers.StableDiffusionPipeline` format, so that the same code runs it and Stable Diffusion:

```python
from diffusers import StableDiffusionPipeline

folder = "{place}"  # where this card lies
pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
image = pipeline("a red spotted mushroom, front view", guidance_scale=7.5).images[0]  # {size} x {size}
```

This page is written by `sdilib model-card` from `quality.json`, which lies beside it."""

_LIMITS = """## Limits

- It is a toy: {objects} objects, each a family of shapes, {size} x {size} pixels, plain backgrounds.
- It knows the words of `world.json` and nothing else. With words in another order than the captions', or none that name an
  object, expect mixtures.
- A view's word turns the object, it does not fix the camera: the angle within the view is the model's choice.
- Weakest, of the combinations seen in training: {weakest}.
- All shares above are a small network's judgement. It was trained on renders alone; what it cannot see is not in the numbers.
"""


def card(folder: str | Path, measured: Mapping[str, Any]) -> str:
    """Return the card's text.

    Args:
        folder: of the model.
        measured: from `measure`.
    """
    folder = Path(folder)
    root, lies = Path(__file__).resolve().parents[1], folder.resolve()
    place = lies.relative_to(root).as_posix() if lies.is_relative_to(root) else folder.name
    bundled = lies.parent == root / "sdilib" / "models"
    title = f'the bundled model, "{folder.name}"' if bundled else f"`{place}`"
    world = read_json(folder / "world.json")
    size, trained = world["image_size"], measured["training"]
    parts = [
        _HEAD.format(title=title, place=place, size=size),
        f"**Words.**\n{_wrapped(', '.join(world['words']))}.\n\nA prompt is an opening (or none), a colour, a pattern, an object, and perhaps a\n"
        'view: "a photo of a blue striped mug, side view". Plain is not said.',
        _parts(folder),
        _training(trained, size),
        _measured(measured),
        _LIMITS.format(
            objects=len(ATTRIBUTES["object"]),
            size=size,
            weakest=_weakest(measured["by object"]),
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 120))


def _parts(folder: Path) -> str:
    """The table of the pipeline's parts, from their configurations and weights."""
    vae, unet, text = (
        read_json(folder / part / "config.json") for part in ("vae", "unet", "text_encoder")
    )
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    weights = {part: next((folder / part).glob("*.safetensors")) for part in PARTS}
    count = {
        part: sum(tensor.numel() for tensor in load_tensors(path).values())
        for part, path in weights.items()
    }
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    image, latent = vae["sample_size"], unet["sample_size"]
    lines = [
        "## Parts",
        "",
        "| part | what | parameters |",
        "|---|---|---|",
        f"| `vae` | `AutoencoderKL` {tuple(vae['block_out_channels'])}, {image} x {image} x 3 to "
        f"{latent} x {latent} x {vae['latent_channels']} | {count['vae'] / 1e6:.2f} million |",
        f"| `unet` | `UNet2DConditionModel` {tuple(unet['block_out_channels'])}, cross-attention "
        f"of width {unet['cross_attention_dim']} | {count['unet'] / 1e6:.2f} million |",
        f"| `text_encoder` | `CLIPTextModel`, width {text['hidden_size']}, "
        f"{text['num_hidden_layers']} layers | {count['text_encoder'] / 1e6:.2f} million |",
        f"| `scheduler` | {scheduler['num_train_timesteps']} steps, "
        f"{scheduler['beta_schedule']}, **{scheduler['prediction_type']}** | |",
        "",
        f"{size / 1e6:.0f} MB in all.",
    ]
    return "\n".join(lines)


def _training(trained: Mapping[str, Any], size: int) -> str:
    if not trained:
        return ""
    vae, unet = trained["vae"], trained["unet"]
    trainings = [unet]
    while "before" in trainings[0]:
        trainings.insert(0, trainings[0]["before"])
    first, *further = (_cost_cells(training) for training in trainings)
    rows = [f"| VAE {_cost_cells(vae)}", f"| UNet and text encoder {first}"]
    rows += [f"| the same, trained on {cells}" for cells in further]
    if any(training.get("mismatched") for training in trainings):
        rows += ["", _MISMATCHED]
    if unet.get("start_share"):
        rows.append(_BLENDED.format(share=unet["start_share"]))
    table = "\n".join(rows)
    return f"""## Data and training

{trained["pictures"]:,} renders ({size} x {size}, grey background, seed {trained["seed"]}) of `sdilib.world`:
{len(ATTRIBUTES["object"])} objects ({", ".join(ATTRIBUTES["object"])}), {len(ATTRIBUTES["colour"])} colours,
{len(ATTRIBUTES["pattern"])} patterns, seen from everywhere above the ground, with captions from a small grammar. Nothing in them
was made by people or taken from the network. The combinations of `sdilib.world.captions.is_held_out` are in no training picture.

`python -m sdilib.train vae`, then `python -m sdilib.train unet`:

| part | steps | batch | pictures seen | learning rate | weights' average | captions of another picture | loss, mean of the log's last ten |
|---|---|---|---|---|---|---|---|
{table}"""


_MISMATCHED = """A share of the captions belongs to another picture, as on the web. With captions that are always
right, the conditional prediction is so far from the unconditional one that γ = 7.5 overshoots: orange was drawn as red, purple as blue."""

_BLENDED = """The weights shipped lie a share of {share:g} of the way back to those it began from (WiSE-FT, 2109.01903)."""


def _cost_cells(of: Mapping[str, Any]) -> str:
    others = f"{of['mismatched']:.0%}" if of.get("mismatched") else ""
    return (
        f"| {of['steps']:,} | {of['batch']} | {of['samples']:,} | {of['learning_rate']:g} "
        f"| {of['average']:g} | {others} | {of['loss']:.4f} |"
    )


def _percent(found: Mapping[str, float]) -> str:
    if not found["n"]:
        return "-"
    return f"{found['share']:.1%} ({found['from']:.1%} to {found['to']:.1%})"


def _measured(measured: Mapping[str, Any]) -> str:
    judge, accuracy = measured["evaluator"], measured["accuracy"]
    name = judge.get("name", "evaluator")
    called = "the bundled evaluator" if name == "evaluator" else f"the evaluator `{name}`"
    shares = [f"{judge[name]:.1%} ({name})" for name in ATTRIBUTES if name in judge]
    lines = [
        "## Measured",
        "",
        f"{measured['count']:,} samples by DDIM in {measured['num_steps']} steps, a prompt and a seed each, every prompt with a view. "
        f"They are judged by {called}, a CLIP that was trained on renders alone"
        + (
            f"; on {judge['count']:,} unseen renders it is right in {', '.join(shares)}."
            if shares
            else "."
        )
        + " In brackets: Wilson's 95 % interval.",
        "",
        f"| what | combinations | n | {' | '.join(ATTRIBUTES)} | {JUDGED} |",
        "|---|---|---|" + "---|" * (len(ATTRIBUTES) + 1),
    ]
    for name, kinds in accuracy.items():
        for combinations, found in kinds.items():
            cells = [_percent(found[attribute]) for attribute in (*ATTRIBUTES, JUDGED)]
            lines.append(
                f"| {name} | {combinations} | {found['object']['n']} | {' | '.join(cells)} |"
            )
    bars = [f"at least {BARS[name]:.0%}" for name in ATTRIBUTES]
    lines.append(f"| *meant to reach, at γ = 7.5* | *seen* | | {' | '.join(bars)} | |")
    reached = accuracy["samples, γ = 7.5"]["seen"]
    missed = [name for name, bar in BARS.items() if reached[name].get("share", 0.0) < bar]
    lines += [
        "",
        f"Short of what was meant: {', '.join(missed)}."
        if missed
        else "All that was meant is reached.",
        "",
        "| images | Fréchet distance | kernel distance | saturation | fine detail |",
        "|---|---|---|---|---|",
    ]
    for name, found in measured["likeness"].items():
        lines.append(f"| {name} | " + " | ".join(f"{value:.3g}" for value in found.values()) + " |")
    decibels, sweep = measured["autoencoder, dB"], measured["saturation against γ"]
    lines += [
        "",
        'Distances are to unseen renders of the same prompts, in the evaluator\'s pooled features; "other renders" are a second set of '
        "those, so their distance is what equal images get. Saturation and fine detail: `sdilib.metrics`.",
        "",
        f"Autoencoder: {decibels['mean']:.1f} dB PSNR on {decibels['n']:,} unseen renders, {decibels['least']:.1f} dB at worst.",
        "",
        f"The guidance scale, {sweep['n']} prompts (renders of them have a saturation of {sweep['renders']:.2f}):",
        "",
        f"| γ | saturation | {' | '.join(ATTRIBUTES)} |",
        "|---|---|" + "---|" * len(ATTRIBUTES),
    ]
    for scale, found in sweep["γ"].items():
        cells = ["-" if found[name] is None else f"{found[name]:.0%}" for name in ATTRIBUTES]
        lines.append(f"| {scale} | {found['saturation']:.2f} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_copied(measured["nearest training picture"])])


def _copied(found: Mapping[str, float]) -> list[str]:
    if not found:
        return []
    nearer = found["samples nearer than the nearest 5 % of unseen renders"]
    return [
        "",
        f"Copies of training pictures: the distance to the nearest of all {found['training pictures']:,}, in the same features, has the median "
        f"{found['samples, median']:.3g} for samples and {found['unseen renders, median']:.3g} for unseen renders of the same prompts. {nearer:.1%} of the "
        "samples are nearer than the nearest 5 % of those renders; a model that copied would have far more than 5 %.",
    ]


def _weakest(by_object: Mapping[str, Any]) -> str:
    """The object with the lowest share of each attribute."""
    found = []
    for attribute in ATTRIBUTES:
        shares = {name: of[attribute] for name, of in by_object.items() if of[attribute]["n"]}
        if shares:
            name = min(shares, key=lambda name: shares[name]["share"])
            right, n = shares[name]["share"], shares[name]["n"]
            found.append(f"{attribute} of the {name} ({right:.0%} of {n})")
    return ", ".join(found)


@dataclass(frozen=True, slots=True)
class QualityTable:
    """What was measured of a model, as a notebook shows it.

    Attributes:
        text: in Markdown.
    """

    text: str

    def _repr_markdown_(self) -> str:
        return self.text


def quality_table(model: str) -> QualityTable:
    """Return what was measured of a model, or how to measure it.

    Args:
        model: as for `StableDiffusion.from_pretrained`.
    """
    folder = model_folder(model)
    if folder is None or not (folder / QUALITY).is_file():
        return QualityTable(f"*{model} is not measured yet: `sdilib model-card`.*")
    return QualityTable(_measured(read_json(folder / QUALITY)))
