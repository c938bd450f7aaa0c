"""On a CUDA device: what the CPU computes, and a step's memory; left out where there is none."""

import pytest
import torch
from made_up import small_3d

from sdilib.guidance import SDI
from sdilib.inversion import FixedNoise
from sdilib.lab import gpu_check
from sdilib.stable_diffusion import StableDiffusion

HAS_CUDA = torch.cuda.is_available()
on_cuda = pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device is visible to torch")


def test_the_guard_is_a_verdict():
    """The function itself, uncalled, would be true everywhere and never skip."""
    assert isinstance(HAS_CUDA, bool)
    assert on_cuda.args == (not HAS_CUDA,)


CHECKS = {
    "render, table": ("check_render", {"packed": False}),
    "render, nerfacc": ("check_render", {"packed": True}),
    "render within, table": ("check_render", {"packed": False, "distance": gpu_check._WITHIN}),
    "render within, nerfacc": ("check_render", {"packed": True, "distance": gpu_check._WITHIN}),
    "hash grid": ("check_hash_grid", {"backend": "numba"}),
    "hash grid, reference": ("check_hash_grid", {"backend": "torch"}),
    "hash grid, tinycudann": ("check_tinycudann", {}),
    "half precision": ("check_half", {}),
}


@pytest.mark.gpu
@on_cuda
@pytest.mark.parametrize(("check", "settings"), CHECKS.values(), ids=CHECKS)
def test_the_device_computes_what_the_cpu_does(check, settings):
    found = getattr(gpu_check, check)(torch.device("cuda"), **settings)
    if found.passed is None:
        pytest.skip(found.note)
    assert found.passed, found


@pytest.mark.gpu
@on_cuda
@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_a_run_goes_on_from_tensors_on_the_cpu(through):
    model = StableDiffusion.from_pretrained("tiny", device="cuda", dtype=torch.float16)
    config = small_3d(steps=2, rays_per_patch=100, kappa="fixed", through=through)
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
@pytest.mark.filterwarnings("ignore:backend='tinycudann'")
def test_a_whole_step_at_512_takes_less_than_the_aim():
    found = gpu_check.check_step(torch.device("cuda"))
    assert found.numbers["peak_gib"] < gpu_check.AIM_GIB
    assert found.numbers["unet_seconds"] < found.numbers["seconds"]
