"""A figure on disk: PNG, PDF and a JSON record that says what made it.

The three files of a figure are written together. The record holds the hashes of the other two, so that a figure of which a
killed process renamed only a part is told from a whole one.
"""

import io
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sdilib.checks import reject
from sdilib.lab.claims import Claim
from sdilib.lab.notebooks.freshness import digest, figure_folder, made_from
from sdilib.lab.notebooks.sources import paragraphs
from sdilib.lab.provenance import versions
from sdilib.storage import atomic_write, slug, write_json

__all__ = ["Savable", "figure_folder", "save_figure"]


@runtime_checkable
class Savable(Protocol):
    """What can be written as an image: `matplotlib.figure.Figure` is one."""

    def savefig(self, fname: Any, *, format: str, dpi: int, metadata: dict[str, Any]) -> None:
        """Write the image in the given format ("png" or "pdf") into an open binary file."""
        ...


def save_figure(
    figure: Savable,
    name: str,
    folder: str | Path,
    *,
    numbers: Mapping[str, Any],
    config: Mapping[str, Any],
    seed: int,
    claims: Sequence[Claim],
    notebook_source: str | Path,
    model_hash: str,
    seconds: float,
    film: Float[Tensor, "frames 3 height width"] | None = None,
) -> Path:
    """Write a figure as PNG, PDF and JSON, together or not at all; with a film a GIF, too.

    Args:
        figure: a matplotlib figure.
        name: file name without an ending, e.g. "fig01_teaser".
        folder: where; made if missing (see `figure_folder`).
        numbers: what is plotted, by name; arrays and tensors become lists.
        config: the settings it was made with (see `presets.resolve`).
        seed: the seed all of it was drawn from.
        claims: what the figure says about the paper, checked.
        notebook_source: the notebook's `.py` file; a relative path is taken from the working directory.
        model_hash: names the model (see `StableDiffusion.hash`); "" if none were used.
        seconds: time it took to compute.
        film: frames in [0, 1].

    Returns:
        Path of the JSON file.

    Raises:
        ValueError: a name that is not a safe file name, or nan or infinity among the numbers.
        FileNotFoundError: no such notebook.
    """
    if slug(name, 200).replace("-", "_") != name:
        reject("name", name, "lower-case letters, digits and _")
    record = {
        "figure": name,
        "title": _title(notebook_source),
        "notebook": Path(notebook_source).stem,
        "config": _plain("config", config),
        **made_from(notebook_source, config, model_hash),
        "seed": seed,
        "seconds": round(seconds, 1),
        "versions": versions(),
        "claims": _plain("claims", [asdict(claim) for claim in claims]),
        "numbers": _plain("numbers", numbers),
    }
    images = {kind: _render(figure, kind) for kind in ("png", "pdf")}
    if film is not None:
        # Few figures have one, and this imports the NeRF with its compiled kernels.
        from sdilib.lab.exports import gif_bytes

        images["gif"] = gif_bytes(film)
    record["files"] = {kind: digest(image) for kind, image in images.items()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
    try:
        for kind, image in images.items():
            atomic_write(staging / f"{name}.{kind}", image)
        write_json(staging / f"{name}.json", record)
        for kind in (*images, "json"):  # the record last: it vouches for the others
            (staging / f"{name}.{kind}").replace(folder / f"{name}.{kind}")
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder / f"{name}.json"


def _title(source: str | Path) -> str:
    parts = chain(*paragraphs(source))
    return next((part[2:] for part in parts if part.startswith("# ")), Path(source).stem)


def _render(figure: Savable, kind: str) -> bytes:
    buffer = io.BytesIO()
    # No dates: the same numbers give the same bytes.
    undated = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=150, metadata=undated)
    return _fewer_levels(buffer) if kind == "png" else buffer.getvalue()


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
