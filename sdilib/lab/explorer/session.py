"""One run, in 2D or 3D, distilled while someone watches: started, paused and stopped from another thread.

A run is made as the command line makes it (`lab.runs`), in a folder of its own that goes when the run does, unless it
is saved. `Session` has a thread for it and keeps the latest `Snapshot`. Nothing here knows of a browser. Whoever shows
a session asks for its snapshots at their own pace: the run never waits for them.
"""

import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.checks import positive_int, reject
from sdilib.distillation import Step
from sdilib.lab.experiments.shared.canvas import noise_images
from sdilib.lab.runs import distilled, runs_folder
from sdilib.lab.runs.folders import DONE
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import partial_path
from sdilib.text_to_3d import Built3D, Text3D
from sdilib.text_to_image import Built2D, Text2D
from sdilib.threads import set_threads

STATES = ("idle", "running", "paused", "finished", "stopped", "failed")

MOST_FRAMES = 240
"""That are kept of a run; of a longer one every second, every fourth, and so on."""

FRONT = (22.5, 15.0)
"""Azimuth and elevation, in degrees, that an object is looked at from at first, as in `Built3D.image`."""

Config = Text2D | Text3D

_CODE = """\
from sdilib import {kind}

run = {kind}.of(
{settings}).build()
for step in run.steps():
    pass  # step.t, step.update.residual, step.update.denoised
image = run.image  # (3, height, width) in [0, 1]
"""


def code(config: Config) -> str:
    """Return the program that makes a finished run's image, as `image`, to the bit.

    Args:
        config: of the run; settings that are the defaults are left out.
    """
    kind, settings = type(config), config.settings()
    named = {"prompt": config.prompt, "rule": config.rule}
    if "kappa" in settings:  # which has settings of its own
        known = kind.of(**named, kappa=settings["kappa"]).settings()
        known["kappa"] = kind.of(**named).settings()["kappa"]
    else:
        known = kind.of(**named).settings()
    given = {name: value for name, value in settings.items() if value != known[name]}
    lines = "".join(f"    {name}={value!r},\n" for name, value in (named | given).items())
    return _CODE.format(kind=kind.__name__, settings=lines)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What there is to see of one step, of its first view; it never changes.

    Attributes:
        step: its number; -1 is the beginning, where there is a view and nothing else.
        latents: by name: "after" the step (in 2D), "x(t)", "x̂0", the single-step denoised image, and "κ".
        view: in 3D, the object after the step, in [0, 1], on CPU, from where it was looked at.
    """

    step: int
    latents: Mapping[str, Float[Tensor, "1 channels h w"]]
    view: Float[Tensor, "3 height width"] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What is known of a run at one moment; it never changes.

    Attributes:
        state: one of `STATES`.
        config: of the run, None before the first.
        message: why it failed.
        log: a record per step so far, as runs on disk have it.
        frames: of those steps, the last among them; at most `MOST_FRAMES`.
        num_forwards: UNet sample-forwards so far.
        seconds: of work so far.
    """

    state: str = "idle"
    config: Config | None = None
    message: str = ""
    log: tuple[Mapping[str, Any], ...] = ()
    frames: tuple[Frame, ...] = ()
    num_forwards: int = 0
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """Whether no further step will come."""
        return self.state not in ("running", "paused")

    @property
    def step(self) -> int:
        """Number of the last complete step, from 0; -1 before the first."""
        return self.log[-1]["step"] if self.log else -1

    @property
    def seconds_left(self) -> float:
        """Of work until the end, if the steps go on as they did; 0 before the first."""
        if not self.log or self.config is None:
            return 0.0
        return self.seconds / len(self.log) * (self.config.steps - 1 - self.step)

    def latest(self, frame: Frame) -> "Snapshot":
        """Return it with another frame at the end: a new one, or that step from elsewhere.

        Args:
            frame: of the last step or of the one after it.
        """
        kept = [each for each in self.frames if each.step < frame.step]
        if len(kept) >= MOST_FRAMES:
            kept = kept[::2]
        return replace(self, frames=(*kept, frame))


class _Ended(Exception):
    """Leaves a run that was stopped."""


class _Run:
    """One run and its thread, which knows the run and not the session: a session can be forgotten."""

    def __init__(
        self,
        model: StableDiffusion,
        config: Config,
        changed: threading.Condition,
        before: threading.Thread | None,
        pause_after: int,
        camera: Camera,
    ) -> None:
        model.embed([config.prompt])  # one that cannot be read is refused at once
        self.snapshot, self.camera = Snapshot("running", config), camera
        self.folder: Path | None = None
        self._changed, self._model, self._config = changed, model, config
        self._pause_after, self._num_threads = pause_after, torch.get_num_threads()
        self._scratch = tempfile.mkdtemp(prefix="sdilib")
        weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        self._built: Built2D | Built3D | None = None
        self._scene = threading.Lock()  # held by who changes the scene, or looks at it
        self._began = (0, 0.0)  # forwards of the model, and the clock without pauses
        self.thread = threading.Thread(
            target=self._work, args=(before,), name="sdilib session", daemon=True
        )

    def change(self, state: str, *, only: tuple[str, ...], message: str = "") -> None:
        """Go into another state, if the present one is among `only`."""
        with self._changed:
            if self.snapshot.state in only:
                self.snapshot = replace(self.snapshot, state=state, message=message)
                self._changed.notify_all()

    def cancel(self) -> None:
        self.change("stopped", only=("running", "paused"))

    def end(self, timeout: float | None = 10.0) -> None:
        """Cancel, and wait until the step under way is done."""
        self.cancel()
        if self.thread is not threading.current_thread():
            self.thread.join(timeout)

    def turn(self, camera: Camera) -> None:
        """Look from elsewhere: at once while no step is under way, otherwise with the next one."""
        self.camera = camera
        turned = self.turned(self.snapshot)
        with self._changed:
            if turned.step == self.snapshot.step:
                self.snapshot = replace(self.snapshot, frames=turned.frames)
                self._changed.notify_all()

    def turned(self, snapshot: Snapshot) -> Snapshot:
        """Return one of this run's with its last view as the camera sees it now, if the object is still what it was then."""
        if self.snapshot.state == "running" or not snapshot.frames:
            return snapshot
        with self._scene:
            if snapshot.step != self.snapshot.step:
                return snapshot
            return snapshot.latest(replace(snapshot.frames[-1], view=self._view()))

    def save(self, root: str | Path) -> Path:
        """Copy the finished run to the folder of all runs, whole or not at all."""
        if self.folder is None or self.snapshot.state != "finished":
            reject("run", self.snapshot.state, "a finished one")
        target = runs_folder(root) / self.folder.name
        if (target / DONE).is_file():
            return target
        if target.exists():
            reject("run", target.name, f"one that is not unfinished in {root}: go on with it there")
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = partial_path(target)
        try:
            shutil.copytree(self.folder, beside)
            beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return target

    def _work(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()  # one at a time: the model counts its forwards
        set_threads(self._num_threads)  # each thread has its own, and the bits follow it
        ours = ("running", "paused")
        try:
            with self._scene:
                self._begin()
                made = distilled(
                    self._config,
                    root=self._scratch,
                    model=self._model,
                    save_seconds=float("inf"),
                    preview_seconds=float("inf"),
                    progress=False,
                    after=self._post,
                )
                self.folder = made.folder
            state = "failed" if made.diverged else "finished"
            self.change(state, only=ours, message=made.diverged)
        except _Ended:
            pass
        except (ArithmeticError, OSError, RuntimeError, ValueError) as error:
            self.change("failed", only=ours, message=str(error))
        finally:  # an error of our own is for the thread's report, but nobody shall wait for it
            self.change("failed", only=ours, message="the run broke off")

    def _begin(self) -> None:
        """Show the object that a run in 3D begins with: its first step takes a while."""
        if isinstance(self._config, Text3D):
            self._built = self._config.build(self._model)
            with self._changed:
                self.snapshot = self.snapshot.latest(Frame(-1, {}, self._view()))
                self._changed.notify_all()
        self._began = (self._model.num_forwards, time.monotonic())

    def _view(self) -> Tensor | None:
        if not isinstance(self._built, Built3D):
            return None
        return self._built.scene.views(self.camera).image[0].clamp(0, 1)

    def _post(self, built: Built2D | Built3D, step: Step, record: Mapping[str, Any]) -> None:
        self._built, now = built, time.monotonic()
        forwards, clock = self._began
        frame = _frame(built, step, self._view())
        with self._changed:
            self._may_go_on()
            after = self.snapshot.latest(frame)
            log = (*after.log, record)
            due = len(log) == self._pause_after and step.step + 1 < self._config.steps
            self.snapshot = replace(
                after,
                state="paused" if due else after.state,
                log=log,
                num_forwards=self._model.num_forwards - forwards,
                seconds=now - clock,
            )
            self._changed.notify_all()
        self._scene.release()  # while it is paused, it may be looked at
        try:
            with self._changed:
                self._changed.wait_for(lambda: self.snapshot.state != "paused")
        finally:
            self._scene.acquire()
        self._may_go_on()
        self._began = (forwards, clock + time.monotonic() - now)

    def _may_go_on(self) -> None:
        if self.snapshot.over:
            raise _Ended


@torch.no_grad()
def _frame(built: Built2D | Built3D, step: Step, view: Tensor | None) -> Frame:
    update, first = step.update, slice(0, 1)
    noised = built.model.schedule.add_noise(step.x0, update.kappa, step.t)
    latents = {"x(t)": noised[first], "x̂0": update.denoised[first], "κ": update.kappa[first]}
    if view is None:
        latents["after"] = step.render()[first]
    return Frame(step.step, latents, view)


class Session:
    """Makes one run at a time on a thread of its own.

    All methods return at once, except `wait`, `turn` and `close`. A new start cancels the run before
    it, and nothing runs on once the session is closed, forgotten, or the process ends.

    Attributes:
        model: frozen; used by one run at a time.
        kept: the snapshot that stands beside; None without one.
    """

    def __init__(self, model: StableDiffusion) -> None:
        """Begin idle.

        Args:
            model: see the class.
        """
        self.model, self._idle = model, Snapshot()
        self._camera = Camera.around([FRONT[0]], elevation_degrees=FRONT[1])
        self._changed = threading.Condition()
        self._run: _Run | None = None
        self._beside: _Run | None = None
        self.kept: Snapshot | None = None
        self._finalizer: weakref.finalize | None = None
        self._thread: threading.Thread | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The latest."""
        return self._idle if self._run is None else self._run.snapshot

    def start(self, config: Config, *, pause_after: int = 0) -> None:
        """Begin a run; the one before it ends with its step under way, unseen.

        Args:
            config: of the run; its model is the session's.
            pause_after: after so many steps the run pauses by itself; 0 is never.

        Raises:
            ValueError: a prompt that the model cannot read; the run before it goes on.
        """
        positive_int("pause_after", pause_after, at_least=0)
        run = _Run(self.model, config, self._changed, self._thread, pause_after, self._camera)
        self._replace(run)
        # Neither the run nor its thread holds the session, so that this can happen; also at exit.
        self._finalizer = weakref.finalize(self, run.end)
        self._thread = run.thread
        run.thread.start()

    def reset(self) -> None:
        """Stop, and forget the run and the one kept."""
        self._replace(None)
        self.drop()

    def keep(self) -> None:
        """Keep the present snapshot beside the run, and what is turned with it."""
        self._beside, self.kept = self._run, self.snapshot

    def drop(self) -> None:
        """Forget the snapshot that was kept."""
        self._beside = self.kept = None

    def _replace(self, run: _Run | None) -> None:
        self.stop()
        if self._finalizer is not None:
            self._finalizer.detach()
        with self._changed:
            self._run = run
            self._changed.notify_all()

    def pause(self) -> None:
        """Wait after the step under way, until `resume`."""
        self._change("paused", only=("running",))

    def resume(self) -> None:
        """Go on."""
        self._change("running", only=("paused",))

    def stop(self) -> None:
        """End the run where it is; its last image stays."""
        self._change("stopped", only=("running", "paused"))

    def _change(self, state: str, only: tuple[str, ...]) -> None:
        if self._run is not None:
            self._run.change(state, only=only)

    def turn(self, azimuth: int | float, elevation: int | float) -> None:
        """Look at the object, and at the one kept, from elsewhere; while a step is under way, from the next one on.

        Args:
            azimuth: in degrees, 0 in front.
            elevation: in degrees, in [-89, 89].
        """
        self._camera = Camera.around([azimuth], elevation_degrees=elevation)
        if self._run is not None and isinstance(self._run.snapshot.config, Text3D):
            self._run.turn(self._camera)
        beside, kept = self._beside, self.kept
        if beside is not None and kept is not None and isinstance(kept.config, Text3D):
            beside.camera = self._camera
            self.kept = beside.turned(kept)

    def save(self, root: str | Path = "") -> Path:
        """Keep the finished run among the runs on disk; returns its folder.

        Args:
            root: folder of all runs; see `lab.runs.runs_folder`.

        Raises:
            ValueError: a run that is not finished.
        """
        if self._run is None:
            reject("run", "idle", "a finished one")
        return self._run.save(root)

    def wait(self, seen: Snapshot | None = None, timeout: float | None = None) -> Snapshot:
        """Return the latest snapshot as soon as it is another than the one seen.

        Args:
            seen: what the caller has; None waits for the run to pause or end.
            timeout: in seconds; after it the latest is returned, whichever it is.
        """
        with self._changed:
            if seen is None:
                self._changed.wait_for(lambda: self.snapshot.state != "running", timeout)
            else:
                self._changed.wait_for(lambda: self.snapshot is not seen, timeout)
            return self.snapshot

    @torch.no_grad()
    def pictures(self, frame: Frame) -> dict[str, Float[Tensor, "3 height width"]]:
        """Return what a frame shows, in [0, 1], on CPU: the image or view as "image", then "x(t)", "x̂0" and "κ".

        Args:
            frame: of a run of this model.
        """
        made = {} if frame.view is None else {"image": frame.view}
        for name, latents in frame.latents.items():  # one by one: a batch rounds otherwise
            if name == "κ":
                made[name] = noise_images(latents)[0]
            else:
                image = self.model.decode(latents)[0].clamp(0, 1).float().cpu()
                made["image" if name == "after" else name] = image
        return made

    def close(self) -> None:
        """Stop, and wait for the step under way."""
        if self._run is not None:
            self._run.end(timeout=None)
