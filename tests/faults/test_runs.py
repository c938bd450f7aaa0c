"""A machine that fails under a run: it ends with the bits of one that was never touched, or in one sentence."""

import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_up import same

import sdilib
from sdilib import storage
from sdilib.lab.runs import address, distilled
from sdilib.lab.runs.folders import settings_of
from sdilib.storage import load_tensors
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

HOW = {"model": "tiny", "steps": 12, "rule_settings": {"num_inversion_steps": 2}}
OBJECT = Text3D("a red mug", **HOW, cameras=1, size=16, num_samples=16, levels=4)
IMAGE = Text2D("a red mug", **HOW)
LEARNED = Text2D("a red mug", model="tiny", steps=12, rule="vsd")
BOTH = pytest.mark.parametrize("config", [OBJECT, IMAGE], ids=["nerf", "image"])
FILES = ("checkpoint.safetensors", "checkpoint.before.safetensors")
ROOT = Path(sdilib.__file__).parents[1]

# Imports once. A line on its input is a run to make in so many children, and after how many seconds to kill them, 0 for never.
MAKER = """
import json, os, select, signal, sys
import torch
torch.set_num_threads(1)
from sdilib.lab.runs import config_of, distilled
for line in sys.stdin:
    settings, root, seconds, together = json.loads(line)
    children, (ended, held) = [], os.pipe()
    for _ in range(together):
        child = os.fork()
        if not child:
            try:
                distilled(config_of(settings), root=root, save_seconds=0.0, progress=False)
                os._exit(0)
            except BaseException as error:
                print(error, file=sys.stderr, flush=True)
                os._exit(1)
        children.append(child)
    os.close(held)
    if seconds:
        select.select([ended], [], [], seconds)  # or until the last child, which holds the other end, has ended
        for child in children:
            os.kill(child, signal.SIGKILL)
    os.close(ended)
    print(*(os.waitpid(child, 0)[1] for child in children), flush=True)
"""


@pytest.fixture(scope="module")
def make() -> Iterator[Callable[..., list[int]]]:
    """Has another process make a run, and kill it after some seconds if told so; returns how its children ended."""
    one = {"PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", MAKER], env=os.environ | one, **pipes) as process:

        def make(config, root: Path, *, seconds: float = 0.0, together: int = 1) -> list[int]:
            assert process.stdin
            assert process.stdout
            asked = [settings_of(config), str(root), seconds, together]
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            return [int(word) for word in process.stdout.readline().split()]

        yield make


@pytest.mark.parametrize("config", [OBJECT, IMAGE, LEARNED], ids=["nerf", "image", "vsd"])
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(config, tmp_path, make, times):
    wanted, root = times(2, 50), tmp_path / "killed"
    assert make(config, tmp_path / "whole") == [0]  # at as many threads
    length, draw = 60.0, np.random.default_rng(0)
    (whole,) = (tmp_path / "whole").iterdir()
    folder, kills = root / whole.name, 0
    while kills < wanted:
        began, whole_run = time.monotonic(), not folder.exists()
        (ended,) = make(config, root, seconds=float(draw.uniform(0.01, length)))
        assert ended in (0, signal.SIGKILL)
        if whole_run and not ended:  # as long as one takes beside what else the machine does
            length = time.monotonic() - began
        kills += ended == signal.SIGKILL
        if (folder / "done.json").exists():
            assert same(whole, folder)
            shutil.rmtree(folder)
    assert make(config, root) == [0]
    assert same(whole, folder)
    assert (folder / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()
    done, expected = (storage.read_json(each / "done.json") for each in (folder, whole))
    assert done["num_forwards"] == expected["num_forwards"]
    # Nothing half-written is left beside what a run consists of.
    assert {path.name for path in folder.rglob(".*")} <= {".lock"}


@pytest.mark.parametrize("together", [2, 4])
def test_processes_that_ask_for_one_run_make_it_once(together, tmp_path, make, tiny):
    assert make(IMAGE, tmp_path, together=together) == [0] * together
    folder = tmp_path / address(IMAGE, tiny.identity)
    assert len((folder / "log.jsonl").read_text().splitlines()) == IMAGE.steps - 1
    assert same(
        folder, distilled(IMAGE, root=tmp_path / "alone", model=tiny, progress=False).folder
    )


@BOTH
def test_a_disk_that_is_full_at_any_write_costs_nothing(
    config, tmp_path, tiny, monkeypatch, sample
):
    written: list[int] = []
    sync = os.fsync

    def counted(file: int) -> None:
        written.append(file)
        sync(file)

    with monkeypatch.context() as patched:
        patched.setattr(storage.os, "fsync", counted)
        whole = distilled(
            config, root=tmp_path / "whole", model=tiny, save_seconds=0.0, progress=False
        )
    # Without the last, which flushes a folder and may fail.
    for last in sample(list(range(len(written) - 1)), 4):
        left, root = [last], tmp_path / str(last)

        def full(file: int, left=left) -> None:
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            left[0] -= 1
            sync(file)

        with monkeypatch.context() as patched:
            patched.setattr(storage.os, "fsync", full)
            with pytest.raises(OSError, match="expected space left on its disk") as caught:
                distilled(config, root=root, model=tiny, save_seconds=0.0, progress=False)
        folder = root / whole.folder.name
        promised = "the last checkpoint, which is whole" in str(caught.value)
        assert promised is (folder / FILES[0]).exists()
        if promised:
            load_tensors(folder / FILES[0])
        assert same(whole.folder, distilled(config, root=root, model=tiny, progress=False).folder)


@BOTH
def test_a_checkpoint_with_any_bytes_changed_gives_way_to_the_one_before(
    config, tmp_path, tiny, stopped, sample
):
    whole = distilled(config, root=tmp_path / "whole", model=tiny, progress=False)
    folder = stopped(tmp_path / "run", config, steps=5)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    content = kept[folder / FILES[0]]
    places = np.unique(np.linspace(0, len(content) - 8, 240).astype(int)).tolist()
    for place in sample(places, 6):
        for path in folder.rglob("*"):
            if path.is_file() and path not in kept:
                path.unlink()
        for path, before in kept.items():
            path.write_bytes(before)
        changed = bytes(byte ^ 0xA5 for byte in content[place : place + 8])
        broken = content[:place] + changed + content[place + 8 :]
        (folder / FILES[0]).write_bytes(broken)
        made = distilled(config, root=tmp_path / "run", model=tiny, progress=False)
        assert same(whole.folder, made.folder), place
        assert made.log == whole.log, place


def test_a_finished_scene_with_bytes_changed_or_lost_is_said_and_made_again(tmp_path, tiny, caplog):
    made = distilled(IMAGE, root=tmp_path, model=tiny, progress=False)
    scene = made.folder / "scene.safetensors"
    whole = scene.read_bytes()
    scene.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    again = distilled(IMAGE, root=tmp_path, model=tiny, progress=False)
    assert "scene.safetensors: expected the bits that were written" in caplog.text
    assert (scene.read_bytes(), again.log) == (whole, made.log)
    scene.unlink()
    distilled(IMAGE, root=tmp_path, model=tiny, progress=False)
    assert scene.read_bytes() == whole


def test_a_clock_that_is_set_back_changes_nothing(tmp_path, tiny, monkeypatch):
    whole = distilled(IMAGE, root=tmp_path / "whole", model=tiny, progress=False)
    backwards = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))
    made = distilled(IMAGE, root=tmp_path / "back", model=tiny, save_seconds=0.0, progress=False)
    assert same(whole.folder, made.folder)
    assert made.seconds >= 0


@pytest.mark.parametrize("place", ["root", "run", "log.jsonl", "frames", "done.json", "scene"])
def test_a_file_or_folder_in_the_way_is_one_sentence(place, tmp_path, tiny):
    root, name = tmp_path / "runs", address(IMAGE, tiny.identity)
    ways = {"root": root, "run": root / name, "frames": root / name / "frames"}
    if place in ways:
        ways[place].parent.mkdir(parents=True, exist_ok=True)
        ways[place].write_text("")
    else:
        (root / name / place.replace("scene", "scene.safetensors")).mkdir(parents=True)
    with pytest.raises(OSError, match="expected a folder that can be written"):
        distilled(IMAGE, root=root, model=tiny, save_seconds=0.0, progress=False)


def test_run_after_run_memory_threads_and_files_do_not_grow(tmp_path, tiny, times):
    process, seen, until = psutil.Process(), [], time.monotonic() + times(0, 7200)  # two hours
    for number in itertools.count():
        if number > 5 and time.monotonic() > until:
            break
        for config in (OBJECT, IMAGE):
            prompt = f"{config.prompt} {'red ' * (number % 5)}mug"
            changed = type(config).of(**config.settings() | {"seed": number, "prompt": prompt})
            distilled(changed, root=tmp_path, model=tiny, progress=False)
        memory = process.memory_info().rss / 2**20
        seen.append((memory, process.num_threads(), process.num_fds()))
    memory, threads, files = zip(*seen[2:], strict=True)
    assert len(set(threads)) == 1, threads
    assert len(set(files)) == 1, files
    assert memory[-1] - memory[0] < 30, memory
