"""The evaluator: a small CLIP of the world's renders and captions, with linear read-outs of what is seen.

It is trained only on renders, of another seed than the denoiser's and with all combinations. They are degraded (moved,
resized, bent, blurred, partly covered, noisy, brighter or darker), so that an image need not be perfect to be recognised:
samples are a little soft and a little off in shape.
"""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from sdilib.checks import positive_int, reject
from sdilib.lab.evaluator import ATTRIBUTES, CARD, LOOKS, READOUTS, Evaluator
from sdilib.lab.train.loop import (
    LoopConfig,
    autocast,
    initialised,
    keep_settings,
    train_loop,
    training_device,
)
from sdilib.lab.train.tokenizer import text_shape, write_tokenizer
from sdilib.lab.train.unet import tokenize
from sdilib.lab.train.vae import pictures, softened
from sdilib.lab.world.captions import WORDS
from sdilib.lab.world.dataset import make_dataset, random_scene, scene_labels
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import WorldScene
from sdilib.lab.world.views import MARGIN_DEGREES, has_front, view_margin
from sdilib.seeds import generator
from sdilib.storage import save_tensors, write_json

_CHUNK = 256
HELD_OUT_EVERY = 12  # one scene in twelve: the share of held-out combinations among all
TEST_SEED = 2
_TAKEN = (0, TEST_SEED, 101, 102, 103, 104)
"""Seeds of the scenes that the denoiser is trained on, the evaluator is tested on, and a model's card is measured on."""


@dataclass(frozen=True, slots=True)
class EvaluatorConfig:
    """How the evaluator is built and trained.

    Args:
        width: of the image tower; the text tower has half of it.
        layers: of the image tower; the text tower has two.
        heads: of every attention.
        patch: height and width of a patch, in pixels.
        embedding: width of the common embedding of images and texts.
        batch: pictures a step.
        count: number of training renders.
        test_count: number of unseen renders that the accuracy is measured on.
        data_seed: of the training renders; none of `_TAKEN`, on which it is tested or others are trained.
        seed: of weights, batches and dirt.
        loop: steps, learning rate and so on.

    Raises:
        ValueError: a number below 1, or heads that do not divide the widths.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    patch: int = 8
    embedding: int = 64
    batch: int = 64
    count: int = 40_000
    test_count: int = 4000
    data_seed: int = 1
    seed: int = 0
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=5000, learning_rate=1e-3, warmup=300, weight_decay=0.05, average=0.998
        )
    )

    def __post_init__(self) -> None:
        """Refuse what no training can use."""
        for name in ("layers", "heads", "patch", "embedding", "batch", "count", "test_count"):
            positive_int(name, getattr(self, name))
        if self.data_seed in _TAKEN:
            reject("data_seed", self.data_seed, f"none of {', '.join(map(str, _TAKEN))}")
        if self.width < 1 or self.width % (2 * self.heads):
            reject("width", self.width, f"a multiple of twice heads={self.heads}")


def evaluator_scene(seed: int, index: int) -> tuple[WorldScene, str]:
    """Draw scene number `index` and its caption, from all combinations, including held-out ones.

    Args:
        seed: of the scenes, at least 0.
        index: of the scene, at least 0.
    """
    return random_scene(seed, index, held_out=index % HELD_OUT_EVERY == 0)


def make_evaluator(
    config: EvaluatorConfig, tokenizer: CLIPTokenizer, *, image_size: int = 64
) -> nn.ModuleDict:
    """Return the untrained "clip" and "readouts"; their weights depend on the seed alone."""
    heads, projection = config.heads, config.embedding
    text = text_shape(tokenizer, config.width // 2, layers=2, heads=heads, projection=projection)
    vision = {
        "hidden_size": config.width,
        "intermediate_size": 4 * config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": heads,
        "image_size": image_size,
        "patch_size": config.patch,
        "projection_dim": projection,
    }
    shape: Any = {"text_config": text, "vision_config": vision, "projection_dim": projection}
    with initialised(config.seed):
        readouts = {name: nn.Linear(config.width, len(words)) for name, words in ATTRIBUTES.items()}
        clip = CLIPModel(CLIPConfig(**shape))
        return nn.ModuleDict({"clip": clip, "readouts": nn.ModuleDict(readouts)})


def dirtied(
    x: Float[Tensor, "batch 3 height width"], random: torch.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """Return pictures moved, resized and bent, some blurred or with a patch covered, darker or brighter, and noisy.

    Args:
        x: in [-1, 1].
        random: draws what is done to each.

    Source: elastic distortions, Simard et al. (2003), section 2; covered patches, random erasing (1708.04896).
    """
    batch, _, height, width = x.shape
    grid = _bent_grid(batch, height, width, random)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    amounts = torch.rand(4, batch, 1, 1, 1, generator=random)
    # Half of them are blurred a little, and each has its own level of noise.
    x = x.lerp(softened(x), (2.0 * amounts[0] - 1.0).clamp_min(0.0))
    x = torch.where(
        _patch(batch, height, width, random),
        torch.rand(batch, 3, 1, 1, generator=random) * 2 - 1,
        x,
    )
    x = x * (0.9 + 0.2 * amounts[1]) + 0.2 * (amounts[2] - 0.5)
    return x + 0.12 * amounts[3] * torch.randn(x.shape, generator=random)


def _bent_grid(
    batch: int, height: int, width: int, random: torch.Generator
) -> Float[Tensor, "batch height width 2"]:
    """Where to sample: moved by up to a tenth of the half, resized by up to 15 %, bent by about a pixel and a half."""
    move = 0.2 * torch.rand(batch, 1, 1, 2, generator=random) - 0.1
    size = 0.85 + 0.3 * torch.rand(batch, 1, 1, 1, generator=random)
    bends = 0.05 * torch.randn(batch, 2, 5, 5, generator=random)
    bend = functional.interpolate(bends, (height, width), mode="bicubic", align_corners=True)
    theta = torch.eye(2, 3).expand(batch, 2, 3)
    plain = functional.affine_grid(theta, [batch, 3, height, width], align_corners=False)
    return plain * size + move + bend.movedim(1, -1)


def _patch(
    batch: int, height: int, width: int, random: torch.Generator
) -> Bool[Tensor, "batch 1 height width"]:
    """A square of up to a fifth of the side, in half of the pictures."""
    extent = torch.tensor([height, width])
    centre = torch.rand(batch, 2, generator=random) * extent
    side = 0.2 * extent * (2 * torch.rand(batch, 1, generator=random) - 1).clamp_min(0)
    down, right = (
        (torch.arange(n) - centre[:, axis, None]).abs() < side[:, axis, None] / 2
        for axis, n in enumerate((height, width))
    )
    return (down[:, :, None] & right[:, None])[:, None]


def evaluator_loss(
    networks: nn.ModuleDict,
    x: Float[Tensor, "batch 3 height width"],
    tokens: Int[Tensor, "batch tokens"],
    labels: Int[Tensor, "batch 4"],
) -> dict[str, Tensor]:
    """Contrast images with captions, and read out what is seen.

    Args:
        networks: "clip" and "readouts".
        x: pictures in [-1, 1].
        tokens: of their captions.
        labels: the numbers of the words, in the order of `ATTRIBUTES`.

    Source: the symmetric loss of CLIP (2103.00020), figure 3; equal captions share the target.
    """
    clip = cast(CLIPModel, networks["clip"])
    with autocast(x.device):
        pooled = clip.vision_model(pixel_values=x).pooler_output
        said = clip.text_projection(clip.text_model(input_ids=tokens).pooler_output)
        seen = clip.visual_projection(pooled)
    seen = functional.normalize(seen.float(), dim=1)
    logits = clip.logit_scale.exp() * seen @ functional.normalize(said.float(), dim=1).T
    same = (tokens[:, None] == tokens[None]).all(2).float()
    same = same / same.sum(1, keepdim=True)
    contrast = functional.cross_entropy(logits, same) + functional.cross_entropy(logits.T, same)
    numbers = {"contrast": 0.5 * contrast}
    for column, (name, layer) in enumerate(cast(nn.ModuleDict, networks["readouts"]).items()):
        numbers[name] = functional.cross_entropy(layer(pooled.float()), labels[:, column])
    total = torch.stack(list(numbers.values())).sum()
    return {"loss": total, **{name: value.detach() for name, value in numbers.items()}}


def train_evaluator(
    config: EvaluatorConfig, *, out: str | Path, image_size: int = 64
) -> nn.ModuleDict:
    """Train the evaluator, from a checkpoint if there is one, save it in `out/evaluator` and measure it.

    Args:
        config: architecture, data and training.
        out: folder for the renders, the checkpoint, the log and the result.
        image_size: height and width of the renders.
    """
    out = Path(out)
    keep_settings(out, config)
    drawn = {"count": config.count, "seed": config.data_seed, "image_size": image_size}
    data = make_dataset(out / "renders", **drawn, held_out_every=HELD_OUT_EVERY)
    tokenizer = write_tokenizer(out / "tokenizer", WORDS)
    tokens, labels = tokenize(tokenizer, list(data.captions)), torch.from_numpy(data.labels)
    device = training_device(config.loop.device)
    networks = make_evaluator(config, tokenizer, image_size=image_size).to(device)
    if device.type == "cpu":
        # torch's fused attention on a CPU takes two fifths of the step for its backward pass over these few tokens.
        cast(CLIPModel, networks["clip"]).set_attn_implementation("eager")

    def loss(step: int) -> dict[str, Tensor]:
        random = generator(config.seed, step, "evaluator")
        rows = torch.randint(len(labels), (config.batch,), generator=random)
        x = dirtied(pictures(data, rows.numpy()), random)
        return evaluator_loss(
            networks, x.to(device), tokens[rows].to(device), labels[rows].to(device)
        )

    def export(averaged: nn.ModuleDict) -> None:
        save_evaluator(out / "evaluator", averaged, config, image_size)

    averaged = train_loop(networks, loss, config.loop, out=out, export=export)
    made = Evaluator.from_pretrained(str(out / "evaluator"))
    accuracy = evaluator_accuracy(made, count=config.test_count, image_size=image_size)
    write_json(out / "evaluator" / CARD, {**made.card, "accuracy": accuracy})
    return averaged


def save_evaluator(
    folder: str | Path, networks: nn.ModuleDict, config: EvaluatorConfig, image_size: int = 64
) -> None:
    """Write what `Evaluator.from_pretrained` loads, in half precision; its accuracy is not measured.

    Args:
        folder: where.
        networks: "clip" and "readouts".
        config: of their training.
        image_size: height and width of the renders.
    """
    folder = Path(folder)
    copy.deepcopy(cast(CLIPModel, networks["clip"])).cpu().half().save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    # What transformers' CLIPProcessor does to an image before the network sees it.
    seen = {"size": {"height": image_size, "width": image_size}, "do_center_crop": False}
    seen |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    kind = {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "do_normalize": True}
    write_json(folder / "preprocessor_config.json", kind | seen)
    readouts = networks["readouts"].state_dict()
    save_tensors(folder / READOUTS, {name: value.half() for name, value in readouts.items()})
    training = {"renders": config.count, "seed": config.data_seed}
    training |= {"steps": config.loop.steps, "batch": config.batch}
    write_json(folder / CARD, {"words": ATTRIBUTES, "looks": LOOKS, "training": training})


def evaluator_accuracy(
    evaluator: Evaluator, *, count: int, seed: int = TEST_SEED, image_size: int = 64
) -> dict[str, Any]:
    """Return the share of unseen renders of which each attribute is read correctly.

    Args:
        evaluator: to be measured.
        count: number of renders.
        seed: of the scenes; not one used in training.
        image_size: height and width of the renders.

    Returns:
        By attribute; "view" counts only objects with a front, away from the borders between views, and "view, everywhere"
        counts all; "by object" has the same for each object; and "count" and "seed".
    """
    scenes = [evaluator_scene(seed, i)[0] for i in range(count)]
    found = []
    for start in range(0, count, _CHUNK):
        some = scenes[start : start + _CHUNK]
        rendered, _, _ = render_batch(some, height=image_size, width=image_size)
        seen = evaluator.attributes(torch.from_numpy(rendered).permute(0, 3, 1, 2))
        found.append(torch.stack([seen.numbers(name) for name in ATTRIBUTES], 1).numpy())
    right = np.concatenate(found) == [scene_labels(scene) for scene in scenes]
    names = np.array([scene.name for scene in scenes])
    # The view, the last of the attributes, counts only where it can be told.
    counts = np.ones_like(right)
    counts[:, -1] = [has_front(s.name) and view_margin(s.camera) >= MARGIN_DEGREES for s in scenes]

    def shares(rows: np.ndarray) -> dict[str, float]:
        columns = zip(ATTRIBUTES, right[rows].T, counts[rows].T, strict=True)
        return {name: round(float(of[kept].mean()), 4) for name, of, kept in columns if kept.any()}

    return {
        "count": count,
        "seed": seed,
        **shares(np.ones(count, bool)),
        "view, everywhere": round(float(right[:, -1].mean()), 4),
        "by object": {name: shares(names == name) for name in dict.fromkeys(names.tolist())},
    }
