"""Whether a GPU gives the same results as the CPU, and what a step of SDI with the paper's settings costs there.

Each check compares a device with the CPU, or a type with float32, on fields and models with random weights, so nothing is
downloaded; for tests, the same code runs on the device "cpu". The last one reports what guidance does to a given model.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import distributions
from typing import Any

import torch
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.checks import positive_int, reject
from sdilib.lab.guidance_profile import guidance_profile
from sdilib.lab.images import ddim_images
from sdilib.lab.presets import resolve
from sdilib.lab.prompts import example_prompts
from sdilib.lab.provenance import versions
from sdilib.lab.runs.memory import peak_bytes, reset_peak, run_bytes
from sdilib.nerf.field import RADIUS, NeRF
from sdilib.nerf.hash_grid import HashGrid, lacks_tinycudann
from sdilib.nerf.occupancy import OccupancyGrid
from sdilib.nerf.render import Marcher, Render, has_kernels, render
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.names import RANDOM, check_name
from sdilib.text_to_3d import Text3D

AIM_GIB, MOONSHOT_GIB = 12.0, 8.0
"""Peak memory of a step with the paper's settings: the aim of the library, and a more ambitious one."""
PAPER_GIB = 39.2
"""Peak memory of SDI in the paper's Table 1."""

# The largest difference of a pixel: nerfacc skips what less than 1e-4 of the light reaches.
_IMAGE = 2e-3
_GRADIENT = 2e-2  # of the root mean square
_GRID = 1e-5  # of the largest value
_HALF = 3e-2  # of the root mean square: a few of half precision's 1e-3
_KERNELS = ("nerfacc", "numba", "tinycudann")
_TIMED = 2  # steps timed, after one that is not
_PATCH = 300  # rays: some patches of the small image see nothing
_OUTSIDE, _WITHIN = 3.6, 0.9 * RADIUS  # distances of cameras; the paper's are within the ball


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        passed: None if it does not apply here; the note says why.
        numbers: what was measured, and the tolerance.
        note: a remark, or what went wrong.
    """

    passed: bool | None
    numbers: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def check_gpu(
    device: str | torch.device = "cuda", *, size: int = 512, model: str = "sd21", **settings: Any
) -> dict[str, Any]:
    """Run all checks; one that raises counts as failed, and the others go on.

    Args:
        device: what is checked.
        size: height and width of the step's render, in pixels.
        model: of the step and of what guidance does, for `StableDiffusion.from_pretrained`.
        **settings: of the step's run, in place of the paper's.

    Returns:
        The device's name, versions, and each check, ready for JSON.

    Raises:
        ValueError: a size, a model or a setting that cannot be, or a CUDA device that torch does not see.
    """
    positive_int("size", size)
    check_name(model)
    _step_config(size, model, settings)
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        need = "a CUDA build, a driver, and a device that CUDA_VISIBLE_DEVICES does not hide"
        reject("device", str(device), f"one that torch {torch.__version__} sees: {need}")
    checks: dict[str, Callable[[], Check]] = {
        "render, table": lambda: check_render(device, packed=False),
        "render, nerfacc": lambda: check_render(device, packed=True),
        "render within, table": lambda: check_render(device, packed=False, distance=_WITHIN),
        "render within, nerfacc": lambda: check_render(device, packed=True, distance=_WITHIN),
        "hash grid": lambda: check_hash_grid(device),
        "hash grid, reference": lambda: check_hash_grid(device, backend="torch"),
        "hash grid, tinycudann": lambda: check_tinycudann(device),
        "half precision": lambda: check_half(device),
        "step": lambda: check_step(device, size=size, model=model, **settings),
        "guidance": lambda: check_guidance(device, model=model),
    }
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "versions": _versions(),
        "checks": [{"name": name, **asdict(_attempt(check))} for name, check in checks.items()],
    }


def summary(record: Mapping[str, Any]) -> list[str]:
    """Return a record as lines: the device, then a verdict per check, with its rows of numbers below it.

    Args:
        record: from `check_gpu`.
    """
    verdicts = {True: "passed", False: "FAILED"}
    lines = [record["device"]]
    for check in record["checks"]:
        verdict = verdicts.get(check["passed"], "measured" if check["numbers"] else "left out")
        rows = {k: v for k, v in check["numbers"].items() if isinstance(v, list)}
        each = [f"{k} {_number(v)}" for k, v in check["numbers"].items() if k not in rows]
        said = "; ".join(part for part in (", ".join(each), check["note"]) if part)
        lines.append(f"{verdict:9}{check['name']}: {said}")
        lines += [f"{k:>36} " + " ".join(f"{x:6.2g}" for x in row) for k, row in rows.items()]
    return lines


def check_render(device: torch.device, *, packed: bool, distance: float = _OUTSIDE) -> Check:
    """Compare a field's image and gradient with those on the CPU; the device renders them patch by patch.

    Args:
        device: where the field is rendered again.
        packed: whether to use nerfacc's kernels there, rather than the CPU's table of samples.
        distance: of the cameras from the field's centre.
    """
    if packed and not (device.type == "cuda" and has_kernels()):
        return Check(None, note="nerfacc's CUDA kernels are neither built nor can they be")
    here, there = _field(), _field().to(device)
    expected = _seen(here, _marcher(here, packed=False), distance=distance)
    marcher = _marcher(there, packed=packed)
    return _compared(there, _seen(there, marcher, _PATCH, distance=distance), here, expected)


def _compared(nerf: NeRF, found: Render, reference: NeRF, expected: Render) -> Check:
    """Compare a field's image and gradient with those of another field."""
    image = float((found.image.detach().cpu() - expected.image.detach().cpu()).abs().max())
    slopes, others = (
        torch.autograd.grad(seen.image.square().sum() + seen.normal.sum(), list(each.parameters()))
        for each, seen in ((nerf, found), (reference, expected))
    )
    gradient = max(_distance(a, b) for a, b in zip(slopes, others, strict=True))
    numbers = {"image": image, "image_tolerance": _IMAGE}
    numbers |= {"gradient": gradient, "gradient_tolerance": _GRADIENT}
    return Check(image <= _IMAGE and gradient <= _GRADIENT, numbers)


def check_hash_grid(device: torch.device, *, backend: str = "numba") -> Check:
    """Compare a grid's values and gradients with those of the compiled one on the CPU.

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
    """Compare a field on NVIDIA's grid, rendered patch by patch, with itself, rendered at once.

    Its layout differs from that of the CPU's grid, so there is no other reference.

    Args:
        device: where the field is.
    """
    if lacks := lacks_tinycudann():
        return Check(None, note=lacks)
    if device.type != "cuda":
        return Check(None, note="needs a CUDA device")
    return _patched(_field("tinycudann").to(device))


def _patched(nerf: NeRF) -> Check:
    marcher = _marcher(nerf)
    return _compared(nerf, _seen(nerf, marcher, _PATCH), nerf, _seen(nerf, marcher))


def check_half(device: torch.device, *, dtype: torch.dtype = torch.float16) -> Check:
    """Compare the networks' outputs in half precision with those in float32.

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


def check_step(
    device: torch.device, *, size: int = 512, model: str = "sd21", **settings: Any
) -> Check:
    """Time a step of SDI as at the preset gpu, at its costliest t, and measure its peak memory.

    All levels of the hash grid are on, as in the last 40 % of a run. The first of three steps is a warm-up. On CUDA the
    model is in half precision.

    Args:
        device: where it runs.
        size: of the render, in pixels.
        model: for `StableDiffusion.from_pretrained`.
        **settings: of the run, in place of the paper's.
    """
    cuda = device.type == "cuda"
    dtype = torch.float16 if cuda else torch.float32
    denoiser = StableDiffusion.from_pretrained(model, device=device, dtype=dtype)
    config = _step_config(size, model, settings)
    held = torch.cuda.memory_allocated(device) if cuda else 0
    built, foreseen = (
        config.build(denoiser),
        held + run_bytes(config, denoiser, config.rays_per_patch),
    )
    reset_peak(device)
    run, clock, seconds = built.steps(), list[float](), list[float]()
    next(run)
    denoiser._unet.register_forward_pre_hook(lambda *_: clock.append(-_now(device)))
    denoiser._unet.register_forward_hook(lambda *_: clock.append(_now(device)))
    before, times = denoiser.num_forwards, list[float]()
    for _ in range(_TIMED):
        seconds.append(-_now(device))
        times.append(float(next(run).t.mean()))
        seconds.append(_now(device))
    peak = peak_bytes(device) / 2**30 if cuda else None
    numbers = {"size": size, "grid": built.config.backend, "t": times[0]}
    numbers |= {"seconds": sum(seconds) / _TIMED, "unet_seconds": sum(clock) / _TIMED}
    numbers |= {"sample_forwards": (denoiser.num_forwards - before) / _TIMED}
    numbers |= {"peak_gib": peak, "foreseen_gib": foreseen / 2**30}
    numbers |= {"aim_gib": AIM_GIB, "moonshot_gib": MOONSHOT_GIB, "paper_gib": PAPER_GIB}
    note = "unet_seconds are the floor: the UNet's calls alone"
    return Check(None if peak is None else peak < AIM_GIB, numbers, note)


def _step_config(size: int, model: str, settings: dict[str, Any]) -> Text3D:
    known = resolve("run3d", "gpu", model=model, size=size)
    known |= {"progressive_start": 0.0, "progressive_share": 0.0} | settings
    del known["preset"]
    return Text3D.of(prompt="a red mug", **known)


def check_guidance(device: torch.device, *, model: str = "sd21") -> Check:
    """Report what guidance does to a model over t, on four of its own images, at 400 sample-forwards.

    Args:
        device: where it runs.
        model: for `StableDiffusion.from_pretrained`.
    """
    denoiser = StableDiffusion.from_pretrained(model, device=device)
    prompts = example_prompts(denoiser.draws_world)[:4]
    images = ddim_images(denoiser, prompts, range(4), num_steps=10)
    x0, prompt = images.latents.to(device), denoiser.embed(prompts)
    found = guidance_profile(denoiser, x0, prompt, num_draws=3)
    meant = "random weights: they mean nothing" if model in RANDOM else "of its own samples"
    return Check(None, found, f"γ = 7.5, {meant}")


def _attempt(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # whatever a driver, a kernel or a model's file says is a finding
        return Check(False, note=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _number(value: Any) -> str:
    if value is None:
        return "not known"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _versions() -> dict[str, str]:
    installed = {found.name: found.version for found in distributions()}
    kernels = {name: installed.get(name, "not installed") for name in _KERNELS}
    return versions() | {"cuda": torch.version.cuda or "none"} | kernels


def _field(backend: str = "numba") -> NeRF:
    """A field with something to see: entries of order one, and a blob that ends within the ball."""
    draw = generator(0, 0, "gpu check, field")
    grid = HashGrid(num_levels=8, backend=backend, generator=draw)
    nerf = NeRF(grid=grid, generator=draw)
    with torch.no_grad():
        for entries in grid.parameters():
            entries.mul_(1e4)
    return nerf


def _marcher(nerf: NeRF, *, packed: bool | None = None) -> Marcher:
    occupancy = OccupancyGrid(nerf.radius).to(next(nerf.parameters()).device)
    occupancy.update(nerf)
    return Marcher(occupancy, normals=True, packed=packed)


def _seen(
    nerf: NeRF, marcher: Marcher, rays_per_patch: int | None = None, *, distance: float = _OUTSIDE
) -> Render:
    like, size = next(nerf.parameters()), {"height": 32, "width": 32}
    jitter = torch.rand(2, 32, 32, generator=generator(0, 0, "gpu check, jitter"))
    light: dict[str, Any] = {
        "jitter": jitter.to(like),
        "background": like.new_full((2, 1, 1, 3), 0.5),
    }
    camera = Camera.around([30, 200], distance=distance)
    return render(nerf, camera, marcher, **size, **light, rays_per_patch=rays_per_patch)


def _points() -> Tensor:
    return torch.rand(4096, 3, generator=generator(0, 0, "gpu check, points"))


def _answers(model: StableDiffusion) -> dict[str, Tensor]:
    """What a step needs from the networks, including the encoder's gradient."""
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
    """Root mean square of a difference, relative to that of the expected value; nan if a number is not finite."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    size = float(expected.square().mean().sqrt())
    return float((found - expected).square().mean().sqrt()) / max(size, 1e-12)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
