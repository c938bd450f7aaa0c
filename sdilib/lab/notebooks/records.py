"""A figure on disk: PNG, PDF and a JSON record that says what made it.

The three files of a figure are written together. The record holds the hashes of the other two, so that a figure of which a
killed process renamed only a part is told from a whole one.
"""

import io
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from sdilib.checks import reject
from sdilib.lab.notebooks.freshness import digest
from sdilib.storage import atomic_write, slug, write_json


def write_figure(
    folder: Path,
    name: str,
    figure: Figure,
    record: Mapping[str, Any],
    film: Float[Tensor, "frames 3 height width"] | None = None,
) -> None:
    """Write a figure as PNG, PDF and JSON, together or not at all; with a film a GIF, too.

    Args:
        folder: where; made if missing.
        name: file name without an ending, e.g. "fig01_teaser".
        figure: what is drawn.
        record: what made it and what it shows; arrays and tensors become lists.
        film: frames in [0, 1].

    Raises:
        ValueError: a name that is not a safe file name, or nan or infinity in the record.
    """
    if slug(name, 200).replace("-", "_") != name:
        reject("name", name, "lower-case letters, digits and _")
    content = {"figure": name} | {key: _plain(key, value) for key, value in record.items()}
    images = {kind: _render(figure, kind) for kind in ("png", "pdf")}
    if film is not None:
        # Few figures have one, and this imports the NeRF with its compiled kernels.
        from sdilib.lab.exports import gif_bytes

        images["gif"] = gif_bytes(film)
    content["files"] = {kind: digest(image) for kind, image in images.items()}
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
    try:
        for kind, image in images.items():
            atomic_write(staging / f"{name}.{kind}", image)
        write_json(staging / f"{name}.json", content)
        for kind in (*images, "json"):  # the record last: it vouches for the others
            (staging / f"{name}.{kind}").replace(folder / f"{name}.{kind}")
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _render(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # No dates: the same numbers give the same bytes.
    undated = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    dots = _fineness(figure) if kind == "pdf" else 150
    figure.savefig(buffer, format=kind, dpi=dots, metadata=undated)
    return _fewer_levels(buffer) if kind == "png" else buffer.getvalue()


def _fineness(figure: Figure) -> float:
    """Return the dots per inch of a PDF's pictures: a third more than their own, from 110 to 300."""
    own = [
        image.get_size()[1] / (image.get_window_extent().width / figure.dpi)
        for axes in figure.axes
        for image in axes.images
    ]
    return min(max(110.0, 4 / 3 * max(own, default=0.0)), 300.0)


def _fewer_levels(png: io.BytesIO) -> bytes:
    """Return the picture with 65 levels a channel: two thirds of the bytes, and not to be told from it by eye."""
    levels = [min(4 * round(level / 4), 255) for level in range(256)]
    rounded = Image.open(png).convert("RGB").point(levels * 3)
    smaller = io.BytesIO()
    rounded.save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


def _plain(path: str, value: Any) -> Any:
    """Return a value as JSON can hold it; arrays, tensors and numpy's scalars have `tolist`."""
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{path}.{key}", item) for key, item in value.items()}
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else reject(path, value, "a finite number")
    if hasattr(value, "tolist"):
        return _plain(path, value.tolist())
    if isinstance(value, Sequence):
        return [_plain(f"{path}[{i}]", item) for i, item in enumerate(value)]
    return str(value)
