"""How many times faster the compiled hash grid is than the reference in eager torch.

Prints milliseconds and the ratio of one process, no judgement.
"""

import argparse
import sys
import time

import numba
import torch

from sdilib.nerf.hash_grid import HashGrid
from sdilib.seeds import generator


def milliseconds(backend: str, levels: int, points: torch.Tensor, repeats: int) -> list[float]:
    """Return the least time of a forward and of a backward pass, after a warm-up."""
    made = HashGrid(num_levels=levels, backend=backend, generator=generator(0, 0, "grid"))
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        features = made(points)
        middle = time.perf_counter()
        features.backward(torch.ones_like(features))
        times.append((1e3 * (middle - began), 1e3 * (time.perf_counter() - middle)))
    return [min(column) for column in zip(*times[1:], strict=True)]


def main() -> None:
    """Time both backends on the same points."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=64**3)
    parser.add_argument("--levels", type=int, nargs="+", default=[8, 12, 16])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    numba.set_num_threads(options.threads)
    # Along rays, as a renderer asks for them: neighbours in memory are neighbours in space.
    draw = torch.rand(options.points // 64, 2, 3, generator=generator(0, 0, "points"))
    share = torch.linspace(0, 1, 64)[:, None]
    points = (draw[:, :1] * (1 - share) + draw[:, 1:] * share).reshape(-1, 3)
    for levels in options.levels:
        ours = milliseconds("numba", levels, points, options.repeats)
        eager = milliseconds("torch", levels, points, 1)
        sys.stdout.write(
            f"{levels} levels, {len(points)} points: numba {ours[0]:.0f} + {ours[1]:.0f} ms, "
            f"torch {eager[0]:.0f} + {eager[1]:.0f} ms, {sum(eager) / sum(ours):.1f} x\n"
        )


if __name__ == "__main__":
    main()
