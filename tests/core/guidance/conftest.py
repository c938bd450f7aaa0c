"""What the tests of rules share: a point, times with an item each, draws, and an oracle that reads."""

import pytest
import torch

from sdilib.denoiser import PromptEmbeddings
from sdilib.guidance import View
from sdilib.oracle import GaussianMixture
from sdilib.seeds import generator as generator_at


class Reader(GaussianMixture):
    """A mixture whose texts are digits, the components that they allow; it knows no other words."""

    def embed(self, prompts) -> PromptEmbeddings:
        for text in prompts:
            if not text.replace(" ", "").isdigit():
                raise ValueError(f"prompt={text!r}: expected digits")
        made = self.prompt([[int(word) for word in text.split()] for text in prompts])
        return PromptEmbeddings(made.conditional, made.unconditional, texts=tuple(prompts))


@pytest.fixture
def reader(oracle) -> Reader:
    return Reader(oracle.means, oracle.stds, oracle.weights)


@pytest.fixture
def times() -> torch.Tensor:
    return torch.tensor([1.0, 0.52, 0.13], dtype=torch.float64)


@pytest.fixture
def each() -> list[torch.Generator]:
    """A generator for each of three items."""
    return [generator_at(0, 0, "guidance", item) for item in range(3)]


@pytest.fixture
def drawn(each) -> torch.Tensor:
    """The first noise that they draw; `each` itself stays as it is."""
    same = [generator_at(0, 0, "guidance", item) for item in range(3)]
    return torch.stack([torch.randn(4, 2, 2, dtype=torch.float64, generator=g) for g in same])


@pytest.fixture
def x0(generator) -> torch.Tensor:
    return torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator)


@pytest.fixture
def view(oracle) -> View:
    return View(oracle.prompt([[0], [1], [2]]))
