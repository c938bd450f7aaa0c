"""Where a model comes from: the package, a folder, a hub id, or random weights in a known shape.

The result is always a stock `diffusers.StableDiffusionPipeline`.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

# On import, transformers warns that image processors need torchvision; nothing here uses them.
_verbosity = transformers_logging.get_verbosity()
transformers_logging.set_verbosity_error()
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL  # noqa: E402
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel  # noqa: E402
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (  # noqa: E402
    StableDiffusionPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler  # noqa: E402
from diffusers.utils import logging as diffusers_logging  # noqa: E402
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel, CLIPTokenizer  # noqa: E402

transformers_logging.set_verbosity(_verbosity)

from sdilib.checks import in_range, positive_int, reject  # noqa: E402
from sdilib.schedule import NoiseSchedule  # noqa: E402
from sdilib.stable_diffusion.folders import check_folder, check_index, usable, weights  # noqa: E402
from sdilib.stable_diffusion.names import (  # noqa: E402
    FILES,
    INDEX,
    MODELS,
    PARTS,
    RANDOM,
    SCHEDULER,
    check_name,
    model_folder,
)
from sdilib.stable_diffusion.text import check_tokenizer, encode_text  # noqa: E402

_LOGS = (diffusers_logging, transformers_logging)
_WRONG = ("missing", "mismatched", "unexpected")
_NETWORKS = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}


def load_pipeline(
    model: str, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> StableDiffusionPipeline:
    """Return the stock pipeline of a model, with DDIM as its sampler; each network is called once, as a check.

    Args:
        model: "mini" (bundled), "tiny" or "sd21" (random weights), a folder, or a hub id
            "owner/name". Only a hub id that is not in the local cache uses the network.
        dtype: type of the weights.
        device: where the weights go.

    Raises:
        ValueError: no such model, a model of another family, a file that is missing or cannot be used.
        OSError: weights of a hub id that cannot be fetched.
    """
    check_name(model)
    folder = None
    if model in RANDOM:
        pipeline = random_pipeline(model)
    else:
        folder = model_folder(model) or _fetched(model)
        with quiet():
            pipeline = _pipeline(model, folder, dtype)
    for part in PARTS:
        # Not the models' own method, which warns of each cast.
        torch.nn.Module.to(getattr(pipeline, part), device, dtype)
    if folder:
        _check_parts(model, folder, pipeline)
    return pipeline


def _fetched(model: str) -> Path:
    """The folder of a hub id in the local cache, fetched if it is not complete there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    refused: ValueError | None = None
    for cached, left_out in ((True, None), (False, "*.*.safetensors"), (False, None)):
        how = {"local_files_only": cached, "ignore_patterns": left_out}
        try:
            check_index(model, Path(snapshot_download(model, allow_patterns=INDEX, **how)))
            folder = Path(snapshot_download(model, allow_patterns=[*FILES], **how))
            check_folder(model, folder)
        except (OSError, HFValidationError):
            continue
        except ValueError as error:
            refused = error
        else:
            return folder
    if refused:
        raise refused
    reject("model", model, "a hub id that can be fetched or is in the cache, or a folder")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' progress bars and warnings while a model is loaded: what matters in a folder is checked here."""
    levels = [each.get_verbosity() for each in _LOGS]
    for each in _LOGS:
        each.disable_progress_bar()
        each.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(_LOGS, levels, strict=True):
            each.enable_progress_bar()
            each.set_verbosity(level)


def _pipeline(model: str, folder: Path, dtype: torch.dtype) -> StableDiffusionPipeline:
    betas = check_folder(model, folder)
    with usable(model, SCHEDULER):
        NoiseSchedule.from_config(betas)
        scheduler = DDIMScheduler.from_config(betas)
    networks = {part: _network(model, folder, part, dtype) for part in PARTS}
    present = sorted(path.name for path in (folder / "tokenizer").glob("*"))
    if "tokenizer.json" not in present and not {"vocab.json", "merges.txt"} <= set(present):
        reject("model", model, "tokenizer/tokenizer.json in it, or vocab.json and merges.txt there")
    with usable(model, f"tokenizer ({', '.join(present)})"):
        tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
        check_tokenizer(tokenizer, networks["text_encoder"])
    with usable(model, "unet/config.json"):  # diffusers reads the version that wrote it
        return _assembled(**networks, tokenizer=tokenizer, scheduler=scheduler)


def _assembled(**parts: Any) -> StableDiffusionPipeline:
    without: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
    return StableDiffusionPipeline(**parts, **without, requires_safety_checker=False)


def _network(model: str, folder: Path, part: str, dtype: torch.dtype) -> Any:
    """One of the model's networks, with every tensor read from the file."""
    variant, files = weights(model, folder, part)
    how = {"torch_dtype": dtype, "variant": variant, "use_safetensors": True}
    how |= {"local_files_only": True, "output_loading_info": True}
    if part == "text_encoder":  # elsewhere diffusers itself names a tensor of another shape
        how["ignore_mismatched_sizes"] = True
    with usable(model, f"{part}/config.json and {files[0].name}"):
        network, found = _NETWORKS[part].from_pretrained(str(folder), subfolder=part, **how)
    wrong = {kind: sorted(map(str, found[f"{kind}_keys"])) for kind in _WRONG}
    # Stored by earlier versions of CLIP: 0, 1, 2, …
    wrong["unexpected"] = [n for n in wrong["unexpected"] if not n.endswith("position_ids")]
    said = [f"{len(names)} {kind} ({names[0]}, …)" for kind, names in wrong.items() if names]
    if said:
        lora = any("lora" in name.lower() for name in wrong["unexpected"])
        fuse = "; LoRA weights are to be fused first, by peft's merge_and_unload" if lora else ""
        described = f"{part}/{files[0].name} with the tensors that {part}/config.json describes"
        reject("model", model, f"{described}, not with {' and '.join(said)}{fuse}")
    return network


@torch.no_grad()
def _check_parts(model: str, folder: Path, pipeline: Any) -> None:
    """Call each network once, on the smallest input that it takes, to find faults that no file shows."""
    unet, vae = pipeline.unet, pipeline.vae
    files = {
        part: f"{part}/config.json and {weights(model, folder, part)[1][0].name}" for part in PARTS
    }
    with usable(model, files["text_encoder"]):
        rows = encode_text(pipeline.tokenizer, pipeline.text_encoder, [""])
        _check_output(rows, rows.shape)
    with usable(model, files["vae"]):
        in_range("scaling_factor", vae.config.scaling_factor, 0, 1e6, open_low=True)
        size = 2 ** (len(vae.config.block_out_channels) + 2)
        images = torch.zeros(1, 3, size, size).to(vae.device, vae.dtype)
        latents = vae.encode(images).latent_dist.mean
        _check_output(vae.decode(latents).sample, images.shape)
    with usable(model, files["unet"]):
        positive_int("sample_size", unet.config.sample_size)
        if unet.config.time_cond_proj_dim is not None:  # as in distilled models, which take gamma
            reject("time_cond_proj_dim", unet.config.time_cond_proj_dim, "null")
        side = 2 ** len(unet.config.block_out_channels)
        x = latents.new_zeros(1, latents.shape[1], side, side)
        _check_output(unet(x, 0, encoder_hidden_states=rows).sample, x.shape)


def _check_output(output: torch.Tensor, shape: torch.Size) -> None:
    if output.shape != shape:
        reject("output", tuple(output.shape), f"the shape {tuple(shape)}")
    if not output.isfinite().all():
        reject("output", "nan", "finite numbers")


def random_pipeline(name: str, *, seed: int = 0) -> StableDiffusionPipeline:
    """Return a randomly initialised pipeline, the same for the same seed.

    It uses the bundled model's tokenizer, since a random text encoder has no words of its own.

    Args:
        name: a key of `RANDOM`.
        seed: seed of the weights.
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
    return _assembled(
        vae=vae,
        text_encoder=text_encoder.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=DDIMScheduler(**scheduler | config["scheduler"]),
    )
