"""What a model's name stands for: the bundled model, random weights in a known shape, a folder or a hub id.

Nothing here imports diffusers, so that looking up a name and hashing its files is fast.
"""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from sdilib.checks import reject
from sdilib.storage import hash_files, read_json

BUNDLED = ("mini",)
"""Models shipped with the package."""

MODELS = Path(str(files("sdilib") / "models"))
"""The folder that they are in."""

RANDOM: dict[str, dict[str, dict[str, Any]]] = read_json(MODELS / "random.json")
"""Configurations of randomly initialised models, by name: "tiny" takes milliseconds per call, with as many
levels as Stable Diffusion has kinds of blocks; "sd21" has the shapes of Stable Diffusion 2.1."""


INDEX, SCHEDULER, WORDS = "model_index.json", "scheduler/scheduler_config.json", "world.json"
"""Files of a model's folder: its parts, its noise schedule, and the only words that a model of the world knows."""

PARTS = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
"""The networks of a model, and the class of each in `INDEX`."""

FILES = (
    INDEX,
    SCHEDULER,
    WORDS,
    "tokenizer/*",
    *(f"{part}/{name}" for part in PARTS for name in ("config.json", "*.safetensors*")),
)
"""All the files of a model that are read."""

WITHDRAWN = tuple(f"stabilityai/stable-diffusion-2{name}" for name in ("-1-base", "-1"))
"""Hub ids that their owner no longer offers, as of November 2025."""


def check_name(model: str) -> None:
    """Refuse a name that stands for no model, or for one withdrawn from the hub that the local cache does not have.

    The hub is not asked: any id of the form owner/name passes.

    Args:
        model: as for `load_pipeline`.

    Raises:
        ValueError: the message says what may be given instead.
    """
    if model in RANDOM or model_folder(model) is not None:
        return
    if Path(model).expanduser().is_file():
        made = f"StableDiffusionPipeline.from_single_file({model!r}).save_pretrained('a folder')"
        reject("model", model, f"a folder in diffusers' format, which {made} makes of this file")
    if not _is_hub_id(model):
        expected = "mini, tiny, sd21, an existing folder, or a hub id owner/name"
        reject("model", model, expected, known=[*BUNDLED, *RANDOM])
    if model in WITHDRAWN and hub_commit(model) is None:
        expected = (
            "another, as make figures PRESET=gpu MODEL=a/folder or sdilib run --model a/folder gives it: "
            "its owner has withdrawn this one from the hub; README says where copies are"
        )
        reject("model", model, expected)


def of_world(model: str) -> bool:
    """Return whether a name stands for a model that draws the bundled world; a hub id does not.

    Args:
        model: as for `load_pipeline`.
    """
    folder = model_folder(model)
    return model in RANDOM or (folder is not None and (folder / WORDS).is_file())


def _is_hub_id(model: str) -> bool:
    return model.count("/") == 1 and not model.startswith((".", "/", "~"))


def model_folder(model: str) -> Path | None:
    """Return the folder of a bundled model or of a path; None for random models and any other name.

    Args:
        model: as for `load_pipeline`.
    """
    if model in BUNDLED:
        return MODELS / model
    if not model or model in RANDOM:  # a folder of this name must be given as ./name
        return None
    return Path(model).expanduser() if Path(model).expanduser().is_dir() else None


def hub_commit(model: str) -> str | None:
    """Return the commit of a hub model in the local cache; None for any other name.

    Args:
        model: as for `load_pipeline`.
    """
    if not _is_hub_id(model):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "model_index.json")
    return Path(found).parent.name if isinstance(found, str) else None


def model_hash(model: str) -> str:
    """Return 16 hexadecimal digits that identify a model: its weights, and everything else that changes a number.

    For a folder, all files that are read count, including scheduler, configurations and tokenizer; others do not.

    Args:
        model: as for `load_pipeline`. A hub id is identified by its commit; without folder or commit the result is "".
    """
    folder, commit = model_folder(model), hub_commit(model)
    if folder is not None:
        return hash_files(folder, *FILES)
    # Not a hash of the weights in memory, which are rounded to the requested type.
    return hashlib.sha256(f"{model}@{commit}".encode()).hexdigest()[:16] if commit else ""
