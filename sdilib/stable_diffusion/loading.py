"""Where a model comes from: the package, a folder, a hub id, or random weights in a known shape.

Everything is a stock `diffusers.StableDiffusionPipeline`; nothing but the name differs.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

# On import transformers warns that image processors want torchvision; nothing here processes
# images.
_verbosity = transformers_logging.get_verbosity()
transformers_logging.set_verbosity_error()
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL  # noqa: E402
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel  # noqa: E402
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (  # noqa: E402
    StableDiffusionPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler  # noqa: E402
from diffusers.utils import logging as diffusers_logging  # noqa: E402
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel  # noqa: E402

transformers_logging.set_verbosity(_verbosity)

from sdilib.checks import reject  # noqa: E402
from sdilib.stable_diffusion.names import BUNDLED, MODELS, RANDOM, model_folder, require_offered  # noqa: E402

__all__ = [
    "StableDiffusionPipeline",
    "load_pipeline",
    "random_pipeline",
]

SUPPORTED = "StableDiffusionPipeline"
PARTS = ("unet", "vae", "text_encoder")


def load_pipeline(model: str, *, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """Return the stock pipeline of a model, on CPU.

    Args:
        model: "mini" (bundled), "tiny" or "sd21" (random weights), a folder, or a hub id
            "owner/name". Only a hub id that is not in the local cache uses the network.
        dtype: of the weights.

    Raises:
        ValueError: no such model, a folder without `model_index.json` or with weights missing, a
            model of another family.
        OSError: weights of a hub id that cannot be fetched.
    """
    if not model:
        reject("model", model, "a name: mini, tiny, sd21, a folder, or a hub id")
    if model in RANDOM:
        pipeline = random_pipeline(model)
        for part in PARTS:
            # Not the models' own, which warns of each cast.
            torch.nn.Module.to(getattr(pipeline, part), dtype)
        return pipeline
    require_offered(model)
    folder = model_folder(model)
    if folder is not None:
        check_folder(model, folder)
    elif model.count("/") != 1 or model.startswith((".", "/", "~")):
        reject(
            "model",
            model,
            "mini, tiny, sd21, an existing folder, or a hub id owner/name",
            known=[*BUNDLED, *RANDOM],
        )
    else:
        try:
            index = StableDiffusionPipeline.load_config(model)
        except OSError:
            reject("model", model, "a hub id that can be fetched or is in the cache, or a folder")
        check_family(model, index)
    source = str(folder or model)
    with _without_progress_bars():
        return StableDiffusionPipeline.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            local_files_only=folder is not None,
        )


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep the libraries' bars for reading files out of notebooks; downloads have their own."""
    loggers = (diffusers_logging, transformers_logging)
    for each in loggers:
        each.disable_progress_bar()
    try:
        yield
    finally:
        for each in loggers:
            each.enable_progress_bar()


def check_folder(model: str, folder: Path) -> None:
    """Refuse a folder that is not a whole Stable Diffusion model.

    Args:
        model: the name as given, for the message.
        folder: its folder.

    Raises:
        ValueError: no `model_index.json`, another family, or weights missing.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        reject("model", model, "a folder in diffusers' format, with a model_index.json")
    check_family(model, json.loads(index.read_text(encoding="utf-8")))
    for part in PARTS:
        if not any((folder / part).glob("*.safetensors")):
            reject("model", model, f"a folder with weights in {part}{os.sep}*.safetensors")


def check_family(model: str, index: Any) -> None:
    """Refuse pipelines of another family by the class that `model_index.json` names.

    Args:
        model: the name as given, for the message.
        index: the parsed `model_index.json`.

    Raises:
        ValueError: not a `StableDiffusionPipeline`.
    """
    family = index.get("_class_name", "no class")
    if family != SUPPORTED:
        reject("model", model, f"a {SUPPORTED} (Stable Diffusion 1.x or 2.x), not a {family}")


def random_pipeline(name: str, *, seed: int = 0) -> StableDiffusionPipeline:
    """Return a randomly initialised pipeline, the same for the same seed.

    It tokenizes with the bundled model's tokenizer: a random text encoder has no words of its own.

    Args:
        name: a key of `RANDOM`.
        seed: of the weights.
    """
    config = RANDOM[name]
    tokenizer = AutoTokenizer.from_pretrained(str(MODELS / "mini" / "tokenizer"))
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
    } | config["text_encoder"]
    tokenizer.model_max_length = text["max_position_embeddings"]
    text |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    # The modules' own initialisation draws from torch's global stream.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        unet, vae = UNet2DConditionModel(**config["unet"]), AutoencoderKL(**config["vae"])
        text_encoder = CLIPTextModel(CLIPTextConfig(**text))
    scheduler = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "clip_sample": False,
        "steps_offset": 1,
    }
    # Its annotations are narrower than what it takes.
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=DDIMScheduler(**scheduler | config["scheduler"]),  # type: ignore[arg-type]
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
