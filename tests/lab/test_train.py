"""Training: words are tokens, losses fall, a killed run resumes to the same bits."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from transformers import CLIPTokenizer

import sdilib
from sdilib.lab.train.evaluator import EvaluatorConfig
from sdilib.lab.train.loop import CHECKPOINT, LoopConfig, learning_rate
from sdilib.lab.train.tokenizer import learn_merges, write_tokenizer
from sdilib.lab.train.unet import (
    UNetConfig,
    denoising_loss,
    make_networks,
    make_scheduler,
    tokenize,
    train_unet,
)
from sdilib.lab.train.vae import (
    VAEConfig,
    colour_error,
    latents_of,
    make_vae,
    pictures,
    train_vae,
    varied,
)
from sdilib.lab.world.captions import WORDS
from sdilib.lab.world.dataset import make_dataset, random_scene
from sdilib.storage import load_tensors

MINI = Path(sdilib.__file__).parent / "models" / "mini"

LOOP = LoopConfig(steps=20, learning_rate=3e-3, warmup=3, save_seconds=1e9, export_seconds=1e9)
TINY_VAE = VAEConfig(channels=(8, 8), groups=4, batch=4, loop=LOOP)
TINY_UNET = UNetConfig(
    channels=(8, 16), groups=4, heads=2, text_width=16, text_layers=1, batch=8, loop=LOOP
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("world"), count=24, image_size=16)


@pytest.fixture
def vae_folder(tmp_path):
    make_vae(TINY_VAE, image_size=16).save_pretrained(tmp_path / "vae")
    return tmp_path / "vae"


def logged(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_every_caption_is_one_token_a_word(tmp_path):
    tokenizer = write_tokenizer(tmp_path, WORDS)
    for i in range(500):
        _, text = random_scene(2, i)
        words = text.replace(",", " ,").split()
        assert tokenizer.tokenize(text) == [f"{word}</w>" for word in words]
        assert len(words) + 2 <= tokenizer.model_max_length


def test_unknown_text_falls_apart_into_known_tokens(tmp_path):
    tokenizer = write_tokenizer(tmp_path, WORDS)
    ids = tokenizer("Zürich mugs").input_ids
    assert tokenizer.unk_token_id not in ids[1:-1]
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "zürich mugs"


def test_merges_are_learnt_in_an_order_that_applies():
    assert learn_merges(("ab", "cab")) == [("a", "b</w>"), ("c", "ab</w>")]


def test_empty_prompt_is_padded_as_the_stock_pipeline_pads(tmp_path):
    tokenizer = write_tokenizer(tmp_path, WORDS)
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert tokenize(tokenizer, [""]).tolist() == [[start] + [end] * 15]


def test_an_autoencoder_comes_first_and_is_never_unpickled(data, tmp_path):
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text("{}")
    (tmp_path / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"")
    folders = {"vae": tmp_path / "vae", "out": tmp_path / "out", "pipeline": tmp_path / "p"}
    with pytest.raises(ValueError, match=r"^vae=.*vae': expected the folder of a trained auto"):
        train_unet(TINY_UNET, data, **folders)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LoopConfig(steps=0, learning_rate=1e-3), "steps=0: "),
        (lambda: LoopConfig(steps=1, learning_rate=0.0), "learning_rate=0.0: "),
        (lambda: LoopConfig(steps=1, learning_rate=1e-3, average=1.0), "average=1.0: "),
        (lambda: LoopConfig(steps=1, learning_rate=1e-3, cooldown=-0.1), "cooldown=-0.1: "),
        (lambda: UNetConfig(dropped=2.0), "dropped=2.0: "),
        (lambda: UNetConfig(channels=(64, 100)), r"channels=\(64, 100\): .*groups=32"),
        (lambda: UNetConfig(text_width=6), "text_width=6: "),
        (lambda: VAEConfig(batch=0), "batch=0: "),
        (lambda: VAEConfig(latent_channels=0), "latent_channels=0: "),
        (lambda: VAEConfig(noise=0.0), "noise=0.0: "),
        (lambda: VAEConfig(linear=-1.0), "linear=-1.0: "),
        (lambda: VAEConfig(varied=1.5), "varied=1.5: "),
        (lambda: VAEConfig(channels=()), r"channels=\(\): "),
        (lambda: EvaluatorConfig(width=100, heads=3), "width=100: "),
        (lambda: EvaluatorConfig(data_seed=2), "data_seed=2: expected none of 0, 2, 101"),
    ],
)
def test_settings_that_cannot_train_are_refused_by_name(make, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        make()


def test_learning_rate_warms_up_stays_and_falls_to_nothing():
    config = LoopConfig(steps=100, learning_rate=1.0, warmup=10, cooldown=0.4)
    rates = [learning_rate(config, i) for i in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:61] == [1.0] * 52
    assert rates[80] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.03


def test_a_longer_run_begins_like_a_shorter_one():
    short = LoopConfig(steps=100, learning_rate=1.0, cooldown=0.3)
    assert all(
        learning_rate(short, i) == learning_rate(replace(short, steps=900), i) for i in range(71)
    )


def test_a_folder_with_the_checkpoint_of_another_training_is_refused(data, tmp_path, vae_folder):
    folders = {"vae": vae_folder, "out": tmp_path / "unet", "pipeline": tmp_path / "mini"}
    train_unet(replace(TINY_UNET, loop=replace(LOOP, steps=1)), data, **folders)
    with pytest.raises(
        ValueError, match=r"^out='.*unet': expected a folder without .*\(dropped=0\.15\)"
    ):
        train_unet(replace(TINY_UNET, dropped=0.2), data, **folders)
    train_unet(replace(TINY_UNET, loop=replace(LOOP, steps=2)), data, **folders)  # prolonged
    assert int(load_tensors(tmp_path / "unet" / CHECKPOINT)["step"]) == 2
    make_vae(replace(TINY_VAE, seed=1), image_size=16).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=r"^out='.*unet': expected a folder without .*\(vae='"):
        train_unet(TINY_UNET, data, **folders | {"vae": tmp_path / "other"})


class Truth(torch.nn.Module):
    """A network that knows the answer, and may be wrong by a constant."""

    def __init__(self, answer, off=0.0):
        super().__init__()
        self.answer, self.off = answer, off

    def forward(self, given, times, encoder_hidden_states):
        return type("Output", (), {"sample": self.answer(given, times) + self.off})


class Text(torch.nn.Module):
    def forward(self, tokens):
        return type("Output", (), {"last_hidden_state": tokens})


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_loss_is_zero_for_the_truth_and_weighs_the_clean_latents_error(prediction):
    scheduler = make_scheduler(prediction)
    z = torch.randn(64, 8, 2, 2, generator=torch.Generator().manual_seed(1))
    random = torch.Generator().manual_seed(2)
    timesteps = torch.randint(1000, (64,), generator=random)
    noise = torch.randn(z.shape, generator=random)
    # The library's own scheduler says what x_t and v are.
    x_t = scheduler.add_noise(z, noise, timesteps)
    truth = noise
    if prediction == "v_prediction":
        truth = scheduler.get_velocity(z, noise, timesteps)

    def answer(given, times):
        torch.testing.assert_close(given, x_t)
        torch.testing.assert_close(times, timesteps)
        return truth

    def error(off):
        networks = torch.nn.ModuleDict({"unet": Truth(answer, off), "text_encoder": Text()})
        return denoising_loss(
            networks,
            z,
            torch.zeros(64, 16, dtype=torch.long),
            torch.Generator().manual_seed(2),
            alphas_cumprod=scheduler.alphas_cumprod,
            prediction=prediction,
        )

    assert error(0.0) < 1e-10
    a = scheduler.alphas_cumprod[timesteps]
    # A wrong noise, or v, moves the clean latent by sqrt(1 - a) / sqrt(a), or sqrt(1 - a), of the mistake.
    moved = (1 - a) / a if prediction == "epsilon" else 1 - a
    expected = ((a / (1 - a)).clamp(0.2, 5.0) * moved).mean()
    torch.testing.assert_close(error(1.0), expected)


def test_pictures_in_other_colours_keep_their_size_and_are_the_same_for_both(data):
    x = pictures(data, np.arange(24)).repeat(20, 1, 1, 1)
    shown, wanted = varied(x, torch.Generator().manual_seed(0), share=0.6)
    assert wanted.abs().max() <= 1
    same = (wanted == x).flatten(1).all(1)
    assert float(same.double().mean()) == pytest.approx(0.4, abs=0.06)
    clean = (shown == wanted).flatten(1).all(1)
    assert clean[same].all()
    assert float(clean[~same].double().mean()) == pytest.approx(0.67, abs=0.08)
    assert torch.equal(varied(x, torch.Generator().manual_seed(0), share=0.0)[0], x)
    hues = wanted[~same].mean((2, 3))
    assert (hues.argmax(1).bincount(minlength=3) > 40).all()  # red, green and blue all lead


def test_errors_of_chroma_weigh_more_than_those_of_brightness():
    grey = torch.full((1, 3, 2, 2), 0.1)
    chroma = torch.tensor([0.1, -0.1, 0.1]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert float(colour_error(grey)) == pytest.approx(0.01 / 3, rel=1e-3)
    assert float(colour_error(chroma)) > 5 * float(colour_error(grey))


@pytest.mark.parametrize(
    ("number", "share", "config"),
    [
        ("loss", 0.8, TINY_VAE),
        ("linear", 0.7, replace(TINY_VAE, varied=0.0, loop=replace(LOOP, learning_rate=1e-2))),
    ],
)
def test_the_autoencoder_learns_the_pictures_and_their_mean_colours(
    number, share, config, data, tmp_path
):
    for steps in (40, 1):
        loop = replace(config.loop, steps=steps)
        train_vae(replace(config, loop=loop), data, out=tmp_path / str(steps))
    last, first = (logged(tmp_path / name)[-1][number] for name in ("40", "1"))
    assert last < share * first


def test_vae_latents_have_unit_deviation(data, tmp_path):
    vae = train_vae(TINY_VAE, data, out=tmp_path)
    assert float(latents_of(vae, data, 24).std()) == pytest.approx(1.0, abs=0.05)


def test_unet_loss_falls_in_twenty_steps(data, vae_folder, tmp_path):
    config = replace(TINY_UNET, loop=replace(LOOP, learning_rate=1e-2))
    tokenizer = write_tokenizer(tmp_path / "tokenizer", WORDS)

    def error(networks):
        z = load_tensors(next((tmp_path / "unet").glob("latents-*")))["latents"][:16]
        tokens = tokenize(tokenizer, list(data.captions[:16]))
        with torch.no_grad():
            return float(
                denoising_loss(
                    networks,
                    z,
                    tokens,
                    torch.Generator().manual_seed(0),
                    alphas_cumprod=make_scheduler().alphas_cumprod,
                )
            )

    folders = {"vae": vae_folder, "out": tmp_path / "unet", "pipeline": tmp_path / "mini"}
    trained = train_unet(config, data, **folders)
    assert error(trained) < 0.9 * error(make_networks(config, tokenizer, latent_shape=(8, 8, 8)))


@pytest.mark.parametrize("part", ["vae", "unet"])
def test_a_run_that_was_stopped_resumes_to_the_same_bits(part, data, vae_folder, tmp_path):
    def train(folder, steps):
        loop = replace(LOOP, steps=steps)
        if part == "vae":
            train_vae(replace(TINY_VAE, loop=loop), data, out=folder)
        else:
            folders = {"vae": vae_folder, "out": folder, "pipeline": folder / "mini"}
            train_unet(replace(TINY_UNET, loop=loop), data, **folders)

    train(tmp_path / "whole", 6)
    train(tmp_path / "parts", 2)
    train(tmp_path / "parts", 6)
    whole, parts = (load_tensors(tmp_path / name / CHECKPOINT) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert int(whole["step"]) == 6
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_exported_folder_is_a_stock_pipeline(data, vae_folder, tmp_path):
    config = replace(TINY_UNET, loop=replace(LOOP, steps=1))
    folders = {"vae": vae_folder, "out": tmp_path / "unet", "pipeline": tmp_path / "mini"}
    networks = train_unet(config, data, **folders)
    for path in (tmp_path / "mini").rglob("*.json"):
        assert str(tmp_path) not in path.read_text(), path
    pipeline = load_stock(tmp_path / "mini")
    tokens = tokenize(pipeline.tokenizer, ["a red mug"])
    ours = networks["text_encoder"](tokens).last_hidden_state
    theirs = pipeline.text_encoder(tokens).last_hidden_state
    torch.testing.assert_close(theirs, ours)


def load_stock(folder):
    return StableDiffusionPipeline.from_pretrained(
        str(folder), safety_checker=None, local_files_only=True
    )


def test_bundled_model_loads_offline_with_the_stock_pipeline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pipeline = load_stock(MINI)
    pipeline.set_progress_bar_config(disable=True)
    assert isinstance(pipeline.tokenizer, CLIPTokenizer)
    assert isinstance(pipeline.scheduler, DDIMScheduler)
    assert pipeline.scheduler.config.prediction_type == "epsilon"
    assert pipeline.unet.config.in_channels == pipeline.vae.config.latent_channels == 8
    words = json.loads((MINI / "world.json").read_text())["words"]
    assert set(words) <= set(WORDS)
    assert all(len(pipeline.tokenizer.tokenize(word)) == 1 for word in words)
    generator = torch.Generator().manual_seed(0)
    image = pipeline(
        "a red mug, front view", num_inference_steps=25, generator=generator, output_type="np"
    ).images[0]
    assert image.shape == (64, 64, 3)
    # Red in the middle, and something plain around.
    assert np.concatenate([image[:4].reshape(-1, 3), image[-4:].reshape(-1, 3)]).std(0).max() < 0.1
    red, green, blue = np.median(image[24:40, 22:38].reshape(-1, 3), axis=0)
    assert red > 1.5 * max(green, blue)


def test_bundled_model_is_small():
    size = sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file())
    assert size < 40e6
