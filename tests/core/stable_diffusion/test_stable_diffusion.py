import pytest
import torch

from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion import model as stable_diffusion
from sdilib.stable_diffusion import precision as precision_module
from sdilib.stable_diffusion.loading import load_pipeline, random_pipeline
from sdilib.stable_diffusion.model import check_words, encode_text
from sdilib.stable_diffusion.names import model_hash


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


def test_embeddings_are_the_pipelines():
    pipeline = random_pipeline("tiny")
    texts = ["a red mug", "a blue striped rocket, side view"]
    theirs, empty = pipeline.encode_prompt(texts, torch.device("cpu"), 1, True)
    ours = encode_text(pipeline.tokenizer, pipeline.text_encoder, [*texts, ""])
    torch.testing.assert_close(ours[:2], theirs)
    torch.testing.assert_close(ours[2], empty[0])
    assert not torch.equal(ours[0], ours[1])


def test_a_prompt_comes_with_the_empty_one_and_each_text_is_encoded_once(monkeypatch):
    asked = []

    def listen(tokenizer, text_encoder, prompts):
        asked.extend(prompts)
        return encode_text(tokenizer, text_encoder, prompts)

    monkeypatch.setattr(stable_diffusion, "encode_text", listen)
    model = StableDiffusion(random_pipeline("tiny"))
    first = model.embed(["a red mug", "a mug", "a red mug"])
    again = model.embed(["a red mug"])
    assert asked == ["a red mug", "a mug", ""]
    assert torch.equal(first.conditional[0], first.conditional[2])
    assert torch.equal(again.conditional[0], first.conditional[0])
    assert torch.equal(first.unconditional, again.unconditional.expand(3, -1, -1))
    assert first.negatives == ()


def test_a_negative_prompt_stands_for_the_empty_one(tiny):
    plain = tiny.embed(["a red mug", "a blue car"])
    other = tiny.embed(["a red mug", "a blue car"], "a green mug")
    assert torch.equal(other.conditional, plain.conditional)
    assert torch.equal(other.unconditional, tiny.embed(["a green mug"] * 2).conditional)
    assert not torch.equal(other.unconditional, plain.unconditional)


def test_a_prompt_of_all_the_tokens_fits_and_one_more_does_not():
    pipeline = random_pipeline("tiny")
    room = pipeline.tokenizer.model_max_length - 2
    encode_text(pipeline.tokenizer, pipeline.text_encoder, [" ".join(["mug"] * room)])
    with pytest.raises(
        ValueError, match=f"expected at most {room} tokens .this one has {room + 1}"
    ):
        encode_text(pipeline.tokenizer, pipeline.text_encoder, [" ".join(["mug"] * (room + 1))])


def test_words_are_compared_without_case_and_punctuation():
    check_words("A red, RED mug!", ["a", "red", "mug"])
    with pytest.raises(ValueError, match=r"'mugs' is unknown; did you mean mug\?$"):
        check_words("a red mugs", ["a", "red", "mug"])


def test_a_hash_names_the_weights(tmp_path):
    one, same = (StableDiffusion(random_pipeline("tiny")) for _ in range(2))
    assert one.hash == same.hash != StableDiffusion(random_pipeline("tiny", seed=1)).hash
    random_pipeline("tiny").save_pretrained(tmp_path / "model")
    saved = StableDiffusion.from_pretrained(str(tmp_path / "model"))
    assert len(saved.hash) == 16


def test_a_pipelines_hash_is_also_of_its_configurations_and_its_tokenizers_merges():
    whole = StableDiffusion(random_pipeline("tiny"))
    whole.embed(["a red mug"])  # which leaves padding behind in the tokenizer
    assert whole.hash == StableDiffusion(random_pipeline("tiny")).hash
    other, longer = random_pipeline("tiny"), random_pipeline("tiny")
    other.text_encoder.config.hidden_act = "gelu"
    longer.tokenizer.model_max_length += 1
    hashes = {whole.hash, *(StableDiffusion(each).hash for each in (other, longer))}
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("scheduler/scheduler_config.json", True),
        ("unet/config.json", True),
        ("tokenizer/tokenizer.json", True),
        ("model_index.json", True),
        ("README.md", False),
        (".DS_Store", False),
        ("samples/one.png", False),
    ],
)
def test_a_folders_hash_is_of_all_that_changes_a_number_and_of_nothing_else(file, counts, tmp_path):
    random_pipeline("tiny").save_pretrained(tmp_path)
    before, path = model_hash(str(tmp_path)), tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(path.read_bytes() + b"\n" if path.exists() else b"\n")
    assert (model_hash(str(tmp_path)) != before) is counts


def test_a_hub_models_hash_is_that_of_its_commit_whatever_the_type(monkeypatch):
    cached = {"owner/one": "/cache/snapshots/abc/model_index.json"}
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache", lambda model, file: cached.get(model)
    )
    full, half = random_pipeline("tiny"), load_pipeline("tiny", dtype=torch.float16)
    pipelines = iter([full, half, full])
    monkeypatch.setattr(stable_diffusion, "load_pipeline", lambda *_, **__: next(pipelines))
    one, same = (StableDiffusion.from_pretrained("owner/one") for _ in range(2))
    assert one.hash == same.hash
    cached["owner/one"] = "/cache/snapshots/abd/model_index.json"
    assert StableDiffusion.from_pretrained("owner/one").hash not in (
        one.hash,
        StableDiffusion(full).hash,
    )
    assert len(one.hash) == 16


@pytest.mark.parametrize(
    ("model", "cuda", "expected"),
    [("tiny", True, "cpu"), ("./folder", True, "cuda"), ("./folder", False, "cpu")],
)
def test_large_models_run_on_cuda_where_it_is(model, cuda, expected, monkeypatch, caplog):
    asked = []

    def load(model, *, dtype, device):
        asked.extend([dtype, device])
        return random_pipeline("tiny")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(stable_diffusion, "_usable_device", torch.device)
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


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 1e8])
def test_gradients_through_the_encoder_in_float16_neither_overflow_nor_vanish(
    size, tiny, generator
):
    # sigma(t) gamma spans that: in float16 numbers above 65504 are infinite, below 6e-8 zero.
    half = StableDiffusion(random_pipeline("tiny").to(torch.float16), name="tiny")
    images = torch.rand(2, 3, 16, 16, generator=generator)
    pushed = torch.randn(2, 4, 8, 8, generator=generator)
    pushed *= torch.tensor([size, 1.0]).reshape(2, 1, 1, 1)  # each item by itself
    found = []
    for model in (tiny, half):
        seen = images.clone().requires_grad_()
        torch.autograd.backward(model.encode(seen), pushed)
        found.append(seen.grad.flatten(1))
    true, rounded = found
    error = (rounded - true).norm(dim=1) / true.norm(dim=1)
    assert float(error.max()) < 0.02


def test_a_precision_is_a_name_of_the_type_of_all_network_calls(tiny, two, generator, monkeypatch):
    monkeypatch.setattr(precision_module, "_has_bfloat16", lambda device: True)
    short = StableDiffusion.from_pretrained("tiny", dtype="bfloat16")
    assert (tiny.precision, short.precision) == ("float32", "bfloat16")
    x_t = torch.randn(2, *tiny.latent_shape, generator=generator)
    exact, rounded = (
        m.guided(m.embed(["a red mug", "a blue rocket"]), 1.0)(x_t, 0.6) for m in (tiny, short)
    )
    assert rounded.dtype == torch.float32  # outside the network nothing is rounded
    # bfloat16 has 8 bits: 0.004 a rounding, of some tens of layers.
    assert 0 < float((rounded - exact).norm() / exact.norm()) < 0.05
    with pytest.raises(
        ValueError, match="precision='half': expected one of auto, float32, float16"
    ):
        StableDiffusion.from_pretrained("tiny", dtype="half")


@pytest.mark.parametrize(
    ("flags", "precision"), [("fpu avx512_bf16", "bfloat16"), ("fpu avx2", "auto")]
)
def test_bfloat16_is_taken_where_the_processor_has_it_and_said_once_where_not(
    flags, precision, tmp_path, monkeypatch, caplog
):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags} sse\n")
    monkeypatch.setattr(precision_module, "_CPU", tmp_path / "cpuinfo")
    precision_module._has_bfloat16.cache_clear()
    found = {precision_module.usable_precision("bfloat16", torch.device("cpu")) for _ in range(2)}
    precision_module._has_bfloat16.cache_clear()
    assert found == {precision}
    assert caplog.text.count("this cpu has no instructions for it") == (precision == "auto")
    assert precision_module.usable_precision("float16", torch.device("cpu")) == "float16"


def test_a_pipeline_from_python_is_not_what_a_folder_of_its_name_holds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline").mkdir()
    first, second = (StableDiffusion(random_pipeline("tiny")) for _ in range(2))
    next(second._unet.parameters()).data.add_(1)
    assert first.hash != second.hash
