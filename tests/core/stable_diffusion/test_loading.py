import json
import shutil
import socket
import warnings
from pathlib import Path

import pytest
import torch
from diffusers import EulerDiscreteScheduler, PNDMScheduler

from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.loading import load_pipeline, random_pipeline
from sdilib.stable_diffusion.names import check_name, hub_commit, model_folder
from sdilib.storage import load_tensors, save_tensors


def weights(pipeline) -> dict[str, torch.Tensor]:
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    return {
        f"{i}.{name}": w for i, part in enumerate(parts) for name, w in part.state_dict().items()
    }


def test_random_weights_follow_from_the_seed():
    one, same, other = (weights(random_pipeline("tiny", seed=seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_saved_folder_loads_to_the_same_weights(tmp_path):
    saved = random_pipeline("tiny")
    saved.save_pretrained(tmp_path / "model")
    loaded = weights(load_pipeline(str(tmp_path / "model")))
    for name, weight in weights(saved).items():
        torch.testing.assert_close(loaded[name], weight, rtol=0, atol=0)


def test_weights_come_in_the_type_asked_for():
    assert load_pipeline("tiny", dtype=torch.float16).unet.dtype == torch.float16


def test_only_bundled_names_and_paths_have_a_folder(tmp_path, monkeypatch):
    assert model_folder(str(tmp_path)) == tmp_path
    assert model_folder("tiny") is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert model_folder("tiny") is None  # load_pipeline takes the random one
    assert model_folder("./tiny") == Path("tiny")
    assert model_folder("owner/name") is None
    assert (model_folder("mini") / "world.json").is_file()


@pytest.mark.parametrize("name", ["mini", "tiny"])
def test_a_file_of_the_same_name_does_not_hide_a_model(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("")
    check_name(name)


@pytest.fixture
def folder(tmp_path) -> Path:
    random_pipeline("tiny").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def as_saved(folder: Path) -> None:
    loaded = weights(load_pipeline(str(folder)))
    for name, weight in weights(random_pipeline("tiny")).items():
        assert torch.equal(loaded[name], weight), name


def test_where_only_a_variant_lies_it_is_loaded(folder):
    for part in ("unet", "vae", "text_encoder"):
        (path,) = (folder / part).glob("*.safetensors")
        path.rename(path.with_suffix(".fp16.safetensors"))
    as_saved(folder)


def test_full_precision_is_taken_before_a_variant(folder):
    other = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    other.write_bytes(b"cut off")
    as_saved(folder)


def test_names_of_earlier_versions_are_known(folder):
    clip = folder / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{name}": value for name, value in load_tensors(clip).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(16)[None]
    save_tensors(clip, tensors)
    vae = folder / "vae" / "diffusion_pytorch_model.safetensors"
    new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_tensors(vae)
    for name in [name for name in tensors if ".attentions." in name]:
        old = name
        for now, then in new.items():
            old = old.replace(f".{now}.", f".{then}.")
        tensors[old] = tensors.pop(name)
    save_tensors(vae, tensors)
    as_saved(folder)


def test_a_component_that_is_named_and_not_there_is_not_needed(folder):
    index = json.loads((folder / "model_index.json").read_text())
    more = {"image_encoder": ["transformers", "CLIPVisionModelWithProjection"]}
    more |= {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
    (folder / "model_index.json").write_text(json.dumps(index | more))
    as_saved(folder)


def test_nothing_in_a_folder_is_run(folder, capsys):
    for name in ("unet", "pipeline", "my_scheduler", "tokenizer/my_tokenizer", "scheduler/mine"):
        (folder / f"{name}.py").write_text("print('run')\nclass Mine: pass\n")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"scheduler": ["my_scheduler", "Mine"], "tokenizer": ["my_tokenizer", "Mine"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    path = folder / "tokenizer" / "tokenizer_config.json"
    mapped = {"auto_map": {"AutoTokenizer": ["my_tokenizer.Mine", None]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | mapped))
    as_saved(folder)
    assert "run" not in capsys.readouterr().out


def test_a_pickle_is_not_read(folder):
    for part in ("unet", "vae", "text_encoder"):
        (path,) = (folder / part).glob("*.safetensors")
        torch.save(load_tensors(path), path.with_suffix(".bin"))
        path.unlink()
    with pytest.raises(ValueError, match=r"weights in unet.\*\.safetensors"):
        load_pipeline(str(folder))


@pytest.mark.parametrize("kind", [PNDMScheduler, EulerDiscreteScheduler])
def test_any_sampler_of_the_same_betas_is_the_same_model(folder, kind):
    betas = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    kind(**betas).save_pretrained(folder / "scheduler")
    table = StableDiffusion.from_pretrained(str(folder)).schedule.alphas_cumprod
    torch.testing.assert_close(
        table, StableDiffusion.from_pretrained("tiny").schedule.alphas_cumprod
    )


def test_a_tokenizer_that_does_not_say_its_length_has_the_text_encoders(folder):
    path = folder / "tokenizer" / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in config.items() if "max_length" not in k}))
    model, whole = (StableDiffusion.from_pretrained(name) for name in (str(folder), "tiny"))
    one, other = (each.embed(["a red mug"]).conditional for each in (model, whole))
    assert torch.equal(one, other)


def test_a_token_added_to_the_vocabulary_is_no_word_that_merges_make(folder):
    pipeline = random_pipeline("tiny")
    pipeline.tokenizer.add_tokens("<sks>")
    pipeline.text_encoder.resize_token_embeddings(len(pipeline.tokenizer))
    pipeline.save_pretrained(folder)
    model = StableDiffusion.from_pretrained(str(folder))
    one, other = model.embed(["a <sks> mug", "a mug"]).conditional
    assert not torch.equal(one, other)


def test_half_precision_on_the_cpu_is_said_by_nobody_else(folder, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        StableDiffusion.from_pretrained(str(folder), device="cpu", dtype=torch.float16)
    assert capfd.readouterr().err == ""


def test_that_a_model_runs_on_the_cpu_is_not_said_of_one_that_is_refused(folder, caplog):
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"a usable vae/config\.json in it"):
        StableDiffusion.from_pretrained(str(folder))
    assert not caplog.text


def cached(cache: Path, folder: Path) -> str:
    """A hub's cache in which a folder is a model's only snapshot."""
    commit, repository = "0" * 40, cache / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)
    return commit


def test_a_hub_model_in_the_cache_needs_no_network_and_one_cut_off_is_named(
    folder, tmp_path, monkeypatch
):
    commit = cached(tmp_path / "hub", folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    loaded = weights(load_pipeline("owner/name"))
    assert all(torch.equal(loaded[k], v) for k, v in weights(random_pipeline("tiny")).items())
    assert hub_commit("owner/name") == commit
    (path,) = (tmp_path / "hub").glob("**/vae/*.safetensors")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(
        ValueError, match=r"a usable vae/diffusion_pytorch_model\.safetensors in it"
    ):
        load_pipeline("owner/name")


def test_only_a_hub_id_reaches_for_the_network(folder, monkeypatch):
    reached = []

    def refused(*where):
        reached.append(where)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    for model in ("mini", "tiny", str(folder)):
        load_pipeline(model)
    assert not reached
    with pytest.raises(ValueError, match="a hub id that can be fetched or is in the cache"):
        load_pipeline("nobody/nothing")
    assert reached
