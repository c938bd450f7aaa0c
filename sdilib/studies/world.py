"""The world on two pages: what is known of its objects, and what a model draws of them at each guidance scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.claims import Claim, exact_claim, paired_claim
from sdilib.evaluator import ATTRIBUTES, Evaluator
from sdilib.generate import Generated, ddim_images
from sdilib.metrics import saturation
from sdilib.stable_diffusion import StableDiffusion
from sdilib.world.captions import VIEWS
from sdilib.world.dataset import random_scene
from sdilib.world.objects import COLOURS, OBJECT_NAMES, PATTERNS, RADIUS, signed_distance
from sdilib.world.render import WorldCamera, WorldScene, render, render_batch

__all__ = [
    "SCALES",
    "Row",
    "captions_of",
    "guidance_sweep",
    "sweep_claims",
    "sweep_measures",
    "truth_claim",
    "world_rows",
]

SCALES = (1.0, 3.0, 7.5, 15.0, 30.0, 100.0)
COLUMNS = 8

_CAMERAS = {
    "front": WorldCamera(20.0, 15.0),
    "side": WorldCamera(90.0, 15.0),
    "back": WorldCamera(200.0, 15.0),
    "overhead": WorldCamera(20.0, 70.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A row of pictures or of maps.

    Attributes:
        label: what they are.
        titles: one a picture.
        values: colours in [0, 1], or one number a pixel.
        kind: what the numbers are.
    """

    label: str
    titles: Sequence[str]
    values: Float[np.ndarray, "columns height width *channels"]
    kind: Literal["picture", "silhouette", "depth", "distance"] = "picture"


def world_rows(*, image_size: int = 96) -> list[Row]:
    """Return the world at a glance: all objects, colours and patterns, views, and the ground truth of some.

    Args:
        image_size: height and width of each picture.
    """
    size = {"height": image_size, "width": image_size}
    colours, patterns, front = cycle(COLOURS), cycle(PATTERNS), _CAMERAS["front"]
    objects = [WorldScene(name, next(colours), next(patterns), front) for name in OBJECT_NAMES]
    painted = [
        WorldScene("teapot", colour, pattern, front)
        for colour, pattern in zip(COLOURS, cycle(PATTERNS))
    ]
    turned = [
        WorldScene(name, colour, "plain", _CAMERAS[view])
        for name, colour in (("cat", "orange"), ("car", "blue"))
        for view in VIEWS
    ]
    halves = [objects[i : i + COLUMNS] for i in range(0, len(objects), COLUMNS)]
    rows = [
        Row("" if i else "objects", [s.name for s in half], render_batch(half, **size)[0])
        for i, half in enumerate(halves)
    ]
    looks = [f"{s.colour} {s.pattern}" for s in painted]
    rows.append(Row("colours, patterns", looks, render_batch(painted, **size)[0]))
    views = [s.camera.view for s in turned]
    rows.append(Row("views", views, render_batch(turned, **size)[0]))
    known = objects[-COLUMNS:]
    _, silhouettes, depths = render_batch(known, **size)
    blank = [""] * COLUMNS
    rows.append(Row("silhouette", blank, silhouettes, "silhouette"))
    rows.append(Row("depth", blank, depths, "depth"))
    slices = np.stack([_slice(scene, image_size) for scene in known])
    rows.append(Row("signed distance at z = 0", blank, slices, "distance"))
    return rows


def _slice(scene: WorldScene, size: int) -> Float[np.ndarray, "size size"]:
    """Signed distance in the plane z = 0, seen from the front."""
    axis = np.linspace(-RADIUS, RADIUS, size)
    x, y = np.meshgrid(axis, axis[::-1])
    points = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    return signed_distance(scene, points).reshape(size, size)


def captions_of(count: int, *, seed: int = 0) -> list[str]:
    """Return the captions of the first training pictures.

    Args:
        count: how many.
        seed: of the data set.
    """
    return [random_scene(seed, i)[1] for i in range(count)]


def truth_claim(*, image_size: int = 64) -> Claim:
    """Check that every pixel's depth, carried back into space, lies on its object's surface.

    Args:
        image_size: height and width of the pictures, one an object.
    """
    camera = _CAMERAS["front"]
    deviations = []
    for name in OBJECT_NAMES:
        scene = WorldScene(name, "red", "plain", camera)
        depth = render(scene, height=image_size, width=image_size).depth
        points = surface_points(camera, depth)
        deviations.append(np.abs(signed_distance(scene, points)).max())
    return exact_claim(
        "The depth of every pixel lies on the surface that the signed distance describes",
        deviations,
        at_most=2e-3,
        name="largest distance from the surface",
        note="tracing stops within 5e-4 of the surface, in a world of radius 1.2",
    )


def surface_points(
    camera: WorldCamera, depth: Float[np.ndarray, "height width"]
) -> Float[np.ndarray, "points 3"]:
    """Return where the rays of a picture's pixels end; background pixels are left out.

    Args:
        camera: that saw the picture.
        depth: along the viewing direction, as in `Rendering`.
    """
    seen_from = Camera.around(
        [camera.azimuth_degrees],
        elevation_degrees=camera.elevation_degrees,
        distance=camera.distance,
        fov_degrees=camera.fov_degrees,
    )
    rays = seen_from.rays(*depth.shape, dtype=torch.float64)
    length = torch.from_numpy(depth).double() / rays.cosines[0]
    points = rays.origins[0] + length[..., None] * rays.directions[0]
    return points[torch.from_numpy(np.isfinite(depth))].numpy()


def guidance_sweep(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    scales: Sequence[float] = SCALES,
    num_steps: int,
) -> dict[float, Generated]:
    """Sample by DDIM at several guidance scales, from the same noise.

    Args:
        model: frozen.
        prompts: one an image.
        seeds: one an image.
        scales: gammas.
        num_steps: of DDIM.
    """
    return {
        scale: ddim_images(model, prompts, seeds, num_steps=num_steps, guidance_scale=scale)
        for scale in scales
    }


def sweep_measures(
    made: Mapping[float, Generated],
    evaluator: Evaluator,
    prompts: Sequence[str],
    renders: Float[Tensor, "prompts 3 height width"],
) -> dict[str, dict[str, Float[Tensor, " items"]]]:
    """Return, by measure, the numbers of the samples at each guidance scale and of the renders.

    Args:
        made: samples by guidance scale.
        evaluator: judges.
        prompts: of the samples.
        renders: one for each of the different prompts, in their order.

    Returns:
        By measure, then gamma ("7.5") or "renders". Where prompts leave an attribute open, its numbers are fewer.
    """
    sets = {f"{scale:g}": (run.images, prompts) for scale, run in made.items()}
    sets["renders"] = (renders, list(dict.fromkeys(prompts)))
    measures = {
        "saturation": {name: saturation(images) for name, (images, _) in sets.items()},
        "fit to the prompt": {name: evaluator.score(*of) for name, of in sets.items()},
    }
    right = {name: evaluator.accuracy(*of) for name, of in sets.items()}
    return measures | {
        attribute: {name: _asked_for(found[attribute]) for name, found in right.items()}
        for attribute in ATTRIBUTES
    }


def sweep_claims(
    measures: Mapping[str, Mapping[str, Float[Tensor, " items"]]], prompts: Sequence[str]
) -> list[Claim]:
    """Check what guidance is said to do; the prompt is the unit that counts.

    Args:
        measures: from `sweep_measures`.
        prompts: of the samples.
    """
    colour, fit = measures["saturation"], measures["fit to the prompt"]
    return [
        paired_claim(
            "Images fit their prompts better at γ = 7.5 than at γ = 1",
            smaller=fit["1"],
            larger=fit["7.5"],
            names=("γ = 1", "γ = 7.5"),
            groups=prompts,
        ),
        paired_claim(
            "Images are more saturated at γ = 100 than at γ = 7.5",
            smaller=colour["7.5"],
            larger=colour["100"],
            names=("γ = 7.5", "γ = 100"),
            groups=prompts,
        ),
        paired_claim(
            "At γ = 7.5 the saturation is nearer to that of renders of the same prompts than at γ = 100",
            smaller=(colour["7.5"] - _each(colour["renders"], prompts)).abs(),
            larger=(colour["100"] - _each(colour["renders"], prompts)).abs(),
            names=("off at γ = 7.5", "off at γ = 100"),
            groups=prompts,
        ),
    ]


def _asked_for(right: Tensor) -> Tensor:
    return right[~right.isnan()]


def _each(values: Tensor, prompts: Sequence[str]) -> Tensor:
    """One value a prompt, repeated for each of its items."""
    order = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    return torch.stack([values[order[prompt]] for prompt in prompts])
