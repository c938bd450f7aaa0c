"""The CUDA paths on a mock device: real numbers, held by the CPU, under a device's rules.

Run by `test_mock.py` as a process of its own, with the compiled `device.cpp`. A tensor of the device holds another, of the
CPU, and refuses what CUDA refuses: to meet a tensor of the CPU, and to be read by numpy. What is not mocked: kernels of
nerfacc and tinycudann, speed, memory.
"""

import ctypes
import json
import sys
from typing import Any, ClassVar

if __name__ == "__main__":
    ctypes.CDLL(sys.argv[1])  # before torch, which asks for its devices once

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
INDEXING = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten._index_put_impl_}
"""Where CUDA takes a tensor of the CPU, as an index; a copy is the other place."""


class OnCUDA(torch.Tensor):
    """A tensor of the device.

    Attributes:
        held: the same tensor on the CPU.
        waits: how often the CPU has read numbers of the device; CUDA also waits where a mask selects, for the size.
    """

    held: torch.Tensor
    waits: ClassVar[int] = 0

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "OnCUDA":
        layout: dict[str, Any] = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        layout |= {"dtype": held.dtype, "device": CUDA}
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, **layout)
        made.held = held
        return made

    def tolist(self) -> Any:
        OnCUDA.waits += 1
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, call, types, args=(), kwargs=None):
        return _mocked(call, args, kwargs or {})


class Everywhere(TorchDispatchMode):
    """Makes tensors on the device where one is asked for by name."""

    def __torch_dispatch__(self, call, types, args=(), kwargs=None):
        return _mocked(call, args, kwargs or {})


def _mocked(call: Any, args: Any, kwargs: Any) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    ours = [each for each in tensors if isinstance(each, OnCUDA)]
    others = [each for each in tensors if not isinstance(each, OnCUDA) and each.dim()]
    free = call.overloadpacket is torch.ops.aten.copy_ or (
        call.overloadpacket in INDEXING and isinstance(args[0], OnCUDA)
    )
    if ours and others and not free:
        raise RuntimeError(f"{call}: expected all tensors on one device, found cuda:0 and cpu")
    asked = kwargs.get("device")
    there = bool(ours) if asked is None else torch.device(asked).type == "cuda"
    result = call(*tree_map(_here, args), **tree_map(_here, kwargs))
    OnCUDA.waits += bool(ours) and (not there or isinstance(result, bool | int | float))
    name = call._schema.name
    if name.endswith("_") and not name.startswith("aten::_foreach"):
        return args[0]
    if name.endswith("_"):
        return None
    if "out" in kwargs:
        return kwargs["out"]
    return tree_map(lambda x: OnCUDA(x) if there and isinstance(x, torch.Tensor) else x, result)


def _here(value: Any) -> Any:
    if isinstance(value, OnCUDA):
        return value.held
    return CPU if isinstance(value, torch.device) and value.type == "cuda" else value


def _made_here_first(make: Any) -> Any:
    def made(*data: Any, device: Any = None, **kind: Any) -> torch.Tensor:
        tensor = make(*data, **kind)
        return tensor if device is None else tensor.to(device)

    return made


def _begin() -> None:
    """Let torch believe in the device."""
    torch.set_num_threads(1)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    for name in ("tensor", "as_tensor"):  # which fill the device's memory past all operators
        setattr(torch, name, _made_here_first(getattr(torch, name)))
    answers = {
        "_lazy_init": None,
        "is_available": True,
        "current_device": 0,
        "synchronize": None,
        "get_device_name": "mock",
        "reset_peak_memory_stats": None,
        "max_memory_allocated": 0,
        "memory_allocated": 0,
        "memory_reserved": 0,
        "mem_get_info": (70 << 30, 80 << 30),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)


def main(root: str) -> None:
    """Run what has CUDA paths, and print what was found.

    Args:
        root: folder for runs.
    """
    from sdilib.guidance import SDI
    from sdilib.guidance.named import RULES, make_rule
    from sdilib.inversion import FixedPoint, GradientDescent
    from sdilib.lab.claims import Less
    from sdilib.lab.experiments import fig05_overview
    from sdilib.lab.gpu_check import check_gpu
    from sdilib.lab.images import ddim_images, distilled_images
    from sdilib.lab.runs import distilled, making
    from sdilib.stable_diffusion import StableDiffusion
    from sdilib.text_to_3d import Text3D

    small_step: dict[str, Any] = {"device": "cuda", "size": 16, "model": "tiny"}
    small_step |= {"num_samples": 16, "log2_table_size": 10}
    found: dict[str, Any] = {"checks": check_gpu(**small_step)["checks"]}
    model = StableDiffusion.from_pretrained("tiny", device="cuda")
    found["model"] = [str(model.device), str(next(model._unet.parameters()).dtype)]

    small: dict[str, Any] = {"model": "tiny", "size": 16, "num_samples": 16, "levels": 4}
    small |= {"steps": 2, "cameras": 2, "finest_resolution": 16, "num_inversion_steps": 2}
    of_runs: dict[str, dict[str, Any]] = {
        "plain": {},
        "encoder, deferred": {"through": "encoder", "rays_per_patch": 100, "rule": "ism"},
        "lit, all penalties": {
            "shading": 1.0,
            "orientation": 0.1,
            "convexity": 0.1,
            "z_variance": 0.1,
            "background": "environment",
            "perp_neg": 1.0,
            "kappa": "gradient descent",
        },
    }
    # Those that look at the camera or the depth.
    uninverted = {name: value for name, value in small.items() if name != "num_inversion_steps"}
    runs = {name: small | changed for name, changed in of_runs.items()}
    runs |= {name: uninverted | {"rule": name} for name in ("esd", "steindreamer", "cfd")}
    found["runs"] = {
        name: distilled(
            Text3D.of(prompt="a red mug", **settings), root=root, model=model, progress=False
        ).diverged
        for name, settings in runs.items()
    }

    steps = Text3D.of(prompt="a red mug", **small).build(model).steps()
    next(steps)
    before = OnCUDA.waits
    making._record(next(steps))
    found["waits"] = OnCUDA.waits - before

    work: Any = (model, ["a red mug"], [0])
    rules: dict[str, Any] = {
        **{name: lambda m, eps, name=name: make_rule(name, m, {}) for name in RULES},
        "fixed point": lambda m, eps: SDI(m, kappa=FixedPoint(2)),
        "gradient descent": lambda m, eps: SDI(m, kappa=GradientDescent(2)),
    }
    images = {"DDIM": ddim_images(*work, num_steps=2).images}
    for name, rule in rules.items():
        images[name] = distilled_images(*work, rule=rule, num_steps=2).images
    found["images"] = {name: str(each.device) for name, each in images.items()}

    step = fig05_overview.one_step(*work, num_steps=3, t=0.7, guidance_scale=7.5)
    residuals = {name: update.residual for name, update in step.updates.items()}
    found["residuals"] = str(residuals["SDI"].device)
    claim = Less("any", "residual", "SDI", "SDS").check({"residual": residuals})
    fig05_overview.draw(fig05_overview.images(model, step), step, "a red mug")
    found["claim"] = claim.n
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    _begin()
    with Everywhere():
        main(sys.argv[2])
