"""Checks of a model's folder: what it has to contain, and one sentence that names the file if it does not.

No class that a folder names is looked up or run, and no pickle is read.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open

from sdilib.checks import one_of, reject
from sdilib.stable_diffusion.names import INDEX, PARTS, SCHEDULER, WORDS
from sdilib.storage import read_json

_SUPPORTED = "StableDiffusionPipeline"
_WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_)?model(?:\.(?P<variant>\w+))?(?:-\d+-of-\d+)?\.safetensors"
)


@contextmanager
def usable(model: str, file: str) -> Iterator[None]:
    """Turn any error that a model's file causes in the block into one sentence that names the file.

    Args:
        model: the name as given.
        file: within the model's folder.

    Raises:
        ValueError: the block failed.
    """
    try:
        yield
    except Exception as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        cause = cause if len(cause) <= 400 else f"{cause[:400]}…"
        reject("model", model, f"a usable {file} in it ({cause})")


def check_index(model: str, folder: Path) -> None:
    """Refuse a model of another family, judging by its `model_index.json`.

    Args:
        model: the name as given, for the message.
        folder: its folder.

    Raises:
        ValueError: no such file, another family, or a part of another kind.
    """
    if not (folder / INDEX).is_file():
        reject("model", model, f"a folder in diffusers' format, with a {INDEX}")
    index = _read(model, folder, INDEX)
    family = index.get("_class_name", "no class")
    if family != _SUPPORTED:
        reject(
            "model",
            model,
            f"a {_SUPPORTED} (Stable Diffusion 1.x or 2.x) in {INDEX}, not a {family}",
        )
    with usable(model, INDEX):
        for part, kind in PARTS.items():
            one_of(part, index[part][1], [kind])


def check_folder(model: str, folder: Path) -> dict[str, Any]:
    """Refuse a folder that is not a complete Stable Diffusion model; reads its small files and its weights' headers.

    Args:
        model: the name as given, for the message.
        folder: its folder.

    Returns:
        The configuration of its scheduler.

    Raises:
        ValueError: another family, or a file that is missing, truncated or invalid; the message names it.
    """
    check_index(model, folder)
    for part in PARTS:
        _read(model, folder, f"{part}/config.json")
        for path in weights(model, folder, part)[1]:
            with usable(model, f"{part}/{path.name}"), safe_open(path, "pt"):
                pass
    return _read(model, folder, SCHEDULER)


def words_of(model: str, folder: Path | None) -> tuple[str, ...]:
    """Return the only words that a model of the world knows; none for a general model.

    Args:
        model: the name as given, for the message.
        folder: its folder, if it has one.

    Raises:
        ValueError: a `world.json` without a list of words.
    """
    if folder is None or not (folder / WORDS).is_file():
        return ()
    words = _read(model, folder, WORDS).get("words")
    with usable(model, WORDS):
        if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
            reject("words", words, "a list of words")
    return tuple(words)


def weights(model: str, folder: Path, part: str) -> tuple[str | None, list[Path]]:
    """Return the weights of a part: those in full precision if present, otherwise a variant such as "fp16".

    Args:
        model: the name as given, for the message.
        folder: of the model.
        part: a key of `PARTS`.

    Returns:
        The variant's name, None for full precision, and the files.

    Raises:
        ValueError: there are none.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted((folder / part).glob("*.safetensors")):
        if named := _WEIGHTS.fullmatch(path.name):
            found.setdefault(named["variant"] or "", []).append(path)
    if not found:
        reject("model", model, f"a folder with weights in {part}/*.safetensors")
    variant = min(found)
    return variant or None, found[variant]


def _read(model: str, folder: Path, file: str) -> dict[str, Any]:
    with usable(model, file):
        content = read_json(folder / file)
        if not isinstance(content, dict):
            reject("content", content, "an object, {…}, of JSON")
        return content
    raise AssertionError  # for pyright: the block above returns or raises
