"""The denoiser: a UNet and its text encoder, trained together by v-prediction on fixed latents.

Letters: z is a latent of unit deviation, a the schedule's cumulated alpha at a random timestep,
x_t = sqrt(a) z + sqrt(1 - a) noise, and v = sqrt(a) noise - sqrt(1 - a) z is what the UNet predicts.

Source: v-prediction, Salimans and Ho (2202.00512); the schedule is Stable Diffusion 2.1's.
"""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from sdilib.cameras import VIEWS
from sdilib.checks import in_range, positive_int, reject
from sdilib.lab.train.loop import (
    LoopConfig,
    autocast,
    below_one,
    check_channels,
    initialised,
    keep_settings,
    train_loop,
    training_device,
)
from sdilib.lab.train.tokenizer import text_shape, write_tokenizer
from sdilib.lab.train.vae import latents_of
from sdilib.lab.world.captions import WORDS
from sdilib.lab.world.dataset import WorldData
from sdilib.seeds import generator
from sdilib.stable_diffusion.folders import check_folder
from sdilib.stable_diffusion.loading import StableDiffusionPipeline, load_pipeline
from sdilib.stable_diffusion.names import model_folder
from sdilib.storage import (
    hash_files,
    hash_json,
    load_tensors,
    read_json,
    save_tensors,
    write_json,
)

_TEXT_HEADS = 4

QUALITY = "quality.json"
"""What was measured of a model, and how it was trained; beside its card, which writes it."""

STARTED = "started.json"
"""What is known of the training of the model that this one's began from; beside the checkpoint."""


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """How the denoiser is built and trained.

    Args:
        channels: of its levels; the first has no attention, and each but the first halves the size.
        groups: of the normalisations; divides every number of channels.
        heads: of every attention.
        text_width: of the text encoder's states.
        text_layers: of the text encoder.
        batch: latents a step.
        dropped: share of captions replaced by the empty one, for classifier-free guidance.
        mismatched: share of captions that belong to another picture, as many of the web's do. With captions that are
            always right the conditional prediction is so far from the unconditional one that the gamma usual with
            Stable Diffusion overshoots: orange becomes red, purple blue.
        same_view: share of these that belong to a picture of the same view: on the web, too, what is said of the view
            is wrong less often than what is said of the object.
        seed: of weights, batches, timesteps and noise.
        start: model whose UNet and text encoder are trained on, as `StableDiffusion.from_pretrained` names it; its
            autoencoder has to be the one that made the latents. "" begins with random weights.
        start_share: how much of the start's weights is in those that are exported, in [0, 1) (WiSE-FT, 2109.01903,
            section 4): what was right before stays so.
        loop: steps, learning rate and so on.

    Raises:
        ValueError: a number outside its range.
    """

    channels: tuple[int, ...] = (64, 128, 192)
    groups: int = 32
    heads: int = 4
    text_width: int = 64
    text_layers: int = 2
    batch: int = 64
    dropped: float = 0.1
    mismatched: float = 0.45
    same_view: float = 0.8
    seed: int = 0
    start: str = ""
    start_share: float = 0.3
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=10_000, learning_rate=1e-3, warmup=200)
    )

    def __post_init__(self) -> None:
        """Refuse what no training can use."""
        check_channels(self.channels, self.groups)
        for name in ("heads", "text_width", "text_layers", "batch"):
            positive_int(name, getattr(self, name))
        if self.text_width % _TEXT_HEADS:
            reject("text_width", self.text_width, f"a multiple of {_TEXT_HEADS}")
        for name in ("dropped", "mismatched", "same_view"):
            in_range(name, getattr(self, name), 0, 1)
        below_one("start_share", self.start_share, "nothing is trained")


def make_scheduler() -> DDIMScheduler:
    """Return the noise schedule: Stable Diffusion 2.1's, v-prediction."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def make_networks(
    config: UNetConfig, tokenizer: CLIPTokenizer, *, latent_size: int = 16
) -> nn.ModuleDict:
    """Return the untrained "unet" and "text_encoder"; their weights depend on the seed alone."""
    deeper = len(config.channels) - 1
    width, layers = config.text_width, config.text_layers
    text = text_shape(tokenizer, width, layers=layers, heads=_TEXT_HEADS, projection=width)
    with initialised(config.seed):
        unet = UNet2DConditionModel(
            sample_size=latent_size,
            block_out_channels=config.channels,
            layers_per_block=1,
            down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * deeper),
            up_block_types=(*("CrossAttnUpBlock2D",) * deeper, "UpBlock2D"),
            cross_attention_dim=width,
            attention_head_dim=config.heads,
            norm_num_groups=config.groups,
        )
        return nn.ModuleDict({"unet": unet, "text_encoder": CLIPTextModel(CLIPTextConfig(**text))})


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Int[Tensor, "batch tokens"]:
    """Return token numbers, padded as `StableDiffusionPipeline` pads."""
    padded = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
    return padded.input_ids


def v_loss(
    networks: nn.ModuleDict,
    z: Float[Tensor, "batch 4 height width"],
    tokens: Int[Tensor, "batch tokens"],
    random: torch.Generator,
    *,
    alphas_cumprod: Float[Tensor, " timesteps"],
) -> Float[Tensor, ""]:
    """Mean squared error of the predicted v at random timesteps.

    Args:
        networks: "unet" and "text_encoder".
        z: clean latents of unit deviation.
        tokens: of their captions.
        random: draws timesteps and noise.
        alphas_cumprod: the schedule's.
    """
    timesteps = torch.randint(len(alphas_cumprod), (len(z),), generator=random)
    noise = torch.randn(z.shape, generator=random)
    a = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    device = next(networks.parameters(), z).device
    x_t = (a.sqrt() * z + (1 - a).sqrt() * noise).to(device)
    v = (a.sqrt() * noise - (1 - a).sqrt() * z).to(device)
    timesteps = timesteps.to(device)
    with autocast(device):
        states = networks["text_encoder"](tokens.to(device)).last_hidden_state
        predicted = networks["unet"](x_t, timesteps, encoder_hidden_states=states).sample
    return functional.mse_loss(predicted.float(), v)


def train_unet(
    config: UNetConfig,
    data: WorldData,
    *,
    vae: str | Path,
    out: str | Path,
    pipeline: str | Path,
    stop_after: int | None = None,
) -> nn.ModuleDict:
    """Train the denoiser, or go on where a checkpoint in `out` stops.

    Args:
        config: architecture and training.
        data: pictures and captions.
        vae: folder of the trained autoencoder.
        out: folder for latents, checkpoint and log, and `STARTED`.
        pipeline: folder that becomes a `StableDiffusionPipeline`, again and again while training.
        stop_after: leave after this step.

    Raises:
        ValueError: no trained autoencoder in `vae`, a checkpoint of other settings in `out`, or a start that
            `start_folder` refuses.
    """
    check_autoencoder(vae)
    out = Path(out)
    keep_settings(out, config)
    autoencoder = AutoencoderKL.from_pretrained(str(vae), use_safetensors=True)
    autoencoder.eval().requires_grad_(False)
    # The library keeps the folder a part was read from, and would write it into every export.
    autoencoder.register_to_config(_name_or_path="")
    tokenizer = write_tokenizer(out / "tokenizer", WORDS)
    latents = _cached_latents(out, Path(vae), autoencoder, data)
    tokens, empty = tokenize(tokenizer, list(data.captions)), tokenize(tokenizer, [""])[0]
    device = training_device(config.loop.device)
    networks = make_networks(config, tokenizer, latent_size=latents.shape[-1]).to(device)
    started = _begin_from(config.start, networks, out / STARTED) if config.start else None
    if device.type == "cpu":
        # torch's fused attention on a CPU takes a third of the step for its backward pass over these few tokens.
        cast(UNet2DConditionModel, networks["unet"]).set_attn_processor(AttnProcessor())
    alphas_cumprod = make_scheduler().alphas_cumprod
    by_view = rows_by_view(data.labels)

    def loss(step: int) -> dict[str, Tensor]:
        random = generator(config.seed, step, "unet")
        rows, spoken_of = paired_rows(config, by_view, random)
        dropped = torch.rand(config.batch, generator=random)
        said = torch.where((dropped < config.dropped)[:, None], empty, tokens[spoken_of])
        error = v_loss(networks, latents[rows], said, random, alphas_cumprod=alphas_cumprod)
        return {"loss": error}

    def export(averaged: nn.ModuleDict) -> None:
        if started is not None:
            averaged = blended(averaged, started, share=config.start_share)
        save_pipeline(pipeline, averaged, autoencoder, tokenizer, data.images.shape[1])

    return train_loop(networks, loss, config.loop, out=out, export=export, stop_after=stop_after)


def rows_by_view(labels: Int[np.ndarray, "count 4"]) -> tuple[Int[Tensor, " _"], ...]:
    """Return the numbers of the pictures of each view, views without any left out.

    Args:
        labels: of the data set, the view last.
    """
    views = torch.from_numpy(labels[:, -1])
    return tuple((views == view).nonzero().flatten() for view in views.unique())


def paired_rows(
    config: UNetConfig, by_view: Sequence[Int[Tensor, " _"]], random: torch.Generator
) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
    """Draw the pictures of a batch, as many of each view, and for each the picture whose caption is said.

    Args:
        config: its batch and shares.
        by_view: from `rows_by_view`.
        random: draws.
    """
    views = torch.randint(len(by_view), (2, config.batch), generator=random)
    places = torch.rand(2, config.batch, generator=random, dtype=torch.float64)
    mismatched, same_view = torch.rand(2, config.batch, generator=random)
    views[1] = torch.where(same_view < config.same_view, views[0], views[1])
    sizes = torch.tensor([len(rows) for rows in by_view])
    starts = sizes.cumsum(0) - sizes
    rows, others = torch.cat(list(by_view))[starts[views] + (places * sizes[views]).long()]
    return rows, torch.where(mismatched < config.mismatched, others, rows)


def save_pipeline(
    folder: str | Path,
    networks: nn.ModuleDict,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    image_size: int = 64,
) -> None:
    """Write a folder that `StableDiffusionPipeline.from_pretrained` loads, in half precision.

    Args:
        folder: replaced as a whole, once the new one is complete.
        networks: "unet" and "text_encoder".
        vae: the autoencoder.
        tokenizer: the text encoder's.
        image_size: written into `world.json`, with the words and views.
    """
    folder = Path(folder)
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    parts: dict[str, Any] = {
        "vae": copy.deepcopy(vae).half(),
        # Transformers loads what it finds, diffusers float32: halved, the two would not fit.
        "text_encoder": copy.deepcopy(networks["text_encoder"]).cpu(),
        "tokenizer": tokenizer,
        "unet": copy.deepcopy(networks["unet"]).half().cpu(),
        "scheduler": make_scheduler(),
        "safety_checker": None,
        "feature_extractor": None,
    }
    whole = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    whole.save_pretrained(fresh)
    # The library writes its own one-file format only; the stock pair is kept beside it.
    write_tokenizer(fresh / "tokenizer", WORDS)
    words = [word for word in WORDS if word.isalpha()]
    views = [f"{view} view" for view in VIEWS]
    write_json(fresh / "world.json", {"words": words, "views": views, "image_size": image_size})
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def blended(networks: nn.ModuleDict, others: nn.ModuleDict, *, share: float) -> nn.ModuleDict:
    """Return networks whose weights lie between those of two others of the same shape.

    Args:
        networks: on any device.
        others: where `share` of the way leads to.
        share: in [0, 1].

    Source: WiSE-FT, 2109.01903, section 4.
    """
    mixed = copy.deepcopy(networks).cpu()
    with torch.no_grad():
        for mine, theirs in zip(mixed.parameters(), others.parameters(), strict=True):
            mine.lerp_(theirs, share)
    return mixed


def check_autoencoder(folder: str | Path) -> None:
    """Refuse a folder without a trained autoencoder.

    Args:
        folder: in diffusers' format, as `train_vae` writes it.

    Raises:
        ValueError: no settings or no weights there.
    """
    if not (Path(folder) / "config.json").is_file() or not any(Path(folder).glob("*.safetensors")):
        reject("vae", str(folder), "the folder of a trained autoencoder: train that first")


def start_folder(model: str) -> Path:
    """Return the folder of a model that can be trained on.

    Args:
        model: "mini", or a folder with a card's `quality.json`, which says how its model was trained.

    Raises:
        ValueError: no such folder, or a part of it is missing.
    """
    folder = model_folder(model)
    if folder is None or not (folder / QUALITY).is_file():
        reject("start", model, f"mini, or the folder of a model with a card's {QUALITY}")
    check_folder(model, folder)
    return folder


def _begin_from(model: str, networks: nn.ModuleDict, record: Path) -> nn.ModuleDict:
    """Take a model's weights, and keep what is said of its training: what is made from it may take its place."""
    quality = start_folder(model) / QUALITY
    pipeline = load_pipeline(model)
    started = nn.ModuleDict({name: getattr(pipeline, name) for name in networks})
    networks.load_state_dict(started.state_dict())
    if not record.exists():
        write_json(record, read_json(quality)["training"])
    return started


def _cached_latents(out: Path, vae: Path, autoencoder: AutoencoderKL, data: WorldData) -> Tensor:
    """All latents of the data, computed once and kept in a file that is named by what they are of."""
    path = out / f"latents-{hash_json([hash_files(vae), list(data.captions)])}.safetensors"
    if not path.exists():
        save_tensors(path, {"latents": latents_of(autoencoder, data, len(data.images))})
    return load_tensors(path)["latents"]
