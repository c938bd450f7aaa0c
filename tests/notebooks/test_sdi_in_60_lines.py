"""SDI without the library is the library's SDI: the same noise, the same image."""

import ast
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch

from sdilib.distillation import distill
from sdilib.guidance import SDI
from sdilib.inversion import DDIMInversion
from sdilib.lab.notebooks.runner import run_notebook
from sdilib.lab.notebooks.sources import cells, code
from sdilib.scenes import ImageScene
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import Encoded

SOURCE = Path(__file__).parents[2] / "notebooks" / "sdi_in_60_lines.py"


@pytest.fixture(scope="module")
def written() -> SimpleNamespace:
    """The notebook's names, after three steps."""
    names: dict = {}
    with chdir(SOURCE.parent):
        parameters, *rest = cells(SOURCE, "code")
        exec(parameters, names)
        names["num_steps"] = 4
        for cell in rest:
            exec(cell, names)
    return SimpleNamespace(**names)


@pytest.fixture(scope="module")
def model() -> StableDiffusion:
    return StableDiffusion.from_pretrained("mini")


def test_it_needs_torch_and_diffusers_alone():
    nodes = list(ast.walk(ast.parse(code(SOURCE))))
    named = [a.name for node in nodes if isinstance(node, ast.Import) for a in node.names]
    named += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert sorted(named) == ["diffusers", "torch"]


@pytest.mark.parametrize("t", [0.05, 0.37, 1.0])
def test_its_noise_levels_and_its_inversion_are_the_librarys(written, model, t):
    level = model.schedule.sigma(t).float()
    torch.testing.assert_close(written.sigma(t), level, rtol=1e-4, atol=0.0)
    denoise = model.guided(model.embed([written.prompt]), written.gamma)
    x0, at = written.x0, torch.tensor([t], dtype=torch.float64)
    ours = DDIMInversion(written.gamma_inv)(x0, at, denoise, generator(0, 0, "unused")).noise
    torch.testing.assert_close(written.inverted(x0, t), ours, rtol=1e-3, atol=1e-3)


def test_its_image_is_the_librarys(written, model):
    prompt, noise = model.embed([written.prompt]), written.noise
    x_1 = model.schedule.add_noise(torch.zeros_like(noise), noise, 1.0)
    with torch.no_grad():
        eps = model.guided(prompt, written.gamma)(x_1, 1.0)
    scene = ImageScene(model.schedule.denoised(x_1, eps, 1.0))
    run = {"num_steps": written.num_steps, "t_end": 0.0, "first_step": 1}  # the start is the first
    assert len(list(distill(scene, Encoded(SDI(model), model), prompt=prompt, **run))) == 3
    with torch.no_grad():
        ours = model.decode(scene.values).clamp(0, 1)
    torch.testing.assert_close((written.seen[-1] + 1) / 2, ours, rtol=0.0, atol=2e-3)
    torch.testing.assert_close(written.x0, scene.values.detach(), rtol=1e-3, atol=1e-2)


def test_it_runs_in_a_kernel_and_ends_with_a_picture(tmp_path):
    where = {"folder": tmp_path, "build": tmp_path}
    assert run_notebook(SOURCE, **where, given={"num_steps": 2}) == []
    (output,) = nbformat.read(tmp_path / f"{SOURCE.stem}.ipynb", 4).cells[-2].outputs
    assert "image/png" in output.data
