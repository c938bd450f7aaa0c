"""Whether a GPU gives what the CPU gives, and what one step of SDI costs there.

Each check compares a device with the CPU, or a type with float32, on fields and models of random
weights, so nothing is downloaded; on the device "cpu" the same code runs, for tests.
"""

import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import distributions
from typing import Any

import torch
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.checks import positive_int, reject
from sdilib.lab.presets import resolve
from sdilib.lab.provenance import versions
from sdilib.nerf.field import NeRF
from sdilib.nerf.hash_grid import HashGrid
from sdilib.nerf.occupancy import OccupancyGrid
from sdilib.nerf.render import Marcher, Render, has_kernels, render
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_3d import Text3D

AIM_GIB = 12.0
"""Peak memory of a step at 512 x 512 that the library aims to stay below."""
PAPER_GIB = 39.2
"""Peak memory of SDI in the paper's Table 1."""

# The largest difference of a pixel: nerfacc leaves out what less than 1e-4 of the light reaches.
_IMAGE = 2e-3
_GRADIENT = 2e-2  # of the root mean square
_GRID = 1e-5  # of the largest value
_HALF = 3e-2  # of the root mean square: a few of half precision's 1e-3
_KERNELS = ("nerfacc", "numba", "tinycudann")
_PATCH = 300  # rays: some patches of the small image see nothing


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        passed: None where it does not apply here; the note says why.
        numbers: what was measured, and the tolerance it was held to.
        note: in words, or what went wrong.
    """

    passed: bool | None
    numbers: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def check_gpu(
    device: str | torch.device = "cuda", *, size: int = 512, model: str = "sd21"
) -> dict[str, Any]:
    """Run all checks; one that breaks down is one that failed, and the others go on.

    Args:
        device: what is checked.
        size: height and width of the step's render, in pixels.
        model: of the step, for `StableDiffusion.from_pretrained`.

    Returns:
        What JSON can hold: the device's name, versions, and each check.

    Raises:
        ValueError: a size below 1, or a CUDA device that torch does not see.
    """
    positive_int("size", size)
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        reject("device", str(device), "a CUDA device that torch sees")
    checks: dict[str, Callable[[], Check]] = {
        "render, table": lambda: check_render(device, packed=False),
        "render, nerfacc": lambda: check_render(device, packed=True),
        "hash grid": lambda: check_hash_grid(device),
        "hash grid, reference": lambda: check_hash_grid(device, backend="torch"),
        "hash grid, tinycudann": lambda: check_tinycudann(device),
        "half precision": lambda: check_half(device),
        "step": lambda: check_step(device, size=size, model=model),
    }
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "versions": _versions(),
        "checks": [{"name": name, **asdict(_attempt(check))} for name, check in checks.items()],
    }


def summary(record: Mapping[str, Any]) -> list[str]:
    """Return a record in lines: the device, then a verdict a check.

    Args:
        record: from `check_gpu`.
    """
    verdicts = {True: "passed", False: "FAILED", None: "left out"}
    lines = [record["device"]]
    for check in record["checks"]:
        numbers = ", ".join(f"{name} {_number(value)}" for name, value in check["numbers"].items())
        said = "; ".join(part for part in (numbers, check["note"]) if part)
        lines.append(f"{verdicts[check['passed']]:9}{check['name']}: {said}")
    return lines


def check_render(device: torch.device, *, packed: bool) -> Check:
    """Compare image and gradient of one field with those of the CPU; patch by patch on the device.

    Args:
        device: where the field is rendered again.
        packed: whether by nerfacc's kernels, or by the CPU's table of samples.
    """
    if packed and not (device.type == "cuda" and has_kernels()):
        return Check(None, note="nerfacc's CUDA kernels are neither built nor can they be")
    here, there = _field(), _field().to(device)
    expected = _seen(here, _marcher(here, packed=False))
    found = _seen(there, _marcher(there, packed=packed), rays_per_patch=_PATCH)
    image = float((found.image.detach().cpu() - expected.image.detach()).abs().max())
    gradients = []
    for nerf, seen in ((here, expected), (there, found)):
        (seen.image.square().sum() + seen.normal.sum()).backward()
        gradients.append([parameter.grad for parameter in nerf.parameters()])
    gradient = max(_distance(a, b) for a, b in zip(*reversed(gradients), strict=True))
    numbers = {"image": image, "image_tolerance": _IMAGE}
    numbers |= {"gradient": gradient, "gradient_tolerance": _GRADIENT}
    return Check(image <= _IMAGE and gradient <= _GRADIENT, numbers)


def check_hash_grid(device: torch.device, *, backend: str = "numba") -> Check:
    """Compare values and gradients of a grid with those of the CPU's compiled one.

    Args:
        device: where the other grid is.
        backend: of the other grid, "numba" or "torch".
    """
    found = []
    for where, kind in ((torch.device("cpu"), "numba"), (device, backend)):
        grid = HashGrid(backend=kind).to(where)
        features = grid(_points().to(where))
        features.backward(normal(features.detach(), generator(0, 0, "gpu check, weights")))
        found.append((features.detach().cpu(), grid.table.grad))
    (values, slopes), (others, other_slopes) = found
    value = float((others - values).abs().max() / values.abs().max())
    slope = float((other_slopes.cpu() - slopes).abs().max() / slopes.abs().max())
    numbers = {"values": value, "gradients": slope, "tolerance": _GRID}
    return Check(max(value, slope) <= _GRID, numbers)


def check_tinycudann(device: torch.device) -> Check:
    """Run NVIDIA's grid, if it is there; its layout is its own, so it is asked for finite numbers.

    Args:
        device: where the grid is.
    """
    if importlib.util.find_spec("tinycudann") is None:
        return Check(None, note="not installed")
    if device.type != "cuda":
        return Check(None, note="needs a CUDA device")
    grid = HashGrid(backend="tinycudann").to(device)
    features = grid(_points().to(device))
    features.square().sum().backward()
    tensors = [features, *(parameter.grad for parameter in grid.parameters())]
    nothing = grid(torch.empty(0, 3, device=device))  # a patch that sees nothing
    finite = all(bool(tensor.isfinite().all()) for tensor in tensors if tensor is not None)
    shaped = features.shape[-1] == grid.num_features and len(nothing) == 0
    return Check(finite and shaped, {"largest": float(features.detach().abs().max())})


def check_half(device: torch.device, *, dtype: torch.dtype = torch.float16) -> Check:
    """Compare the networks' answers in half precision with those in float32.

    Args:
        device: where both run.
        dtype: of the weights and calls under test.
    """
    expected, found = (
        _answers(StableDiffusion.from_pretrained("tiny", device=device, dtype=kind))
        for kind in (torch.float32, dtype)
    )
    numbers: dict[str, Any] = {name: _distance(found[name], expected[name]) for name in expected}
    passed = all(distance <= _HALF for distance in numbers.values())  # false for nan
    return Check(passed, numbers | {"tolerance": _HALF})


def check_step(device: torch.device, *, size: int = 512, model: str = "sd21") -> Check:
    """Time a step of SDI as at the preset gpu, at its costliest t, and take its peak memory.

    The first of two steps is a warm-up. On CUDA the model is in half precision.

    Args:
        device: where it runs.
        size: of the render, in pixels.
        model: for `StableDiffusion.from_pretrained`.
    """
    cuda = device.type == "cuda"
    dtype = torch.float16 if cuda else torch.float32
    denoiser = StableDiffusion.from_pretrained(model, device=device, dtype=dtype)
    settings = resolve("run3d", "gpu", model=model, size=size)
    built = Text3D("a red mug", **{k: settings[k] for k in settings if k != "preset"}).build(
        denoiser
    )
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    run, clock = built.steps(), list[float]()
    next(run)
    denoiser._unet.register_forward_pre_hook(lambda *_: clock.append(-_now(device)))
    denoiser._unet.register_forward_hook(lambda *_: clock.append(_now(device)))
    before, began = denoiser.num_forwards, _now(device)
    step = next(run)
    seconds = _now(device) - began
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if cuda else None
    numbers = {"size": size, "grid": built.config.backend, "t": float(step.t.mean())}
    numbers |= {"seconds": seconds, "unet_seconds": sum(clock)}
    numbers |= {"sample_forwards": denoiser.num_forwards - before}
    numbers |= {"peak_gib": peak, "aim_gib": AIM_GIB, "paper_gib": PAPER_GIB}
    return Check(None if peak is None else peak < AIM_GIB, numbers)


def _attempt(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except ValueError:  # bad input
        raise
    except Exception as error:  # whatever a driver or a kernel says is a finding
        return Check(False, note=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _number(value: Any) -> str:
    if value is None:
        return "not known"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _versions() -> dict[str, str]:
    installed = {found.name: found.version for found in distributions()}
    kernels = {name: installed.get(name, "not installed") for name in _KERNELS}
    return versions() | {"cuda": torch.version.cuda or "none"} | kernels


def _field() -> NeRF:
    """A field with something to see: entries of order one, and a blob that ends within the ball."""
    draw = generator(0, 0, "gpu check, field")
    nerf = NeRF(grid=HashGrid(num_levels=8, generator=draw), generator=draw)
    with torch.no_grad():
        nerf.grid.table.mul_(1e4)
    return nerf


def _marcher(nerf: NeRF, *, packed: bool) -> Marcher:
    occupancy = OccupancyGrid(nerf.radius).to(next(nerf.parameters()).device)
    occupancy.update(nerf)
    return Marcher(occupancy, normals=True, packed=packed)


def _seen(nerf: NeRF, marcher: Marcher, rays_per_patch: int | None = None) -> Render:
    like, size = next(nerf.parameters()), {"height": 32, "width": 32}
    jitter = torch.rand(2, 32, 32, generator=generator(0, 0, "gpu check, jitter"))
    light: dict[str, Any] = {
        "jitter": jitter.to(like),
        "background": like.new_full((2, 1, 1, 3), 0.5),
    }
    return render(
        nerf, Camera.around([30, 200]), marcher, **size, **light, rays_per_patch=rays_per_patch
    )


def _points() -> Tensor:
    return torch.rand(4096, 3, generator=generator(0, 0, "gpu check, points"))


def _answers(model: StableDiffusion) -> dict[str, Tensor]:
    """What a step asks of the networks, the encoder's gradient among it."""
    draw = generator(0, 0, "gpu check, half")
    channels, height, width = model.latent_shape
    shape = (1, 3, height * model.factor, width * model.factor)
    image = torch.rand(shape, generator=draw).to(model.device).requires_grad_()
    latents = torch.randn(1, channels, height, width, generator=draw).to(model.device)
    encoded = model.encode(image)
    encoded.backward(latents)
    prompt = model.embed(["a red mug"])
    with torch.no_grad():
        eps = model.guided(prompt)(latents, 0.5)
        decoded = model.decode(latents)
    assert image.grad is not None
    return {"encode": encoded.detach(), "gradient": image.grad, "unet": eps, "decode": decoded}


def _distance(found: Tensor, expected: Tensor) -> float:
    """Root mean square of a difference, as a share of what is expected; nan where one is not finite."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    size = float(expected.square().mean().sqrt())
    return float((found - expected).square().mean().sqrt()) / max(size, 1e-12)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
