"""The member of a family that is nearest to given views: what an object that was made could have been.

A prompt leaves shape, shades, the pattern's place and the light open, so that a made object is compared with that object
of its words which fits its views best. The fit is robust: floaters and dirt are outliers, not part of a shape.

Letters: a number of the fit is in [-1, 1], as in `scene.Member`; stretch and size are mapped to that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult, least_squares

from sdilib.checks import reject
from sdilib.world.kinds import MOST_PARTS, NUM_SHAPE, OBJECT_NAMES, OBJECTS
from sdilib.world.render import render_batch
from sdilib.world.scene import Light, Member, WorldCamera, WorldScene

__all__ = ["Nearest", "nearest", "rendered"]

_STEP = 0.06  # of a difference: wide, since a picture's edges are averages of four rays
_SIZES = 0.25  # log of the largest size
_STARTS = 3
_PLACES = ((0.0, 0.0), (0.9, 0.0), (0.0, 0.9), (0.9, 0.9))

Views = Float[np.ndarray, "views height width 3"]
Covers = Float[np.ndarray, "views height width"]


@dataclass(frozen=True, slots=True)
class Nearest:
    """What was found.

    Attributes:
        scene: its camera is the first of those given.
        size: of the object that was seen, 1 for one of the world's own.
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
        scene: whose camera does not matter.
        cameras: views.
        size: of the object; an enlarged one is the usual one seen from nearer.
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
    """Return the object of these words that fits views of one object best.

    First the shape is fitted to the silhouettes, from several starts, then shades, light and the pattern's place to the
    colours where both cover a pixel.

    Args:
        images: of the object, in [0, 1].
        covers: share of each pixel that it covers, in [0, 1].
        cameras: one a view.
        name: one of `OBJECT_NAMES`.
        colour: one of `COLOURS`.
        pattern: one of `PATTERNS`.
        seed: of the starts.

    Raises:
        ValueError: another number of views than of cameras.
    """
    if not len(images) == len(covers) == len(cameras):
        reject("cameras", len(cameras), f"one for each of {len(images)} views")
    pixels = images.shape[1]
    plain = WorldScene(name, colour, pattern, cameras[0])
    random = np.random.default_rng([seed, 3])

    def shaped(x: np.ndarray) -> tuple[WorldScene, float]:
        member = replace(plain.member, shape=_tuple(x[:NUM_SHAPE]))
        stretch = 1.0 + 0.12 * float(x[NUM_SHAPE])
        return replace(plain, member=member, stretch=stretch), float(np.exp(_SIZES * x[-1]))

    def uncovered(x: np.ndarray) -> np.ndarray:
        scene, size = shaped(x)
        return (rendered(scene, cameras, size=size, pixels=pixels)[1] - covers).ravel()

    count = NUM_SHAPE + 2
    starts = [np.zeros(count), *random.uniform(-0.7, 0.7, (_STARTS - 1, count))]
    found = min((_fitted(uncovered, x) for x in starts), key=lambda fit: float(fit.cost))
    scene, size = shaped(found.x)
    mine = rendered(scene, cameras, size=size, pixels=pixels)[1]
    both = (mine > 0.5) & (covers > 0.5)
    either = (mine > 0.5) | (covers > 0.5)

    def painted(x: np.ndarray) -> WorldScene:
        parts = len(OBJECTS[OBJECT_NAMES.index(name)].parts)
        shades = np.zeros((MOST_PARTS, 3))
        shades[:parts] = x[15 : 15 + 3 * parts].reshape(-1, 3)
        member = Member(
            shape=scene.member.shape,
            paint=_tuple(x[:3]),
            second=_tuple(x[3:6]),
            pattern=_tuple(x[6:10]),
            tilt=_tuple(x[10:12]),
            parts=tuple(_tuple(row) for row in shades),
        )
        across, along, up = x[12:15]
        light = Light(
            float(np.degrees(np.arctan2(across, along))), 45.0 + 30.0 * float(up), 0.0, 0.0
        )
        return replace(scene, member=member, light=light)

    def off(x: np.ndarray) -> np.ndarray:
        seen = rendered(painted(x), cameras, size=size, pixels=pixels)[0]
        return ((seen - images) * both[..., None]).ravel()

    count = 15 + 3 * len(OBJECTS[OBJECT_NAMES.index(name)].parts)
    begins = []
    for across, along in _PLACES if pattern != "plain" else _PLACES[:1]:
        start = np.zeros(count)
        start[8:10], start[12:14] = (across, along), (0.5, 0.5)
        begins.append(start)
    rough = sorted(begins, key=lambda x: float(np.abs(off(x)).sum()))[:2]
    best = min((_fitted(off, x) for x in rough), key=lambda fit: float(fit.cost))
    error = float(np.sqrt(np.square(off(best.x)).sum() / max(1, 3 * both.sum())))
    return Nearest(painted(best.x), size, float(both.sum() / max(1, either.sum())), error)


def _tuple(x: np.ndarray) -> tuple[float, ...]:
    return tuple(np.clip(x, -1.0, 1.0).tolist())


def _fitted(residuals: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> OptimizeResult:
    """Least squares in [-1, 1], where what is far off counts less.

    Source: scipy's trust region, soft L1 loss.
    """

    def jacobian(x: np.ndarray) -> np.ndarray:
        columns = []
        for i in range(len(x)):
            low, high = x.copy(), x.copy()
            low[i], high[i] = max(-1.0, x[i] - _STEP), min(1.0, x[i] + _STEP)
            columns.append((residuals(high) - residuals(low)) / (high[i] - low[i]))
        return np.stack(columns, axis=1)

    return least_squares(
        residuals, start, jacobian, bounds=(-1.0, 1.0), loss="soft_l1", f_scale=0.1, max_nfev=12
    )
