"""The autoencoder: 64 x 64 pictures to 16 x 16 x 8 latents and back.

Letters: x is a picture in [-1, 1], z its latent. Each channel of z keeps zero mean and unit deviation (a penalty), and
noise is added to it before decoding, so that similar latents decode to similar pictures.

Score distillation follows the encoder's gradient through pictures that no camera ever saw. So the autoencoder is trained
on pictures in all colours (`varied`), and a linear map of z has to give the mean colour of the pixels that each of its
cells stands for. Without that, pictures of several hues have the same latents, and distillation ends in the wrong one;
previews of Stable Diffusion's latents take such a map for granted.
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
from torch.nn import functional

from sdilib.checks import in_range, positive_int
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

TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""From red, green and blue to brightness and two chromas, as in NTSC television."""
_WEIGHTS = torch.tensor([1.0, 3.0, 5.0])
"""Weights of brightness and the two chromas (Y, I, Q), which are small in muted pictures: unweighted, one is never learnt."""


@dataclass(frozen=True, slots=True)
class VAEConfig:
    """How the autoencoder is built and trained.

    Args:
        channels: of its levels; each but the first halves the picture.
        groups: of the normalisations; divides every number of channels.
        latent_channels: of each of the latent's cells, which stands for 4 x 4 pixels; four lose a surface's grain.
        batch: pictures per step.
        noise: deviation of the noise that is added to latents before they are decoded.
        linear: weight of the squared error of the colours that a linear map of the latents gives; 0 leaves it out.
        varied: share of the pictures that are shown in other colours, blurred or noisy.
        seed: of weights, batches and noise.
        loop: steps, learning rate and so on.

    Raises:
        ValueError: a number outside its range.
    """

    channels: tuple[int, ...] = (16, 48, 96)
    groups: int = 8
    latent_channels: int = 8
    batch: int = 8
    noise: float = 0.05
    linear: float = 4.0
    varied: float = 0.6
    seed: int = 0
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=9000, learning_rate=2e-3, average=0.995)
    )

    def __post_init__(self) -> None:
        """Refuse what no training can use."""
        check_channels(self.channels, self.groups)
        positive_int("latent_channels", self.latent_channels)
        positive_int("batch", self.batch)
        in_range("noise", self.noise, 0, 1, open_low=True)
        in_range("linear", self.linear, 0, 1e3)
        in_range("varied", self.varied, 0, 1)


def make_vae(config: VAEConfig, *, image_size: int = 64) -> AutoencoderKL:
    """Return the untrained autoencoder; its weights depend on `config.seed` alone."""
    levels = len(config.channels)
    shape: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": config.channels,
        "latent_channels": config.latent_channels,
        "norm_num_groups": config.groups,
        "sample_size": image_size,
        "mid_block_add_attention": False,
        "scaling_factor": 1.0,
    }
    with initialised(config.seed):
        return AutoencoderKL(**shape)


def train_vae(config: VAEConfig, data: WorldData, *, out: str | Path) -> AutoencoderKL:
    """Train the autoencoder, from a checkpoint in `out` if there is one, and save it in `out/vae`.

    Args:
        config: architecture and training.
        data: pictures.
        out: folder for the checkpoint, the log and the result.
    """
    out = Path(out)
    keep_settings(out, config, pictures=len(data.captions))
    device = training_device(config.loop.device)
    vae = make_vae(config, image_size=data.images.shape[1])
    with initialised(config.seed):
        colour = nn.Conv2d(config.latent_channels, 3, 1)
    networks = nn.ModuleDict({"vae": vae, "colour": colour})
    nn.Module.to(networks, device)  # the library's own signature hides that it takes a device

    def loss(step: int) -> dict[str, Tensor]:
        random = generator(config.seed, step, "vae")
        rows = torch.randint(len(data.images), (config.batch,), generator=random)
        shown, wanted = varied(pictures(data, rows.numpy()), random, share=config.varied)
        shown, wanted = shown.to(device), wanted.to(device)
        with autocast(device):
            posterior = encode(vae, shown)
            z = posterior.mean.float()
            noise = torch.randn(z.shape, generator=random).to(device)
            y = decode(vae, z + config.noise * noise)
        logvar = posterior.logvar.float()
        numbers = reconstruction_loss(wanted, y.float(), z, logvar, noise=config.noise)
        off = colour_error(colour(z) - means_of_cells(wanted, z))
        total = numbers["loss"] + config.linear * off
        return {**numbers, "loss": total, "linear": off.detach()}

    averaged = train_loop(networks, loss, config.loop, out=out)
    made = cast(AutoencoderKL, averaged["vae"])
    deviation = latents_of(made, data, min(2000, len(data.images))).std()
    made.register_to_config(scaling_factor=float(1.0 / deviation))
    made.cpu().save_pretrained(out / "vae")
    return made


def varied(
    x: Float[Tensor, "batch 3 height width"], random: torch.Generator, *, share: float
) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch 3 height width"]]:
    """Return pictures as the encoder sees them, and as the decoder should reconstruct them.

    A share of them is in other colours: hues turned, paler or stronger, under a coloured lamp, darker or brighter, some
    negative. Of these, a quarter are blurred, and a third are noisy for the encoder only.

    Args:
        x: in [-1, 1].
        random: draws what is done to each.
        share: of the pictures that are changed.
    """
    batch = len(x)
    chosen, turned, negative, blurred, noisy = torch.rand(5, batch, 1, 1, 1, generator=random)
    angle, colourful, bright, shift, level = torch.rand(5, batch, 1, 1, 1, generator=random)
    other = recoloured(
        0.5 * x + 0.5,
        angle=2 * torch.pi * (angle * (turned < 0.7)).flatten(),
        chroma=0.1 * 22.0 ** colourful.flatten(),  # 0.1 to 2.2
    )
    other = torch.where(negative < 0.15, 1.0 - other, other)
    other = other * (0.45 + 0.75 * bright)
    other = other + 0.3 * (shift - 0.5) * torch.randn(batch, 3, 1, 1, generator=random)
    lit, lamp = torch.rand(2, batch, 3, 1, 1, generator=random)
    other = other * torch.where(lit[:, :1] < 0.35, 1.0 - 0.75 * lamp, 1.0)
    other = 2.0 * torch.where(blurred < 0.25, softened(other), other).clamp(0, 1) - 1.0
    wanted = torch.where(chosen < share, other, x)
    dirt = 0.2 * level * torch.randn(x.shape, generator=random)
    return wanted + dirt * ((noisy < 0.33) & (chosen < share)), wanted


def softened(
    images: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """Return images blurred by a pixel: a binomial kernel of 5 x 5."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (row[:, None] * row).expand(3, 1, 5, 5)
    padded = functional.pad(images, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, kernel, groups=3)


def recoloured(
    images: Float[Tensor, "batch 3 height width"],
    *,
    angle: Float[Tensor, " batch"],
    chroma: Float[Tensor, " batch"],
) -> Float[Tensor, "batch 3 height width"]:
    """Turn the hues of images, and make them paler or stronger; brightness stays.

    Args:
        images: in [0, 1]; the result may lie outside.
        angle: by which hues are turned, in radians.
        chroma: factor; 1 leaves it unchanged.
    """
    turn = torch.zeros(len(images), 3, 3)
    turn[:, 0, 0] = 1.0
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos() * chroma
    turn[:, 2, 1] = angle.sin() * chroma
    turn[:, 1, 2] = -turn[:, 2, 1]
    return torch.einsum("bij,bjhw->bihw", TO_YIQ.inverse() @ turn @ TO_YIQ, images)


def colour_error(error: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, ""]:
    """Return the mean square of differences of colour, chroma weighted more than brightness.

    Args:
        error: differences of red, green and blue.
    """
    weighted = (_WEIGHTS[:, None] * TO_YIQ).to(error)
    return torch.einsum("ij,bjhw->bihw", weighted, error).square().mean()


def reconstruction_loss(
    x: Float[Tensor, "batch 3 height width"],
    y: Float[Tensor, "batch 3 height width"],
    z: Float[Tensor, "batch channels h w"],
    logvar: Float[Tensor, "batch channels h w"],
    *,
    noise: float,
) -> dict[str, Tensor]:
    """L1 + 2 MSE + 0.5 L1 of the gradients + the error of mean colours, and the penalties that keep z standardised.

    Args:
        x: pictures in [-1, 1].
        y: their reconstructions.
        z: their latents.
        logvar: the encoder's log variances, pulled towards that of the noise used here, so that
            the decoder has learnt to read samples of the posterior.
        noise: deviation of the noise.
    """
    error = y - x
    rough = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    squared = error.square().mean()
    mean, deviation = z.mean(dim=(0, 2, 3)), z.std(dim=(0, 2, 3))
    standard = mean.square().mean() + (deviation + 1e-6).log().square().mean()
    spread = (logvar - 2.0 * np.log(noise)).square().mean()
    fidelity = (
        error.abs().mean() + 2.0 * squared + 0.5 * rough + colour_error(means_of_cells(error, z))
    )
    total = fidelity + 0.1 * standard + 0.001 * spread
    return {"loss": total, "mse": squared.detach(), "standard": standard.detach()}


def means_of_cells(
    x: Float[Tensor, "batch 3 height width"], z: Float[Tensor, "batch channels h w"]
) -> Float[Tensor, "batch 3 h w"]:
    """Return the mean colour of the pixels that each cell of a latent stands for.

    Args:
        x: pictures.
        z: their latents.
    """
    return functional.avg_pool2d(x, x.shape[-1] // z.shape[-1])


def encode(
    vae: AutoencoderKL, x: Float[Tensor, "batch 3 height width"]
) -> DiagonalGaussianDistribution:
    """Return the posterior of pictures in [-1, 1]; its mean and logvar are before scaling."""
    return cast(DiagonalGaussianDistribution, vae.encode(x, return_dict=False)[0])


def decode(
    vae: AutoencoderKL, z: Float[Tensor, "batch channels h w"]
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
) -> Float[Tensor, "count channels height width"]:
    """Return the latents (posterior means, times the scaling factor) of the first `count` pictures."""
    blocks = np.array_split(np.arange(count), max(1, count // 64))
    means, device = [], vae.device
    with autocast(device):
        for rows in blocks:
            means.append(encode(vae, pictures(data, rows).to(device)).mean.float().cpu())
    return torch.cat(means).contiguous() * float(vae.config["scaling_factor"])
