"""The denoiser: a UNet and its text encoder, trained together on fixed latents.

Letters: z is a latent of unit deviation, a the schedule's cumulated alpha at a random timestep,
x_t = sqrt(a) z + sqrt(1 - a) noise, and the UNet predicts the noise, or v = sqrt(a) noise - sqrt(1 - a) z;
snr = a / (1 - a).

Source: predicting the noise: Stable Diffusion 2.1-base; v: Salimans and Ho (2202.00512).
"""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from sdilib.cameras import VIEWS
from sdilib.checks import in_range, positive_int, reject
from sdilib.lab.train.loop import (
    LoopConfig,
    autocast,
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
from sdilib.stable_diffusion.loading import StableDiffusionPipeline
from sdilib.storage import hash_files, hash_json, load_tensors, save_tensors, write_json

_TEXT_HEADS = 4

QUALITY = "quality.json"
"""File with a model's measures and its training, beside its card and written with it."""

_LEAST, _MOST = 0.2, 5.0
"""Bounds of the weight of a clean latent's squared error. Between them it is snr, so the noise's error counts equally."""

_Prediction = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """How the denoiser is built and trained.

    Args:
        channels: of its levels; the first has no attention, and each but the first halves the size.
        groups: of the normalisations; divides every number of channels.
        heads: of every attention.
        text_width: of the text encoder's states.
        text_layers: of the text encoder.
        batch: latents per step.
        prediction: what the UNet predicts.
        dropped: share of captions replaced by the empty one, for classifier-free guidance.
        seed: of weights, batches, timesteps and noise.
        loop: steps, learning rate and so on.

    Raises:
        ValueError: a number outside its range.
    """

    channels: tuple[int, ...] = (64, 128, 128)
    groups: int = 32
    heads: int = 4
    text_width: int = 64
    text_layers: int = 2
    batch: int = 32
    prediction: _Prediction = "epsilon"
    dropped: float = 0.15
    seed: int = 0
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=16_000, learning_rate=1e-3, warmup=200)
    )

    def __post_init__(self) -> None:
        """Refuse what no training can use."""
        check_channels(self.channels, self.groups)
        for name in ("heads", "text_width", "text_layers", "batch"):
            positive_int(name, getattr(self, name))
        if self.text_width % _TEXT_HEADS:
            reject("text_width", self.text_width, f"a multiple of {_TEXT_HEADS}")
        in_range("dropped", self.dropped, 0, 1)


def make_scheduler(prediction: _Prediction = "epsilon") -> DDIMScheduler:
    """Return the noise schedule, which all versions of Stable Diffusion share.

    Args:
        prediction: "epsilon" (1.x, 2.1-base) or "v_prediction" (2.1).
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def make_networks(
    config: UNetConfig, tokenizer: CLIPTokenizer, *, latent_shape: Sequence[int] = (8, 16, 16)
) -> nn.ModuleDict:
    """Return the untrained "unet" and "text_encoder"; their weights depend on the seed alone."""
    deeper = len(config.channels) - 1
    width, layers = config.text_width, config.text_layers
    text = text_shape(tokenizer, width, layers=layers, heads=_TEXT_HEADS, projection=width)
    with initialised(config.seed):
        unet = UNet2DConditionModel(
            in_channels=latent_shape[0],
            out_channels=latent_shape[0],
            sample_size=latent_shape[-1],
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


def denoising_loss(
    networks: nn.ModuleDict,
    z: Float[Tensor, "batch channels height width"],
    tokens: Int[Tensor, "batch tokens"],
    random: torch.Generator,
    *,
    alphas_cumprod: Float[Tensor, " timesteps"],
    prediction: _Prediction = "epsilon",
) -> Float[Tensor, ""]:
    """Mean squared error of the prediction at random timesteps, weighted.

    The noise's error counts equally at all timesteps where snr is between 0.2 and 5. Below, it counts more: there the
    prediction's error is enlarged many times in the clean latent, where composition is decided. Above, it counts less.

    Args:
        networks: "unet" and "text_encoder".
        z: clean latents of unit deviation.
        tokens: of their captions.
        random: draws timesteps and noise.
        alphas_cumprod: the schedule's.
        prediction: "epsilon" or "v_prediction".

    Source: the upper bound is that of Min-SNR (2303.09556), section 3.4.
    """
    timesteps = torch.randint(len(alphas_cumprod), (len(z),), generator=random)
    noise = torch.randn(z.shape, generator=random)
    a = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    device = next(networks.parameters(), z).device
    x_t = (a.sqrt() * z + (1 - a).sqrt() * noise).to(device)
    snr = a / (1 - a)
    weight = snr.clamp(_LEAST, _MOST)
    if prediction == "epsilon":
        wanted, weight = noise, weight / snr
    else:
        wanted, weight = a.sqrt() * noise - (1 - a).sqrt() * z, weight / (snr + 1)
    with autocast(device):
        states = networks["text_encoder"](tokens.to(device)).last_hidden_state
        predicted = networks["unet"](x_t, timesteps.to(device), encoder_hidden_states=states).sample
    error = predicted.float() - wanted.to(device)
    return (weight.to(device) * error.square()).mean()


def train_unet(
    config: UNetConfig, data: WorldData, *, vae: str | Path, out: str | Path, pipeline: str | Path
) -> nn.ModuleDict:
    """Train the denoiser, from a checkpoint in `out` if there is one.

    Args:
        config: architecture and training.
        data: pictures and captions.
        vae: folder of the trained autoencoder.
        out: folder for latents, checkpoint and log.
        pipeline: folder to which a `StableDiffusionPipeline` is written, repeatedly during training.

    Raises:
        ValueError: no trained autoencoder in `vae`, or in `out` a checkpoint of other settings, pictures or another
            autoencoder, whose latents are others.
    """
    check_autoencoder(vae)
    out = Path(out)
    keep_settings(out, config, pictures=len(data.captions), vae=hash_files(vae))
    autoencoder = AutoencoderKL.from_pretrained(str(vae), use_safetensors=True)
    autoencoder.eval().requires_grad_(False)
    # The library keeps the folder a part was read from, and would write it into every export.
    autoencoder.register_to_config(_name_or_path="")
    tokenizer = write_tokenizer(out / "tokenizer", WORDS)
    latents = _cached_latents(out, Path(vae), autoencoder, data)
    tokens, empty = tokenize(tokenizer, list(data.captions)), tokenize(tokenizer, [""])[0]
    device = training_device(config.loop.device)
    networks = make_networks(config, tokenizer, latent_shape=latents.shape[1:]).to(device)
    if device.type == "cpu":
        # torch's fused attention on a CPU takes a third of the step for its backward pass over these few tokens.
        cast(UNet2DConditionModel, networks["unet"]).set_attn_processor(AttnProcessor())
    alphas_cumprod = make_scheduler().alphas_cumprod

    def loss(step: int) -> dict[str, Tensor]:
        random = generator(config.seed, step, "unet")
        rows = torch.randint(len(latents), (config.batch,), generator=random)
        dropped = torch.rand(config.batch, generator=random)
        said = torch.where((dropped < config.dropped)[:, None], empty, tokens[rows])
        error = denoising_loss(
            networks,
            latents[rows],
            said,
            random,
            alphas_cumprod=alphas_cumprod,
            prediction=config.prediction,
        )
        return {"loss": error}

    def export(averaged: nn.ModuleDict) -> None:
        size, kind = data.images.shape[1], config.prediction
        save_pipeline(pipeline, averaged, autoencoder, tokenizer, image_size=size, prediction=kind)

    return train_loop(networks, loss, config.loop, out=out, export=export)


def save_pipeline(
    folder: str | Path,
    networks: nn.ModuleDict,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    *,
    image_size: int = 64,
    prediction: _Prediction = "epsilon",
) -> None:
    """Write a folder that `StableDiffusionPipeline.from_pretrained` loads, in half precision.

    Args:
        folder: replaced as a whole, once the new one is complete.
        networks: "unet" and "text_encoder".
        vae: the autoencoder.
        tokenizer: the text encoder's.
        image_size: written into `world.json`, with the words and views.
        prediction: what the UNet was trained to predict.
    """
    folder = Path(folder)
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    parts: dict[str, Any] = {
        "vae": copy.deepcopy(vae).half(),
        # Transformers loads the stored type, diffusers float32: in half precision, the two would not match.
        "text_encoder": copy.deepcopy(networks["text_encoder"]).cpu(),
        "tokenizer": tokenizer,
        "unet": copy.deepcopy(networks["unet"]).half().cpu(),
        "scheduler": make_scheduler(prediction),
        "safety_checker": None,
        "feature_extractor": None,
    }
    whole = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    whole.save_pretrained(fresh)
    # The library writes only its own one-file format; the stock pair is written beside it.
    write_tokenizer(fresh / "tokenizer", WORDS)
    words = [word for word in WORDS if word.isalpha()]
    views = [f"{view} view" for view in VIEWS]
    write_json(fresh / "world.json", {"words": words, "views": views, "image_size": image_size})
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def check_autoencoder(folder: str | Path) -> None:
    """Refuse a folder without a trained autoencoder.

    Args:
        folder: in diffusers' format, as `train_vae` writes it.

    Raises:
        ValueError: no settings or no weights there.
    """
    if not (Path(folder) / "config.json").is_file() or not any(Path(folder).glob("*.safetensors")):
        reject("vae", str(folder), "the folder of a trained autoencoder: train that first")


def _cached_latents(out: Path, vae: Path, autoencoder: AutoencoderKL, data: WorldData) -> Tensor:
    """All latents of the data, computed once and kept in a file named after the encoder and the captions."""
    path = out / f"latents-{hash_json([hash_files(vae), list(data.captions)])}.safetensors"
    if not path.exists():
        save_tensors(path, {"latents": latents_of(autoencoder, data, len(data.images))})
    return load_tensors(path)["latents"]
