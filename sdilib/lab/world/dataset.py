"""The world as a data set: scenes numbered from 0, drawn by (seed, index), kept as one array.

A folder holds `images.npy` (uint8, memory-mapped), `captions.json`, `labels.npy` (object, colour,
pattern, view as numbers) and `info.json`, which is written last.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from tqdm import tqdm

from sdilib.cameras import VIEWS
from sdilib.checks import positive_int, reject
from sdilib.lab.world.captions import caption, is_held_out
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import WorldScene
from sdilib.storage import read_json, write_json

_log = logging.getLogger(__name__)

_CHUNK = 256


@dataclass(frozen=True, slots=True)
class WorldData:
    """Images with their captions and labels.

    Args:
        images: pictures, 0 to 255.
        captions: one per picture.
        labels: numbers of the object, colour, pattern and view, in the order of `OBJECT_NAMES`,
            `COLOURS`, `PATTERNS` and `VIEWS`.
    """

    images: UInt8[np.ndarray, "count height width 3"]
    captions: tuple[str, ...]
    labels: Int[np.ndarray, "count 4"]


def random_scene(seed: int, index: int, *, held_out: bool = False) -> tuple[WorldScene, str]:
    """Draw scene number `index` and its caption, without drawing any other scene.

    Args:
        seed: of the data set, at least 0.
        index: of the scene, at least 0.
        held_out: draw only from the combinations kept out of training, instead of from the rest.

    Raises:
        ValueError: a negative number.
    """
    positive_int("seed", seed, 0)
    positive_int("index", index, 0)
    random = np.random.default_rng([seed, index, int(held_out)])
    while True:
        name = OBJECT_NAMES[random.integers(len(OBJECT_NAMES))]
        colour = list(COLOURS)[random.integers(len(COLOURS))]
        pattern = PATTERNS[random.integers(len(PATTERNS))]
        if is_held_out(name, colour, pattern) == held_out:
            break
    scene = WorldScene.drawn(name, colour, pattern, random)
    return scene, caption(scene, random)


def make_dataset(
    folder: str | Path,
    *,
    count: int = 40_000,
    image_size: int = 64,
    seed: int = 0,
    held_out_every: int = 0,
) -> WorldData:
    """Draw a data set into a folder, or open it if it is already there; the images stay on disk until they are read.

    Args:
        folder: of the data set; about 12 kB per image at 64 x 64.
        count: number of images.
        image_size: height and width in pixels.
        seed: of the scenes.
        held_out_every: one scene in so many is of a combination kept out of training; 0 for none.

    Raises:
        ValueError: a number below its minimum, or a folder with another data set, which may be in use.
    """
    folder = Path(folder)
    info = {
        "count": positive_int("count", count),
        "image_size": positive_int("image_size", image_size),
        "seed": positive_int("seed", seed, 0),
        "held_out_every": positive_int("held_out_every", held_out_every, 0),
        "objects": list(OBJECT_NAMES),
    }
    done = folder / "info.json"
    if done.exists():
        if other := {name: of for name, of in read_json(done).items() if info.get(name) != of}:
            was = ", ".join(f"{name}={of!r}" for name, of in other.items())
            reject("folder", str(folder), f"a folder without another data set (there: {was})")
    else:
        _draw(folder, count, image_size, seed, held_out_every)
        write_json(done, info)
    return WorldData(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        captions=tuple(read_json(folder / "captions.json")),
        labels=np.load(folder / "labels.npy"),
    )


def scene_labels(scene: WorldScene) -> tuple[int, int, int, int]:
    """Numbers of a scene's object, colour, pattern and view."""
    return (*scene.numbers, VIEWS.index(scene.camera.view))


def _draw(folder, count, image_size, seed, held_out_every):
    """Render all scenes into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = (count, image_size, image_size, 3)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    captions, labels = [], np.empty((count, 4), np.int64)
    for start in tqdm(range(0, count, _CHUNK), desc="rendering", unit="chunk"):
        drawn = [
            random_scene(seed, i, held_out=held_out_every > 0 and i % held_out_every == 0)
            for i in range(start, min(start + _CHUNK, count))
        ]
        scenes = [scene for scene, _ in drawn]
        pictures, _, _ = render_batch(scenes, height=image_size, width=image_size)
        images[start : start + len(scenes)] = (pictures * 255.0).round().astype(np.uint8)
        labels[start : start + len(scenes)] = [scene_labels(scene) for scene in scenes]
        captions += [text for _, text in drawn]
    images.flush()
    np.save(folder / "labels.npy", labels)
    write_json(folder / "captions.json", captions)
    _log.info("wrote %d images to %s", count, folder)
