"""One image distilled while someone watches: started, paused and stopped from another thread.

A `Text2D` says which image, `Session` makes it on a thread of its own and keeps the latest `Snapshot`. Nothing here
knows of a browser. Whoever shows a session asks for its snapshots at their own pace: the run never waits for them.
"""

import threading
import weakref
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import positive_int, reject
from sdilib.distill import Step
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import Text2D

__all__ = ["STATES", "Session", "Snapshot", "code"]

STATES = ("idle", "running", "paused", "finished", "stopped", "failed")

_CODE = """\
from sdilib.text_to_image import Text2D

run = Text2D.of(
{settings}).build()
for step in run.steps():
    pass  # step.t, step.update.residual, step.update.denoised
image = run.image  # (3, height, width) in [0, 1]
"""


def code(config: Text2D) -> str:
    """Return the program that makes a finished run's image, as `image`, to the bit.

    Args:
        config: of the run.
    """
    named = "".join(f"    {name}={value!r},\n" for name, value in config.settings().items())
    return _CODE.format(settings=named)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What can be seen of a run at one moment; it never changes.

    Attributes:
        state: one of `STATES`.
        config: of the run, None before the first.
        message: why it failed.
        step: number of the last complete step, from 0; -1 before the first.
        t: of each step so far.
        residuals: eq. 8's, likewise.
        updates: root mean square of what each step changed in the latents.
        num_forwards: UNet sample-forwards so far.
        x0: latents that the last step began with.
        denoised: its single-step denoised image, eq. 5, in latents.
        latents: what it made.
    """

    state: str = "idle"
    config: Text2D | None = None
    message: str = ""
    step: int = -1
    t: tuple[float, ...] = ()
    residuals: tuple[float, ...] = ()
    updates: tuple[float, ...] = ()
    num_forwards: int = 0
    x0: Float[Tensor, "1 channels h w"] | None = None
    denoised: Float[Tensor, "1 channels h w"] | None = None
    latents: Float[Tensor, "1 channels h w"] | None = None

    @property
    def over(self) -> bool:
        """Whether no further step will come."""
        return self.state not in ("running", "paused")

    def after(self, step: Step, num_forwards: int) -> "Snapshot":
        """Return the snapshot that follows after a step.

        Args:
            step: complete.
            num_forwards: of the run so far.
        """
        latents = step.render()
        return replace(
            self,
            step=step.step,
            t=(*self.t, float(step.t[0])),
            residuals=(*self.residuals, float(step.update.residual[0])),
            updates=(*self.updates, float((latents - step.x0).square().mean().sqrt())),
            num_forwards=num_forwards,
            x0=step.x0,
            denoised=step.update.denoised,
            latents=latents,
        )


class _Run:
    """One run and its thread, which knows the run and not the session: a session can be forgotten."""

    def __init__(
        self,
        model: StableDiffusion,
        config: Text2D,
        changed: threading.Condition,
        before: threading.Thread | None,
        pause_after: int,
    ) -> None:
        model.embed([config.prompt])  # one that cannot be read is refused at once
        self.snapshot = Snapshot("running", config)
        self._changed, self._model, self._config = changed, model, config
        self._pause_after, self._num_threads = pause_after, torch.get_num_threads()
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

    def _work(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()  # one at a time: the model counts its forwards
        torch.set_num_threads(self._num_threads)  # each thread has its own, and the bits follow it
        began = self._model.num_forwards
        try:
            steps = self._config.build(self._model).steps()
            while self._may_go_on():
                step = next(steps, None)
                if step is None:
                    break
                self._post(step, self._model.num_forwards - began)
            self.change("finished", only=("running", "paused"))
        except (ArithmeticError, RuntimeError, ValueError) as error:
            self.change("failed", only=("running", "paused"), message=str(error))
        finally:  # an error of our own is for the thread's report, but nobody shall wait for it
            self.change("failed", only=("running", "paused"), message="the run broke off")

    def _may_go_on(self) -> bool:
        """Wait while paused; False if there is to be no further step."""
        with self._changed:
            self._changed.wait_for(lambda: self.snapshot.state != "paused")
            return not self.snapshot.over

    def _post(self, step: Step, num_forwards: int) -> None:
        after = self.snapshot.after(step, num_forwards)
        with self._changed:
            if self.snapshot.over:  # stopped while the step was under way
                return
            due = len(after.t) == self._pause_after and step.step + 1 < self._config.steps
            self.snapshot = replace(after, state="paused" if due else self.snapshot.state)
            self._changed.notify_all()


@dataclass(eq=False)
class Session:
    """Runs one image at a time on a thread of its own.

    All methods return at once, except `wait` and `close`. A new start cancels the run before it,
    and nothing runs on once the session is closed, forgotten, or the process ends.

    Attributes:
        model: frozen; used by one run at a time.
    """

    model: StableDiffusion
    _run: _Run | None = field(default=None, init=False, repr=False)
    _idle: Snapshot = field(default_factory=Snapshot, init=False, repr=False)
    _changed: threading.Condition = field(
        default_factory=threading.Condition, init=False, repr=False
    )
    _finalizer: weakref.finalize | None = field(default=None, init=False, repr=False)

    @property
    def snapshot(self) -> Snapshot:
        """The latest."""
        return self._idle if self._run is None else self._run.snapshot

    def start(self, config: Text2D, *, pause_after: int = 0) -> None:
        """Begin a run; the one before it ends with its step under way, unseen.

        Args:
            config: of the run; its model is the session's.
            pause_after: after so many steps the run pauses by itself; 0 is never.

        Raises:
            ValueError: a prompt that the model cannot read; the run before it goes on.
        """
        positive_int("pause_after", pause_after, at_least=0)
        before = self._run.thread if self._run is not None else None
        run = _Run(self.model, config, self._changed, before, pause_after)
        self.stop()
        if self._finalizer is not None:
            self._finalizer.detach()
        # Neither the run nor its thread holds the session, so that this can happen; also at exit.
        self._finalizer = weakref.finalize(self, run.end)
        with self._changed:
            self._run = run
            self._changed.notify_all()
        run.thread.start()

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

    def images(
        self, snapshot: Snapshot
    ) -> tuple[Float[Tensor, "3 height width"], Float[Tensor, "3 height width"]]:
        """Decode a snapshot: the image, and its single-step denoised image, in [0, 1], on CPU.

        While a run goes on, the image is what the last step began with (what it made is, by a whole
        step, the denoised image itself); once the run is over, it is what the run made.

        Args:
            snapshot: with at least one step.

        Raises:
            ValueError: without any.
        """
        image = snapshot.latents if snapshot.over else snapshot.x0
        if image is None or snapshot.denoised is None:
            reject("snapshot", f"step {snapshot.step}", "one with a complete step")
        with torch.no_grad():  # one by one: a batch rounds otherwise
            pair = [self.model.decode(latents)[0] for latents in (image, snapshot.denoised)]
        image, denoised = (each.clamp(0, 1).float().cpu() for each in pair)
        return image, denoised

    def close(self) -> None:
        """Stop, and wait for the step under way."""
        if self._run is not None:
            self._run.end(timeout=None)
