"""On a CUDA device: what the CPU computes, and a step's memory; left out where there is none."""

import pytest
import torch

from sdilib.guidance import SDI
from sdilib.inversion import FixedNoise
from sdilib.lab.gpu_check import (
    AIM_GIB,
    check_half,
    check_hash_grid,
    check_render,
    check_step,
    check_tinycudann,
)
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_3d import Text3D

HAS_CUDA = torch.cuda.is_available()
on_cuda = pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device is visible to torch")


def test_the_guard_is_a_verdict():
    """The function itself, uncalled, would be true everywhere and never skip."""
    assert isinstance(HAS_CUDA, bool)
    assert on_cuda.args == (not HAS_CUDA,)


@pytest.mark.gpu
@on_cuda
@pytest.mark.parametrize("packed", [False, True])
def test_images_and_gradients_are_the_cpus(packed):
    found = check_render(torch.device("cuda"), packed=packed)
    if found.passed is None:
        pytest.skip(found.note)
    assert found.passed, found


@pytest.mark.gpu
@on_cuda
@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_the_hash_grid_is_the_cpus(backend):
    found = check_hash_grid(torch.device("cuda"), backend=backend)
    assert found.passed, found


@pytest.mark.gpu
@on_cuda
def test_tinycudann_gives_finite_numbers():
    found = check_tinycudann(torch.device("cuda"))
    if found.passed is None:
        pytest.skip(found.note)
    assert found.passed, found


@pytest.mark.gpu
@on_cuda
def test_half_precision_is_close():
    found = check_half(torch.device("cuda"))
    assert found.passed, found


@pytest.mark.gpu
@on_cuda
@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_a_run_goes_on_from_tensors_on_the_cpu(through):
    model = StableDiffusion.from_pretrained("tiny", device="cuda", dtype=torch.float16)
    config = Text3D.of(
        prompt="a red mug",
        model="tiny",
        steps=2,
        cameras=2,
        size=16,
        num_samples=16,
        rays_per_patch=100,
        levels=4,
        finest_resolution=16,
        kappa="fixed",
        through=through,
    )
    built = config.build(model)
    next(built.steps())
    again = config.build(model)
    again.scene.load_state_dict({k: v.cpu() for k, v in built.scene.state_dict().items()})
    assert isinstance(built.rule, SDI)
    assert isinstance(again.rule, SDI)
    assert isinstance(again.rule.kappa, FixedNoise)
    again.rule.load_state_dict({k: v.cpu() for k, v in built.rule.state_dict().items()})
    (last,) = again.steps(1)
    assert last.x0.is_cuda
    assert last.render().isfinite().all()


@pytest.mark.gpu
@on_cuda
def test_a_whole_step_at_512_takes_less_than_the_aim():
    found = check_step(torch.device("cuda"))
    assert found.numbers["peak_gib"] < AIM_GIB
    assert found.numbers["unet_seconds"] < found.numbers["seconds"]
