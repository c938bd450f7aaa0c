"""What is foreseen of a run's memory: it grows with what it should, and too much is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sdilib.lab.runs import distilled, memory
from sdilib.lab.runs.memory import (
    free_bytes,
    peak_bytes,
    render_bytes,
    require_memory,
    reset_peak,
    run_bytes,
)
from sdilib.text_to_3d import Text3D

BENCH = Path(__file__).parents[2] / "benchmarks" / "bench_deferred.py"
LARGE = Text3D("a red mug", model="tiny", cameras=1, size=512, num_samples=256, levels=16)


@pytest.mark.parametrize("rays_per_patch", [0, 1024])
def test_what_is_foreseen_is_near_what_is_measured(rays_per_patch):
    setting = {"num_samples": 64, "rays_per_patch": rays_per_patch, "levels": 12}
    setting |= {"backend": "numba", "normals": False}
    command = [sys.executable, str(BENCH), "--one", json.dumps(setting | {"size": 128})]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured = json.loads(done.stdout)["mib"]
    foreseen = render_bytes(rays=128**2, **setting) / 2**20
    assert 0.8 * measured < foreseen < 2.5 * measured


def test_plain_memory_grows_with_the_image_and_deferred_memory_hardly():
    plain = [render_bytes(rays=size**2, num_samples=64) for size in (128, 512)]
    patches = [
        render_bytes(rays=size**2, num_samples=64, rays_per_patch=2048) for size in (128, 512)
    ]
    assert plain[1] > 14 * plain[0]
    assert patches[1] < 4 * patches[0]
    more = render_bytes(rays=128**2, num_samples=128)
    assert more == pytest.approx(2 * plain[0], rel=0.1)


@pytest.mark.parametrize(
    "changed",
    [{"levels": 20}, {"hidden": 64}, {"backend": "torch"}, {"normals": True}, {"cuda": True}],
)
def test_what_takes_more_is_foreseen_as_more(changed):
    assert render_bytes(rays=4096, num_samples=64, **changed) > render_bytes(
        rays=4096, num_samples=64
    )


def test_a_patch_as_large_as_the_image_is_plain(tiny):
    assert run_bytes(LARGE, tiny, 512**2) == run_bytes(LARGE, tiny, 0)


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({"render_size": 64}, False),
        ({"shading": 0.5}, True),
        ({"hidden": 64}, True),
        ({"background": "environment"}, True),
    ],
)
def test_small_renders_take_less_and_lit_ones_more(tiny, changed, more):
    plain, other = run_bytes(LARGE, tiny, 0), run_bytes(replace(LARGE, **changed), tiny, 0)
    assert (other > plain) is more is (not other < plain)


def test_an_encoders_graph_takes_more_than_a_decoders_images(tiny):
    small = replace(LARGE, rays_per_patch=1024)
    decoder = replace(small, through="decoder")
    assert run_bytes(small, tiny, 0) > run_bytes(decoder, tiny, 0)


def test_the_machine_has_memory_left():
    free = free_bytes(torch.device("cpu"))
    assert free is None or free > 0


def test_a_containers_limit_counts_but_not_its_cached_files(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n",
        "/sys/fs/cgroup/memory.max": "5000000\n",
        "/sys/fs/cgroup/memory.current": "3000000\n",
        "/sys/fs/cgroup/memory.stat": "active_file 7\ninactive_file 1000000\n",
    }
    monkeypatch.setattr(Path, "read_text", lambda path, **_: files[str(path)])
    assert free_bytes(torch.device("cpu")) == 5_000_000 - 3_000_000 + 1_000_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert free_bytes(torch.device("cpu")) == 8000 * 1024


def test_too_much_is_refused_with_a_patch_that_fits(tiny, monkeypatch, tmp_path):
    needed = run_bytes(LARGE, tiny, 0) / 2**30
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**31)
    with pytest.raises(ValueError, match="rays_per_patch=0: expected ") as refused:
        require_memory(LARGE, tiny)
    patch = run_bytes(LARGE, tiny, 8192) / 2**30
    assert patch < 2 < run_bytes(LARGE, tiny, 16_384) / 2**30
    assert str(refused.value) == (
        f"rays_per_patch=0: expected a run that fits in memory: its renders and autoencoder take {needed:.1f} GiB, "
        f"and 2.0 are free; with rays_per_patch=8192 they take {patch:.1f}"
    )
    require_memory(replace(LARGE, rays_per_patch=8192), tiny)
    with pytest.raises(ValueError, match="rays_per_patch=0: expected "):
        distilled(LARGE, root=tmp_path, model=tiny)
    assert not list(tmp_path.iterdir())


def test_where_no_patch_fits_the_sentence_says_what_else_helps(tiny, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**20)
    with pytest.raises(ValueError, match=r"and 0\.0 are free; a smaller size, or fewer cameras"):
        require_memory(LARGE, tiny)


def test_where_the_system_does_not_say_nothing_is_refused(tiny, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    require_memory(LARGE, tiny)


def test_a_peak_is_what_was_held_since_the_reset():
    cpu, size = torch.device("cpu"), 200 * 2**20
    reset_peak(cpu)
    before = peak_bytes(cpu)
    held = torch.ones(size, dtype=torch.uint8)
    assert size * 0.9 < peak_bytes(cpu) - before < size * 1.5
    del held
    assert peak_bytes(cpu) - before > size * 0.9
    if sys.platform == "linux":
        reset_peak(cpu)
        assert peak_bytes(cpu) - before < size * 0.5
