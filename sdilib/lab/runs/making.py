"""Compute a run, resume it, or load it if it is finished.

If two processes ask for the same run, the second one waits, then loads the finished run.
"""

import errno
import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout
from jaxtyping import Float
from PIL import Image
from tqdm.auto import tqdm

from sdilib.checks import NonFiniteError
from sdilib.distillation import Step
from sdilib.lab.exports import png_bytes
from sdilib.lab.runs import checkpoints, folders
from sdilib.lab.runs.checkpoints import Progress
from sdilib.lab.runs.memory import peak_bytes, require_memory, reset_peak
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import (
    atomic_write,
    load_tensors,
    read_json,
    remove_partial,
    save_tensors,
    write_json,
)
from sdilib.text_to_3d import Built3D, EmptySceneError, Text3D
from sdilib.text_to_image import Built2D, Text2D

_log = logging.getLogger(__name__)

# What to say of a folder, by the error on writing to it.
_LACKS = dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR),
    "expected a folder that can be written",
) | dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "expected space left on its disk")
_FRAMES, _NUM_FRAMES = "frames", 9
_FAILURES = (EmptySceneError, NonFiniteError)

After = Callable[[Built3D | Built2D, Step, Mapping[str, Any]], None]
"""Called after each step of a run, with the run, the step and its line of the log."""

Config = TypeVar("Config", bound=Text3D | Text2D)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; the message says how to continue."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished(Generic[Config]):
    """A run that has ended.

    Attributes:
        folder: of the run.
        config: its settings.
        scene: the result: an `ImageScene` of latents, or a `NeRFScene`, seen from four sides at the settings' `size`;
            None if it diverged.
        diverged: the reason, or "".
        seconds: of work, over all sessions.
        num_forwards: UNet sample-forwards, over all sessions.
        log: one record per step.
        peak_bytes: of memory, in the last session; see `memory.peak_bytes`. 0 for a run of an older version.
    """

    folder: Path
    config: Config
    scene: Any
    diverged: str
    seconds: float
    num_forwards: int
    log: tuple[Mapping[str, Any], ...]
    peak_bytes: int = 0

    @property
    def frames(self) -> dict[float, Float[torch.Tensor, "3 height width"]]:
        """The same view in the course of the run, in [0, 1], by t: up to nine frames, the last at the end."""
        t, found = {record["step"]: float(record["t"]) for record in self.log}, {}
        for path in sorted((self.folder / _FRAMES).glob("*.png")):
            if (number := int(path.stem)) not in t:
                continue  # its line was lost with the machine's power
            with Image.open(path) as image:
                pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            found[t[number]] = pixels / 255
        return found


def distilled(
    config: Config,
    *,
    root: str | Path = "",
    model: StableDiffusion | None = None,
    save_seconds: float = 60.0,
    preview_seconds: float = 10.0,
    progress: bool = True,
    after: After | None = None,
) -> Finished[Config]:
    """Return a run: load it if it is finished, otherwise compute or resume it.

    On the CPU, an interrupted run ends with the same bits as an uninterrupted one with the same
    number of threads. A finished run whose scene cannot be read is computed again, with a warning.

    Args:
        config: settings of the run.
        root: folder of all runs; see `runs_folder`.
        model: the one named by `config.model`, if it is already loaded.
        save_seconds: time between two checkpoints.
        preview_seconds: time between two previews, `preview.png` in the run's folder: the views of
            the step, side by side; one is always drawn after the last step. 0 for none.
        progress: whether to draw a bar.
        after: called after each step with the run, the step and its line of the log. Its time does not count; if it
            raises, the run ends.

    Raises:
        ValueError: a setting that the model cannot take, a checkpoint of other settings, or too little
            memory.
        OSError: the folder cannot be written, or the disk is full; names the folder.
        Interrupted: Ctrl-C, after a checkpoint was written; a second Ctrl-C does not wait for that.
        torch.cuda.OutOfMemoryError: the device had too little left, perhaps for a moment; the run has not diverged,
            and the same command goes on from the last checkpoint.
    """
    before = model.num_forwards if model else 0
    built = config.build(model)
    began = Progress(0, 0.0, built.model.num_forwards - before)
    folder = folders.runs_folder(root) / folders.address(built.config, built.model.identity)
    done = folder / folders.DONE
    try:
        if done.exists():  # perhaps where nothing can be written
            try:
                return _finished(built, folder)
            except OSError as error:
                if error.errno not in (None, errno.ENOENT):  # it may be there, and whole
                    raise
                _log.warning("a finished run's scene cannot be read: %s; making it again", error)
                done.unlink()
        if isinstance(built.config, Text3D):
            require_memory(built.config, built.model)
        folder.mkdir(parents=True, exist_ok=True)
        with _held(folder):
            if not done.exists():  # another process may have finished it meanwhile
                _make(built, folder, began, save_seconds, preview_seconds, progress, after)
        return _finished(built, folder)
    except OSError as error:
        if error.errno not in _LACKS:
            raise
        whole = (folder / checkpoints.CHECKPOINT).is_file()
        then = (
            "; the same command goes on from the last checkpoint, which is whole" if whole else ""
        )
        raise OSError(f"root={str(root)!r}: {_LACKS[error.errno]} ({folder.name}){then}") from error


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / folders.LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _log.warning("another process works on %s: waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(
    built: Built3D | Built2D,
    folder: Path,
    began: Progress,
    save_seconds: float,
    preview_seconds: float,
    progress: bool,
    after: After | None,
) -> None:
    config, model = built.config, built.model
    remove_partial(folder)
    known = {"model_hash": model.hash, "numerics": folders.NUMERICS}
    write_json(folder / folders.CONFIG, folders.settings_of(config) | known)
    before = checkpoints.restore(built, folder) or began
    # Lines after the checkpoint belong to steps that are repeated.
    kept = [
        record for record in folders.read_log(folder / folders.LOG) if record["step"] < before.step
    ]
    atomic_write(folder / folders.LOG, "".join(json.dumps(record) + "\n" for record in kept))
    clock, counted = time.monotonic() - before.seconds, model.num_forwards - before.num_forwards
    saved = previewed = time.monotonic()
    diverged = ""
    reset_peak(model.device)

    with (
        (folder / folders.LOG).open("a", encoding="utf-8") as log,
        _interruptible() as interrupted,
        tqdm(
            total=config.steps, desc=f"{config.rule}: {config.prompt}", disable=not progress
        ) as bar,
    ):
        try:
            for step in built.steps(before.step, before.skipped):
                done = step.step + 1
                record = _record(step)
                log.write(json.dumps(record) + "\n")
                log.flush()
                bar.update(done - bar.n)
                r = record.get("residual", math.nan)
                bar.set_postfix(t=f"{record['t']:.2f}", r=f"{r:.3g}")
                now = time.monotonic()
                due = now - previewed > preview_seconds or done == config.steps
                if preview_seconds and due:
                    views = step.render() if built.scene.space == "pixels" else built.image[None]
                    atomic_write(folder / "preview.png", png_bytes(views))
                    previewed = now
                _keep_frame(built, step, folder)
                if after is not None:
                    called = time.monotonic()
                    after(built, step, record)
                    clock += time.monotonic() - called
                if interrupted.is_set() or now - saved > save_seconds:
                    forwards = model.num_forwards - counted
                    os.fsync(log.fileno())  # a checkpoint never goes beyond the log
                    so_far = Progress(done, now - clock, forwards, step.skipped)
                    checkpoints.save(built, folder, so_far)
                    saved = now
                if interrupted.is_set():
                    raise Interrupted(
                        f"stopped after step {done} of {config.steps}; "
                        "the same command goes on from there"
                    )
        except _FAILURES as error:
            diverged = f"{type(error).__name__}: {error}"
            _log.warning("%s diverged: %s", folder.name, diverged)
    if not diverged:
        save_tensors(folder / folders.SCENE, built.scene.state_dict())
    write_json(
        folder / folders.DONE,
        {
            "diverged": diverged,
            "seconds": round(time.monotonic() - clock, 2),
            "num_forwards": model.num_forwards - counted,
            "peak_bytes": peak_bytes(model.device),
            "threads": torch.get_num_threads(),
        },
    )
    checkpoints.remove(folder)


def _record(step: Step) -> dict[str, Any]:
    residual, gradient = step.update.residual.mean(), step.gradient_norm.mean()
    numbers = {"residual": residual, "gradient": gradient, **step.measured}
    # Read together: each reading waits for the device. t is on the CPU.
    read = torch.stack([value.to(step.x0.device) for value in numbers.values()]).tolist()
    record = {"t": float(step.t.mean())} | dict(zip(numbers, read, strict=True))
    broken = {name: value for name, value in record.items() if not math.isfinite(value)}
    if broken and not step.skipped:  # the tensors are finite, but their squares are not
        name, value = broken.popitem()
        raise NonFiniteError(f"{name}={value} at step {step.step}: expected a finite number")
    known = {name: value for name, value in record.items() if name not in broken}
    return {"step": step.step, "skipped": step.skipped} | known


def _keep_frame(built: Built3D | Built2D, step: Step, folder: Path) -> None:
    """Keep the run's image after some of its steps, including the last."""
    last = built.config.steps - 1
    if step.step in {round(k * last / (_NUM_FRAMES - 1)) for k in range(_NUM_FRAMES)}:
        atomic_write(folder / _FRAMES / f"{step.step:06d}.png", png_bytes(built.image[None]))


def _finished(built: Built3D | Built2D, folder: Path) -> Finished[Any]:
    done = read_json(folder / folders.DONE)
    if not done["diverged"]:
        built.restore(load_tensors(folder / folders.SCENE))
        built.optimizer.zero_grad()  # a table keeps hundreds of scenes, and needs no gradients
    return Finished(
        folder=folder,
        config=built.config,
        scene=None if done["diverged"] else built.scene,
        diverged=done["diverged"],
        seconds=done["seconds"],
        num_forwards=done["num_forwards"],
        log=tuple(folders.read_log(folder / folders.LOG)),
        peak_bytes=done.get("peak_bytes", 0),
    )


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Let the first Ctrl-C wait for the end of the step; the second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: object) -> None:
        if asked.is_set():
            raise Interrupted(
                "stopped within a step; the same command goes on from the last checkpoint, if there is one"
            )
        asked.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
