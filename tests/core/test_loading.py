from pathlib import Path

import torch

from sdilib.stable_diffusion.loading import load_pipeline, random_pipeline
from sdilib.stable_diffusion.names import model_folder


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
