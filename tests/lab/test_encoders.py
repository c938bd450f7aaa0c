"""Encoders, and the metrics over them, on an encoder whose embeddings are written down and on CLIPs of random weights."""

import math

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from sdilib.lab.encoders import (
    IQA_PAIRS,
    CLIPEncoder,
    Encoder,
    clip_iqa,
    clip_score,
    encoder,
    r_precision,
)
from sdilib.lab.provenance import evaluator_folder

ANGLES = {"a mug": 0.0, "a car": 90.0, "a cat": 180.0}
PAIR_ANGLES = dict(
    zip((text for pair in IQA_PAIRS.values() for text in pair), (0, 90) * 3, strict=True)
)


class Compass:
    """Texts lie at an angle; an image's is that of its mean brightness, 0 to 180 degrees."""

    name, knows_photos = "compass", True

    def features(self, images):
        return self.image_embeddings(images)

    def image_embeddings(self, images):
        return self._at(180 * images.flatten(1).mean(1))

    def text_embeddings(self, texts):
        return self._at(torch.tensor([(ANGLES | PAIR_ANGLES)[text] for text in texts]).float())

    def _at(self, degrees):
        return torch.stack([degrees.deg2rad().cos(), degrees.deg2rad().sin()], 1)


def grey(*degrees):
    return torch.stack([torch.full((3, 4, 4), each / 180) for each in degrees])


def test_clip_score_is_a_hundred_times_the_cosine_and_never_negative():
    found = clip_score(Compass(), grey(0, 60, 120), ["a mug"] * 3)
    torch.testing.assert_close(found, torch.tensor([100.0, 50.0, 0.0]), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="one for each of 1 images"):
        clip_score(Compass(), grey(0), ["a mug", "a car"])


def test_clip_iqa_is_a_softmax_over_its_pair():
    found = clip_iqa(Compass(), grey(45, 44))
    assert found.keys() == {"quality", "sharpness", "real"}
    gap = math.cos(math.radians(44)) - math.cos(math.radians(46))
    expected = torch.tensor([0.5, 1 / (1 + math.exp(-100 * gap))])
    torch.testing.assert_close(found["sharpness"], expected, atol=1e-4, rtol=0)


def test_r_precision_asks_for_the_nearest_text_of_the_pool():
    images, texts = grey(10, 80, 44, 46), ["a mug", "a mug", "a mug", "a car"]
    assert r_precision(Compass(), images, texts, pool=list(ANGLES)).tolist() == [1, 0, 1, 1]
    for pool in (["a car"], ["a mug", "a mug", "a car"]):
        with pytest.raises(ValueError, match="pool="):
            r_precision(Compass(), images, texts, pool=pool)


def test_the_bundled_evaluator_is_an_encoder_that_knows_no_photos():
    bundled = encoder("evaluator")
    assert isinstance(bundled, Encoder)
    images, texts = torch.rand(2, 3, 64, 64), ["a red mug", "a blue car"]
    torch.testing.assert_close(
        clip_score(bundled, images, texts), 100 * bundled.score(images, texts).clamp_min(0)
    )
    with pytest.raises(ValueError, match="encoder='evaluator': expected one trained on photos"):
        clip_iqa(bundled, images)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random weights, with the evaluator's tokenizer."""
    small = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(
        text_config=small
        | {"vocab_size": 1000, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1},
        vision_config=small | {"image_size": 16, "patch_size": 8},
        projection_dim=6,
    )
    path = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(path)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        source = evaluator_folder("evaluator") / name
        if source.is_file():
            (path / name).write_bytes(source.read_bytes())
    return path


def test_any_clip_of_a_folder_is_an_encoder(folder):
    made = encoder(str(folder))
    assert isinstance(made, CLIPEncoder)
    assert isinstance(made, Encoder)
    images = torch.rand(3, 3, 20, 20)
    embedded, texts = made.image_embeddings(images), made.text_embeddings(["a mug " * 40, "a car"])
    assert (embedded.shape, texts.shape) == ((3, 6), (2, 6))
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(
        made.text_embeddings(["a car"])[0], texts[1]
    )  # padding counts for nothing
    assert set(clip_iqa(made, images)) == set(IQA_PAIRS)


def test_what_is_no_encoder_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="expected evaluator, a folder of a CLIPModel, or a hub id"
    ):
        encoder(str(tmp_path))
