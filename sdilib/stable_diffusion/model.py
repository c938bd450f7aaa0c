"""Stable Diffusion, and the bundled model, as a `Denoiser` of latents with VAE and text encoder."""

import hashlib
import logging
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import reject
from sdilib.denoiser import GuidedDenoiser
from sdilib.prompts import (
    PAPER_PROMPTS,
    WORLD_PROMPTS,
    PromptEmbeddings,
    check_words,
    encode_text,
)
from sdilib.schedule import NoiseSchedule, Time
from sdilib.stable_diffusion.loading import (
    RANDOM,
    StableDiffusionPipeline,
    hub_commit,
    load_pipeline,
    model_folder,
)
from sdilib.storage import hash_files, read_json

__all__ = ["StableDiffusion"]

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
            name: for run files.
            words: the only words its text encoder knows; () for a real one.
        """
        self.name = name
        self.schedule = NoiseSchedule.from_config(dict(pipeline.scheduler.config))
        self.num_forwards = 0
        self._words = tuple(words)
        self._unet = pipeline.unet.eval().requires_grad_(False)
        self._vae = pipeline.vae.eval().requires_grad_(False)
        self._tokenizer = pipeline.tokenizer
        self._text_encoder: torch.nn.Module | None = pipeline.text_encoder.eval().requires_grad_(
            False
        )
        self._embedded: dict[str, Tensor] = {}

    @classmethod
    def from_pretrained(
        cls,
        model: str = "mini",
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> "StableDiffusion":
        """Load a model.

        Args:
            model: "mini" (bundled), "tiny" or "sd21" (random weights), a folder in diffusers'
                format, or a hub id.
            device: where it runs. None is the CPU for models of the world and random ones, whose results then repeat bit
                by bit, and for all others CUDA where there is such a device.
            dtype: of weights and network calls; everything outside them stays in the caller's type. None is float16 on
                CUDA, float32 elsewhere.

        Raises:
            ValueError: unknown model, incomplete folder, another family, zero terminal SNR.
            OSError: weights of a hub id that cannot be fetched.
        """
        folder = model_folder(model)
        listed = folder / "world.json" if folder is not None else None
        words = read_json(listed)["words"] if listed is not None and listed.is_file() else ()
        if device is None:
            small = bool(words) or model in RANDOM
            device = "cuda" if not small and torch.cuda.is_available() else "cpu"
            if not small and device == "cpu":
                _log.warning("model=%r runs on the CPU, since torch finds no CUDA device", model)
        device = torch.device(device)
        if dtype is None:
            dtype = torch.float16 if device.type == "cuda" else torch.float32
        pipeline = load_pipeline(model, dtype=dtype).to(device)
        return cls(pipeline, name=model, words=words)

    @property
    def hash(self) -> str:
        """16 hexadecimal digits naming the weights: a folder's files, a hub id's commit, else those in memory."""
        folder = model_folder(self.name)
        if folder is not None:
            return hash_files(folder)
        digest, commit = hashlib.sha256(), hub_commit(self.name)
        if commit is not None:  # weights in memory are rounded to the type asked for
            digest.update(f"{self.name}@{commit}".encode())
            return digest.hexdigest()[:16]
        for part in (self._unet, self._vae):
            for name, tensor in sorted(part.state_dict().items()):
                digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def draws_world(self) -> bool:
        """Whether prompts are the world's captions: of the bundled model, others trained so, and random weights."""
        return bool(self._words) or self.name in RANDOM

    @property
    def example_prompts(self) -> tuple[str, ...]:
        """Prompts to try: in the world's words, or the paper's."""
        return WORLD_PROMPTS if self.draws_world else PAPER_PROMPTS

    @property
    def device(self) -> torch.device:
        """Where the UNet is."""
        return next(self._unet.parameters()).device

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of the latents the UNet was trained on."""
        size = self._unet.config.sample_size
        return (self._unet.config.in_channels, size, size)

    @property
    def factor(self) -> int:
        """How many pixels a latent spans: the VAE divides height and width by it."""
        return 2 ** (len(self._vae.config.block_out_channels) - 1)

    def codec_bytes(self, pixels: int, *, graph: bool) -> int:
        """Foresee the memory that the autoencoder takes at its peak, in bytes.

        Args:
            pixels: of all images together.
            graph: whether `encode` keeps its graph; else `encode` or `decode` without one.
        """
        width = self._vae.config.block_out_channels[0]
        itemsize = next(self._vae.parameters()).element_size()
        # Images of the widest layer that are alive together, measured on "mini" and "sd21" shapes.
        return pixels * width * itemsize * (28 if graph else 18)

    def embed(
        self,
        prompts: Sequence[str],
        *,
        negative_prompts: Sequence[str] = (),
        negative_weights: Sequence[float] | None = None,
    ) -> PromptEmbeddings:
        """Embed prompts, each text once in the model's life.

        Args:
            prompts: one an item, none empty.
            negative_prompts: for Perp-Neg, the same for every item.
            negative_weights: one number of at least 0 a negative prompt; 1 each if None.

        Raises:
            ValueError: an empty or too long prompt, a word the bundled model does not know, or a
                text not seen before `release_text_encoder`.
        """
        for name, given in (("prompts", prompts), ("negative_prompts", negative_prompts)):
            if isinstance(given, str):
                reject(name, given, "a list of texts")
        texts = list(prompts)
        empty = [text for text in texts or [""] if not text.strip()]
        if empty:
            reject("prompt", empty[0], "a text with at least one word")
        rows = self._encode(dict.fromkeys([*texts, "", *negative_prompts]))
        weights = (
            negative_weights if negative_weights is not None else [1.0] * len(negative_prompts)
        )
        every = len(texts)
        return PromptEmbeddings(
            torch.stack([rows[text] for text in texts]),
            torch.stack([rows[""]] * every),
            tuple(torch.stack([rows[text]] * every) for text in negative_prompts),
            tuple(weights),
        )

    def _encode(self, texts: dict[str, None]) -> dict[str, Tensor]:
        new = [text for text in texts if text not in self._embedded]
        if self._words:
            for text in new:
                check_words(text, self._words)
        if new and self._text_encoder is None:
            reject("prompt", new[0], "a text embedded before release_text_encoder() was called")
        if new and self._text_encoder is not None:
            self._embedded |= zip(
                new, encode_text(self._tokenizer, self._text_encoder, new), strict=True
            )
        return self._embedded

    def release_text_encoder(self) -> None:
        """Free the text encoder's memory; texts embedded so far remain known."""
        self._text_encoder = None

    def guided(self, prompt: PromptEmbeddings, guidance_scale: float = 7.5) -> GuidedDenoiser:
        """Return eps(x, t, y) for a prompt.

        Args:
            prompt: from `embed`.
            guidance_scale: gamma of eq. 3.
        """
        return GuidedDenoiser(self, prompt, guidance_scale)

    def branches(
        self,
        x_t: Float[Tensor, " batch *shape"],
        t: Time,
        conditions: Sequence[Float[Tensor, " batch *condition"]],
    ) -> tuple[Float[Tensor, " batch *shape"], ...]:
        """Return eps under each condition, by one UNet call; see `Denoiser`.

        Args:
            x_t: noisy latents (batch, channels, height, width).
            t: one time for all, or one an item.
            conditions: text embeddings, one row an item.
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

    def encode(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels h w"]:
        """Return the scaled mean latents of images; gradients pass.

        Args:
            images: in [0, 1], height and width divisible by `factor`.

        Raises:
            ValueError: sizes that the VAE cannot divide.
        """
        height, width = images.shape[-2:]
        if height % self.factor or width % self.factor:
            reject("images", f"{height}x{width}", f"height and width divisible by {self.factor}")
        parameter = next(self._vae.parameters())
        mean = self._vae.encode((2 * images - 1).to(parameter)).latent_dist.mean
        return (mean * self._vae.config.scaling_factor).to(images)

    def decode(
        self, latents: Float[Tensor, "batch channels h w"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Return the images of scaled latents, about in [0, 1].

        They are not clamped, so that gradients pass everywhere.

        Args:
            latents: as from `encode`.
        """
        parameter = next(self._vae.parameters())
        images = self._vae.decode((latents / self._vae.config.scaling_factor).to(parameter)).sample
        return ((images + 1) / 2).to(latents)
