"""Stable Diffusion, or the bundled model, as a `Denoiser` of latents, with its VAE and text encoder."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import reject
from sdilib.denoiser import GuidedDenoiser, PromptEmbeddings
from sdilib.schedule import Images, Latents, NoiseSchedule, Time, spread
from sdilib.stable_diffusion.folders import words_of
from sdilib.stable_diffusion.loading import StableDiffusionPipeline, load_pipeline
from sdilib.stable_diffusion.names import RANDOM, model_folder, model_hash
from sdilib.stable_diffusion.precision import AUTO, PRECISIONS, usable_precision
from sdilib.stable_diffusion.text import check_words, encode_text

if TYPE_CHECKING:
    from sdilib.stable_diffusion.adapter import LoRA

_log = logging.getLogger(__name__)


class StableDiffusion:
    """Stable Diffusion 1.x or 2.x, or the bundled model: frozen, with its VAE and text encoder.

    Weights are frozen; gradients pass through to inputs. Computation is deterministic: the VAE's
    mean is used, never a sample.

    Attributes:
        name: the model's name as given.
        schedule: from the scheduler's configuration.
        num_forwards: sample-forwards of the UNet so far.
    """

    def __init__(
        self,
        pipeline: StableDiffusionPipeline,
        *,
        name: str = "pipeline",
        words: Sequence[str] = (),
    ) -> None:
        """Take the parts of a loaded pipeline.

        Args:
            pipeline: any `StableDiffusionPipeline`, on its device and in its type.
            name: name used in run files.
            words: the only words its text encoder knows; () if it is not restricted.
        """
        self.name, self._named = name, False
        scheduler = pipeline.scheduler
        named = {"_class_name": type(scheduler).__name__}
        self.schedule = NoiseSchedule.from_config(named | dict(scheduler.config))
        self.num_forwards = 0
        self._words = tuple(words)
        self._unet = pipeline.unet.eval().requires_grad_(False)
        self._vae = pipeline.vae.eval().requires_grad_(False)
        self._tokenizer = pipeline.tokenizer
        self._text_encoder = pipeline.text_encoder.eval().requires_grad_(False)
        self._embedded: dict[str, Tensor] = {}

    @classmethod
    def from_pretrained(
        cls,
        model: str = "mini",
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | str | None = None,
    ) -> "StableDiffusion":
        """Load a model.

        Args:
            model: "mini" (bundled), "tiny" or "sd21" (random weights), a folder in diffusers'
                format, or a hub id.
            device: where it runs. None is the CPU for models of the world and random ones, whose results then repeat bit
                for bit, and for all others CUDA if available.
            dtype: type of weights and network calls, or its name (see `usable_precision`); everything else stays in the
                caller's type. None or "auto" is float16 on CUDA, float32 elsewhere.

        Raises:
            ValueError: unknown model or device, another family, or a missing or unusable file, which the message names.
            OSError: weights of a hub id that cannot be fetched.
        """
        words = words_of(model, model_folder(model))
        small = bool(words) or model in RANDOM
        found = "cuda" if not small and torch.cuda.is_available() else "cpu"
        place = _usable_device(device or found)
        if isinstance(dtype, str):
            dtype = PRECISIONS.get(usable_precision(dtype, place))
        if dtype is None:
            dtype = torch.float16 if place.type == "cuda" else torch.float32
        pipeline = load_pipeline(model, dtype=dtype, device=place)
        if device is None and not small and found == "cpu":
            _log.warning("model=%r runs on the CPU, since torch finds no CUDA device", model)
        loaded = cls(pipeline, name=model, words=words)
        loaded._named = True  # its weights are those that the name stands for
        return loaded

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits identifying the model: its folder's files, its hub commit, or else what is in memory."""
        if self._named and (named := model_hash(self.name)):
            return named
        digest = hashlib.sha256()
        networks = (self._unet, self._vae, self._text_encoder)
        said = [self.schedule.prediction_type, self._tokenizer.model_max_length]
        said += [_that_counts(dict(self._unet.config)), _that_counts(dict(self._vae.config))]
        said += [_that_counts(self._text_encoder.config.to_dict())]
        said += [_that_counts(json.loads(self._tokenizer.backend_tokenizer.to_str()))]
        digest.update(json.dumps(said, sort_keys=True, default=str).encode())
        digest.update(self.schedule.alphas_cumprod.numpy().tobytes())
        for part in networks:
            for name, tensor in sorted(part.state_dict().items()):
                digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def identity(self) -> str:
        """What of the model a run's numbers depend on: its hash and, unless float32, its precision."""
        return self.hash if self.precision == "float32" else f"{self.hash}-{self.precision}"

    @property
    def draws_world(self) -> bool:
        """Whether prompts are the world's captions: for the bundled model, others trained like it, and random weights."""
        return bool(self._words) or self.name in RANDOM

    @property
    def device(self) -> torch.device:
        """Where the UNet is."""
        return next(self._unet.parameters()).device

    @property
    def precision(self) -> str:
        """The name of the type of its weights, such as a key of `PRECISIONS`."""
        return str(next(self._unet.parameters()).dtype).removeprefix("torch.")

    def require_precision(self, precision: str) -> None:
        """Check that the model was loaded in a run's precision.

        Args:
            precision: a key of `PRECISIONS`; `AUTO` is any.

        Raises:
            ValueError: another one.
        """
        if precision not in (AUTO, self.precision):
            reject("precision", precision, f"{self.precision}, as the model was loaded")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of the latents the UNet was trained on."""
        size = self._unet.config.sample_size
        return (self._unet.config.in_channels, size, size)

    @property
    def factor(self) -> int:
        """How many pixels a latent spans: the VAE divides height and width by it."""
        return 2 ** (len(self._vae.config.block_out_channels) - 1)

    @property
    def codec_width(self) -> int:
        """Bytes per pixel in the VAE's widest layer, for memory estimates."""
        itemsize = next(self._vae.parameters()).element_size()
        return self._vae.config.block_out_channels[0] * itemsize

    def embed(self, prompts: Sequence[str], negative_prompt: str = "") -> PromptEmbeddings:
        """Embed prompts; each text is embedded once and kept.

        Args:
            prompts: one per item, none empty.
            negative_prompt: replaces ∅ in eq. 3, as in Stable Diffusion's pipelines; "" is the empty prompt.

        Raises:
            ValueError: an empty or too long prompt, or a word the bundled model does not know.
        """
        if isinstance(prompts, str):
            reject("prompts", prompts, "a list of texts")
        empty = [text for text in list(prompts) or [""] if not text.strip()]
        if empty:
            reject("prompt", empty[0], "a text with at least one word")
        texts = dict.fromkeys([*prompts, negative_prompt])
        new = [text for text in texts if text not in self._embedded]
        if self._words:
            for text in new:
                check_words(text, self._words)
        if new:
            rows = encode_text(self._tokenizer, self._text_encoder, new)
            self._embedded |= zip(new, rows, strict=True)
        asked = torch.stack([self._embedded[text] for text in prompts])
        away = torch.stack([self._embedded[negative_prompt]] * len(prompts))
        return PromptEmbeddings(asked, away, texts=tuple(prompts))

    def guided(self, prompt: PromptEmbeddings, guidance_scale: float = 7.5) -> GuidedDenoiser:
        """Return eps(x, t, y) for a prompt.

        Args:
            prompt: from `embed`.
            guidance_scale: gamma of eq. 3.
        """
        return GuidedDenoiser(self, prompt, guidance_scale)

    def branches(
        self, x_t: Latents, t: Time, conditions: Sequence[Float[Tensor, " batch *condition"]]
    ) -> tuple[Latents, ...]:
        """Return eps under each condition, from one UNet call; see `Denoiser`.

        Args:
            x_t: noisy latents (batch, channels, height, width).
            t: one time for all, or one per item.
            conditions: text embeddings, one row per item.
        """
        parameter = next(self._unet.parameters())
        timestep = self.schedule.timestep(t).to(parameter.device, torch.float32).expand(len(x_t))
        copies = len(conditions)
        output = self._unet(
            torch.cat([x_t] * copies).to(parameter),
            torch.cat([timestep] * copies),
            encoder_hidden_states=torch.cat(list(conditions)).to(parameter),
        ).sample
        self.num_forwards += copies * len(x_t)
        return tuple(self.schedule.eps(part.to(x_t), x_t, t) for part in output.chunk(copies))

    def adapter(self, rank: int = 4) -> "LoRA":
        """Return a trainable copy that shares the frozen weights; the model itself never changes.

        Args:
            rank: rank of the LoRA, at least 1.
        """
        from sdilib.stable_diffusion.adapter import LoRA  # peft takes a second to import

        return LoRA(self._unet, self.schedule, rank=rank, counted=self._count)

    def _count(self, samples: int) -> None:
        self.num_forwards += samples

    def encode(self, images: Images) -> Latents:
        """Return the scaled mean latents of images; gradients pass through.

        In float16 the gradients are scaled on their way through the network, so that they do not overflow at a large
        guidance scale or vanish at a small one.

        Args:
            images: in [0, 1], height and width divisible by `factor`.

        Raises:
            ValueError: height or width not divisible by `factor`.
        """
        height, width = images.shape[-2:]
        if height % self.factor or width % self.factor:
            reject("images", f"{height}x{width}", f"height and width divisible by {self.factor}")
        parameter = next(self._vae.parameters())
        pixels = 2 * images - 1
        mean = self._vae.encode(pixels.to(parameter)).latent_dist.mean
        latents = (mean * self._vae.config.scaling_factor).to(images)
        if parameter.dtype == torch.float16 and latents.requires_grad:
            scale_gradients(pixels, latents)
        return latents

    def decode(self, latents: Latents) -> Images:
        """Return the images of scaled latents, roughly in [0, 1].

        They are not clamped, so that gradients pass everywhere.

        Args:
            latents: as from `encode`.
        """
        parameter = next(self._vae.parameters())
        images = self._vae.decode((latents / self._vae.config.scaling_factor).to(parameter)).sample
        return ((images + 1) / 2).to(latents)


def scale_gradients(
    begin: Float[Tensor, " batch *input"], end: Float[Tensor, " batch *output"]
) -> None:
    """Scale the gradients that are backpropagated between two float32 tensors through float16.

    Each item's gradient is scaled to about 1 by a power of two, and scaled back where it leaves: exact, except for what
    float16 would have lost (loss scaling, Micikevicius et al., 1710.03740, without state).

    Args:
        begin: what enters the network.
        end: what comes out of it.
    """
    factor: list[Tensor] = []

    def enter(gradient: Tensor) -> Tensor:
        known = torch.finfo(gradient.dtype)
        largest = gradient.flatten(1).abs().amax(1).clamp(known.tiny, known.max)
        factor[:] = [torch.exp2(-largest.log2().floor())]
        return gradient * spread(factor[0], gradient)

    end.register_hook(enter)
    begin.register_hook(lambda gradient: gradient / spread(factor[0], gradient))


def _usable_device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.zeros(1, device=place).item()  # "meta" has no numbers
    except (AssertionError, RuntimeError):
        reject("device", str(device), "a device that torch has here, such as cpu or cuda")
    return place


def _that_counts(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what no number comes from: versions, and what the last call set."""
    left_out = ("transformers_version", "dtype", "torch_dtype", "truncation", "padding")
    return {k: of for k, of in config.items() if not k.startswith("_") and k not in left_out}
