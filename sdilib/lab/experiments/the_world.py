"""The world in two figures: what is known of its objects, and how a model draws them at each guidance scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.lab.claims import Exact, Less
from sdilib.lab.evaluator import ATTRIBUTES, Evaluator
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.drawing import LABELS, WIDTH, Figure
from sdilib.lab.experiments.shared.images import COST, Made, Measures, costs, firsts
from sdilib.lab.experiments.shared.scales import draw_against, over_gamma
from sdilib.lab.metrics import saturation
from sdilib.lab.world.captions import VIEWS
from sdilib.lab.world.dataset import random_scene
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS, RADIUS
from sdilib.lab.world.objects import signed_distance
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import WorldCamera, WorldScene

SCALES = (1.0, 3.0, 7.5, 15.0, 30.0, 100.0)
COLUMNS = 8

CAMERAS = {
    "front": WorldCamera(20.0, 15.0),
    "side": WorldCamera(90.0, 15.0),
    "back": WorldCamera(200.0, 15.0),
    "overhead": WorldCamera(20.0, 70.0),
}

STYLES: dict[str, dict[str, Any]] = {
    "picture": {"interpolation": "lanczos"},
    "silhouette": {"cmap": "gray", "vmin": 0, "vmax": 1},
    "depth": {"cmap": "viridis_r"},
    "distance": {"cmap": "RdBu", "vmin": -0.8, "vmax": 0.8},
}
"""How each kind of row is drawn; infinite values stay empty."""

FROM_SURFACE = "distance from the surface"
COLOUR, FIT, OFF = "saturation", "fit to the prompt", "saturation, off the renders'"


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A row of pictures or of maps.

    Attributes:
        label: what they are.
        titles: one per picture.
        values: colours in [0, 1], or one number per pixel.
        kind: what the numbers are, a key of `STYLES`.
    """

    label: str
    titles: Sequence[str]
    values: Float[np.ndarray, "columns height width *channels"]
    kind: str = "picture"


def world_rows(*, image_size: int = 96) -> list[Row]:
    """Return the world at a glance: all objects, colours and patterns, views, and the ground truth of some.

    Args:
        image_size: height and width of each picture.
    """
    size, front = {"height": image_size, "width": image_size}, CAMERAS["front"]
    looks = zip(OBJECT_NAMES, cycle(COLOURS), cycle(PATTERNS), strict=False)
    objects = [WorldScene(*look, front) for look in looks]
    painted = [WorldScene("teapot", *look, front) for look in zip(COLOURS, cycle(PATTERNS))]
    pairs = product((("cat", "orange"), ("car", "blue")), VIEWS)
    turned = [WorldScene(*of, "plain", CAMERAS[view]) for of, view in pairs]
    family = [
        WorldScene.drawn("mushroom", "red", "spotted", np.random.default_rng(i))
        for i in range(COLUMNS)
    ]
    some, known = objects[:COLUMNS], objects[COLUMNS:]
    pictures = [
        ("objects", OBJECT_NAMES[:COLUMNS], some),
        ("", OBJECT_NAMES[COLUMNS:], known),
        ("colours, patterns", [f"{scene.colour} {scene.pattern}" for scene in painted], painted),
        ("views", [scene.camera.view for scene in turned], turned),
        ("red spotted mushrooms", [scene.camera.view for scene in family], family),
    ]
    rows = [Row(label, of, render_batch(scenes, **size)[0]) for label, of, scenes in pictures]
    _, silhouettes, depths = render_batch(known, **size)
    slices, blank = np.stack([_slice(scene, image_size) for scene in known]), [""] * COLUMNS
    return [
        *rows,
        Row("silhouette", blank, silhouettes, "silhouette"),
        Row("depth", blank, depths, "depth"),
        Row("signed distance at z = 0", blank, slices, "distance"),
    ]


def _slice(scene: WorldScene, size: int) -> Float[np.ndarray, "size size"]:
    """Signed distance in the plane z = 0, seen from the front."""
    axis = np.linspace(-RADIUS, RADIUS, size)
    x, y = np.meshgrid(axis, axis[::-1])
    points = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    return signed_distance(scene, points).reshape(size, size)


def captions(count: int, *, seed: int = 0) -> list[str]:
    """Return the captions of the first training pictures.

    Args:
        count: how many.
        seed: of the data set.
    """
    return [random_scene(seed, i)[1] for i in range(count)]


def surface_points(
    camera: WorldCamera, depth: Float[np.ndarray, "height width"]
) -> Float[np.ndarray, "points 3"]:
    """Return where the rays through a picture's pixels end; background pixels are left out.

    Args:
        camera: that saw the picture.
        depth: along the viewing direction, as from `render_batch`.
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


def world_measures(*, image_size: int = 64) -> dict[str, dict[str, list[float]]]:
    """Return how far the pixels of each object's picture lie from its surface: the largest distance per object.

    Each pixel is projected back into space by its depth; the signed distance there should be zero.

    Args:
        image_size: height and width of the pictures.
    """
    camera, furthest = CAMERAS["front"], []
    scenes = [WorldScene(name, "red", "plain", camera) for name in OBJECT_NAMES]
    *_, depths = render_batch(scenes, height=image_size, width=image_size)
    for scene, depth in zip(scenes, depths, strict=True):
        away = signed_distance(scene, surface_points(camera, depth))
        furthest.append(float(np.abs(away).max()))
    return {FROM_SURFACE: {"all objects": furthest}}


WORLD_CLAIMS = (
    Exact(
        "The depth of every pixel lies on the surface that the signed distance describes",
        FROM_SURFACE,
        "all objects",
        at_most=2e-3,
        note="tracing stops within 5e-4 of the surface, in a world of radius 1.2",
    ),
)


def sweep_measures(
    made: Made,
    evaluator: Evaluator,
    prompts: Sequence[str],
    renders: Float[Tensor, "prompts 3 height width"],
) -> Measures:
    """Return, by measure, the numbers of the samples at each guidance scale and of the renders.

    Args:
        made: samples by gamma ("7.5").
        evaluator: the judge.
        prompts: of the samples.
        renders: one for each distinct prompt, in their order.

    Returns:
        By measure, then gamma or "renders". Prompts that leave an attribute open have no number for it.
    """
    different = list(dict.fromkeys(prompts))
    sets = {scale: (run.images, prompts) for scale, run in made.items()}
    sets["renders"] = (renders, different)
    colour = {name: saturation(images) for name, (images, _) in sets.items()}
    true = colour["renders"][[different.index(prompt) for prompt in prompts]]
    right = {name: evaluator.accuracy(*of) for name, of in sets.items()}
    shown = {
        # NaN where a prompt leaves the attribute open.
        attribute: {name: x[attribute][~x[attribute].isnan()] for name, x in right.items()}
        for attribute in ATTRIBUTES
    }
    return shown | {
        COLOUR: colour,
        FIT: {name: evaluator.score(*of) for name, of in sets.items()},
        OFF: {scale: (colour[scale] - true).abs() for scale in made},
        COST: costs(made),
    }


SWEEP_CLAIMS = (
    Less("Images fit their prompts better at γ = 7.5 than at γ = 1", FIT, "1", "7.5"),
    Less("Images are more saturated at γ = 100 than at γ = 7.5", COLOUR, "7.5", "100"),
    Less("At γ = 7.5 the saturation is nearer to the renders' than at γ = 100", OFF, "7.5", "100"),
)

SHARES = dict(zip(ATTRIBUTES, ("#1b1b1b", "#d6604d", "#4393c3", "#1b7837"), strict=True))
"""Colour of each attribute's curve."""

TITLE, GAP, BELOW = 0.17, 0.06, 1.75
"""Space above a row with titles and above one without, and for the panels below, in inches."""


def draw_world(rows: Sequence[Row]) -> Figure:
    """Draw rows of pictures and maps, with a label left of each row and the pictures' titles above them.

    Args:
        rows: all of the same number of columns.
    """
    columns = len(rows[0].values)
    side = (WIDTH - LABELS) / columns
    heights = [side + (TITLE if any(row.titles) else GAP) for row in rows]
    figure, parts = drawing.stacked(*heights)
    for part, row, height in zip(parts, rows, heights, strict=True):
        line = part.subplots(1, columns)
        part.subplots_adjust(LABELS / WIDTH, 0, 1, 0.97 * side / height, wspace=0.03)
        for axes, title, values in zip(line, row.titles, row.values, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.imshow(np.where(np.isinf(values), np.nan, values), **STYLES[row.kind])
            axes.set_facecolor("#f2f2f2")
            if row.kind == "distance":
                axes.contour(values, levels=[0.0], colors="black", linewidths=0.8)
            axes.set_title(title, fontsize=6.5, pad=2)
        label = {"rotation": 0, "ha": "right", "va": "center", "labelpad": 6, "fontsize": 8}
        line[0].set_ylabel("\n".join(wrap(row.label, 10)), **label)
    return figure


def draw_sweep(
    made: Made,
    prompts: Sequence[str],
    renders: Float[Tensor, "prompts 3 height width"],
    numbers: Mapping[str, Any],
) -> Figure:
    """Draw renders and samples of the same prompts, and below them numbers against gamma.

    Args:
        made: samples by gamma, at each of `SCALES`.
        prompts: of the samples.
        renders: one for each distinct prompt, in their order.
        numbers: from `sweep_measures`.
    """
    samples, columns = firsts(made, prompts)
    rows = {"renders": renders[: len(columns)]}
    rows |= {f"γ = {scale}": images for scale, images in samples.items()}
    figure, (below,) = drawing.images_above(rows, columns, BELOW)
    *means, shares = drawing.panels(below, 3, BELOW, between=0.26)
    orange, place = "#e08214", ("axes fraction", "data")
    for axes, name in zip(means, (COLOUR, FIT), strict=True):
        draw_against(axes, SCALES, numbers[name], name)
        true = float(numbers[name]["renders"].mean())
        axes.axhline(true, linewidth=1, linestyle="--", color=orange)
        text: dict[str, Any] = {"ha": "right", "fontsize": 6.5, "color": orange}
        axes.annotate("renders", (1, true), (0, 2), place, "offset points", **text)
    for name, colour in SHARES.items():
        right = [numbers[name][scale] for scale in made]
        if all(map(len, right)):
            style = {"color": colour, "markersize": 4, "linewidth": 1, "label": name}
            shares.plot(SCALES, [float(each.mean()) for each in right], "o-", **style)
    shares.set_ylim(-0.03, 1.03)
    small = drawing.SMALL | {"columnspacing": 0.8, "labelspacing": 0.5}
    shares.legend(loc="lower left", ncols=2, **small)
    over_gamma(shares, SCALES, "share that is right")
    return figure
