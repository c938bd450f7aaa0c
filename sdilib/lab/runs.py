"""Runs on disk: a run is found by its settings, survives being killed, and is computed once.

A run's folder is named by the hash of its settings and of the model's weights. While it is made it
holds `checkpoint.safetensors` (and the one before it), `log.jsonl` and `preview.png`; the scene and
`done.json` are written last. Two processes that ask for the same run: the second one waits, and
finds it finished.
"""

import errno
import io
import json
import logging
import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from jaxtyping import Float
from PIL import Image
from safetensors import SafetensorError
from tqdm.auto import tqdm

from sdilib.cameras import Camera
from sdilib.checks import NonFiniteError, reject
from sdilib.distill import Step
from sdilib.guidance import StatefulRule
from sdilib.lab.memory import require_memory
from sdilib.nerf.scene import NeRFScene
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import (
    atomic_write,
    hash_json,
    load_optimizer_tensors,
    load_tensors,
    optimizer_tensors,
    read_json,
    save_tensors,
    slug,
    under,
    write_json,
)
from sdilib.text_to_3d import Built3D, EmptySceneError, Text3D

__all__ = [
    "Finished",
    "Interrupted",
    "address",
    "distilled",
    "known_runs",
    "remove",
    "runs_folder",
]

NUMERICS = 1
"""Raised by hand when the same settings give other numbers, so that old runs are not taken for new."""

_log = logging.getLogger(__name__)

_CHECKPOINT, _BEFORE = "checkpoint.safetensors", "checkpoint.before.safetensors"
_SCENE, _DONE, _CONFIG, _LOG = "scene.safetensors", "done.json", "config.json", "log.jsonl"
# What a folder lacks, where writing into it fails so.
_OF_A_RUN = {"prompt", "rule", "steps", "model_hash"}  # settings of every version
_LACKS = dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR),
    "expected a folder that can be written",
) | dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT),
    "expected space left on its disk; the last checkpoint is whole, the same command goes on from it",
)
_FRAMES, _NUM_FRAMES = "frames", 9
_FRAME_AZIMUTH = 22.5
_FAILURES = (EmptySceneError, NonFiniteError, torch.cuda.OutOfMemoryError)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C within a run; the message says how to go on."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A run that has ended.

    Attributes:
        folder: where it lies.
        config: its settings.
        scene: what it made, seen from four sides in the settings' `size`; None if it diverged.
        diverged: the reason, or "".
        seconds: of work, over all sessions.
        num_forwards: UNet sample-forwards, likewise.
        log: one record a step.
    """

    folder: Path
    config: Text3D
    scene: NeRFScene | None
    diverged: str
    seconds: float
    num_forwards: int
    log: tuple[Mapping[str, Any], ...]

    @property
    def frames(self) -> dict[float, Float[torch.Tensor, "3 height width"]]:
        """One and the same view as the run went on, in [0, 1], by t: up to nine, the last at the end."""
        found = {}
        for path in sorted((self.folder / _FRAMES).glob("*.png")):
            with Image.open(path) as image:
                pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            found[float(self.log[int(path.stem)]["t"])] = pixels / 255
        return found


def runs_folder(root: str | Path = "") -> Path:
    """Return the folder of all runs.

    Args:
        root: if given, it is returned. Otherwise it is `runs` of the repository that the working directory lies in, or of
            the working directory itself.
    """
    if str(root):
        return Path(root)
    here = Path.cwd()
    return next((p for p in [here, *here.parents] if (p / "paper_figures").is_dir()), here) / "runs"


def address(config: Text3D, model_hash: str) -> str:
    """Return the name of a run's folder.

    Args:
        config: all its settings count.
        model_hash: of the model's weights.
    """
    known = config.settings() | {"model": model_hash, "numerics": NUMERICS}
    return f"{config.rule}-{slug(config.prompt, 40)}-{config.seed}-{hash_json(known)}"


def distilled(
    config: Text3D,
    *,
    root: str | Path = "",
    model: StableDiffusion | None = None,
    save_seconds: float = 60.0,
    preview_seconds: float = 10.0,
    progress: bool = True,
    show: bool = False,
) -> Finished:
    """Return a run: the finished one if there is one, else it is made, or gone on with.

    On the CPU a run that was interrupted ends with the same bits as one that was not, at the same
    number of threads.

    Args:
        config: what to make.
        root: folder of all runs; see `runs_folder`.
        model: the one of `config.model`, if it is loaded already.
        save_seconds: time between two checkpoints.
        preview_seconds: time between two previews, `preview.png` in the run's folder: the views of
            the step, side by side; the last is of the last step. 0 is none.
        progress: whether to draw a bar.
        show: in a notebook, whether the preview is shown below the cell, each in the last one's
            place; needs IPython.

    Raises:
        ValueError: a setting that the model cannot take, a checkpoint of other settings, or too little
            memory.
        OSError: the folder cannot be written, or the disk is full; names the folder.
        Interrupted: Ctrl-C, after a checkpoint was written; a second Ctrl-C does not wait for that.
    """
    built = config.build(model)
    folder = runs_folder(root) / address(built.config, built.model.hash)
    if not (folder / _DONE).exists():
        require_memory(built.config, built.model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        with _held(lock, folder):
            if not (folder / _DONE).exists():
                preview = _Preview(folder / "preview.png", preview_seconds, show)
                _make(built, folder, save_seconds, preview, progress)
            return _finished(built, folder)
    except OSError as error:
        if error.errno not in _LACKS:
            raise
        raise OSError(f"root={str(root)!r}: {_LACKS[error.errno]} ({folder.name})") from error


def known_runs(root: str | Path = "runs") -> list[dict[str, Any]]:
    """Return what is known of each run below a folder: name, settings, state, steps and bytes.

    Args:
        root: folder of all runs. Folders with another kind of configuration, such as a training's, are passed over.
    """
    found = []
    for path in sorted(Path(root).glob(f"*/{_CONFIG}")):
        folder, config = path.parent, read_json(path)
        if not (isinstance(config, dict) and config.keys() >= _OF_A_RUN):
            continue
        done = read_json(folder / _DONE) if (folder / _DONE).exists() else None
        state = "unfinished" if done is None else "diverged" if done["diverged"] else "done"
        size = sum(map(_size, folder.rglob("*")))
        found.append(
            {
                "name": folder.name,
                "config": config,
                "state": state,
                "steps": len(_read_log(folder / _LOG)),
                "bytes": size,
            }
        )
    return found


def _size(path: Path) -> int:
    """Bytes of a file; 0 of a folder, and of what a run in progress has meanwhile renamed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def remove(names: Sequence[str], root: str | Path = "runs") -> None:
    """Remove runs; one that is being made is left alone.

    Args:
        names: of their folders.
        root: folder of all runs.

    Raises:
        ValueError: an unknown name, or a run that another process is making.
    """
    known = [run["name"] for run in known_runs(root)]
    for name in names:
        if name not in known:
            reject("run", name, f"one of the runs in {root}", known=known)
    for name in names:
        folder = Path(root) / name
        try:
            with FileLock(folder / ".lock").acquire(blocking=False):
                shutil.rmtree(folder)
        except Timeout:
            reject("run", name, "a run that no process is working on")


@contextmanager
def _held(lock: FileLock, folder: Path) -> Iterator[None]:
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
    built: Built3D, folder: Path, save_seconds: float, preview: "_Preview", progress: bool
) -> None:
    write_json(folder / _CONFIG, built.config.settings() | {"model_hash": built.model.hash})
    first, seconds, forwards = _resume(built, folder)
    records = _read_log(folder / _LOG)[:first]
    # Lines after the checkpoint belong to steps that are made again.
    atomic_write(folder / _LOG, "".join(json.dumps(record) + "\n" for record in records))
    earlier = built.model.num_forwards - forwards
    clock = time.monotonic() - seconds
    saved = time.monotonic()
    step_number, diverged = first, ""

    def save() -> None:
        spent = time.monotonic() - clock, built.model.num_forwards - earlier
        _save(built, folder, step_number, *spent)

    name = f"{built.config.rule}: {built.config.prompt}"
    with (
        (folder / _LOG).open("a", encoding="utf-8") as log,
        _interruptible() as interrupted,
        tqdm(total=built.config.steps, initial=first, desc=name, disable=not progress) as bar,
    ):
        try:
            for step in built.steps(first):
                step_number = step.step + 1
                record = _record(built, step)
                log.write(json.dumps(record) + "\n")
                log.flush()
                bar.update()
                bar.set_postfix(t=f"{record['t']:.2f}", r=f"{record['residual']:.3g}")
                now = time.monotonic()
                preview.after(step, now, last=step_number == built.config.steps)
                _frame(built, step, folder)
                if interrupted.is_set() or now - saved > save_seconds:
                    save()
                    saved = now
                if interrupted.is_set():
                    raise Interrupted(
                        f"stopped after step {step_number} of {built.config.steps}; "
                        "the same command goes on from there"
                    )
        except _FAILURES as error:
            diverged = f"{type(error).__name__}: {error}"
            _log.warning("%s diverged: %s", folder.name, diverged)
    if not diverged:
        save_tensors(folder / _SCENE, built.scene.state_dict())
    write_json(
        folder / _DONE,
        {
            "diverged": diverged,
            "seconds": round(time.monotonic() - clock, 2),
            "num_forwards": built.model.num_forwards - earlier,
            "threads": torch.get_num_threads(),
        },
    )
    for name in (_CHECKPOINT, _BEFORE):
        (folder / name).unlink(missing_ok=True)


def _record(built: Built3D, step: Step) -> dict[str, Any]:
    numbers = {
        "t": step.t.mean(),
        "residual": step.update.residual.mean(),
        "gradient": step.gradient_norm.mean(),
    }
    record = {name: float(value) for name, value in numbers.items()}
    for name, value in record.items():
        if not math.isfinite(value):  # of finite tensors, whose squares are not
            raise NonFiniteError(f"{name}={value} at step {step.step}: expected a finite number")
    return {"step": step.step, **record, "opacity": float(step.measured["opacity"])}


def _frame(built: Built3D, step: Step, folder: Path) -> None:
    """Keep the run's one view after some of its steps; the first and the last are among them."""
    last = built.config.steps - 1
    if step.step in {round(k * last / (_NUM_FRAMES - 1)) for k in range(_NUM_FRAMES)}:
        seen = built.scene.views(Camera.around([_FRAME_AZIMUTH])).image
        atomic_write(folder / _FRAMES / f"{step.step:06d}.png", _png(list(seen)))


def _png(images: Sequence[torch.Tensor]) -> bytes:
    """Images side by side as a file."""
    row = torch.cat([image.clamp(0, 1) for image in images], dim=-1).permute(1, 2, 0)
    drawn = io.BytesIO()
    Image.fromarray((row * 255).round().byte().cpu().numpy()).save(drawn, format="PNG")
    return drawn.getvalue()


class _Preview:
    """The views of a step as a picture, drawn anew every so many seconds and at the end."""

    def __init__(self, path: Path, seconds: float, show: bool) -> None:
        self._path, self._seconds = path, seconds
        self._last = time.monotonic()
        self._display: Any = None
        self._cell: Any = None
        if show:
            from IPython.display import display  # that it is missing is found before any work

            self._display = display

    def after(self, step: Step, now: float, *, last: bool) -> None:
        """Draw it if it is time, or the last step."""
        if not self._seconds or (now - self._last <= self._seconds and not last):
            return
        self._last = now
        drawn = _png(list(step.render()))
        atomic_write(self._path, drawn)
        if self._display is None:
            return
        picture = Image.open(io.BytesIO(drawn))
        if self._cell is not None:
            self._cell.update(picture)
        else:
            self._cell = self._display(picture, display_id=True)


def _save(built: Built3D, folder: Path, step: int, seconds: float, forwards: int) -> None:
    """Write everything that the next step depends on."""
    tensors = {f"scene.{name}": value for name, value in built.scene.state_dict().items()}
    moments = optimizer_tensors(built.optimizer)
    tensors |= {f"optimizer.{name}": value for name, value in moments.items()}
    if isinstance(built.rule, StatefulRule):
        tensors |= {f"rule.{name}": value for name, value in built.rule.state_dict().items()}
    tensors["progress"] = torch.tensor([step, seconds, forwards], dtype=torch.float64)
    path = folder / _CHECKPOINT
    if path.exists():  # copied, not moved, so that a kill between the two finds it still
        atomic_write(folder / _BEFORE, path.read_bytes())
    save_tensors(path, {name: value.clone() for name, value in tensors.items()})


def _resume(built: Built3D, folder: Path) -> tuple[int, float, int]:
    """Restore the last whole checkpoint; returns its step, seconds and sample-forwards."""
    paths = [path for path in (folder / _CHECKPOINT, folder / _BEFORE) if path.exists()]
    for path in paths:
        try:
            tensors = load_tensors(path)
        except (SafetensorError, OSError) as error:
            then = "starting anew" if path is paths[-1] else "going on from the one before it"
            _log.warning("%s cannot be read (%s): %s", path, error, then)
            continue
        if not _fits(built, tensors):
            reject(
                "checkpoint", str(path), "one of these settings; without the file it starts anew"
            )
        built.scene.load_state_dict(under(tensors, "scene."))
        load_optimizer_tensors(built.optimizer, under(tensors, "optimizer."))
        if isinstance(built.rule, StatefulRule):
            built.rule.load_state_dict(under(tensors, "rule."))
        step, seconds, forwards = tensors["progress"].tolist()
        _log.info("going on with %s at step %d", folder.name, int(step))
        return int(step), seconds, int(forwards)
    return 0, 0.0, 0


def _fits(built: Built3D, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether a checkpoint has the names and shapes of the run's state; looked at before loading."""
    state, saved = built.scene.state_dict(), under(tensors, "scene.")
    moments = under(tensors, "optimizer.")
    parameters = [p for group in built.optimizer.param_groups for p in group["params"]]
    return (
        {name: value.shape for name, value in state.items()}
        == {name: value.shape for name, value in saved.items()}
        and "progress" in tensors
        and bool(moments)
        and all(
            not value.ndim or value.shape == parameters[int(key.split(".")[0])].shape
            for key, value in moments.items()
        )
    )


def _read_log(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a killed process may leave half a one."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _finished(built: Built3D, folder: Path) -> Finished:
    done = read_json(folder / _DONE)
    if not done["diverged"]:
        built.scene.load_state_dict(load_tensors(folder / _SCENE))
        built.scene.resize(built.config.size, built.config.size)
        built.scene.look(Camera.around([0, 90, 180, 270]))
    return Finished(
        folder=folder,
        config=built.config,
        scene=None if done["diverged"] else built.scene,
        diverged=done["diverged"],
        seconds=done["seconds"],
        num_forwards=done["num_forwards"],
        log=tuple(_read_log(folder / _LOG)),
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
