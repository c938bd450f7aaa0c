"""Fixtures that the tests share: an oracle, a model of milliseconds, and randomness by name."""

import os
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches for the network

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
from torch import Tensor

from sdilib.denoiser import PromptEmbeddings
from sdilib.oracle import GaussianMixture
from sdilib.schedule import NoiseSchedule
from sdilib.seeds import generator as generator_at
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.loading import random_pipeline

# A shell's background jobs ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The same bits on every machine and in every order of tests, and no contention between workers.
torch.set_num_threads(1)
numba.set_num_threads(1)


class ScriptedDenoiser:
    """A denoiser that answers a given function of (x_t, t, condition) and records what it is asked.

    Conditions are rows of any numbers.
    """

    def __init__(self, answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        self.schedule = NoiseSchedule.scaled_linear()
        self.num_forwards = 0
        self.asked: list[tuple[Tensor, Tensor]] = []
        self._answer = answer

    def branches(self, x_t, t, conditions):
        times = torch.as_tensor(t, dtype=torch.float64).expand(len(x_t))
        self.asked.append((x_t, times))
        self.num_forwards += len(conditions) * len(x_t)
        return tuple(self._answer(x_t, times, condition) for condition in conditions)


class OnADevice(Tensor):
    """A tensor that numpy cannot read before it is copied to the CPU, as one on CUDA."""

    def __array__(self, *_, **__):
        raise TypeError("can't convert a device's tensor to numpy")

    numpy = __array__

    def cpu(self):
        return self.as_subclass(Tensor)


@pytest.fixture
def on_a_device() -> Callable[[Tensor], Tensor]:
    return lambda values: values.as_subclass(OnADevice)


@pytest.fixture
def scripted() -> type[ScriptedDenoiser]:
    return ScriptedDenoiser


@pytest.fixture
def rows() -> Callable[..., PromptEmbeddings]:
    """Conditions of a scripted denoiser: 1 for the prompt, 0 for the empty one, given negatives."""

    def make(batch: int, negatives: tuple[float, ...] = ()) -> PromptEmbeddings:
        one = torch.ones(batch, 1)
        return PromptEmbeddings(
            one, 0 * one, tuple(value * one for value in negatives), (1.0,) * len(negatives)
        )

    return make


@pytest.fixture
def generator(request: pytest.FixtureRequest) -> torch.Generator:
    return generator_at(0, 0, request.node.name)


@pytest.fixture
def oracle() -> GaussianMixture:
    """Three blobs in latents of 4x2x2, float64."""
    means = 1.5 * torch.randn(
        3, 4, 2, 2, dtype=torch.float64, generator=generator_at(7, 0, "oracle")
    )
    stds = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)
    return GaussianMixture(means, stds, torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))


@pytest.fixture
def planar() -> GaussianMixture:
    """Three well separated blobs in the plane, float64."""
    return GaussianMixture(
        torch.tensor([[-2.0, 0.0], [1.5, 1.5], [1.0, -2.0]], dtype=torch.float64),
        torch.tensor([0.3, 0.3, 0.3], dtype=torch.float64),
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
    )


@pytest.fixture(scope="session")
def tiny() -> StableDiffusion:
    """Stable Diffusion in miniature, random weights; latents of 4x8x8, a factor of 2."""
    return StableDiffusion.from_pretrained("tiny")


@pytest.fixture(scope="session")
def tiny64() -> StableDiffusion:
    return StableDiffusion(random_pipeline("tiny").to(torch.float64), name="tiny")


@pytest.fixture(scope="session")
def two(tiny: StableDiffusion) -> PromptEmbeddings:
    return tiny.embed(["a red mug", "a blue rocket"])


@pytest.fixture
def stopped(tiny: StableDiffusion, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a run that fails after some steps, and returns its folder with its two checkpoints."""
    from sdilib.lab.runs import address, distilled, making  # the core's tests need none of it

    def stopped(root: Path, config: Any, *, steps: int = 4) -> Path:
        record, made = making._record, []

        def failing(step):
            made.append(step)
            if len(made) > steps:
                raise RuntimeError("stopped")
            return record(step)

        with monkeypatch.context() as patched:
            patched.setattr(making, "_record", failing)
            with pytest.raises(RuntimeError, match="stopped"):
                distilled(config, root=root, model=tiny, save_seconds=0.0, progress=False)
        folder = root / address(config, tiny.identity)
        names = {path.name for path in folder.iterdir()}
        assert {"checkpoint.safetensors", "checkpoint.before.safetensors"} <= names
        return folder

    return stopped
