"""The peak memory of a 3D run: a prediction before it starts, and what it has taken.

The constants are measured on one CPU thread by tests/benchmarks/bench_deferred.py, and allow for translucent fog, which
takes up to half as much again; those of CUDA, of a wider network and of an environment follow from the tensors' sizes.
The prediction covers the render with its graph and the autoencoder; models, parameters and the UNet's activations are
small in comparison or already loaded. It leaves out what a rule adds that trains a network or differentiates through
one: VSD, ESD, and SDI with the kappa "gradient descent".
"""

import resource
import sys
from pathlib import Path

import torch

from sdilib.checks import reject
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_3d import Text3D

_GIB = 2**30
_IN_BALL = 0.5  # share of an image's samples inside the ball; a patch in the middle has all inside
_SAMPLE, _UNIT = 174, 8  # bytes per sample, and per sample and unit of the small network
_LEVEL = {"numba": 12, "torch": 450, "tinycudann": 12}  # bytes per sample and level of the grid
_LEVEL_ON_CUDA = 200
_NORMALS = 1.8
_RAY = 700  # bytes per ray without a graph, including the allocator's gaps
_BEHIND = 400  # bytes per ray for an environment's graph
_LOADED = 10 * 2**20  # whatever the size
# Images of the autoencoder's widest layer alive at the same time, measured on "mini" and "sd21" shapes.
_LAYERS = {"encoder": 28, "decoder": 18}
_PATCHES = tuple(2**power for power in range(16, 7, -1))


def render_bytes(
    *,
    rays: int,
    num_samples: int,
    rays_per_patch: int = 0,
    levels: int = 12,
    hidden: int = 32,
    backend: str = "numba",
    normals: bool = False,
    cuda: bool = False,
) -> int:
    """Return the memory that a render and its backward pass take at their peak, in bytes.

    Args:
        rays: pixels of all views.
        num_samples: along a ray through the centre.
        rays_per_patch: 0 keeps the graph of all rays.
        levels: of the hash grid.
        hidden: width of the small network.
        backend: of the hash grid, one of `sdilib.nerf.hash_grid.BACKENDS`.
        normals: whether they are rendered.
        cuda: whether on a CUDA device.
    """
    deferred = 0 < rays_per_patch < rays
    whole = _IN_BALL * rays
    samples = num_samples * (min(rays_per_patch, whole) if deferred else whole)
    level = _LEVEL_ON_CUDA if cuda and backend == "numba" else _LEVEL[backend]
    sample = _SAMPLE + _UNIT * hidden + level * levels
    graph = samples * sample * (_NORMALS if normals else 1)
    return int(_LOADED + graph + _RAY * rays * deferred)


def _rays(config: Text3D) -> int:
    """Number of rays of a step's renders."""
    return config.cameras * (config.render_size or config.size) ** 2


def run_bytes(config: Text3D, model: StableDiffusion, rays_per_patch: int) -> int:
    """Return the memory that a step's renders and the autoencoder take at their peak, in bytes.

    Args:
        config: of the run.
        model: of the run, loaded.
        rays_per_patch: in place of the configuration's.
    """
    rays = _rays(config)
    render = render_bytes(
        rays=rays,
        num_samples=config.num_samples,
        rays_per_patch=rays_per_patch,
        levels=config.levels,
        hidden=config.hidden,
        backend=config.backend,
        normals=config.penalties.normals or config.shading > 0,
        cuda=model.device.type == "cuda",
    )
    pixels = config.cameras * config.size**2
    layers = _LAYERS[config.through]
    if config.image_weight and config.through == "encoder":
        # A decoding while the encoder's graph is kept.
        layers += _LAYERS["decoder"]
    codec = pixels * model.codec_width * layers
    behind = _BEHIND * rays if config.background == "environment" else 0
    # A patch's graph is built after the autoencoder's is freed.
    return behind + (max(render, codec) if 0 < rays_per_patch < rays else render + codec)


def free_bytes(device: torch.device) -> int | None:
    """Return the memory that a device has left, in bytes; None where the system does not say.

    Args:
        device: "cpu" or a CUDA device. On Linux a container's limit counts.
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(1024 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    try:
        group = Path("/sys/fs/cgroup")
        limit, used = (
            int((group / f"memory.{name}").read_text(encoding="ascii"))
            for name in ("max", "current")
        )
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        # Files stay cached until their memory is needed, so that part is as good as free.
        cached = next(int(x.split()[1]) for x in lines if x.startswith("inactive_file "))
        return min(free, limit - used + cached)
    except (OSError, ValueError, StopIteration):  # no container, or one without a limit
        return free


def reset_peak(device: torch.device) -> None:
    """Begin to measure the peak that `peak_bytes` returns.

    Args:
        device: where the model is.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        # Not Linux, or not permitted: the peak is then that since the process started.
        return


def peak_bytes(device: torch.device) -> int:
    """Return the most memory held since `reset_peak`, in bytes: what torch allocated on CUDA, the whole process on a CPU.

    Args:
        device: where the model is.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def require_memory(config: Text3D, model: StableDiffusion) -> None:
    """Refuse a run for which the machine has too little memory.

    Args:
        config: of the run.
        model: of the run, loaded.

    Raises:
        ValueError: more is needed than is free; says how much, and names a patch that fits.
    """
    free = free_bytes(model.device)
    needed = run_bytes(config, model, config.rays_per_patch)
    if free is None or needed <= free:
        return
    rays = _rays(config)
    fitting = [n for n in _PATCHES if n < rays and run_bytes(config, model, n) <= free]
    advice = "a smaller size, or fewer cameras or samples, take less"
    if fitting:
        patch = run_bytes(config, model, fitting[0])
        advice = f"with rays_per_patch={fitting[0]} they take {patch / _GIB:.1f}"
    expected = (
        f"a run that fits in memory: its renders and autoencoder take {needed / _GIB:.1f} GiB, and"
    )
    reject(
        "rays_per_patch", config.rays_per_patch, f"{expected} {free / _GIB:.1f} are free; {advice}"
    )
