"""Encoders of images and texts into a common space, and the metrics based on them: CLIP Score, CLIP-IQA, R-precision.

The bundled evaluator is an encoder, and so is any `transformers.CLIPModel`. A score depends on the encoder as much as on
the images, so the encoder's `name` belongs beside every number.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer, CLIPModel
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from sdilib.checks import reject
from sdilib.lab.evaluator import CLIP, Evaluator, Images, one_each
from sdilib.lab.provenance import evaluator_folder

IQA_PAIRS: Mapping[str, tuple[str, str]] = {
    "quality": ("Good photo.", "Bad photo."),
    "sharpness": ("Sharp photo.", "Blurry photo."),
    "real": ("Real photo.", "Abstract photo."),
}
"""The two texts that an image is compared with, by aspect, as in the paper's Table 1."""

Embeddings = Float[Tensor, "batch dimensions"]


@runtime_checkable
class Encoder(Protocol):
    """Embeds images and texts.

    Attributes:
        name: printed beside each number.
        knows_photos: whether it can tell good photos from bad, as CLIP-IQA asks it to.
    """

    name: str
    knows_photos: bool

    def features(self, images: Images) -> Embeddings:
        """Return the features by which sets of images are compared.

        Args:
            images: in [0, 1], of any size; clamped.
        """
        ...

    def image_embeddings(self, images: Images) -> Embeddings:
        """Return embeddings of length one.

        Args:
            images: in [0, 1], of any size; clamped.
        """
        ...

    def text_embeddings(self, texts: Sequence[str]) -> Embeddings:
        """Return embeddings of length one.

        Args:
            texts: any.
        """
        ...


class CLIPEncoder(CLIP):
    """A `CLIPModel` from a folder or the hub.

    Images are resized to its input as a whole and normalised by OpenAI's mean and deviation, as in all of OpenAI's and
    LAION's models; texts are cut to its length.

    Attributes:
        knows_photos: True.
    """

    knows_photos = True

    def __init__(self, name: str) -> None:
        """Load it onto the CPU, in float32.

        Args:
            name: a folder in transformers' format, or a hub id, such as the paper's openai/clip-vit-base-patch32.

        Raises:
            ValueError: no CLIP of that name.
        """
        try:
            clip = CLIPModel.from_pretrained(name, dtype=torch.float32)
            super().__init__(clip, AutoTokenizer.from_pretrained(name), name)
        except (OSError, ValueError):
            expected = "evaluator, a folder of a CLIPModel, or a hub id that can be fetched or is in the cache"
            reject("encoder", name, expected)

    def _pixels(self, images: Images) -> Tensor:
        size = self._clip.config.vision_config.image_size
        mean, std = (torch.tensor(x)[:, None, None] for x in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
        inside = images.cpu().clamp(0, 1)
        resized = functional.interpolate(inside, (size, size), mode="bicubic", antialias=True)
        return (resized.clamp(0, 1) - mean) / std

    def _read(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        longest = self._clip.config.text_config.max_position_embeddings
        cut = {"padding": True, "truncation": True, "max_length": longest, "return_tensors": "pt"}
        return self._tokenizer(list(texts), **cut)


def encoder(name: str) -> Encoder:
    """Return an encoder.

    Args:
        name: "evaluator" (bundled), a folder of one, or a `CLIPModel`'s folder or hub id.

    Raises:
        ValueError: no encoder of that name.
    """
    known = name == "evaluator" or (evaluator_folder(name) / "readouts.safetensors").is_file()
    return Evaluator.from_pretrained(name) if known else CLIPEncoder(name)


def clip_score(of: Encoder, images: Images, texts: Sequence[str]) -> Float[Tensor, " batch"]:
    """Return the CLIP Score of each image with its text, 100 max(cos, 0).

    Args:
        of: the encoder.
        images: in [0, 1].
        texts: one per image.

    Raises:
        ValueError: not one text per image.

    Source: CLIPScore (2104.08718) with torchmetrics' factor of 100, as in the paper's Table 1.
    """
    one_each("texts", texts, images)
    cosines = (of.image_embeddings(images) * of.text_embeddings(texts)).sum(1)
    return 100 * cosines.clamp_min(0)


def clip_iqa(of: Encoder, images: Images) -> dict[str, Float[Tensor, " batch"]]:
    """Return, by aspect, how much more each image is like the first text of a pair than the second, in [0, 1].

    Args:
        of: the encoder; one that `knows_photos`.
        images: in [0, 1].

    Raises:
        ValueError: an encoder that does not know photos.

    Source: CLIP-IQA (2207.12396), with the prompts of the paper's Table 1 and a temperature of 1/100. Its own backbone is
    a ResNet-50 without position embedding, which gives other numbers.
    """
    if not of.knows_photos:
        reject("encoder", of.name, "one trained on photos, such as openai/clip-vit-base-patch32")
    embedded = of.image_embeddings(images)
    return {
        aspect: (100 * embedded @ of.text_embeddings(pair).T).softmax(1)[:, 0]
        for aspect, pair in IQA_PAIRS.items()
    }


def r_precision(
    of: Encoder, images: Images, texts: Sequence[str], *, pool: Sequence[str]
) -> Float[Tensor, " batch"]:
    """Return 1 where an image is closer to its own text than to any other in the pool, else 0.

    Args:
        of: the encoder.
        images: in [0, 1].
        texts: one per image.
        pool: all different, including the images' texts; its size belongs beside the number.

    Raises:
        ValueError: not one text per image, a text that is missing from the pool, or one that is in it twice.

    Source: DreamFields (2112.01455), section 4.1.
    """
    one_each("texts", texts, images)
    if len(set(pool)) < len(pool) or not set(texts) <= set(pool):
        reject("pool", list(pool), "different texts, the images' own among them")
    nearest = (of.image_embeddings(images) @ of.text_embeddings(pool).T).argmax(1)
    own = torch.tensor([list(pool).index(text) for text in texts])
    return (nearest.cpu() == own).float()
