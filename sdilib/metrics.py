"""Numbers of images that need no network: colour saturation, fine detail, distance."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.checks import in_range

__all__ = ["high_frequency_energy", "psnr", "saturation"]

Images = Float[Tensor, "batch 3 height width"]


def saturation(images: Images, *, share: float = 0.1) -> Float[Tensor, " batch"]:
    """Mean HSV saturation of each image's most colourful pixels, in [0, 1].

    A share of the pixels, so that neither a grey background nor pale dirt on it dilutes the number, and nobody
    has to know where the object is.

    Args:
        images: in [0, 1]; clamped.
        share: of the pixels, those of largest chroma (maximum minus minimum of red, green and blue), in (0, 1].

    Returns:
        One number an image; 0 where everything is grey.

    Raises:
        ValueError: `share` out of range.
    """
    in_range("share", share, 0, 1, open_low=True)
    images = images.clamp(0, 1)
    value = images.amax(1).flatten(1)
    chroma = value - images.amin(1).flatten(1)
    top, where = chroma.topk(max(1, round(share * chroma.shape[1])), dim=1)
    return (top / value.gather(1, where).clamp_min(1e-6)).mean(1)


def high_frequency_energy(images: Images) -> Float[Tensor, " batch"]:
    """Root mean square of what a 3×3 binomial blur takes away: fine detail, but dirt as well.

    A low number beside a reference's is blur; a high one may be noise, so read it together with the images.

    Args:
        images: in [0, 1]; clamped.

    Returns:
        One number an image, in units of brightness.
    """
    images = images.clamp(0, 1)
    row = torch.tensor([0.25, 0.5, 0.25], dtype=images.dtype, device=images.device)
    kernel = (row[:, None] * row).expand(3, 1, 3, 3)
    blurred = functional.conv2d(
        functional.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=3
    )
    return (images - blurred).flatten(1).square().mean(1).sqrt()


def psnr(images: Images, references: Images) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio in dB, of values in [0, 1]; infinite for equal images.

    Args:
        images: clamped to [0, 1].
        references: likewise, of the same shape.
    """
    error = (images.clamp(0, 1) - references.clamp(0, 1)).flatten(1).square().mean(1)
    return -10 * error.log10()
