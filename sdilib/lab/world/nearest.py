"""The member of a family that is nearest to given silhouettes, and how much of a family some objects cover.

A prompt leaves an object's shape open, so a generated object is compared with the one that fits its silhouettes best among
all that the prompt could mean. The fit is robust: floaters and dirt are outliers, not part of a shape.

The numbers of the fit are in [-1, 1], as in `scene.Member`; stretch and size are mapped to that range.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult, least_squares

from sdilib.checks import positive_int, reject
from sdilib.lab.world.kinds import NUM_SHAPE
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import WorldCamera, WorldScene

_STEP = 0.06  # of finite differences: wide, since a picture's edges are averages of four rays
_SIZES = 0.25  # log of the largest size

Views = Float[np.ndarray, "views height width 3"]
Covers = Float[np.ndarray, "views height width"]


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
    """How much of a family some objects cover.

    Attributes:
        spread: standard deviation of each number over the objects, relative to that of the world's draws: 0 if all are
            the same, 1 if they differ as the world's do.
        recall: share of the world's draws that lie among the objects: nearer to one of them than its k-th neighbour is.
        expected: the recall of the same number of objects drawn by the world.
    """

    spread: tuple[float, ...]
    recall: float
    expected: float


def mode_coverage(
    fitted: Float[np.ndarray, "objects numbers"],
    *,
    neighbours: int = 3,
    draws: int = 1000,
    seed: int = 0,
) -> Coverage:
    """Return how much of a prompt's family a method's objects cover, from the members fitted to them.

    Args:
        fitted: numbers of the members, such as those of shape, which the world draws uniformly from [-1, 1]; of one
            prompt, a row per seed; more than `neighbours`.
        neighbours: k.
        draws: number of the world's draws.
        seed: of the draws.

    Raises:
        ValueError: too few objects.

    Source: recall of Kynkäänniemi et al. (1904.06991), eq. 1, in the family's own numbers instead of a network's features.
    """
    positive_int("neighbours", neighbours)
    if len(fitted) <= neighbours:
        reject("fitted", len(fitted), f"more rows than neighbours={neighbours}")
    random = np.random.default_rng([seed, 4])
    world = random.uniform(-1.0, 1.0, (draws, fitted.shape[1]))
    drawn = random.uniform(-1.0, 1.0, fitted.shape)
    spread = fitted.std(0) * np.sqrt(3.0)  # 1 for uniform numbers in [-1, 1]
    recalls = (_recall(some, world, neighbours) for some in (fitted, drawn))
    return Coverage(tuple(spread.tolist()), *recalls)


def _recall(made: np.ndarray, world: np.ndarray, neighbours: int) -> float:
    among = np.linalg.norm(made[:, None] - made, axis=-1)
    radius = np.sort(among, axis=1)[:, neighbours]  # the nearest is the object itself
    away = np.linalg.norm(world[:, None] - made, axis=-1)
    return float((away <= radius).any(1).mean())
