"""3D objects looked at from all around, and measured: by the evaluator, and against the world's own object.

Each number belongs to one run. A run that diverged counts as the empty picture it left behind: nothing is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.denoiser import with_view
from sdilib.lab.evaluator import Evaluator, asked
from sdilib.lab.metrics import high_frequency_energy, kernel_distance, saturation
from sdilib.lab.world.render import BACKGROUND, WorldCamera, WorldScene, render_batch
from sdilib.lab.world.views import MARGIN_DEGREES, view_margin
from sdilib.nerf.scene import NeRFScene

__all__ = [
    "AZIMUTHS",
    "ELEVATION",
    "Looked",
    "best_iou",
    "looked_at",
    "measures",
    "pictured",
    "sides",
]

AZIMUTHS = tuple(22.5 * k for k in range(16))
"""From where an object is judged, in degrees."""

ELEVATION = 15.0
"""Of those views, in degrees."""

_SCALES = tuple(1.08**k for k in range(-4, 5))
_COVERED = 0.5  # opacity from which a pixel belongs to the object

Images = Float[Tensor, "views 3 height width"]


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What is seen of one object from `AZIMUTHS`.

    Attributes:
        images: in [0, 1].
        opacity: share of light that the object takes, in [0, 1].
        empty: whether there is nothing: the run diverged.
    """

    images: Images
    opacity: Float[Tensor, "views height width"]
    empty: bool = False


def looked_at(scene: NeRFScene | None, *, size: int = 64) -> Looked:
    """Return a scene's 16 views.

    Args:
        scene: rendered in its own size; None is a run that diverged.
        size: height and width of the empty pictures that stand for None.
    """
    if scene is None:
        shape = (len(AZIMUTHS), 3, size, size)
        return Looked(torch.full(shape, BACKGROUND), torch.zeros(shape[0], size, size), True)
    seen = scene.views(Camera.around(AZIMUTHS, elevation_degrees=ELEVATION))
    return Looked(seen.image.clamp(0, 1), seen.opacity)


def measures(
    looked: Mapping[str, Sequence[Looked]],
    prompts: Sequence[str],
    evaluator: Evaluator | None,
) -> dict[str, dict[str, Float[Tensor, " runs"]]]:
    """Return, by measure and then method, a number for each run.

    With an evaluator: "object", "colour" and "pattern" are shares of the 16 views in which it sees what the prompt asks
    for, "view" the share in which it sees the side that is turned to it (of those 15 degrees from a border; 1 for an
    object without a front), "IoU" is `best_iou`, "saturation" and "fine detail" are ratios to the world's own renders of
    the same views, and "kernel distance" is that of the views to its renders from other sides. Without one: the two plain numbers.

    Args:
        looked: from `looked_at`, by method: as many for each as there are prompts.
        prompts: one a run, without view words.
        evaluator: None for a model of another world.
    """
    by_method = {
        name: [
            _measured(each, prompt, evaluator) for each, prompt in zip(all_, prompts, strict=True)
        ]
        for name, all_ in looked.items()
    }
    names = next(iter(by_method.values()))[0]
    return {
        measure: {
            method: torch.tensor([run[measure] for run in runs], dtype=torch.float64)
            for method, runs in by_method.items()
        }
        for measure in names
    }


def best_iou(opacity: Float[Tensor, "views height width"], name: str) -> float:
    """Return the intersection over union of silhouettes with the true object's, the best over turn and scale.

    The mean over the 16 views; turns in steps of 22.5 degrees, scales from 0.74 to 1.36. A turn is allowed for since a
    prompt does not say where the front is, a scale since it does not say how large the object is.

    Args:
        opacity: seen from `AZIMUTHS`.
        name: of the world's object.
    """
    mine = (opacity > _COVERED).flatten(1).double()
    numbers = torch.arange(len(AZIMUTHS))
    turned = (numbers[:, None] - numbers) % len(AZIMUTHS)  # view i, turned by k
    best = 0.0
    for scale in _SCALES:
        truth = _silhouettes(name, scale, opacity.shape[-1]).flatten(1).double()
        both = mine @ truth.T
        either = mine.sum(1, keepdim=True) + truth.sum(1) - both
        overlap = (both / either.clamp_min(1)).gather(1, turned)
        best = max(best, float(overlap.mean(0).max()))
    return best


def pictured(
    looked: Mapping[str, Sequence[Looked]], prompts: Sequence[str]
) -> tuple[dict[str, Float[Tensor, "columns 3 height width"]], list[str]]:
    """Return eight views by method, and what each shows: the first object from eight sides, or the first two from four.

    Args:
        looked: by method, one a prompt.
        prompts: without view words.
    """
    runs = range(min(2, len(prompts)))
    views = list(range(1, len(AZIMUTHS), 2 * len(runs)))
    rows = {
        name: torch.cat([all_[run].images[views] for run in runs]) for name, all_ in looked.items()
    }
    columns = [
        f"{prompts[run]} {AZIMUTHS[k]:.0f}°" if k == views[0] else f"{AZIMUTHS[k]:.0f}°"
        for run in runs
        for k in views
    ]
    return rows, columns


def sides(
    looked: Sequence[Looked], prompts: Sequence[str], *, views: Sequence[int] = (1, 5, 9, 13)
) -> tuple[Float[Tensor, "items 3 height width"], list[str]]:
    """Return some views of each object in a row, and for each its prompt with the word for the view.

    Args:
        looked: one a prompt.
        prompts: without view words.
        views: numbers of `AZIMUTHS`.
    """
    images = torch.cat([each.images[list(views)] for each in looked])
    words = Camera.around([AZIMUTHS[k] for k in views], elevation_degrees=ELEVATION).views
    return images, [with_view(prompt, word) for prompt in prompts for word in words]


def _measured(looked: Looked, prompt: str, evaluator: Evaluator | None) -> dict[str, float]:
    colourful, detail = saturation(looked.images), high_frequency_energy(looked.images)
    name = asked(prompt)["object"]
    if evaluator is None or name is None:
        return {"saturation": float(colourful.mean()), "fine detail": float(detail.mean())}
    truth = _renders(prompt, looked.images.shape[-1])
    scenes = [_scene(prompt, azimuth) for azimuth in AZIMUTHS]
    named = [with_view(prompt, scene.camera.view) for scene in scenes]
    right = evaluator.accuracy(looked.images, named)
    clear = torch.tensor([view_margin(scene.camera) >= MARGIN_DEGREES for scene in scenes])
    seen = right["view"][clear]
    looks = {key: right[key].nan_to_num(1.0) for key in ("object", "colour", "pattern")}
    # Of other sides: against its own views an object would come out nearer than unseen renders are.
    others = _renders(prompt, looked.images.shape[-1], turn=11.25)
    features, real = evaluator.features(looked.images), evaluator.features(others)
    return {key: float(values.mean()) for key, values in looks.items()} | {
        "view": float(seen.nan_to_num(1.0).mean()),
        "IoU": best_iou(looked.opacity, name),
        "saturation": float(colourful.mean() / saturation(truth).mean()),
        "fine detail": float(detail.mean() / high_frequency_energy(truth).mean()),
        "kernel distance": kernel_distance(features, real),
    }


def _scene(prompt: str, azimuth: float, *, scale: float = 1.0) -> WorldScene:
    """The true object; seen from nearer it is larger, by exactly as much."""
    want = asked(prompt)
    camera = WorldCamera(azimuth, ELEVATION, distance=3.6 / scale)
    return WorldScene(
        want["object"] or "", want["colour"] or "red", want["pattern"] or "plain", camera
    )


@lru_cache(maxsize=64)
def _renders(prompt: str, size: int, *, turn: float = 0.0) -> Images:
    scenes = [_scene(prompt, azimuth + turn) for azimuth in AZIMUTHS]
    images, _, _ = render_batch(scenes, height=size, width=size)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


@lru_cache(maxsize=256)
def _silhouettes(name: str, scale: float, size: int) -> Bool[Tensor, "views height width"]:
    scenes = [_scene(name, azimuth, scale=scale) for azimuth in AZIMUTHS]
    _, silhouettes, _ = render_batch(scenes, height=size, width=size)
    return torch.from_numpy(silhouettes) > _COVERED
