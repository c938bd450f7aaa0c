"""The evaluator: judges what an image shows, and how well it fits a prompt.

It is a `transformers.CLIPModel` trained only on renders of the world, never on generated images, and never used as
guidance. Linear read-outs of its image features name object, colour, pattern and view.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

from sdilib.cameras import VIEWS
from sdilib.checks import reject
from sdilib.lab.provenance import evaluator_folder
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.lab.world.scene import WorldScene
from sdilib.lab.world.views import has_front
from sdilib.schedule import Images
from sdilib.stable_diffusion.loading import quiet
from sdilib.storage import load_tensors, read_json

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "object": OBJECT_NAMES,
    "colour": tuple(COLOURS),
    "pattern": PATTERNS,
    "view": VIEWS,
}
"""What is read out, and the words for it, in the order of the data set's labels."""

READOUTS, CARD = "readouts.safetensors", "evaluator.json"

Look = tuple[float, float, float]
"""A crop of an image: the share of its size that is seen, and its shift right and down as shares of half the image."""

LOOKS: tuple[Look, ...] = (
    (1.0, 0.0, 0.0),
    (0.93, 0.0, 0.0),
    (1.08, 0.0, 0.0),
    *((1.0, right, 0.0) for right in (0.06, -0.06)),
    *((1.0, 0.0, down) for down in (0.06, -0.06)),
)
"""Looks of a trained evaluator: averaging over small changes makes it err less, on unseen renders as on samples."""

_BATCH = 64  # images at a time; changes memory, not results (to rounding)


@dataclass(frozen=True, slots=True, eq=False)
class Attributes:
    """What an evaluator sees in images.

    Attributes:
        probabilities: of each word of `ATTRIBUTES`, by attribute.
    """

    probabilities: Mapping[str, Float[Tensor, "batch words"]]

    def numbers(self, attribute: str) -> Int[Tensor, " batch"]:
        """Return the index of each image's most probable word.

        Args:
            attribute: "object", "colour", "pattern" or "view".
        """
        return self.probabilities[attribute].argmax(1)

    def words(self, attribute: str) -> list[str]:
        """Return each image's most probable word.

        Args:
            attribute: "object", "colour", "pattern" or "view".
        """
        return [ATTRIBUTES[attribute][int(i)] for i in self.numbers(attribute)]


def asked(prompt: str) -> dict[str, str | None]:
    """Return what a prompt asks for, by attribute; None where it leaves that open.

    A prompt without a word for a pattern asks for a plain object. The view of an object that looks the same from all
    sides is left open.

    Args:
        prompt: in the world's words.

    Examples:
        >>> asked("a photo of a red spotted mushroom, front view")
        {'object': 'mushroom', 'colour': 'red', 'pattern': 'spotted', 'view': 'front'}
        >>> asked("an ice cream")
        {'object': 'ice cream', 'colour': None, 'pattern': 'plain', 'view': None}
    """
    text = f" {' '.join(re.findall(r'[a-z]+', prompt.lower()))} "
    found: dict[str, str | None] = {}
    for attribute, words in ATTRIBUTES.items():
        sought = {word: f" {word} view " if attribute == "view" else f" {word} " for word in words}
        found[attribute] = next((word for word in words if sought[word] in text), None)
    found["pattern"] = found["pattern"] or "plain"
    if found["object"] is not None and not has_front(found["object"]):
        found["view"] = None
    return found


def meant(prompt: str) -> WorldScene:
    """Return the plainest object in the world that fits a prompt, red if the prompt names no colour.

    Args:
        prompt: names an object of the world.

    Raises:
        ValueError: it names no object of the world.
    """
    want = asked(prompt)
    return WorldScene(want["object"] or "", want["colour"] or "red", want["pattern"] or "plain")


def normalised(images: Images, size: int) -> Float[Tensor, "batch 3 size size"]:
    """Return images as the network takes them: resized, and mapped from [0, 1] to [-1, 1].

    Args:
        images: of any size; clamped.
        size: height and width wanted.
    """
    if images.shape[-2:] != (size, size):
        images = functional.interpolate(
            images, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return 2 * images.clamp(0, 1) - 1


def looked_at(images: Images, look: Look) -> Images:
    """Return the crop of images that a look sees; the edges are repeated beyond the image.

    Args:
        images: of any size.
        look: see `Look`.
    """
    share, right, down = look
    if look == (1.0, 0.0, 0.0):
        return images
    theta = torch.tensor([[share, 0.0, right], [0.0, share, down]]).to(images)
    grid = functional.affine_grid(
        theta.expand(len(images), 2, 3), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


class CLIP:
    """A frozen CLIP, which embeds images and texts.

    Attributes:
        name: as given.
    """

    def __init__(self, clip: CLIPModel, tokenizer: Any, name: str) -> None:
        """Assemble it.

        Args:
            clip: both towers.
            tokenizer: of its text tower.
            name: see the class.
        """
        self.name, self._tokenizer = name, tokenizer
        self._clip: Any = clip.eval().requires_grad_(False)

    @torch.no_grad()
    def features(self, images: Images) -> Float[Tensor, "batch features"]:
        """Return the image tower's pooled features, by which images are compared.

        Args:
            images: in [0, 1], of any size; clamped.
        """
        seen = (self._pixels(some) for some in images.float().split(_BATCH))
        return torch.cat([self._clip.vision_model(pixel_values=x).pooler_output for x in seen])

    @torch.no_grad()
    def image_embeddings(self, images: Images) -> Float[Tensor, "batch dimensions"]:
        """Return embeddings of length one.

        Args:
            images: in [0, 1], of any size; clamped.
        """
        return functional.normalize(self._clip.visual_projection(self.features(images)), dim=1)

    @torch.no_grad()
    def text_embeddings(self, texts: Sequence[str]) -> Float[Tensor, "batch dimensions"]:
        """Return embeddings of length one.

        Args:
            texts: as many as wanted.

        Raises:
            ValueError: a text that is too long, if it is not cut.
        """
        said = self._clip.text_model(**self._read(texts)).pooler_output
        return functional.normalize(self._clip.text_projection(said), dim=1)

    def _pixels(self, images: Images) -> Tensor:
        """Images as the image tower takes them."""
        raise NotImplementedError

    def _read(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Texts as the text tower takes them."""
        raise NotImplementedError


class Evaluator(CLIP):
    """A frozen CLIP of the world's words, with linear read-outs; an `encoders.Encoder`.

    Attributes:
        knows_photos: False; it knows only the world and its captions.
        card: its measures on unseen renders, and how it was trained.
        image_size: of the images it takes; others are resized.
        looks: the card's, over which read-outs are averaged; the whole image alone if the card has none.
    """

    knows_photos = False

    def __init__(
        self,
        clip: CLIPModel,
        tokenizer: CLIPTokenizer,
        readouts: nn.ModuleDict,
        *,
        name: str,
        card: Mapping[str, Any],
    ) -> None:
        """Assemble an evaluator.

        Args:
            clip: both towers.
            tokenizer: of its text tower.
            readouts: one linear layer per attribute, on the pooled features of the image tower.
            name: as given.
            card: see the class.
        """
        super().__init__(clip, tokenizer, name)
        self.card = card
        self.looks: list[Look] = [tuple(look) for look in card.get("looks", LOOKS[:1])]
        self.image_size = int(self._clip.config.vision_config.image_size)
        self._readouts = readouts.eval().requires_grad_(False)

    @classmethod
    def from_pretrained(cls, name: str = "evaluator") -> "Evaluator":
        """Load an evaluator onto the CPU, in float32.

        Args:
            name: "evaluator" (bundled), or a folder that `sdilib train evaluator` wrote.

        Raises:
            ValueError: no such folder, or one that lacks a part.
        """
        folder = evaluator_folder(name)
        for part in ("config.json", "model.safetensors", READOUTS, CARD):
            if not (folder / part).is_file():
                reject("evaluator", name, f"a folder of an evaluator, with {part}")
        tensors, readouts = load_tensors(folder / READOUTS), nn.ModuleDict()
        for attribute in ATTRIBUTES:
            weight, bias = (tensors[f"{attribute}.{part}"].float() for part in ("weight", "bias"))
            readouts[attribute] = nn.Linear(weight.shape[1], weight.shape[0])
            readouts[attribute].load_state_dict({"weight": weight, "bias": bias})
        with quiet():
            clip = CLIPModel.from_pretrained(
                str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True
            )
        tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        return cls(clip, tokenizer, readouts, name=name, card=read_json(folder / CARD))

    def score(self, images: Images, prompts: Sequence[str]) -> Float[Tensor, " batch"]:
        """Return how well each image fits its prompt: the cosine of their embeddings, in [-1, 1].

        Args:
            images: in [0, 1], of any size; clamped.
            prompts: one per image.

        Raises:
            ValueError: not one prompt per image.

        Source: CLIPScore (2104.08718), without its factor.
        """
        one_each("prompts", prompts, images)
        return (self.image_embeddings(images) * self.text_embeddings(prompts)).sum(1)

    @torch.no_grad()
    def attributes(self, images: Images) -> Attributes:
        """Return the probabilities of object, colour, pattern and view, averaged over the looks.

        Args:
            images: in [0, 1], of any size; clamped.

        Source: averaging over an image's crops, AlexNet (Krizhevsky et al., 2012), section 4.1.
        """
        seen = [self.features(looked_at(images.float(), look)) for look in self.looks]
        probabilities = {
            name: torch.stack([layer(features).softmax(1) for features in seen]).mean(0)
            for name, layer in self._readouts.items()
        }
        return Attributes(probabilities)

    def accuracy(
        self, images: Images, prompts: Sequence[str]
    ) -> dict[str, Float[Tensor, " batch"]]:
        """Return, by attribute, 1 where an image shows what its prompt asks for, else 0.

        Args:
            images: in [0, 1], of any size; clamped.
            prompts: one per image; see `asked`.

        Returns:
            One number per image; nan where the prompt leaves the attribute open.

        Raises:
            ValueError: not one prompt per image.
        """
        one_each("prompts", prompts, images)
        seen, wanted, right = self.attributes(images), [asked(prompt) for prompt in prompts], {}
        for name in ATTRIBUTES:
            pairs = zip((want[name] for want in wanted), seen.words(name), strict=True)
            judged = [float("nan") if want is None else float(want == word) for want, word in pairs]
            right[name] = torch.tensor(judged)
        return right

    def _pixels(self, images: Images) -> Tensor:
        return normalised(images.cpu(), self.image_size)

    def _read(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        longest = self._tokenizer.model_max_length
        ids = self._tokenizer(list(texts), padding="max_length").input_ids
        for text, row in zip(texts, ids, strict=True):
            if len(row) > longest:
                reject("prompts", text, f"at most {longest - 2} words of the world's")
        return {"input_ids": torch.tensor(ids)}


def one_each(parameter: str, texts: Sequence[str], images: Images) -> None:
    """Refuse anything but a list of one text per image.

    Args:
        parameter: name of the texts.
        texts: what was given.
        images: that they belong to.

    Raises:
        ValueError: one text for all, or too few or too many.
    """
    if isinstance(texts, str) or len(texts) != len(images):
        reject(parameter, texts, f"a list of texts, one for each of {len(images)} images")
