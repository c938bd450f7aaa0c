"""From prompts to the UNet's text embeddings, with checks of the words and the tokenizer."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float

from sdilib.checks import in_range, reject


def check_words(prompt: str, words: Sequence[str]) -> None:
    """Refuse a prompt with a word that is not in a small model's vocabulary.

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


def check_tokenizer(tokenizer: Any, text_encoder: torch.nn.Module) -> None:
    """Refuse a tokenizer that has lost all or part of its vocabulary, or that belongs to another text encoder.

    Args:
        tokenizer: a CLIP tokenizer.
        text_encoder: a `CLIPTextModel`.

    Raises:
        ValueError: two words have the same tokens, the vocabulary's last word comes in pieces, or the text encoder has no
            row for some token.
    """
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    vocabulary = {token: k for token, k in tokenizer.get_vocab().items() if token not in special}
    one, other = tokenizer(["a", "mug"], add_special_tokens=False).input_ids
    if one == other or not one or not other or not vocabulary:
        reject("vocabulary", len(tokenizer), "one that tells words apart")
    in_range("vocabulary", len(tokenizer), 1, _config(text_encoder).vocab_size)
    in_range("length", _longest(tokenizer, text_encoder), 8, 10_000)  # a few words, and two marks
    # Merges are in the order of the vocabulary: a truncated file loses the last one first.
    last = max(vocabulary, key=lambda token: vocabulary[token])
    pieces = [
        piece.value
        for piece in tokenizer.backend_tokenizer.model.tokenize(last.removesuffix("</w>"))
    ]
    if pieces != [last]:
        reject("merges", " ".join(pieces), f"all that make the vocabulary's last word, {last}")


def encode_text(
    tokenizer: Any, text_encoder: torch.nn.Module, prompts: Sequence[str]
) -> Float[torch.Tensor, "batch tokens width"]:
    """Return the text encoder's last hidden states, padded as `StableDiffusionPipeline` pads.

    Args:
        tokenizer: a CLIP tokenizer.
        text_encoder: a `CLIPTextModel`.
        prompts: at least one; "" is the empty prompt.

    Raises:
        ValueError: a prompt has more tokens than the text encoder can read; nothing is cut
            silently.
    """
    longest = _longest(tokenizer, text_encoder)
    tokens = tokenizer(list(prompts), padding="max_length", max_length=longest, truncation=False)
    for prompt, ids in zip(prompts, tokens.input_ids, strict=True):
        if len(ids) > longest:
            reject("prompt", prompt, f"at most {longest - 2} tokens (this one has {len(ids) - 2})")
    device = next(text_encoder.parameters()).device
    with torch.no_grad():
        return text_encoder(torch.tensor(tokens.input_ids, device=device)).last_hidden_state


def _config(network: torch.nn.Module) -> Any:
    return network.config


def _longest(tokenizer: Any, text_encoder: torch.nn.Module) -> int:
    """Most tokens in a prompt; a tokenizer whose file gives no limit reports 1e30."""
    return min(tokenizer.model_max_length, _config(text_encoder).max_position_embeddings)
