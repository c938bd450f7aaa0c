"""What a model's name stands for: the bundled model, random weights in a known shape, a folder or a hub id.

Nothing here imports diffusers, so that a name is looked up, and its files are hashed, at once.
"""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from sdilib.checks import reject
from sdilib.storage import hash_files, read_json

__all__ = [
    "BUNDLED",
    "FILES",
    "INDEX",
    "MODELS",
    "PARTS",
    "RANDOM",
    "SCHEDULER",
    "WITHDRAWN",
    "WORDS",
    "hub_commit",
    "model_folder",
    "model_hash",
    "require_offered",
]

BUNDLED = ("mini",)
"""Models shipped with the package."""

MODELS = Path(str(files("sdilib") / "models"))
"""Where they lie."""

RANDOM: dict[str, dict[str, dict[str, Any]]] = read_json(MODELS / "random.json")
"""Configurations of randomly initialised models, by name: "tiny", of milliseconds per call, with as many
levels as the real thing has kinds of blocks; "sd21" in the shapes of Stable Diffusion 2.1."""


INDEX, SCHEDULER, WORDS = "model_index.json", "scheduler/scheduler_config.json", "world.json"
"""Files of a model's folder: what its parts are, its noise levels, and the only words that a model of the world knows."""

PARTS = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
"""The networks of a model, and what `INDEX` calls each."""

FILES = (
    INDEX,
    SCHEDULER,
    WORDS,
    "tokenizer/*",
    *(f"{part}/{name}" for part in PARTS for name in ("config.json", "*.safetensors*")),
)
"""All that is read of a model."""

WITHDRAWN = tuple(f"stabilityai/stable-diffusion-2{name}" for name in ("-1-base", "-1"))
"""Hub ids that their owner no longer offers, since November 2025."""


def require_offered(model: str) -> None:
    """Refuse a model that its owner has withdrawn from the hub, unless the local cache has it.

    Args:
        model: as for `load_pipeline`.

    Raises:
        ValueError: names what may be given instead.
    """
    if model in WITHDRAWN and model_folder(model) is None and hub_commit(model) is None:
        expected = (
            "another, as make figures PRESET=gpu MODEL=a/folder or sdilib run --model a/folder gives it: "
            "its owner has withdrawn this one from the hub; README says where copies are"
        )
        reject("model", model, expected)


def model_folder(model: str) -> Path | None:
    """Return the folder of a bundled model or of a path, None for any other name and random models'.

    Args:
        model: as for `load_pipeline`.
    """
    if model in BUNDLED:
        return MODELS / model
    if model in RANDOM:  # a folder of that name is given as ./name
        return None
    return Path(model).expanduser() if Path(model).expanduser().is_dir() else None


def hub_commit(model: str) -> str | None:
    """Return the commit of a hub model in the local cache, None for any other name.

    Args:
        model: as for `load_pipeline`.
    """
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "model_index.json")
    return Path(found).parent.name if isinstance(found, str) else None


def model_hash(model: str) -> str:
    """Return 16 hexadecimal digits that name a model: its weights, and all else that changes a number.

    Of a folder all files count that are read, among them scheduler, configurations and tokenizer; others do not.

    Args:
        model: as for `load_pipeline`. A hub id's commit is named; "" is of a model that has neither folder nor commit.
    """
    folder, commit = model_folder(model), hub_commit(model)
    if folder is not None:
        return hash_files(folder, *FILES)
    # Not of the weights in memory, which are rounded to the type asked for.
    return hashlib.sha256(f"{model}@{commit}".encode()).hexdigest()[:16] if commit else ""
