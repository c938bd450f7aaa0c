"""Measures that need no network: of images (saturation, fine detail, distance), sets of features, views and surfaces."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional

from sdilib.checks import in_range, positive_int, reject
from sdilib.schedule import Images


def saturation(images: Images, *, share: float = 0.1) -> Float[Tensor, " batch"]:
    """Mean HSV saturation of each image's most colourful pixels, in [0, 1].

    Only a share of the pixels counts, so that neither a grey background nor pale dirt on it dilutes the number, and
    the object need not be located.

    Args:
        images: in [0, 1]; clamped.
        share: of the pixels, those of largest chroma (maximum minus minimum of red, green and blue), in (0, 1].

    Returns:
        One number per image; 0 where everything is grey.

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
    """Root mean square of what a 3×3 binomial blur removes: fine detail, but dirt as well.

    A number below a reference's means blur; one above it may be noise, so read it together with the images.

    Args:
        images: in [0, 1]; clamped.

    Returns:
        One number per image, in units of brightness.
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
        references: clamped to [0, 1], of the same shape.
    """
    error = (images.clamp(0, 1) - references.clamp(0, 1)).flatten(1).square().mean(1)
    return -10 * error.log10()


Features = Float[Tensor, "items width"]


FRECHET_ITEMS = 2048
"""Smallest number of items: with fewer, the covariance is poorly known and the distance is mostly bias."""


def frechet_distance(
    features: Features, others: Float[Tensor, "more width"], *, at_least: int = FRECHET_ITEMS
) -> float:
    """Return the Fréchet distance of the Gaussians fitted to two sets of features.

    Few items bias it upwards. With fewer than thousands, use `kernel_distance`, or lower `at_least` and compare with two
    sets of the same sizes that are known to be alike.

    Args:
        features: `at_least` items or more.
        others: `at_least` items or more.
        at_least: smallest number of items, 2 or more.

    Returns:
        |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)), at least 0 but for rounding.

    Raises:
        ValueError: too few items.

    Source: FID (1706.08500), eq. 6.
    """
    positive_int("at_least", at_least, at_least=2)
    for some in (features, others):
        if len(some) < at_least:
            reject("features", len(some), f"{at_least} items or more for a Fréchet distance")
    (mean, root), (other_mean, other_root) = (_gaussian(some) for some in (features, others))
    # (S S')^(1/2) has the trace of the singular values of S^(1/2) S'^(1/2).
    overlap = torch.linalg.svdvals(root @ other_root).sum()
    spread = root.square().sum() + other_root.square().sum()
    return float((mean - other_mean).square().sum() + spread - 2 * overlap)


def kernel_distance(features: Features, others: Float[Tensor, "more width"]) -> float:
    """Return the unbiased squared kernel distance of two sets of features, with the kernel (x·y / width + 1)^3.

    Its mean is 0 for two sets of independent draws from the same distribution, whatever their sizes, so it can be negative.
    Sets that are paired, as by the same prompts or cameras, lie below 0, since pairs count between sets and not within.

    Args:
        features: two items or more.
        others: two items or more.

    Raises:
        ValueError: fewer than two items.

    Source: KID (1801.01401), eq. 4; all items at once, no subsets.
    """
    for some in (features, others):
        _at_least_two(some)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a.double() @ b.double().T / a.shape[1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        each = kernel(a, a)
        return (each.sum() - each.diagonal().sum()) / (len(a) * (len(a) - 1))

    return float(within(features) + within(others) - 2 * kernel(features, others).mean())


def nearest_distance(
    features: Features, others: Float[Tensor, "more width"]
) -> Float[Tensor, " items"]:
    """Return the distance of each item to the nearest of another set.

    Args:
        features: any number of items.
        others: one item or more.
    """
    return torch.cdist(features, others).amin(1)


def diversity(features: Features) -> float:
    """Return the mean distance between two items of a set, such as one prompt's images over seeds; 0 if all are equal.

    Args:
        features: two items or more.

    Raises:
        ValueError: fewer than two items.
    """
    _at_least_two(features)
    return float(functional.pdist(features.double()).mean())


def back_faces(seen: Sequence[str], shown: Sequence[str]) -> float:
    """Return the share of the views from behind in which an object's front is seen: a Janus face.

    An object counts as Janus if the share is more than a half; the Janus rate is the share of such objects among those
    with a front.

    Args:
        seen: the word read from each view.
        shown: the true word for each view, "back" at least once.

    Raises:
        ValueError: different numbers of words, or no view from behind.
    """
    if len(seen) != len(shown) or "back" not in shown:
        reject("shown", list(shown), f"the words of {len(seen)} views, one from behind among them")
    behind = [word == "front" for word, view in zip(seen, shown, strict=True) if view == "back"]
    return sum(behind) / len(behind)


def chamfer_distance(points: Float[Tensor, "points 3"], others: Float[Tensor, "more 3"]) -> float:
    """Return the mean distance from a point on one surface to the nearest on the other, averaged over both directions.

    Args:
        points: on one surface, at least one.
        others: on the other.

    Raises:
        ValueError: no points.
    """
    if not len(points) or not len(others):
        reject("points", 0, "at least one point on each surface")
    a, b = points.cpu().numpy(), others.cpu().numpy()
    return float(KDTree(b).query(a)[0].mean() + KDTree(a).query(b)[0].mean()) / 2


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and symmetric square root of the covariance, in float64."""
    values, vectors = torch.linalg.eigh(features.double().T.cov())
    return features.double().mean(0), vectors * values.clamp_min(0).sqrt() @ vectors.T


def _at_least_two(features: Tensor) -> None:
    if len(features) < 2:
        reject("features", len(features), "two items or more")
