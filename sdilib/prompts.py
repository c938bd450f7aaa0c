"""Prompts become embeddings once: the text y, the empty prompt, and negative prompts, kept apart.

y is what the network is conditioned on, the empty prompt is eq. 3's unconditional branch, and a
negative prompt is a third thing: it enters by Perp-Neg (see `denoiser.perp_neg`) and never takes
the empty prompt's place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sdilib.checks import finite, reject

__all__ = [
    "PAPER_PROMPTS",
    "VIEWS",
    "WORLD_PROMPTS",
    "PromptEmbeddings",
    "check_words",
    "encode_text",
    "view_prompt",
]

VIEWS = ("front view", "side view", "back view", "overhead view")
"""The words that name a view, appended to a prompt as DreamFusion (2209.14988) does."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptEmbeddings:
    """What a denoiser is conditioned on, one row an item of the batch.

    For Stable Diffusion a condition is (tokens, width), for the Gaussian mixture the log weights
    (components).

    Attributes:
        conditional: y.
        unconditional: the empty prompt.
        negatives: prompts to keep away from, for Perp-Neg.
        negative_weights: one number of at least 0 a negative.
    """

    conditional: Float[Tensor, " batch *condition"]
    unconditional: Float[Tensor, " batch *condition"]
    negatives: tuple[Float[Tensor, " batch *condition"], ...] = ()
    negative_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check that each negative has its weight.

        Raises:
            ValueError: their numbers differ, or a weight is negative or not finite.
        """
        if len(self.negatives) != len(self.negative_weights):
            reject(
                "negative_weights",
                self.negative_weights,
                f"{len(self.negatives)} numbers, one a negative prompt",
            )
        for weight in self.negative_weights:
            if finite("negative_weights", weight) < 0:
                reject("negative_weights", weight, "numbers of at least 0")

    def __len__(self) -> int:
        """Return the batch size."""
        return len(self.conditional)

    def select(self, items: Int[Tensor, " items"]) -> "PromptEmbeddings":
        """Return some rows, in the order asked for; a row may be asked for twice.

        Args:
            items: indices into the batch.
        """
        items = items.to(self.conditional.device)
        return PromptEmbeddings(
            self.conditional[items],
            self.unconditional[items],
            tuple(negative[items] for negative in self.negatives),
            self.negative_weights,
        )

    def without_negatives(self) -> "PromptEmbeddings":
        """Return the prompt and the empty prompt alone."""
        return PromptEmbeddings(self.conditional, self.unconditional)


def view_prompt(prompt: str, view: str) -> str:
    """Return the prompt with the words of a view, as in "a red mug, side view".

    Args:
        prompt: without them.
        view: such as one of `VIEWS`.
    """
    return f"{prompt}, {view}"


def check_words(prompt: str, words: Sequence[str]) -> None:
    """Refuse a prompt with a word that a model of few words never learned.

    Args:
        prompt: any text; case and punctuation do not matter.
        words: the known words, in lower case.

    Raises:
        ValueError: names the unknown word and the closest known one.
    """
    for word in re.findall(r"\w+", prompt.lower()):
        if word not in words:
            listed = ", ".join(sorted(words))
            expected = f"the bundled model's words only ({listed}); {word!r} is unknown"
            reject("prompt", word, expected, known=words)


def encode_text(
    tokenizer: Any, text_encoder: torch.nn.Module, prompts: Sequence[str]
) -> Float[Tensor, "batch tokens width"]:
    """Return the text encoder's last hidden states, padded as `StableDiffusionPipeline` pads.

    Args:
        tokenizer: a CLIP tokenizer.
        text_encoder: a `CLIPTextModel`.
        prompts: at least one; "" is the empty prompt.

    Raises:
        ValueError: a prompt has more tokens than the text encoder can read; nothing is cut
            silently.
    """
    longest = tokenizer.model_max_length
    tokens = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=longest,
        truncation=False,
        return_tensors=None,
    )
    for prompt, ids in zip(prompts, tokens.input_ids, strict=True):
        if len(ids) > longest:
            reject("prompt", prompt, f"at most {longest - 2} tokens (this one has {len(ids) - 2})")
    device = next(text_encoder.parameters()).device
    with torch.no_grad():
        return text_encoder(torch.tensor(tokens.input_ids, device=device)).last_hidden_state


WORLD_PROMPTS = (
    "a red spotted mushroom",
    "an orange striped cottage",
    "a blue rocket",
    "a green cactus",
    "a pink ice cream",
    "a yellow car",
    "a teal checkered teapot",
    "a purple snowman",
    "a yellow spotted mug",
    "a red striped cat",
    "a blue spotted boat",
    "an orange pumpkin",
    "a green striped turtle",
    "a pink checkered burger",
    "a red strawberry",
    "a teal astronaut",
)
"""Prompts in the bundled model's words."""

PAPER_PROMPTS = (
    "A photograph of a ninja",
    "A DSLR photograph of a hamburger",
    "A 3D model of an adorable cottage with a thatched roof",
    "An ice cream sundae",
    "Bagel filled with cream cheese and lox",
    "A small saguaro cactus planted in a clay pot",
    "A ripe strawberry",
    "A ceramic lion",
    "An iguana holding a balloon",
    "A DSLR photo of a white fluffy cat",
    "A sea turtle",
    "A photograph of a knight",
    "A plush dragon toy",
    "A car made out of sushi",
    "A cauldron full of gold coins",
    "An astronaut",
)
"""Some of the paper's prompts (figures 1 and 6 to 11, and Table 1)."""
