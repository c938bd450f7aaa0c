"""A model's folder with anything wrong in it: it loads to the right numbers, or one sentence names the file.

The right numbers are those of the model as it was, or those that diffusers' own pipeline gives for the changed folder.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.loading import random_pipeline

PROMPTS = ["a red mug", "a blue rocket"]
VALUES = (None, -1, 0, 3, 77, 0.5, "x", [], [2, 2], {"a": 1}, True, float("nan"))
"""What a configuration's value is replaced by."""

Change = Callable[[Path], None]


def at(*path: str) -> Callable[[Path], Path]:
    return lambda folder: folder.joinpath(*path)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def cut(share: float) -> Change:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def with_value(key: str, value: object) -> Change:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    return change


def without(key: str) -> Change:
    def change(path: Path) -> None:
        path.write_text(
            json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key})
        )

    return change


def weights(edit: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def change(path: Path) -> None:
        tensors = load_file(path)
        edit(tensors)
        save_file(tensors, path, metadata={"format": "pt"})

    return change


def first(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name in tensors if name.endswith("weight"))


def lora(tensors: dict[str, torch.Tensor]) -> None:
    for name in [
        name
        for name in tensors
        if name.endswith(("to_q.weight", "q_proj.weight", "conv_in.weight"))
    ]:
        stem = name.removesuffix(".weight")
        tensors[f"{stem}.base_layer.weight"] = tensors.pop(name)
        tensors[f"{stem}.lora_A.default.weight"] = torch.zeros(4, 4)


def vocabulary(edit: Callable[[dict], object]) -> Change:
    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        edit(content["model"])
        path.write_text(json.dumps(content))

    return change


TENSORS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "one missing": lambda t: t.pop(first(t)),
    "one renamed": lambda t: t.update({"other": t.pop(first(t))}),
    "one more": lambda t: t.update({"other": torch.zeros(2)}),
    "one of another shape": lambda t: t.update({first(t): torch.zeros(3, 2)}),
    "one not finite": lambda t: t.update({first(t): torch.full_like(t[first(t)], np.nan)}),
    "one of integers": lambda t: t.update({first(t): t[first(t)].to(torch.int32)}),
    "none": lambda t: t.clear(),
    "with LoRA": lora,
}
WORDS: dict[str, Callable[[dict], object]] = {
    "no vocabulary": lambda m: m.update(vocab={}),
    "no words": lambda m: m.update(
        vocab={w: k for w, k in m["vocab"].items() if w[:2] == "<|"}, merges=[]
    ),
    "no merges": lambda m: m.update(merges=[]),
    "fewer merges": lambda m: m.update(merges=m["merges"][:-1]),
    "a vocabulary of two": lambda m: m.update(vocab=dict(list(m["vocab"].items())[:2])),
    "more words than rows": lambda m: m["vocab"].update({f"w{k}": 10_000 + k for k in range(9)}),
}
WHOLE: dict[str, Change] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "half": cut(0.5),
    "all but its last byte": cut(1 - 1e-9),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(300)),
    "a pointer": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    ),
    "a list": lambda path: path.write_text("[1, 2]"),
    "an empty object": lambda path: path.write_text("{}"),
    "a folder": into_a_folder,
}


def mutations(folder: Path) -> Iterator[tuple[str, str, Change]]:
    """All of them: the file, what is done to it, and how."""
    for file in files(folder):
        for name, change in WHOLE.items():
            yield file, name, change
        for other in files(folder):
            if other != file and Path(other).suffix == Path(file).suffix:
                yield file, f"that of {other}", lambda path, o=other: shutil.copy(folder / o, path)
        if file.endswith("tokenizer.json"):
            for name, edit in WORDS.items():
                yield file, name, vocabulary(edit)
        elif file.endswith(".json"):
            for key in json.loads((folder / file).read_text()):
                yield file, f"without {key}", without(key)
                for value in VALUES:
                    yield file, f"{key}={value}", with_value(key, value)
        elif file.endswith(".safetensors"):
            for name, edit in TENSORS.items():
                yield file, name, weights(edit)


def numbers(embeddings, eps, image, latents, alphas) -> list[torch.Tensor]:
    return [each.float() for each in (embeddings, eps, image, latents, alphas)]


@torch.no_grad()
def ours(folder: Path) -> tuple[list[torch.Tensor], str]:
    model = StableDiffusion.from_pretrained(str(folder))
    x = torch.linspace(-1, 1, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    rows = model.embed(PROMPTS).conditional
    (eps,) = model.branches(x, 0.5, [rows])
    image = torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    seen = numbers(rows, eps, model.decode(x), model.encode(image), model.schedule.alphas_cumprod)
    return seen, model.hash


@torch.no_grad()
def theirs(folder: Path) -> list[torch.Tensor]:
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, feature_extractor=None, local_files_only=True
    )
    unet, vae, schedule = pipeline.unet, pipeline.vae, pipeline.scheduler
    x = torch.linspace(-1, 1, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    rows = pipeline.encode_prompt(PROMPTS, torch.device("cpu"), 1, False)[0]
    alphas = schedule.alphas_cumprod
    time = len(alphas) / 2 - 1  # t = 0.5 lies between two of an odd number
    eps = unet(x, time, encoder_hidden_states=rows).sample
    if schedule.config.prediction_type == "v_prediction":
        alpha = alphas[int(time)]
        eps = alpha.sqrt() * eps + (1 - alpha).sqrt() * x
    image = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    latents = vae.encode(image).latent_dist.mean * vae.config.scaling_factor
    drawn = vae.decode(x / vae.config.scaling_factor).sample
    return numbers(rows, eps, (drawn + 1) / 2, latents, alphas)


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-4)
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "whole"
    random_pipeline("tiny").save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")  # diffusers' own, about the folder that it is given
def test_a_folder_with_anything_wrong_is_right_or_refused_by_the_files_name(
    saved, tmp_path, sample
):
    right, name = ours(saved)
    assert equal(right, theirs(saved))
    wrong = []
    for number, (file, what, change) in enumerate(sample(list(mutations(saved)), 40)):
        folder = tmp_path / str(number)
        shutil.copytree(saved, folder)
        change(folder / file)
        try:
            seen, own = ours(folder)
        except ValueError as error:
            said, near = str(error), file.partition("/")[0]
            if not said.startswith("model=") or "\n" in said or near not in said:
                wrong.append(f"{file}: {what}: {said}")
        except Exception as error:  # each kind of traceback is a finding
            wrong.append(f"{file}: {what}: {type(error).__name__}: {error}")
        else:
            if not equal(seen, right):
                if own == name or not equal(seen, theirs(folder)):
                    wrong.append(f"{file}: {what}: silently wrong")
        shutil.rmtree(folder)
    assert not wrong, "\n".join(wrong)
