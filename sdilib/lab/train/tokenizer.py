"""The bundled model's tokenizer: CLIP's format, with a vocabulary that is the world's words.

Byte-pair encoding is trained on the words until each is one token; any other text still becomes
tokens, byte by byte, as CLIP's alphabet holds every byte twice (inside and at the end of a word).
"""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from sdilib.storage import atomic_write, write_json

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 16
_WORD_END = "</w>"


def learn_merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the merges, in order, after which every word is one token.

    Args:
        words: lower-case words.

    Source: Sennrich et al. (1508.07909), algorithm 1.
    """
    spaced = [" ".join([*word[:-1], word[-1] + _WORD_END]) for word in words]
    merges = []
    while pairs := Counter(pair for word in spaced for pair in pairwise(word.split())):
        # The most frequent pair; among equals, the first in the alphabet, so the file never changes.
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        neighbours = re.compile(rf"(?<!\S){re.escape(' '.join(best))}(?!\S)")
        spaced = [neighbours.sub("".join(best), word) for word in spaced]
    return merges


def write_tokenizer(folder: str | Path, words: tuple[str, ...]) -> CLIPTokenizer:
    """Write a tokenizer that `CLIPTokenizer.from_pretrained` loads, and return it loaded.

    Args:
        folder: where its files go.
        words: lower-case words, each of which becomes one token.
    """
    folder = Path(folder)
    merges = learn_merges(words)
    alphabet = sorted(ByteLevel.alphabet())  # GPT-2's characters for the bytes, in CLIP's order
    tokens = [*alphabet, *(c + _WORD_END for c in alphabet), *("".join(m) for m in merges)]
    vocabulary = {token: i for i, token in enumerate([*dict.fromkeys(tokens), START, END])}
    write_json(folder / "vocab.json", vocabulary)
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    atomic_write(folder / "merges.txt", "\n".join(lines) + "\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    write_json(folder / "special_tokens_map.json", special)
    config = {
        **special,
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_TOKENS,
        "do_lower_case": True,
        "errors": "replace",
        "add_prefix_space": False,
    }
    write_json(folder / "tokenizer_config.json", config)
    return CLIPTokenizer.from_pretrained(str(folder))


def text_shape(
    tokenizer: CLIPTokenizer, width: int, *, layers: int, heads: int, projection: int
) -> dict[str, Any]:
    """Return the settings of a `CLIPTextModel` that reads the tokenizer's tokens.

    Args:
        tokenizer: from `write_tokenizer`.
        width: of its states.
        layers: number of them.
        heads: of every attention.
        projection: width of the embedding it is projected to.
    """
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "projection_dim": projection,
    }
