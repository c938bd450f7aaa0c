"""Threads: numba follows torch, in a process of its own, since the first kernel decides."""

import os
import subprocess
import sys

import pytest
from jaxtyping import TypeCheckError

from sdilib.threads import set_threads

CODE = """
import numba, torch
{first}
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import WorldScene
render_batch([WorldScene("mug", "red", "plain")], height=8, width=8)
from sdilib.nerf.hash_grid import HashGrid
HashGrid(num_levels=2, log2_table_size=4, finest_resolution=16)(torch.rand(5, 3))
print(torch.get_num_threads(), numba.get_num_threads())
"""


@pytest.mark.parametrize(
    ("first", "threads"),
    [
        ("", "1 1"),
        ("torch.set_num_threads(2)", "2 2"),
        ("from sdilib.threads import set_threads; set_threads(3)", "3 2"),  # of two cores
    ],
)
def test_numba_has_as_many_threads_as_torch_and_leaves_torch_its_own(first, threads):
    given = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    code = CODE.format(first=first)
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | given, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == (threads, "")


def test_a_negative_count_is_refused():
    with pytest.raises((ValueError, TypeCheckError), match="count=-1: expected an integer of at"):
        set_threads(-1)
