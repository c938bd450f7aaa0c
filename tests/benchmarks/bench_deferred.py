"""Peak memory of a NeRF's render and backward pass over the image's size, plain and deferred.

Each size in a process of its own, since a process's peak never falls; prints MiB above what the
process held before, no judgement.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch

from sdilib.cameras import Camera
from sdilib.nerf.field import NeRF
from sdilib.nerf.scene import NeRFScene


def peak() -> float:
    """Return the process's peak resident memory in MiB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(size: int, rays_per_patch: int | None, num_samples: int) -> str:
    """Render one view of a fresh field and push a gradient through it."""
    torch.set_num_threads(1)
    seen = NeRFScene(
        NeRF(),
        Camera.around([30]),
        height=size,
        width=size,
        num_samples=num_samples,
        rays_per_patch=rays_per_patch,
    )
    before, began = peak(), time.process_time()
    seen.render().square().sum().backward()
    return f"{peak() - before:6.0f} MiB {time.process_time() - began:6.1f} s"


def main() -> None:
    """Print a line a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 192, 256])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--patch", type=int, default=2048, help="rays; 0 is plain")
    parser.add_argument("--one", action="store_true", help="measure here, one size")
    options = parser.parse_args()
    if options.one:
        (size,) = options.sizes
        sys.stdout.write(measure(size, options.patch or None, options.samples))
        return
    for size in options.sizes:
        answers = []
        for patch in (0, options.patch):
            one = ["--one", "--sizes", size, "--samples", options.samples, "--patch", patch]
            command = [sys.executable, __file__, *map(str, one)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            answers.append(done.stdout)
        sys.stdout.write(f"{size:4d} x {size:<4d} plain {answers[0]}   deferred {answers[1]}\n")


if __name__ == "__main__":
    main()
