"""The member of a family that is nearest to given views, and how much of a family some objects cover.

A prompt leaves shape, shades, the pattern's place and the light open, so a generated object is compared with the one that
fits its views best among all that the prompt could mean. The fit is robust: floaters and dirt are outliers, not part of a
shape.

The numbers of the fit are in [-1, 1], as in `scene.Member`; stretch and size are mapped to that range.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult, least_squares

from sdilib.checks import positive_int, reject
from sdilib.lab.world.kinds import MOST_PARTS, NUM_SHAPE, OBJECTS
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import Light, Member, WorldCamera, WorldScene

__all__ = ["Coverage", "Nearest", "mode_coverage", "nearest", "nearest_shape", "rendered"]

_STEP = 0.06  # of finite differences: wide, since a picture's edges are averages of four rays
_SIZES = 0.25  # log of the largest size
_PLACES = tuple(product((-0.6, 0.0, 0.6), (-0.5, 0.5), (-0.75, -0.25, 0.25, 0.75)))
"""Starts for a pattern: size of its cells, and their shift around and along; the nearest few are fitted."""
_TRIED = 2

Views = Float[np.ndarray, "views height width 3"]
Covers = Float[np.ndarray, "views height width"]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest member and how well it fits.

    Attributes:
        scene: with the first of the given cameras.
        size: of the object seen; 1 is the world's own size.
        iou: intersection over union of the silhouettes, over all views.
        colour_error: root mean square over the pixels that both cover.
    """

    scene: WorldScene
    size: float
    iou: float
    colour_error: float


def rendered(
    scene: WorldScene, cameras: Sequence[WorldCamera], *, size: float = 1.0, pixels: int = 32
) -> tuple[Views, Covers]:
    """Draw a scene's object, enlarged, from several cameras.

    Args:
        scene: its camera does not matter.
        cameras: views.
        size: of the object; an enlarged one is the usual one seen from closer.
        pixels: height and width.
    """
    scenes = [
        replace(scene, camera=replace(camera, distance=camera.distance / size))
        for camera in cameras
    ]
    images, covers, _ = render_batch(scenes, height=pixels, width=pixels)
    return images, covers


def nearest(
    images: Views,
    covers: Covers,
    cameras: Sequence[WorldCamera],
    *,
    name: str,
    colour: str,
    pattern: str,
    seed: int = 0,
) -> Nearest:
    """Return the object of these words that best fits views of a given object.

    First the shape is fitted to the silhouettes, from several starts, then shades, light and the pattern's place to the
    colours of pixels that both cover.

    Args:
        images: of the object, in [0, 1].
        covers: share of each pixel that it covers, in [0, 1].
        cameras: one per view.
        name: one of `OBJECT_NAMES`.
        colour: one of `COLOURS`.
        pattern: one of `PATTERNS`.
        seed: of the starts.

    Raises:
        ValueError: not one camera per view.
    """
    if not len(images) == len(covers) == len(cameras):
        reject("cameras", len(cameras), f"one for each of {len(images)} views")
    plain = WorldScene(name, colour, pattern, cameras[0])
    scene, size = nearest_shape(covers, cameras, plain, seed=seed)
    mine = rendered(scene, cameras, size=size, pixels=images.shape[1])[1]
    both, either = (mine > 0.5) & (covers > 0.5), (mine > 0.5) | (covers > 0.5)
    scene, error = _painted_like(images, both, scene, size, cameras)
    return Nearest(scene, size, float(both.sum() / max(1, either.sum())), error)


def nearest_shape(
    covers: Covers,
    cameras: Sequence[WorldCamera],
    plain: WorldScene,
    *,
    size: float = 1.0,
    starts: int = 3,
    seed: int = 0,
) -> tuple[WorldScene, float]:
    """Return the member of a scene's family whose silhouettes are nearest, and its size.

    Args:
        covers: share of each pixel that the object covers, in [0, 1].
        cameras: one per view.
        plain: any scene of the family.
        size: of the object at the start of the fit, which changes its logarithm by a quarter at most.
        starts: number of starts of the fit; the first is the plain shape.
        seed: of the other starts.
    """
    random = np.random.default_rng([seed, 3])

    def shaped(x: np.ndarray) -> tuple[WorldScene, float]:
        member = replace(plain.member, shape=_tuple(x[:NUM_SHAPE]))
        stretch = 1.0 + 0.12 * float(x[NUM_SHAPE])
        return replace(plain, member=member, stretch=stretch), size * float(np.exp(_SIZES * x[-1]))

    def off(x: np.ndarray) -> np.ndarray:
        scene, enlarged = shaped(x)
        seen = rendered(scene, cameras, size=enlarged, pixels=covers.shape[1])[1]
        return (seen - covers).ravel()

    # The fit's numbers: shape, stretch, size.
    count = NUM_SHAPE + 2
    begun = [np.zeros(count), *random.uniform(-0.7, 0.7, (starts - 1, count))]
    return shaped(min((_fitted(off, x) for x in begun), key=lambda fit: float(fit.cost)).x)


def _painted_like(
    images: Views, both: np.ndarray, scene: WorldScene, size: float, cameras: Sequence[WorldCamera]
) -> tuple[WorldScene, float]:
    """The scene whose colours are nearest, and their error over the pixels that both cover.

    The fit's numbers are paint, the pattern's other colour, the pattern, its tilt, the light, then each part's shade.
    """
    parts = len(OBJECTS[scene.name])

    def painted(x: np.ndarray) -> WorldScene:
        shades = np.zeros((MOST_PARTS, 3))
        shades[:parts] = x[17:].reshape(-1, 3)
        member = Member(
            shape=scene.member.shape,
            paint=_tuple(x[:3]),
            second=_tuple(x[3:6]),
            pattern=_tuple(x[6:10]),
            tilt=_tuple(x[10:12]),
            parts=tuple(_tuple(row) for row in shades),
        )
        right, front, up, contrast, warmth = x[12:17].tolist()
        azimuth = float(np.degrees(np.arctan2(right, front)))
        light = Light(azimuth, 45.0 + 35.0 * up, contrast, warmth)
        return replace(scene, member=member, light=light)

    def off(x: np.ndarray) -> np.ndarray:
        seen = rendered(painted(x), cameras, size=size, pixels=images.shape[1])[0]
        return ((seen - images) * both[..., None]).ravel()

    starts = []
    for cell, around, along in _PLACES if scene.pattern != "plain" else _PLACES[:1]:
        start = np.zeros(17 + 3 * parts)
        start[6], start[8:10], start[12:14] = cell, (around, along), (0.5, 0.5)
        starts.append(start)
    rough = sorted(starts, key=lambda x: float(np.abs(off(x)).sum()))[:_TRIED]
    best = min((_fitted(off, x) for x in rough), key=lambda fit: float(fit.cost)).x
    return painted(best), float(np.sqrt(np.square(off(best)).sum() / max(1, 3 * both.sum())))


def _tuple(x: np.ndarray) -> tuple[float, ...]:
    return tuple(np.clip(x, -1.0, 1.0).tolist())


def _fitted(residuals: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> OptimizeResult:
    """Least squares in [-1, 1] in which outliers count less.

    Source: scipy's trust region, soft L1 loss.
    """

    def jacobian(x: np.ndarray) -> np.ndarray:
        columns = []
        for i in range(len(x)):
            low, high = x.copy(), x.copy()
            low[i], high[i] = max(-1.0, x[i] - _STEP), min(1.0, x[i] + _STEP)
            columns.append((residuals(high) - residuals(low)) / (high[i] - low[i]))
        return np.stack(columns, axis=1)

    how: Any = {"jac": jacobian, "loss": "soft_l1", "f_scale": 0.1, "max_nfev": 12}
    return least_squares(residuals, start, bounds=(-1.0, 1.0), **how)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a family some of its members cover.

    Attributes:
        spread: standard deviation of each number of shape and paint over the members, relative to that of the world's
            draws: 0 if all are the same, 1 if they differ as the world's do.
        recall: share of the world's draws that lie among the members: nearer to one of them than its k-th neighbour is.
        expected: the recall of the same number of members drawn by the world.
    """

    spread: tuple[float, ...]
    recall: float
    expected: float


def mode_coverage(
    members: Sequence[Member], *, neighbours: int = 3, draws: int = 1000, seed: int = 0
) -> Coverage:
    """Return how much of a prompt's family a method's objects cover, from the members fitted to them.

    Args:
        members: of one prompt, one per seed; more than `neighbours`.
        neighbours: k.
        draws: number of the world's draws.
        seed: of the draws.

    Raises:
        ValueError: too few members.

    Source: recall of Kynkäänniemi et al. (1904.06991), eq. 1, in the family's own numbers instead of a network's features.
    """
    positive_int("neighbours", neighbours)
    if len(members) <= neighbours:
        reject("members", len(members), f"more than neighbours={neighbours}")
    random = np.random.default_rng([seed, 4])
    world = _placed([Member.drawn(random) for _ in range(draws)])
    drawn = _placed([Member.drawn(random) for _ in members])
    made = _placed(members)
    spread = made.std(0) * np.sqrt(3.0)  # 1 for uniform numbers in [-1, 1]
    return Coverage(
        tuple(spread.tolist()),
        _recall(made, world, neighbours),
        _recall(drawn, world, neighbours),
    )


def _placed(members: Sequence[Member]) -> Float[np.ndarray, "members numbers"]:
    return np.array([(*member.shape, *member.paint) for member in members])


def _recall(made: np.ndarray, world: np.ndarray, neighbours: int) -> float:
    among = np.linalg.norm(made[:, None] - made, axis=-1)
    radius = np.sort(among, axis=1)[:, neighbours]  # the nearest is the member itself
    away = np.linalg.norm(world[:, None] - made, axis=-1)
    return float((away <= radius).any(1).mean())
