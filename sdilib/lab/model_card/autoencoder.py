"""How good an autoencoder is for distillation: fidelity, colour in its latents, and where its gradient leads.

Score distillation follows the encoder's gradient through pictures that no camera ever saw. So it is not enough that the
autoencoder reconstructs renders: other colours and backgrounds have to survive it too, and pixels that are optimised to
match given latents have to arrive at the picture of those latents.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sdilib.distillation import Codec
from sdilib.lab import metrics
from sdilib.lab.train.vae import TO_YIQ, recoloured
from sdilib.lab.world.dataset import random_scene
from sdilib.lab.world.kinds import COLOURS
from sdilib.lab.world.render import pictures
from sdilib.lab.world.scene import Background, WorldScene
from sdilib.schedule import Images

CELL = 4
"""Height and width of the pixels whose mean colours are compared."""

_SEED = 103  # of the scenes; no data set has it
_BATCH = 32
_STEPS = 250  # of the descent from grey
_MIX = 9  # pictures from one colour to another, both ends included


@torch.no_grad()
def reconstructed(codec: Codec, images: Images) -> Images:
    """Return images after an autoencoder, in [0, 1].

    Args:
        codec: to and from latents.
        images: in [0, 1].
    """
    return torch.cat([codec.decode(codec.encode(x)).clamp(0, 1) for x in images.split(_BATCH)])


@torch.no_grad()
def _encoded(codec: Codec, images: Images) -> Tensor:
    return torch.cat([codec.encode(some) for some in images.split(_BATCH)])


def measure_autoencoder(codec: Codec, *, image_size: int, count: int = 96) -> dict[str, Any]:
    """Measure an autoencoder on unseen renders; the UNet is not used.

    Args:
        codec: to and from latents.
        image_size: height and width of the renders.
        count: number of renders, 2 or more.

    Returns:
        By name: PSNR by set of pictures, in dB; fine detail of reconstructions over that of the renders; how much of the
        objects' mean colours is linear in the latents; whether latents get nearer all along a mix of two colours; how
        near to the pictures pixels get that start grey and are optimised to match the latents.
    """
    scenes = [random_scene(_SEED, i)[0] for i in range(count)]
    images, covers = pictures(scenes, image_size)
    after = reconstructed(codec, images)
    detail = metrics.high_frequency_energy(after) / metrics.high_frequency_energy(images)
    return {
        "n": count,
        "dB": fidelity(codec, scenes, images),
        "fine detail": float(detail.mean()),
        "linear colour": linear_colour(codec, images, covers),
        "mixes": mixes(codec, image_size=image_size),
        "from grey": from_grey(codec, images[:12], covers[:12]),
    }


def fidelity(codec: Codec, scenes: Sequence[WorldScene], home: Images) -> dict[str, float]:
    """Return the mean PSNR of reconstructions, in dB, by set of pictures.

    Args:
        codec: to and from latents.
        scenes: of the pictures.
        home: the scenes' own pictures.
    """
    random = np.random.default_rng(_SEED)

    def behind(colours: Sequence[tuple[float, float, float]]) -> Images:
        backgrounds = [Background(colour) for colour in colours]
        pairs = zip(scenes, backgrounds, strict=True)
        other = [replace(scene, background=of) for scene, of in pairs]
        return pictures(other, home.shape[-1])[0]

    strong = random.uniform((0, 0.5, 0.5), (1, 0.9, 0.95), (len(scenes), 3))
    sets = {
        "renders": home,
        **{f"hues turned by {angle:g}°": _turned(home, angle) for angle in (30.0, 90.0, 180.0)},
        "white background": behind([(1.0, 1.0, 1.0)] * len(scenes)),
        "dark background": behind([(0.06, 0.06, 0.06)] * len(scenes)),
        "strongly coloured background": behind([colorsys.hsv_to_rgb(*hsv) for hsv in strong]),
        "pastel": 0.5 * home + 0.5,
    }
    return {n: float(metrics.psnr(reconstructed(codec, of), of).mean()) for n, of in sets.items()}


def _turned(images: Images, degrees: float) -> Images:
    angle = torch.full((len(images),), float(np.radians(degrees)))
    return recoloured(images, angle=angle, chroma=torch.ones(len(images))).clamp(0, 1)


def linear_colour(codec: Codec, images: Images, covers: Tensor) -> dict[str, float]:
    """Return how much of the variance of an object's colours a linear map of the latents explains.

    The map is fitted to cells of one half of the pictures and judged on those of the other half, wherever the object covers
    more than half of the cell. In RGB, brightness is most of the variance, so each chroma is reported as well.

    Args:
        codec: to and from latents.
        images: two or more.
        covers: share of each pixel that the object covers.

    Returns:
        R² in RGB together, and of Y, I and Q.
    """
    z = _encoded(codec, images)
    factor = images.shape[-1] // z.shape[-1]
    known = torch.cat([z, torch.ones_like(z[:, :1])], 1).movedim(1, -1).double()
    wanted = functional.avg_pool2d(images, factor).movedim(1, -1).double()
    on = functional.avg_pool2d(covers[:, None], factor)[:, 0] > 0.5
    first = torch.arange(len(images)) < len(images) // 2
    fit, judge = (on & half[:, None, None] for half in (first, ~first))
    # Channels that are equal up to rounding count as one: without `rcond`, they would fit the rounding.
    matrix = torch.linalg.lstsq(known[fit], wanted[fit], rcond=1e-5, driver="gelsd").solution
    error, spread = known[judge] @ matrix - wanted[judge], wanted[judge] - wanted[judge].mean(0)
    chroma = TO_YIQ.double().T

    def explained(left: Tensor, whole: Tensor) -> float:
        return float(1 - left.square().sum() / whole.square().sum())

    each = zip("YIQ", (error @ chroma).T, (spread @ chroma).T, strict=True)
    return {"RGB": explained(error, spread)} | {n: explained(left, of) for n, left, of in each}


@torch.no_grad()
def mixes(codec: Codec, *, image_size: int) -> dict[str, float]:
    """Follow pixel-wise mixes from each named colour to each other one, on four objects.

    Args:
        codec: to and from latents.
        image_size: height and width.

    Returns:
        Share of the mixes along which the distance to the end's latents falls at every step, and the largest rise,
        relative to the distance at the beginning.
    """
    share = torch.linspace(0, 1, _MIX).view(-1, 1, 1, 1)
    falls, rises = [], [0.0]
    for i in range(4):
        scene = replace(random_scene(_SEED + 1, i)[0], pattern="plain")
        images, _ = pictures([replace(scene, colour=colour) for colour in COLOURS], image_size)
        for a, b in permutations(images, 2):
            z = codec.encode((1 - share) * a + share * b)
            away = (z - z[-1]).flatten(1).square().mean(1).sqrt()
            rise = float((away.diff() / away[0]).max())
            falls.append(rise <= 1e-5)
            rises.append(rise)
    return {"falling": sum(falls) / len(falls), "largest rise": max(rises), "n": len(falls)}


def from_grey(codec: Codec, images: Images, covers: Tensor) -> dict[str, float]:
    """Return how near pixels in [0, 1] get to images if they start grey and minimise the distance of latents alone.

    By 250 steps of Adam, with a learning rate of 0.05 that falls over the last hundred.

    Args:
        codec: to latents.
        images: whose latents are wanted.
        covers: share of each pixel that the object covers.

    Returns:
        PSNR of the means over 4 x 4 pixels in dB, and the error of the mean colour, of the whole picture and of the
        object.
    """
    wanted = _encoded(codec, images)
    pixels = torch.full_like(images, 0.5).requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.05)
    for step in range(_STEPS):
        optimizer.param_groups[0]["lr"] = 0.05 * min(1.0, (_STEPS - step) / 100)
        optimizer.zero_grad(set_to_none=True)
        (codec.encode(pixels) - wanted).square().mean().backward()
        optimizer.step()
        pixels.data.clamp_(0, 1)
    found = pixels.detach()
    means = [functional.avg_pool2d(some, CELL) for some in (found, images)]
    off, weight = found - images, covers[:, None]
    on_object = (off * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-6)
    return {
        "dB of 4 x 4 means": float(metrics.psnr(*means).mean()),
        "mean colour off by": float(off.mean((2, 3)).abs().mean()),
        "object's colour off by": float(on_object.abs().mean()),
    }
