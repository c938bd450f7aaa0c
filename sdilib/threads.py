"""How many threads compute: numba's kernels have as many as torch, and leave torch its own."""

import numba
import torch
from numba.core import config

from sdilib.checks import positive_int


def set_threads(count: int = 0) -> None:
    """Give torch and numba so many threads, in the calling thread.

    Called before the first kernel: numba would start as many threads as there are cores, and, where both use OpenMP, give
    torch as many too, whatever it was told. Not called at import: a process whose threads have started cannot be forked.

    Args:
        count: 1 or more; 0 is as many as torch has. numba has at most NUMBA_NUM_THREADS, or the number of cores.

    Raises:
        ValueError: a negative count.
    """
    threads = positive_int("count", count, at_least=0) or torch.get_num_threads()
    numba.set_num_threads(min(threads, vars(config)["NUMBA_NUM_THREADS"]))
    torch.set_num_threads(threads)
