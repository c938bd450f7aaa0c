"""A run on disk is computed once and resumes to the same bits; kills, full disks and broken files are in `tests/faults`."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from made_up import same, small_3d
from PIL import Image

import sdilib
from sdilib.cameras import Camera
from sdilib.guidance import SDS
from sdilib.lab.exports import png_bytes, write_strip
from sdilib.lab.images import distilled_images
from sdilib.lab.runs import address, checkpoints, distilled, known_runs, making
from sdilib.lab.runs.exporting import reopened
from sdilib.lab.runs.folders import settings_of
from sdilib.scenes import Rendering, Scene3D
from sdilib.storage import load_tensors, read_json, save_tensors, write_json
from sdilib.text_to_image import Text2D

SMALL = small_3d(steps=8, kappa="fixed")
IMAGE = Text2D("a red mug", model="tiny", steps=9, rule_settings={"num_inversion_steps": 2})
BOTH = pytest.mark.parametrize("config", [SMALL, IMAGE], ids=["nerf", "image"])
ROOT = Path(sdilib.__file__).parents[1]

WORKER = """
import sys, json
import torch
torch.set_num_threads(1)
from sdilib.lab.runs import config_of, distilled
distilled(config_of(json.loads(sys.argv[1])), root=sys.argv[2], save_seconds=0.0, progress=False)
"""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def worker(config, root):
    words = [sys.executable, "-c", WORKER, json.dumps(settings_of(config)), str(root)]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "NUMBA_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)


def lines(folder):
    path = folder / "log.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


@BOTH
def test_a_run_leaves_scene_log_and_settings_and_no_checkpoint(tmp_path, tiny, config):
    made = distilled(config, root=tmp_path, model=tiny, progress=False)
    names = {path.name for path in made.folder.iterdir()} - {".lock"}
    assert names == {"scene.safetensors", "done.json", "config.json", "log.jsonl", "frames"} | {
        "preview.png"
    }
    first = 1 if config is IMAGE else 0  # an image begins with its first denoising
    assert [record["step"] for record in made.log] == list(range(first, config.steps))
    assert made.num_forwards > 0
    assert made.diverged == ""


def test_a_run_keeps_one_view_as_it_goes_on(tmp_path, tiny):
    made = distilled(SMALL, root=tmp_path, model=tiny, progress=False)
    assert list(made.frames) == sorted(made.frames, reverse=True)  # by t, which falls
    assert len(made.frames) == 8  # of eight steps each; of more steps nine of them
    last = list(made.frames.values())[-1]
    now = made.scene.views(Camera.around([22.5])).image[0].clamp(0, 1)
    assert (last - now).abs().max() < 0.003
    long = distilled(replace(SMALL, steps=30), root=tmp_path, model=tiny, progress=False)
    assert len(long.frames) == 9


def test_a_run_of_an_image_makes_the_image_that_distilled_images_makes_and_counts_as_much(
    tmp_path, tiny
):
    config = replace(IMAGE, rule="sds", rule_settings={}, t_schedule="random", learning_rate=0.1)
    run = distilled(config, root=tmp_path, model=tiny, progress=False)
    how = {"num_steps": 9, "t_schedule": "random", "learning_rate": 0.1}
    made = distilled_images(tiny, ["a red mug"], [0], rule=lambda m, _: SDS(m, 7.5), **how)
    assert torch.equal(run.scene.values, made.latents)
    assert run.num_forwards == made.num_forwards
    assert list(run.frames.values())[-1].shape == (3, 16, 16)
    last = list(run.frames.values())[-1]
    assert (last - made.images[0]).abs().max() <= 0.5 / 255 + 1e-6


def test_a_finished_scene_is_seen_in_the_models_size(tmp_path, tiny):
    config = replace(SMALL, render_size=8, steps=1)
    made = distilled(config, root=tmp_path, model=tiny, progress=False)
    assert made.scene.render().image.shape == (4, 3, 16, 16)


@BOTH
def test_a_finished_run_is_found_again_and_not_computed(tmp_path, tiny, monkeypatch, config):
    first = distilled(config, root=tmp_path, model=tiny, progress=False)
    monkeypatch.setattr(making, "_make", lambda *_: pytest.fail("computed again"))
    again = distilled(config, root=tmp_path, model=tiny, progress=False)
    assert again.folder == first.folder
    assert torch.equal(again.scene.render().image, first.scene.render().image)
    assert again.log == first.log


@BOTH
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, tiny, config):
    long = replace(config, steps=2000)
    process = worker(long, tmp_path)
    folder = tmp_path / address(long, tiny.hash)
    wait_for(lambda: lines(folder) >= 2, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "the same command goes on from there" in said
    assert (folder / "checkpoint.safetensors").exists()
    step = int(load_tensors(folder / "checkpoint.safetensors")["progress"][0])
    assert step == lines(folder) + (config is IMAGE)


def test_a_run_that_diverges_stores_the_reason_and_is_not_repeated(tmp_path, tiny):
    config = replace(SMALL, steps=60, rule="sds", rule_settings={}, sparsity=1e6, learning_rate=0.5)
    made = distilled(config, root=tmp_path, model=tiny, progress=False)
    assert made.scene is None
    assert "the volume is empty" in made.diverged
    again = distilled(config, root=tmp_path, model=tiny, progress=False)
    assert again.diverged == made.diverged
    assert known_runs(tmp_path)[0]["state"] == "diverged"


CHECKPOINT, BEFORE = "checkpoint.safetensors", "checkpoint.before.safetensors"


@pytest.mark.parametrize("rule", ["esd", "steindreamer", "cfd"])
def test_what_a_rule_keeps_is_in_the_checkpoint(rule, tmp_path, tiny, stopped):
    settings = {"adapter_rate": 0.01, "order": "before"} if rule == "esd" else {}
    config = replace(SMALL, rule=rule, rule_settings=settings)
    whole = distilled(config, root=tmp_path / "whole", model=tiny, progress=False)
    stopped(tmp_path / "resumed", config)
    resumed = distilled(config, root=tmp_path / "resumed", model=tiny, progress=False)
    assert same(whole.folder, resumed.folder)
    assert resumed.log == whole.log


class Sky:
    """A 3D scene of a few lines: a colour for each direction, and nothing in front of it."""

    space = "pixels"

    def __init__(self):
        self.values, self.size = torch.zeros(4, 3, requires_grad=True), (16, 16)

    def look(self, camera, generator=None, *, done=1.0):
        self.camera = camera

    def resize(self, height, width):
        self.size = (height, width)

    def render(self):
        along = self.camera.rays(*self.size).directions
        image = (along @ self.values[:3] + self.values[3]).sigmoid()
        return Rendering(image.permute(0, 3, 1, 2))

    def views(self, camera):
        before, self.camera = self.camera, camera
        image, self.camera = self.render().image.detach(), before
        return Rendering(image)

    def parameters(self):
        yield self.values

    def state_dict(self):
        return {"values": self.values.detach().clone()}

    def load_state_dict(self, state):
        self.values.data.copy_(state["values"])


def test_another_kind_of_3d_scene_goes_on_from_its_checkpoint_and_is_shown(tmp_path, tiny):
    def build():
        scene = Sky()
        adam = torch.optim.Adam(scene.parameters(), lr=0.1)
        return replace(SMALL.build(tiny), scene=scene, optimizer=adam)

    whole, first, resumed = build(), build(), build()
    assert isinstance(whole.scene, Scene3D)
    assert len(list(whole.steps())) == SMALL.steps
    list(itertools.islice(first.steps(), 3))
    checkpoints.save(first, tmp_path, checkpoints.Progress(3, 0.0, 0))
    list(resumed.steps(checkpoints.restore(resumed, tmp_path).step))
    assert torch.equal(resumed.scene.values, whole.scene.values)
    assert whole.scene.values.any()
    resumed.restore(whole.scene.state_dict())
    assert resumed.scene.render().image.shape == (4, 3, 16, 16)
    assert torch.equal(resumed.image, whole.image)
    with Image.open(write_strip(resumed.scene, tmp_path / "views.png", azimuths=[0, 90])) as strip:
        assert strip.size == (32, 16)


def test_what_a_step_draws_or_sees_by_its_number_is_the_same_in_a_resumed_run(
    tmp_path, tiny, stopped
):
    config = replace(
        SMALL,
        rule_settings={"num_inversion_steps": 2, "entropy": 0.3, "tau_max": 1 / 30},
        perp_neg=1.0,
        render_size=8,
        rays_per_patch=50,
        levels=7,
        progressive_share=0.9,
        shading=0.75,
        textureless=0.5,
        background="random",
    )
    whole = distilled(config, root=tmp_path / "whole", model=tiny, progress=False)
    stopped(tmp_path / "resumed", config)
    resumed = distilled(config, root=tmp_path / "resumed", model=tiny, progress=False)
    assert same(whole.folder, resumed.folder)
    assert resumed.log == whole.log
    assert torch.equal(resumed.scene.render().image, whole.scene.render().image)
    found = distilled(config, root=tmp_path / "whole", model=tiny, progress=False)
    assert torch.equal(found.scene.render().image, whole.scene.render().image)


RULE = """
import torch
from sdilib.guidance import SDS

class Remembering:
    def __init__(self, denoiser, scale=7.5):
        self._sds, self.sum = SDS(denoiser, scale), torch.zeros(1)

    def __call__(self, x0, t, view, generator):
        update = self._sds(x0 + 0.01 * self.sum.tanh(), t, view, generator)
        self.sum = self.sum + update.eps.mean()
        return update

    def state_dict(self):
        return {"sum": self.sum}

    def load_state_dict(self, state):
        self.sum = state["sum"]
"""


BREAKING = """
from dataclasses import replace
from sdilib.guidance import SDS

class Breaking:
    def __init__(self, denoiser, scale=7.5, end=0.5):
        self._sds, self._end = SDS(denoiser, scale), end

    def __call__(self, x0, t, view, generator):
        update = self._sds(x0, t, view, generator)
        bad = self._end < float(t[0]) < 0.7  # from step 3 of 9 on
        eps = update.eps * float("nan") if bad else update.eps
        gradient = update.gradient + 0 * eps
        return replace(update, eps=eps, gradient=gradient, target=x0 - gradient, residual=update.residual + 0 * eps.mean())
"""


@pytest.mark.parametrize(
    ("end", "skipped"), [(0.5, [0, 0, 1, 2, 0, 0, 0, 0]), (0.0, [0, 0, 1, 2, 3, 4])]
)
def test_steps_that_are_not_finite_are_logged_and_a_resumed_run_counts_on(
    tmp_path, tiny, monkeypatch, end, skipped, stopped
):
    monkeypatch.chdir(tmp_path)
    Path("breaking.py").write_text(BREAKING)
    config = replace(IMAGE, rule="breaking.py", rule_settings={"end": end}, learning_rate=0.1)
    whole = distilled(config, root=tmp_path / "whole", model=tiny, progress=False)
    assert [record["skipped"] for record in whole.log] == skipped
    assert ["residual" in record for record in whole.log] == [not count for count in skipped]
    assert bool(whole.diverged) == (end == 0)
    stopped(tmp_path / "resumed", config)  # after the first of them
    resumed = distilled(config, root=tmp_path / "resumed", model=tiny, progress=False)
    assert (resumed.log, resumed.diverged) == (whole.log, whole.diverged)
    assert whole.diverged or same(whole.folder, resumed.folder)
    assert "at step 7 (t = 0.222), 5 steps in a row" in whole.diverged or not whole.diverged


def test_a_run_that_skipped_all_its_steps_so_far_counts_on_without_its_log(
    tmp_path, tiny, monkeypatch, stopped
):
    monkeypatch.chdir(tmp_path)
    Path("breaking.py").write_text(BREAKING.replace("< 0.7", "< 1.0"))  # from the first step on
    config = replace(IMAGE, rule="breaking.py", rule_settings={"end": 0.6}, learning_rate=0.1)
    whole = distilled(config, root=tmp_path / "whole", model=tiny, progress=False)
    assert [record["skipped"] for record in whole.log] == [1, 2, 3, 0, 0, 0, 0, 0]
    folder = stopped(tmp_path / "resumed", config, steps=2)
    (folder / "log.jsonl").write_text("")
    resumed = distilled(config, root=tmp_path / "resumed", model=tiny, progress=False)
    assert resumed.log == whole.log[2:]
    assert same(whole.folder, resumed.folder)
    assert len(resumed.frames) == len(whole.frames) - 2


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the names of open files")
def test_the_log_is_on_the_disk_before_a_checkpoint_that_counts_it(tmp_path, tiny, monkeypatch):
    flush, save, synced, found = os.fsync, checkpoints.save, [0], []

    def noted(descriptor):
        flush(descriptor)
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("log.jsonl"):
            synced[0] += 1

    def saved(*run):
        found.append(synced[0])
        save(*run)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(checkpoints, "save", saved)
    distilled(IMAGE, root=tmp_path, model=tiny, save_seconds=0.0, progress=False)
    assert found == list(range(1, IMAGE.steps))


def test_a_device_without_memory_ends_no_run_for_good(tmp_path, tiny, monkeypatch, stopped):
    whole = distilled(SMALL, root=tmp_path / "whole", model=tiny, progress=False)
    folder = stopped(tmp_path / "run", SMALL)

    def full(step):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(making, "_record", full)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            distilled(SMALL, root=tmp_path / "run", model=tiny, progress=False)
    assert (folder / CHECKPOINT).exists()
    again = distilled(SMALL, root=tmp_path / "run", model=tiny, progress=False)
    assert same(whole.folder, again.folder)
    assert again.log == whole.log


def test_a_checkpoint_that_cannot_be_read_does_not_replace_the_one_before(tmp_path, tiny, stopped):
    folder = stopped(tmp_path, SMALL)
    (folder / CHECKPOINT).write_bytes(b"not a checkpoint")
    built = SMALL.build(tiny)
    progress = checkpoints.restore(built, folder)
    checkpoints.save(built, folder, progress)
    for name in (CHECKPOINT, BEFORE):
        load_tensors(folder / name)


@pytest.mark.parametrize(
    "changed",
    [
        {"rule_settings": {"kappa": "cached"}},
        {"rule_settings": {"kappa": "fixed"}, "learning_rate": 0.1},
        {"rule": "sds", "rule_settings": {}, "t_schedule": "random", "learning_rate": 0.1},
        {"rule": "ism", "rule_settings": {"num_inversion_steps": 2}, "t_schedule": "sqrt"},
        {"rule": "own.py", "rule_settings": {"scale": 3.0}},
    ],
    ids=str,
)
def test_an_image_by_any_rule_is_the_same_if_it_is_resumed(
    tmp_path, tiny, monkeypatch, changed, stopped
):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(RULE)
    config = replace(IMAGE, **changed)
    whole = distilled(config, root=tmp_path / "whole", model=tiny, progress=False)
    stopped(tmp_path / "resumed", config)
    resumed = distilled(config, root=tmp_path / "resumed", model=tiny, progress=False)
    assert same(whole.folder, resumed.folder)
    assert resumed.log == whole.log
    assert resumed.num_forwards == whole.num_forwards
    assert resumed.folder.name == whole.folder.name


def test_two_broken_checkpoints_are_said_and_the_run_starts_again(tmp_path, tiny, stopped, caplog):
    whole = distilled(SMALL, root=tmp_path / "whole", model=tiny, progress=False)
    folder = stopped(tmp_path / "broken", SMALL)
    for name in (CHECKPOINT, BEFORE):
        (folder / name).write_bytes(b"not a checkpoint")
    again = distilled(SMALL, root=tmp_path / "broken", model=tiny, progress=False)
    assert caplog.text.count("cannot be read") == 2
    assert caplog.text.count("starting again") == 1
    assert same(whole.folder, again.folder)
    assert again.log == whole.log


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("scene.nerf.grid.table"),
        lambda state: state.pop("progress"),
        lambda state: state.update({"scene.nerf.grid.table": torch.zeros(3, 2)}),
        lambda state: state.update({"optimizer.0.exp_avg": torch.zeros(3, 2)}),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_and_kept(tmp_path, tiny, stopped, change):
    folder = stopped(tmp_path, SMALL)
    state = load_tensors(folder / CHECKPOINT)
    change(state)
    save_tensors(folder / CHECKPOINT, state)
    kept = contents(folder)
    with pytest.raises(
        ValueError, match=r"^checkpoint='.*': expected one of these settings; "
    ) as e:
        distilled(SMALL, root=tmp_path, model=tiny, progress=False)
    assert "\n" not in str(e.value)
    assert contents(folder) == kept


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_before_the_first_checkpoint_promises_none(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(checkpoints, "save_tensors", full)
    with pytest.raises(OSError, match=r"expected space left on its disk \(sdi-.*\)$"):
        distilled(SMALL, root=tmp_path, model=tiny, save_seconds=0.0, progress=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_that_finds_the_disk_full_is_one_sentence(tmp_path, tiny, monkeypatch, stopped):
    folder, opened = stopped(tmp_path, SMALL), Path.open

    def redirected(path, mode="r", **settings):
        return opened(Path("/dev/full") if mode == "a" else path, mode, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", redirected)
        with pytest.raises(OSError, match="; the same command goes on from the last checkpoint"):
            distilled(SMALL, root=tmp_path, model=tiny, progress=False)
    assert int(load_tensors(folder / CHECKPOINT)["progress"][0]) == 4
    assert distilled(SMALL, root=tmp_path, model=tiny, progress=False).diverged == ""


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, tiny, monkeypatch):

    def forbidden(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(making, "write_json", forbidden)
    with pytest.raises(OSError, match="other': expected a folder that can be written"):
        distilled(SMALL, root=tmp_path / "other", model=tiny, progress=False)


def test_a_finished_run_is_read_where_nothing_can_be_written(tmp_path, tiny, monkeypatch):
    made = distilled(SMALL, root=tmp_path, model=tiny, progress=False)

    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    for name in ("mkdir", "touch", "write_text", "write_bytes"):
        monkeypatch.setattr(Path, name, forbidden)
    monkeypatch.setattr(making, "FileLock", forbidden)
    again = distilled(SMALL, root=tmp_path, model=tiny, progress=False)
    assert again.log == made.log


def test_the_last_preview_is_of_the_last_step_also_in_a_resumed_run(
    tmp_path, tiny, monkeypatch, stopped
):
    folder = stopped(tmp_path, SMALL)
    (folder / "preview.png").write_bytes(b"of an early step")
    seen = []

    def noted(built, step, folder):
        seen.append(png_bytes(step.render()))

    monkeypatch.setattr(making, "_keep_frame", noted)
    distilled(SMALL, root=tmp_path, model=tiny, progress=False)
    assert (folder / "preview.png").read_bytes() == seen[-1]


@pytest.mark.parametrize(("seconds", "pictures"), [(10.0, 3), (0.0, 0), (1000.0, 1)])
def test_the_preview_is_drawn_again_every_so_many_seconds(
    tmp_path, tiny, monkeypatch, seconds, pictures
):
    written, write, clock = [], making.atomic_write, itertools.count(0.0, 4.0)

    def noted(path, content):
        written.append((path.name, content))
        return write(path, content)

    monkeypatch.setattr(making, "atomic_write", noted)
    # Each look at the clock is 4 seconds later: the eight steps end from second 8 to 36, the last drawn in any case.
    monkeypatch.setattr(making, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    made = distilled(SMALL, root=tmp_path, model=tiny, preview_seconds=seconds, progress=False)
    drawn = [content for name, content in written if name == "preview.png"]
    assert (made.folder / "preview.png").exists() == bool(pictures)
    assert len(drawn) == len(set(drawn)) == pictures
    if drawn:
        with Image.open(made.folder / "preview.png") as picture:
            assert picture.size == (2 * 16, 16)


def test_a_run_of_a_grid_that_is_not_here_is_not_reopened(tmp_path, tiny):
    folder = distilled(replace(SMALL, steps=1), root=tmp_path, model=tiny, progress=False).folder
    settings = read_json(folder / "config.json")
    assert reopened(folder, lambda name: tiny)[0].config.backend == "numba"
    write_json(folder / "config.json", settings | {"backend": "tinycudann"})
    with (
        pytest.warns(RuntimeWarning, match="backend='tinycudann' needs"),
        pytest.raises(ValueError, match="backend='tinycudann': expected the package tinycudann"),
    ):
        reopened(folder, lambda name: tiny)


def test_a_run_is_named_after_the_grid_that_made_it(tmp_path, tiny):
    asked = replace(SMALL, backend="tinycudann", steps=1)
    with pytest.warns(RuntimeWarning, match="backend='tinycudann' needs"):
        made = distilled(asked, root=tmp_path, model=tiny, progress=False)
    assert made.config.backend == "numba"
    assert made.folder.name == address(replace(asked, backend="numba"), tiny.hash)
