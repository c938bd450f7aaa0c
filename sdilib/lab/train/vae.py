"""The autoencoder: 64 x 64 pictures to 16 x 16 x 4 latents and back.

Letters: x is a picture in [-1, 1], z its latent. z keeps zero mean and unit deviation a channel (a
penalty), and noise of deviation 0.1 is added to it before decoding, so that near latents decode
to near pictures.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from jaxtyping import Float
from torch import Tensor, nn

from sdilib.checks import positive_int
from sdilib.lab.train.loop import (
    LoopConfig,
    autocast,
    check_channels,
    initialised,
    keep_settings,
    train_loop,
    training_device,
)
from sdilib.lab.world.dataset import WorldData
from sdilib.seeds import generator

LATENT_NOISE = 0.1


@dataclass(frozen=True, slots=True)
class VAEConfig:
    """How the autoencoder is built and trained.

    Args:
        channels: of its levels; each but the first halves the picture.
        groups: of the normalisations; divides every number of channels.
        batch: pictures a step.
        seed: of weights, batches and noise.
        loop: steps, learning rate and so on.

    Raises:
        ValueError: a number outside its range.
    """

    channels: tuple[int, ...] = (16, 48, 96)
    groups: int = 8
    batch: int = 8
    seed: int = 0
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=6000, learning_rate=2e-3, average=0.995)
    )

    def __post_init__(self) -> None:
        """Refuse what no training can use."""
        check_channels(self.channels, self.groups)
        positive_int("batch", self.batch)


def make_vae(config: VAEConfig, *, image_size: int = 64) -> AutoencoderKL:
    """Return the untrained autoencoder; its weights depend on `config.seed` alone."""
    levels = len(config.channels)
    shape: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": config.channels,
        "norm_num_groups": config.groups,
        "sample_size": image_size,
        "mid_block_add_attention": False,
        "scaling_factor": 1.0,
    }
    with initialised(config.seed):
        return AutoencoderKL(**shape)


def train_vae(
    config: VAEConfig, data: WorldData, *, out: str | Path, stop_after: int | None = None
) -> AutoencoderKL:
    """Train the autoencoder, or go on where a checkpoint in `out` stops, and save it in `out/vae`.

    Args:
        config: architecture and training.
        data: pictures.
        out: folder for the checkpoint, the log and the result.
        stop_after: leave after this step.
    """
    out = Path(out)
    keep_settings(out, config)
    device = training_device(config.loop.device)
    vae = make_vae(config, image_size=data.images.shape[1])
    nn.Module.to(vae, device)  # the library's own signature hides that it takes a device

    def loss(step: int) -> dict[str, Tensor]:
        random = generator(config.seed, step, "vae")
        rows = torch.randint(len(data.images), (config.batch,), generator=random)
        x = pictures(data, rows.numpy()).to(device)
        with autocast(device):
            posterior = encode(vae, x)
            z = posterior.mean.float()
            noise = torch.randn(z.shape, generator=random).to(device)
            y = decode(vae, z + LATENT_NOISE * noise)
        return reconstruction_loss(x, y.float(), z, posterior.logvar.float())

    averaged = train_loop(vae, loss, config.loop, out=out, stop_after=stop_after)
    deviation = latents_of(averaged, data, min(2000, len(data.images))).std()
    averaged.register_to_config(scaling_factor=float(1.0 / deviation))
    averaged.cpu().save_pretrained(out / "vae")
    return averaged


def reconstruction_loss(
    x: Float[Tensor, "batch 3 height width"],
    y: Float[Tensor, "batch 3 height width"],
    z: Float[Tensor, "batch 4 h w"],
    logvar: Float[Tensor, "batch 4 h w"],
) -> dict[str, Tensor]:
    """L1 + 2 MSE + 0.5 L1 of the gradients, and the penalties that keep z standardised.

    Args:
        x: pictures in [-1, 1].
        y: their reconstructions.
        z: their latents.
        logvar: the encoder's log variances, drawn towards that of the noise used here, so that a
            sample of the posterior is what the decoder has learnt to read.
    """
    error = y - x
    rough = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    squared = error.square().mean()
    mean, deviation = z.mean(dim=(0, 2, 3)), z.std(dim=(0, 2, 3))
    standard = mean.square().mean() + (deviation + 1e-6).log().square().mean()
    spread = (logvar - 2.0 * np.log(LATENT_NOISE)).square().mean()
    total = error.abs().mean() + 2.0 * squared + 0.5 * rough + 0.1 * standard + 0.001 * spread
    return {"loss": total, "mse": squared.detach(), "standard": standard.detach()}


def encode(
    vae: AutoencoderKL, x: Float[Tensor, "batch 3 height width"]
) -> DiagonalGaussianDistribution:
    """Return the posterior of pictures in [-1, 1]; its mean and logvar are before scaling."""
    return cast(DiagonalGaussianDistribution, vae.encode(x, return_dict=False)[0])


def decode(
    vae: AutoencoderKL, z: Float[Tensor, "batch 4 h w"]
) -> Float[Tensor, "batch 3 height width"]:
    """Return the pictures, about in [-1, 1], of latents before scaling."""
    return cast(tuple[Tensor], vae.decode(cast(Any, z), return_dict=False))[0]


def pictures(data: WorldData, rows: np.ndarray) -> Float[Tensor, "batch 3 height width"]:
    """Return some of the data's pictures in [-1, 1]."""
    x = torch.from_numpy(np.asarray(data.images[rows])).permute(0, 3, 1, 2)
    return x.float().div_(127.5).sub_(1.0).contiguous()


@torch.no_grad()
def latents_of(
    vae: AutoencoderKL, data: WorldData, count: int
) -> Float[Tensor, "count 4 height width"]:
    """Return the latents (posterior means, times the scaling factor) of the first `count` pictures."""
    blocks = np.array_split(np.arange(count), max(1, count // 64))
    means, device = [], vae.device
    with autocast(device):
        for rows in blocks:
            means.append(encode(vae, pictures(data, rows).to(device)).mean.float().cpu())
    return torch.cat(means).contiguous() * float(vae.config["scaling_factor"])
