"""The explorer: a distillation in 2D or 3D under one's hands, in a notebook.

Core ipywidgets alone, so that JupyterLab, Voila and VS Code show it alike: pictures are PNG bytes in
`Image` widgets, curves too. The run has a thread of its own (`session.Session`); a second one, here,
decodes and paints its latest snapshot, at most a few times a second. So a slow page delays its own
pictures and nothing else. While a run goes on, the page is asked every other second whether it is
still there; a run whose page is gone pauses, and goes on when it is back.
"""

import html
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from sdilib.checks import reject
from sdilib.lab.explorer.controls import Controls
from sdilib.lab.explorer.curves import explored, run_curves
from sdilib.lab.explorer.parts import (
    STYLE,
    WIDE,
    button,
    differences,
    folded,
    picture,
    png,
    row,
    said,
)
from sdilib.lab.explorer.session import FRONT, Frame, Session, Snapshot, code
from sdilib.lab.notebooks.records import write_figure
from sdilib.lab.provenance import versions
from sdilib.lab.runs import address, runs_folder
from sdilib.stable_diffusion import StableDiffusion

SIZE, SMALL = 256, 80
"""Of the image, and of those that explain it, in pixels."""

PAUSE = 0.25
"""Seconds from one picture to the next, at least; where painting takes longer than half of it, it pauses as long as it took."""

ASK = 2.0
"""Seconds from one question to the page to the next."""

GONE = 90.0
"""Seconds without an answer, after which the page counts as closed: a browser lets hidden pages act once a minute."""

_SMALL = {
    "x(t)": "the image noised by κ, as the network sees it",
    "x̂0": "what the network makes of it in a single step, eq. 5",
    "κ": "the noise, its first three channels as red, green and blue",
}
_open: "weakref.WeakSet[Explorer]" = weakref.WeakSet()


class _Card(ipywidgets.VBox):
    """What is seen of one run: an image, and three that explain it."""

    def __init__(self) -> None:
        self.caption = ipywidgets.HTML()
        self.images = {"image": picture(SIZE)}
        self.images |= {name: picture(SMALL) for name in _SMALL}
        large, *small = self.images.values()
        labelled = [
            ipywidgets.VBox([each, ipywidgets.HTML(said(name, dim=True, hint=means))])
            for each, (name, means) in zip(small, _SMALL.items(), strict=True)
        ]
        explaining = ipywidgets.HBox(labelled, layout={"width": f"{SIZE}px"})
        explaining.layout.justify_content = "space-between"
        super().__init__([self.caption, large, explaining], layout={"width": f"{SIZE + 4}px"})
        self.add_class("sdi-card")
        self._shown: Frame | None = None

    def show(self, session: Session, frame: Frame | None) -> None:
        if frame is self._shown:
            return
        self._shown = frame
        shown = session.pictures(frame) if frame else {}
        for name, widget in self.images.items():
            size = SIZE if name == "image" else SMALL
            widget.value = png(shown[name], size) if name in shown else picture(size).value


class Explorer:
    """Controls, pictures, curves and the code of one distillation at a time, and of one kept beside it.

    A new explorer stops the runs of those before it, whose pages may be gone: a cell that is run
    again leaves nothing behind.

    Attributes:
        session: what runs.
        view: the widget; an explorer shows it where it is a cell's last value.
        controls: of the run's settings.
        buttons: by name: "start", "pause" (or go on), "stop", "reset", "keep", "figure" and "run".
        status: one sentence, on the run or on what is wrong.
        scrubber: number of the frame that is shown.
        turn: azimuth and elevation that objects are looked at from, in degrees.
        code: the program that makes the image of a whole run with what the controls say.
    """

    def __init__(
        self,
        model: StableDiffusion,
        *,
        scene: str = "image",
        rule: str = "sdi",
        num_steps: int = 30,
        seed: int = 0,
        root: str = "",
    ) -> None:
        """Build the widget; nothing runs yet.

        Args:
            model: frozen. One of the world has dropdowns of its words, any other a line of text.
            scene: that the control begins with, "image" or "nerf".
            rule: likewise; or one of your own, as rule.py, rule.py:Rule or module:Rule.
            num_steps: likewise.
            seed: likewise.
            root: folder of all runs, where runs and figures are saved; see `lab.runs.runs_folder`.

        Raises:
            ValueError: a value outside its range.
        """
        self.session, self._root = Session(model), root
        given = {"steps": num_steps, "seed": seed}
        self.controls = Controls(model, self._changed, scene=scene, rule=rule, given=given)
        begin = "begin the run that the controls describe, in place of the present one"
        keep = "keep this run on the left, as A, and make the next one beside it"
        self.buttons = {
            "start": button("Start", "play", self.start, hint=begin, style="success"),
            "pause": button("Pause", "pause", self.pause, hint="after the step under way"),
            "stop": button("Stop", "stop", self.stop, hint="end the run where it is"),
            "reset": button("Reset", "undo", self.reset, hint="forget the run and all changes"),
            "keep": button("Keep as A", "columns", self.keep, hint=keep),
            "figure": button("Save figure", "picture-o", self.save_figure, hint="with its record"),
            "run": button("Save run", "save", self.save_run, hint="among the runs on disk"),
        }
        self.status, self.saved = ipywidgets.HTML(), ipywidgets.HTML()
        self.progress = ipywidgets.IntProgress(layout={"width": WIDE, "height": "16px"})
        self.cards = (_Card(), _Card())
        self.scrubber = _slider("step", 0, 0, 0, hint="go back through the run, and the one kept")
        turn, tilt = "turn the object, and the one kept", "look from above or below"
        self.turn = (
            _slider("turn (°)", -180, 180, FRONT[0], hint=turn),
            _slider("tilt (°)", -30, 80, FRONT[1], hint=tilt),
        )
        self.curves = picture(0)
        self.code = ipywidgets.Textarea(rows=14, layout={"width": WIDE})
        self._copy = ipywidgets.HTML()
        # The page copies the one into the other, shown or not, also after a reload.
        self._asked, self._answered = ipywidgets.IntText(), ipywidgets.IntText()
        self._echo = ipywidgets.jslink((self._asked, "value"), (self._answered, "value"))
        self._heard_at, self._absent = 0.0, False
        self._painting = threading.RLock()
        self._painter: threading.Thread | None = None
        self._shown: Snapshot | None = None
        self.view = self._arranged()
        self.scrubber.observe(lambda _: self._show_frames(), "value")
        self._answered.observe(lambda _: self._heard(), "value")
        for slider in self.turn:
            slider.observe(lambda _: self._turned(), "value")
        # A page that closes the widget, and `view.close()`, end the run.
        comm: Any = self.view.comm
        comm.on_close(lambda _: self.session.stop())
        self.view.observe(lambda change: change.new or self.session.stop(), "comm")
        for other in list(_open):
            other.stop()
        _open.add(self)
        self._changed()
        self._paint()

    def _arranged(self) -> ipywidgets.Box:
        of_the_run = [self.buttons[n] for n in ("start", "pause", "stop", "reset", "keep")]
        of_the_result = [self._copy, self.buttons["figure"], self.buttons["run"]]
        shown = folded("the code of these settings", self.code)
        right = ipywidgets.VBox(
            [
                row(*of_the_run, grid_gap="4px"),
                self.status,
                self.progress,
                row(*self.cards, grid_gap="8px"),
                self.scrubber,
                *self.turn,
                self.curves,
                row(*of_the_result, grid_gap="4px"),
                self.saved,
                shown,
            ],
            layout={"flex": "1 1 300px", "max_width": "640px", "min_width": "270px"},
        )
        view = row(self.controls, right, ipywidgets.HTML(STYLE))
        return view.add_class("sdi")

    def _repr_mimebundle_(self, **arguments: Any) -> Any:
        return self.view._repr_mimebundle_(**arguments)

    def start(self, *, pause_after: int = 0) -> None:
        """Begin the run that the controls describe; the one before it is cancelled.

        If a value is wrong, the status line says so and nothing begins.

        Args:
            pause_after: after so many steps the run pauses by itself; 0 is never.
        """
        try:
            self.session.start(self.controls.config(), pause_after=pause_after)
        except ValueError as error:
            self._say(str(error), wrong=True)
            return
        self._heard_at, self._absent = 0.0, False
        self._painter = threading.Thread(
            target=self._paint_along, args=(self._painter,), name="sdilib painter", daemon=True
        )
        self._painter.start()

    def pause(self) -> None:
        """Pause the run, or let it go on."""
        if self.session.snapshot.state == "paused":
            self.session.resume()
        else:
            self.session.pause()

    def stop(self) -> None:
        """End the run; its last image stays."""
        self.session.stop()

    def reset(self) -> None:
        """Forget the run, the one kept beside it, and all changes of the controls."""
        self.session.reset()
        self.controls.reset()
        for slider, begun in zip(self.turn, FRONT, strict=True):
            slider.value = begun
        self._paint_again()

    def keep(self) -> None:
        """Keep the run as A, so that the next one stands beside it; or drop the one that is kept."""
        if self.session.kept is None:
            self.session.keep()
        else:
            self.session.drop()
        self._paint_again()

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Return once the run has paused or ended and is painted.

        Args:
            timeout: in seconds, for the run.
        """
        snapshot = self.session.wait(timeout=timeout)
        self._paint()
        return snapshot

    def figure(self) -> Figure:
        """Return the present pictures and curves, and those of the run kept beside, as one figure.

        Raises:
            ValueError: no step has been made yet.
        """
        runs = self._named()
        for snapshot in runs.values():
            if not snapshot.log:
                reject("snapshot", f"step {snapshot.step}", "one with a complete step")
        images = {
            f"{name} {what}".strip(): image
            for name, snapshot in runs.items()
            for what, image in self.session.pictures(snapshot.frames[-1]).items()
            if len(runs) == 1 or what == "image"
        }
        return explored(images, {name: snapshot.log for name, snapshot in runs.items()})

    def save_figure(self) -> None:
        """Write the present figure with its record, beside the runs on disk."""
        figure, shown = self.figure(), self.session.snapshot
        assert shown.config is not None  # there is a figure
        model, runs = self.session.model, self._named()
        record = {
            "title": shown.config.prompt,
            "config": {name: _settings(each) for name, each in runs.items()},
            "model_hash": model.hash,
            "versions": versions(),
            "numbers": {name: each.log for name, each in runs.items()},
        }
        name = address(shown.config.on(model.device), model.hash).replace("-", "_")
        folder = runs_folder(self._root) / "figures"

        def save() -> str:
            write_figure(folder, name, figure, record)
            return f"{folder / name}.png, .pdf and .json"

        self._saving(save)

    def save_run(self) -> None:
        """Keep the finished run among the runs on disk."""
        self._saving(lambda: self.session.save(self._root))

    def _saving(self, save: Callable[[], Any]) -> None:
        """Save, and say where to, or why not."""
        try:
            self.saved.value = said(f"saved: {save()}")
        except (OSError, ValueError) as error:
            self.saved.value = said(str(error), wrong=True)

    def close(self) -> None:
        """End the run and take the widget away."""
        self.session.close()
        if self._painter is not None:
            self._painter.join(10)
        _open.discard(self)
        self.view.close()

    def _named(self) -> dict[str, Snapshot]:
        now, kept = self.session.snapshot, self.session.kept
        return {"": now} if kept is None else {"A": kept, "B": now}

    def _changed(self) -> None:
        """Write the code again, or say what is wrong; show what turns an object where there is one."""
        wrong, program = "", ""
        try:
            program = code(self.controls.config())
        except ValueError as error:
            wrong = str(error)
        self.code.value = program  # never that of other settings
        self._copy.value = _COPY.format(code=html.escape(program), off="disabled" if wrong else "")
        for slider in self.turn:
            slider.layout.display = "" if self.controls.scene.value == "nerf" else "none"
        if wrong:
            self._say(wrong, wrong=True)
        else:
            self._report(self.session.snapshot)

    def _report(self, snapshot: Snapshot) -> None:
        self._say(_sentence(snapshot), wrong=snapshot.state == "failed")

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self.status.value = said(text, wrong=wrong)

    def _turned(self) -> None:
        azimuth, elevation = (slider.value for slider in self.turn)
        self.session.turn(azimuth, elevation)
        self.scrubber.value = self.scrubber.max  # earlier objects are gone: only the last one turns
        self._paint_again()

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        if self._absent:  # the page is there again
            self._absent = False
            self.session.resume()

    def _paint_along(self, before: threading.Thread | None) -> None:
        """Paint snapshot after snapshot until the run is over."""
        if before is not None:
            before.join()
        seen, asked_at = self.session.snapshot, 0.0
        self._paint()
        while not seen.over:
            seen = self.session.wait(seen, ASK)
            began = time.monotonic()
            self._paint()
            if began - asked_at > ASK / 2:
                self._asked.value, asked_at = self._asked.value + 1, began
            if self._heard_at and began - self._heard_at > GONE and seen.state == "running":
                self._absent = True
                self.session.pause()
            took = time.monotonic() - began
            time.sleep(max(PAUSE - took, took))  # the run, on the same cores, goes first

    def _paint_again(self) -> None:
        self._shown = None
        self._paint()

    def _paint(self) -> None:
        """Paint the latest snapshot: whoever comes second paints nothing older than the first."""
        with self._painting:
            snapshot = self.session.snapshot
            if snapshot is self._shown:
                return
            self._shown = snapshot
            running, made = not snapshot.over, bool(snapshot.log)
            off = {"pause": not running, "stop": not running, "figure": not made}
            off |= {
                "run": snapshot.state != "finished",
                "keep": not made and self.session.kept is None,
            }
            for name, disabled in off.items():
                self.buttons[name].disabled = disabled
            paused = snapshot.state == "paused"
            self.buttons["pause"].description = "Go on" if paused else "Pause"
            self.buttons["pause"].icon = "play" if paused else "pause"
            self.buttons["keep"].description = "Drop A" if self.session.kept else "Keep as A"
            self._report(snapshot)
            self.progress.max = snapshot.config.steps if snapshot.config else 1
            self.progress.value = snapshot.step + 1
            last, followed = len(snapshot.frames) - 1, self.scrubber.value == self.scrubber.max
            self.scrubber.max = max(0, last)
            if followed:
                self.scrubber.value = self.scrubber.max
            self._show_frames()
            logs = {name: each.log for name, each in self._named().items() if each.log}
            self.curves.value = run_curves(logs)._repr_png_() if logs else picture(0).value

    def _show_frames(self) -> None:
        """Show the frame that the scrubber is at, and that of the run kept beside, as far on."""
        with self._painting:
            share = self.scrubber.value / self.scrubber.max if self.scrubber.max else 1.0
            kept = self.session.kept
            runs = [kept, self.session.snapshot]
            told = differences([_settings(each) for each in runs if each]) if kept else [""]
            for card, each, name in zip(self.cards, runs, "AB", strict=True):
                card.layout.display = "" if each else "none"
                if each is None:
                    continue
                frames = each.frames
                card.show(
                    self.session, frames[round(share * (len(frames) - 1))] if frames else None
                )
                what = told.pop(0)
                card.caption.value = f"<b>{name}</b> {said(what)}" if kept else ""
            frames = self.session.snapshot.frames
            at = frames[min(self.scrubber.value, len(frames) - 1)].step + 1 if frames else 0
            self.scrubber.description = f"step {at}"


_COPY = (
    '<button class="sdi-copy" {off} data-code="{code}" onclick="navigator.clipboard.writeText('
    "this.dataset.code); this.textContent='Copied'; setTimeout(() => this.textContent='Copy as code'"
    ', 1500)" title="Python that makes the image of the run these controls describe, to the bit; an object from the '
    'front">Copy as code</button>'
)


def _settings(snapshot: Snapshot) -> dict[str, Any]:
    return snapshot.config.settings() if snapshot.config else {}


def _slider(label: str, low: int, high: int, value: int | float, *, hint: str) -> Any:
    whole = isinstance(value, int)
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return kind(
        value=value,
        min=low,
        max=high,
        step=1 if whole else 2.5,
        description=label,
        tooltip=hint,
        readout=low != high,
        style={"description_width": "60px"},
        layout={"width": "98%"},
    )


def _sentence(snapshot: Snapshot) -> str:
    """Say what a run does, in one line."""
    if snapshot.config is None:
        return "Nothing runs yet."
    if snapshot.state == "failed":
        return snapshot.message
    if not snapshot.log:
        return f"{snapshot.state}: before its first step"
    done = f"step {snapshot.step + 1} of {snapshot.config.steps}"
    parts = [done, f"t = {snapshot.log[-1]['t']:.2f}", f"{snapshot.num_forwards} UNet passes"]
    parts.append(f"{snapshot.seconds:.0f} s")
    if not snapshot.over:
        parts.append(f"about {snapshot.seconds_left:.0f} s left")
    return f"{snapshot.state}: {' · '.join(parts)}"
