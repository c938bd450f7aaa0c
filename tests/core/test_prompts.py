import pytest
import torch
from sdilib.prompts import (
    PAPER_PROMPTS,
    WORLD_PROMPTS,
    PromptEmbeddings,
    check_words,
    encode_text,
    with_view,
)

from sdilib.stable_diffusion.loading import random_pipeline


def test_embeddings_are_the_pipelines():
    pipeline = random_pipeline("tiny")
    texts = ["a red mug", "a blue striped rocket, side view"]
    theirs, empty = pipeline.encode_prompt(texts, torch.device("cpu"), 1, True)
    ours = encode_text(pipeline.tokenizer, pipeline.text_encoder, [*texts, ""])
    torch.testing.assert_close(ours[:2], theirs)
    torch.testing.assert_close(ours[2], empty[0])
    assert not torch.equal(ours[0], ours[1])


def test_a_prompt_of_all_the_tokens_fits_and_one_more_does_not():
    pipeline = random_pipeline("tiny")
    room = pipeline.tokenizer.model_max_length - 2
    encode_text(pipeline.tokenizer, pipeline.text_encoder, [" ".join(["mug"] * room)])
    with pytest.raises(
        ValueError, match=f"expected at most {room} tokens .this one has {room + 1}"
    ):
        encode_text(pipeline.tokenizer, pipeline.text_encoder, [" ".join(["mug"] * (room + 1))])


def test_a_view_is_appended():
    assert with_view("a red mug", "side") == "a red mug, side view"


def test_words_are_compared_without_case_and_punctuation():
    check_words("A red, RED mug!", ["a", "red", "mug"])
    with pytest.raises(ValueError, match=r"'mugs' is unknown; did you mean mug\?$"):
        check_words("a red mugs", ["a", "red", "mug"])


def test_rows_are_selected_together(generator):
    rows = torch.randn(3, 3, 5, generator=generator)
    prompt = PromptEmbeddings(rows[0], rows[1], (rows[2],), (0.5,))
    some = prompt.select(torch.tensor([2, 0, 2]))
    assert len(some) == 3
    torch.testing.assert_close(some.conditional, rows[0][[2, 0, 2]])
    torch.testing.assert_close(some.unconditional, rows[1][[2, 0, 2]])
    torch.testing.assert_close(some.negatives[0], rows[2][[2, 0, 2]])
    assert some.negative_weights == (0.5,)
    assert some.without_negatives().negatives == ()


def test_prompts_to_try_are_distinct():
    for prompts in (WORLD_PROMPTS, PAPER_PROMPTS):
        assert len(set(prompts)) == len(prompts) >= 8
