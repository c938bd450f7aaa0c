import pytest
import torch

from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion import model as stable_diffusion
from sdilib.stable_diffusion.loading import load_pipeline, random_pipeline


def test_shapes_follow_from_the_parts(tiny):
    assert tiny.latent_shape == (4, 8, 8)
    assert tiny.factor == 2
    images = tiny.decode(torch.zeros(1, *tiny.latent_shape))
    assert images.shape == (1, 3, 16, 16)
    assert tiny.encode(images).shape == (1, 4, 8, 8)


def test_encoding_takes_the_mean_and_draws_nothing(tiny, generator):
    # The published code samples the posterior, from torch's global stream.
    images = torch.rand(2, 3, 16, 16, generator=generator)
    vae = random_pipeline("tiny").vae
    expected = vae.encode(2 * images - 1).latent_dist.mean * vae.config.scaling_factor
    torch.testing.assert_close(tiny.encode(images), expected)
    assert torch.equal(tiny.encode(images), tiny.encode(images))


def test_decoding_undoes_the_scaling_of_latents_and_images(tiny, generator):
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    vae = random_pipeline("tiny").vae
    expected = vae.decode(latents / vae.config.scaling_factor).sample / 2 + 0.5
    torch.testing.assert_close(tiny.decode(latents), expected)


def test_gradients_pass_to_inputs_and_not_to_weights(tiny, two, generator):
    images = torch.rand(2, 3, 16, 16, generator=generator).requires_grad_()
    tiny.guided(two, 7.5)(tiny.encode(images), 0.5).square().sum().backward()
    assert images.grad is not None
    assert float(images.grad.abs().max()) > 0
    parts = (tiny._unet, tiny._vae, tiny._text_encoder)
    assert not any(p.requires_grad for part in parts for p in part.parameters())


def test_forwards_are_counted_by_sample_and_branch(tiny, two):
    before = tiny.num_forwards
    tiny.guided(two, 7.5)(torch.zeros(2, *tiny.latent_shape), 0.5)
    tiny.guided(two, 0.0)(torch.zeros(2, *tiny.latent_shape), 0.5)
    assert tiny.num_forwards - before == 4 + 2


def test_the_network_is_asked_at_its_own_timestep(monkeypatch):
    pipeline = random_pipeline("tiny")
    asked = []
    forward = pipeline.unet.forward

    def listen(sample, timestep, **rest):
        asked.append(timestep)
        return forward(sample, timestep, **rest)

    monkeypatch.setattr(pipeline.unet, "forward", listen)
    model = StableDiffusion(pipeline)
    prompt = model.embed(["a red mug", "a mug"])
    t = torch.tensor([1.0, 0.3], dtype=torch.float64)
    model.guided(prompt, 7.5)(torch.zeros(2, *model.latent_shape), t)
    torch.testing.assert_close(asked[0], torch.tensor([999.0, 299.0, 999.0, 299.0]))


def test_released_text_encoder_leaves_known_texts(tiny):
    model = StableDiffusion(random_pipeline("tiny"))
    first = model.embed(["a red mug"])
    model.release_text_encoder()
    torch.testing.assert_close(model.embed(["a red mug"]).conditional, first.conditional)
    with pytest.raises(ValueError, match=r"^prompt='a blue mug': expected a text embedded before"):
        model.embed(["a blue mug"])


def test_negative_prompts_are_kept_apart_from_the_empty_one(tiny):
    prompt = tiny.embed(["a red mug", "a mug"], negative_prompts=["a rocket"])
    empty = tiny.embed(["a red mug"]).unconditional
    torch.testing.assert_close(prompt.unconditional, empty.expand(2, -1, -1))
    torch.testing.assert_close(prompt.negatives[0][0], tiny.embed(["a rocket"]).conditional[0])
    assert prompt.negative_weights == (1.0,)
    assert tiny.embed(["a"], negative_prompts=["b"], negative_weights=[0.3]).negative_weights == (
        0.3,
    )


def test_a_hash_names_the_weights(tmp_path):
    one, same = (StableDiffusion(random_pipeline("tiny")) for _ in range(2))
    assert one.hash == same.hash != StableDiffusion(random_pipeline("tiny", seed=1)).hash
    random_pipeline("tiny").save_pretrained(tmp_path / "model")
    saved = StableDiffusion.from_pretrained(str(tmp_path / "model"))
    assert len(saved.hash) == 16


def test_a_hub_models_hash_is_that_of_its_commit_whatever_the_type(monkeypatch):
    cached = {"owner/one": "/cache/snapshots/abc/model_index.json"}
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache", lambda model, file: cached.get(model)
    )
    full, half = random_pipeline("tiny"), load_pipeline("tiny", dtype=torch.float16)
    one, same = (StableDiffusion(each, name="owner/one") for each in (full, half))
    assert one.hash == same.hash
    cached["owner/one"] = "/cache/snapshots/abd/model_index.json"
    assert StableDiffusion(full, name="owner/one").hash != StableDiffusion(full).hash
    assert len(one.hash) == 16


@pytest.mark.parametrize(
    ("model", "cuda", "expected"),
    [("tiny", True, "cpu"), ("./folder", True, "cuda"), ("./folder", False, "cpu")],
)
def test_large_models_run_on_cuda_where_it_is(model, cuda, expected, monkeypatch, caplog):
    asked = []

    def load(model, *, dtype):
        asked.append(dtype)
        pipeline = random_pipeline("tiny")
        monkeypatch.setattr(pipeline, "to", lambda device: asked.append(device) or pipeline)
        return pipeline

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(stable_diffusion, "load_pipeline", load)
    StableDiffusion.from_pretrained(model)
    assert asked == [torch.float16 if expected == "cuda" else torch.float32, torch.device(expected)]
    said = "model='./folder' runs on the CPU, since torch finds no CUDA device"
    assert (said in caplog.text) is (model == "./folder" and not cuda)


def test_half_precision_inside_leaves_the_callers_type_outside(generator):
    model = StableDiffusion.from_pretrained("tiny", dtype=torch.bfloat16)
    x_t = torch.randn(1, *model.latent_shape, generator=generator)
    eps = model.guided(model.embed(["a red mug"]), 7.5)(x_t, 0.5)
    assert eps.dtype == torch.float32
    assert model.encode(model.decode(x_t)).dtype == torch.float32
