"""2D images compared with DDIM's from the same noise: what is measured, and which are shown."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.checks import reject
from sdilib.lab.claims import Exact
from sdilib.lab.experiments.shared.drawing import MOST_COLUMNS
from sdilib.lab.images import Generated
from sdilib.lab.metrics import high_frequency_energy, psnr, saturation

DETAIL, COLOUR, CLOSENESS = "fine detail", "saturation", "PSNR to DDIM's image (dB)"
OFF_DETAIL, OFF_COLOUR = "off DDIM's fine detail", "off DDIM's saturation"
LATENTS, COST = "relative deviation of latents from DDIM's", "cost"

Made = Mapping[str, Generated]
"""Images by method, all of the same prompts and seeds."""

Measures = dict[str, dict[str, Float[Tensor, " _"]]]
"""By measure, then method: one number per image, unless a figure says otherwise; under "cost", `costs`."""

SAME_SAMPLER = Exact(
    "SDI with the cached κ is DDIM (eq. 6 ≡ eq. 2)",
    LATENTS,
    "SDI, cached κ",
    at_most=1e-3,
    note="rounding in float32 grows along the run",
)


def measures(made: Made) -> Measures:
    """Return fine detail and saturation, and how far each method is from DDIM's image from the same noise.

    Args:
        made: images by method, including "DDIM", which gets no distance to itself.
    """
    ddim = made["DDIM"]
    others = {name: run for name, run in made.items() if name != "DDIM"}
    detail = {name: high_frequency_energy(run.images) for name, run in made.items()}
    colour = {name: saturation(run.images) for name, run in made.items()}
    latents = {name: (run.latents - ddim.latents).flatten(1) for name, run in others.items()}
    size = ddim.latents.flatten(1).norm(dim=1)
    return {
        DETAIL: detail,
        COLOUR: colour,
        # The PSNR of equal images is infinite.
        CLOSENESS: {n: psnr(run.images, ddim.images).clamp(max=200) for n, run in others.items()},
        OFF_DETAIL: {name: (detail[name] - detail["DDIM"]).abs() for name in others},
        OFF_COLOUR: {name: (colour[name] - colour["DDIM"]).abs() for name in others},
        LATENTS: {name: off.norm(dim=1) / size for name, off in latents.items()},
        COST: costs(made),
    }


def costs(made: Made) -> dict[str, Float[Tensor, " 2"]]:
    """Return sample-forwards and seconds per image, by method, in float64.

    Args:
        made: images by method.
    """
    of = {name: [float(run.num_forwards), float(run.seconds)] for name, run in made.items()}
    return {name: torch.tensor(pair, dtype=torch.float64) for name, pair in of.items()}


def seed_distance(
    images: Float[Tensor, "items 3 height width"], prompts: Sequence[str]
) -> Float[Tensor, " prompts"]:
    """Return the mean distance between a prompt's images: root mean square of pixels, over all pairs of seeds.

    The images are averaged over 4 × 4 pixels first, so that shape and colour count but grain does not.

    Args:
        images: in [0, 1], at least 4 pixels high and wide; clamped.
        prompts: one per image, each at least twice.

    Returns:
        One number in [0, 1] for each distinct prompt, in order of appearance; 0 if all its
        images are equal.

    Raises:
        ValueError: a prompt with one image only.
    """
    of = places(prompts)
    for prompt, own in of.items():
        if len(own) < 2:
            reject(f"images of {prompt!r}", len(own), "at least 2, one per seed")
    small = functional.avg_pool2d(images.clamp(0, 1), 4).flatten(1)
    pairs = [functional.pdist(small[own]) for own in of.values()]
    return torch.stack([each.mean() / small.shape[1] ** 0.5 for each in pairs])


def places(prompts: Sequence[str]) -> dict[str, list[int]]:
    """Return where each distinct prompt stands, in order of appearance.

    Args:
        prompts: one per item.
    """
    found: dict[str, list[int]] = {}
    for place, prompt in enumerate(prompts):
        found.setdefault(prompt, []).append(place)
    return found


def firsts(
    made: Made, prompts: Sequence[str]
) -> tuple[dict[str, Float[Tensor, "columns 3 height width"]], list[str]]:
    """Return the first image of each of the first eight prompts by method, and those prompts.

    Args:
        made: images by method.
        prompts: one per image.
    """
    columns = list(dict.fromkeys(prompts))[:MOST_COLUMNS]
    first = [prompts.index(prompt) for prompt in columns]
    return {name: run.images[first] for name, run in made.items()}, columns
