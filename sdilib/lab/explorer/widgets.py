"""The explorer: a distillation in 2D under one's hands, in a notebook.

Core ipywidgets alone, so that JupyterLab, the classic notebook and VS Code show it alike: pictures
are PNG bytes in `Image` widgets, curves too. The run has a thread of its own (`session.Session`); a
second one, here, decodes and paints its latest snapshot, at most a few times a second. So a slow
page delays its own pictures and nothing else.
"""

import html
import io
import math
import threading
import time
import weakref
from typing import Any

import ipywidgets
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from sdilib.checks import in_range
from sdilib.lab.explorer.session import KAPPAS, RULES, Session, Settings, Snapshot
from sdilib.lab.plotting.explore import explored, run_curves
from sdilib.lab.presets import example_prompts
from sdilib.lab.world.captions import VIEWS, prompt
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.schedule import T_SCHEDULES
from sdilib.stable_diffusion import StableDiffusion

__all__ = ["Explorer", "WordPicker"]

SIZE = 192
"""Width of a shown image, in pixels."""

_STYLE = {"description_width": "110px"}
_LAYOUT = {"width": "310px"}
_ANY = "any"
_open: "weakref.WeakSet[Explorer]" = weakref.WeakSet()


class WordPicker(ipywidgets.VBox):
    """Dropdowns of the bundled world's words, which say a prompt."""

    def __init__(self) -> None:
        """Begin with a red spotted mushroom."""
        self.colour = _dropdown("colour", (_ANY, *COLOURS), "red")
        self.pattern = _dropdown("pattern", PATTERNS, "spotted")
        self.name = _dropdown("object", OBJECT_NAMES, "mushroom")
        self.view = _dropdown("view", (_ANY, *VIEWS), _ANY)
        super().__init__([self.colour, self.pattern, self.name, self.view])

    @property
    def value(self) -> str:
        """The prompt."""
        colour = "" if self.colour.value == _ANY else self.colour.value
        view = None if self.view.value == _ANY else self.view.value
        return prompt(self.name.value, colour, pattern=self.pattern.value, view=view)


class Explorer:
    """Controls, two pictures, curves and the code of one distillation at a time.

    A new explorer stops the runs of those before it, whose pages may be gone: a cell that is run
    again leaves nothing behind.

    Attributes:
        session: what runs.
        view: the widget; an explorer shows it where it is a cell's last value.
        controls: by name: "prompt" and the fields of `Settings`, each with a `value`.
        buttons: by name: "start", "pause" (or go on) and "stop".
        status: one sentence, on the run or on what is wrong.
        code: the program that makes the image of a whole run with what the controls say.
    """

    def __init__(
        self,
        model: StableDiffusion,
        *,
        num_steps: int = 30,
        seed: int = 0,
        pictures_per_second: float = 4.0,
    ) -> None:
        """Build the widget; nothing runs yet.

        Args:
            model: frozen. One of the world has dropdowns of its words, any other a line of text.
            num_steps: that the control begins with.
            seed: likewise.
            pictures_per_second: at most, in (0, 60].

        Raises:
            ValueError: a value outside its range.
        """
        self.session = Session(model)
        rate = in_range("pictures_per_second", pictures_per_second, 0, 60, open_low=True)
        self._pause = 1 / rate
        start = Settings(example_prompts(model.draws_world)[0], num_steps=num_steps, seed=seed)
        self.controls: dict[str, Any] = _controls(start, model.draws_world)
        self.buttons = {
            "start": ipywidgets.Button(description="Start", icon="play", button_style="success"),
            "pause": ipywidgets.Button(description="Pause", icon="pause", disabled=True),
            "stop": ipywidgets.Button(description="Stop", icon="stop", disabled=True),
        }
        self.status = ipywidgets.HTML()
        self.progress = ipywidgets.IntProgress(layout={"width": "100%"})
        self.pictures = [_picture(f"{SIZE}px") for _ in range(2)]
        self.curves = _picture("100%")
        self.code = ipywidgets.Textarea(rows=16, layout={"width": "100%"})
        self._painting = threading.Lock()
        self._painter: threading.Thread | None = None
        self._shown: Snapshot | None = None
        self.view = self._arranged()
        for name, act in (("start", self.start), ("pause", self.pause), ("stop", self.stop)):
            self.buttons[name].on_click(lambda _, act=act: act())
        for control in self.controls.values():
            for part in getattr(control, "children", None) or (control,):
                part.observe(lambda _: self._changed(), "value")
        # A page that closes the widget, and `view.close()`, end the run.
        comm: Any = self.view.comm
        comm.on_close(lambda _: self.session.stop())
        self.view.observe(lambda change: change.new or self.session.stop(), "comm")
        for other in list(_open):
            other.stop()
        _open.add(self)
        self._changed()
        self._paint(self.session.snapshot)

    def _arranged(self) -> ipywidgets.HBox:
        left = ipywidgets.VBox(
            [*self.controls.values(), ipywidgets.HBox(list(self.buttons.values()))],
            layout={"width": "330px", "flex": "0 0 auto"},
        )
        captions = ("image", "its single-step denoised image")
        shown = [
            ipywidgets.VBox([ipywidgets.Label(caption), picture])
            for caption, picture in zip(captions, self.pictures, strict=True)
        ]
        right = ipywidgets.VBox(
            [
                self.status,
                self.progress,
                ipywidgets.HBox(shown),
                self.curves,
                ipywidgets.Label("a whole run with these settings, as code:"),
                self.code,
            ],
            layout={"flex": "1 1 auto", "max_width": "640px"},
        )
        return ipywidgets.HBox([left, right])

    def _repr_mimebundle_(self, **arguments: Any) -> Any:
        return self.view._repr_mimebundle_(**arguments)

    def settings(self) -> Settings:
        """Return what the controls say.

        Raises:
            ValueError: a value outside its range.
        """
        values = {name: control.value for name, control in self.controls.items()}
        values["learning_rate"] = values["learning_rate"] or None
        return Settings(**values)

    def start(self, *, pause_after: int = 0) -> None:
        """Begin a run with the controls' settings; the one before it is cancelled.

        A wrong value is said in the status line and begins nothing.

        Args:
            pause_after: after so many steps the run pauses by itself; 0 is never.
        """
        try:
            self.session.start(self.settings(), pause_after=pause_after)
        except ValueError as error:
            self._say(str(error), wrong=True)
            return
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

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Return once the run has paused or ended and is painted.

        Args:
            timeout: in seconds, for the run.
        """
        snapshot = self.session.wait(timeout=timeout)
        self._paint(snapshot)
        return snapshot

    def figure(self) -> Figure:
        """Return the present pictures and curves as one figure.

        Raises:
            ValueError: no step has been made yet.
        """
        snapshot = self.session.snapshot
        image, denoised = self.session.images(snapshot)
        num_steps = snapshot.settings.num_steps if snapshot.settings else 1
        curves = (snapshot.t, snapshot.residuals, snapshot.updates, num_steps)
        return explored({"image": image, "denoised in one step": denoised}, *curves)

    def close(self) -> None:
        """End the run and take the widget away."""
        self.session.close()
        if self._painter is not None:
            self._painter.join(10)
        _open.discard(self)
        for widget in (*self.pictures, self.curves, self.view):
            widget.close()

    def _changed(self) -> None:
        """Let the controls that the rule does not read be grey, and write the code anew."""
        values, controls = {n: c.value for n, c in self.controls.items()}, self.controls
        by_kappa = values["rule"] == "SDI"
        inverts = by_kappa and values["kappa"] == "DDIM inversion"
        iterates = by_kappa and values["kappa"] not in ("random", "fixed", "cached")
        controls["kappa"].disabled = not by_kappa
        controls["inversion_guidance_scale"].disabled = not inverts
        controls["num_inversion_steps"].disabled = not (iterates or values["rule"] == "ISM")
        try:
            self.code.value = self.settings().code(self.session.model.name)
        except ValueError as error:
            self._say(str(error), wrong=True)
        else:
            self._report(self.session.snapshot)

    def _report(self, snapshot: Snapshot) -> None:
        self._say(_sentence(snapshot), wrong=snapshot.state == "failed")

    def _say(self, text: str, *, wrong: bool = False) -> None:
        colour = "#b2182b" if wrong else "inherit"
        self.status.value = f'<span style="color: {colour}">{html.escape(text)}</span>'

    def _paint_along(self, before: threading.Thread | None) -> None:
        """Paint snapshot after snapshot until the run is over."""
        if before is not None:
            before.join()
        seen: Snapshot | None = None
        while seen is None or not seen.over:
            latest = self.session.snapshot
            if latest is seen:
                latest = self.session.wait(seen)
            seen = latest
            began = time.monotonic()
            self._paint(seen)
            time.sleep(max(0.0, self._pause - (time.monotonic() - began)))

    def _paint(self, snapshot: Snapshot) -> None:
        with self._painting:
            if snapshot is self._shown:
                return
            self._shown = snapshot
            running = not snapshot.over and snapshot.state != "idle"
            self.buttons["pause"].disabled = self.buttons["stop"].disabled = not running
            paused = snapshot.state == "paused"
            self.buttons["pause"].description = "Go on" if paused else "Pause"
            self._report(snapshot)
            if snapshot.settings is None or snapshot.latents is None:
                return
            num_steps = snapshot.settings.num_steps
            self.progress.max, self.progress.value = num_steps, snapshot.step + 1
            for picture, image in zip(self.pictures, self.session.images(snapshot), strict=True):
                picture.value = _png(image)
            curves = (snapshot.t, snapshot.residuals, snapshot.updates, num_steps)
            self.curves.value = _drawn(run_curves(*curves))


def _dropdown(label: str, options: Any, value: str) -> Any:
    return ipywidgets.Dropdown(
        options=list(options), value=value, description=label, style=_STYLE, layout=_LAYOUT
    )


def _controls(start: Settings, bundled: bool) -> dict[str, Any]:
    """Return the controls by the names of `Settings`; wrong numbers are left for it to refuse."""

    def number(kind: Any, name: str, label: str) -> Any:
        return kind(
            value=getattr(start, name) or 0, description=label, style=_STYLE, layout=_LAYOUT
        )

    def text() -> Any:
        return ipywidgets.Textarea(
            value=start.prompt, description="prompt", rows=2, style=_STYLE, layout=_LAYOUT
        )

    whole, real = ipywidgets.IntText, ipywidgets.FloatText
    return {
        "prompt": WordPicker() if bundled else text(),
        "rule": _dropdown("rule", RULES, start.rule),
        "kappa": _dropdown("κ", KAPPAS, start.kappa),
        "guidance_scale": number(real, "guidance_scale", "γ"),
        "inversion_guidance_scale": number(real, "inversion_guidance_scale", "γ of inversion"),
        "num_inversion_steps": number(whole, "num_inversion_steps", "n"),
        "num_steps": number(whole, "num_steps", "steps"),
        "seed": number(whole, "seed", "seed"),
        "t_schedule": _dropdown("t", T_SCHEDULES, start.t_schedule),
        "learning_rate": number(real, "learning_rate", "Adam (0: eq. 10)"),
    }


def _sentence(snapshot: Snapshot) -> str:
    """Say what a run does, in one line."""
    if snapshot.settings is None:
        return "Nothing runs yet."
    if snapshot.state == "failed":
        return snapshot.message
    if snapshot.step < 0:
        return f"{snapshot.state}: before its first step"
    done = f"step {snapshot.step + 1} of {snapshot.settings.num_steps}"
    cost = f"{snapshot.num_forwards} UNet sample-forwards"
    return f"{snapshot.state}: {done}, t = {snapshot.t[-1]:.2f}, {cost}"


def _picture(width: str) -> ipywidgets.Image:
    blank = _png_of(Image.new("RGB", (2, 2), "#dddddd"))
    layout = {"width": width} if width.endswith("%") else {"width": width, "height": width}
    return ipywidgets.Image(value=blank, format="png", layout=layout)


def _png(image: Float[Tensor, "3 height width"]) -> bytes:
    pixels = (image.clamp(0, 1).permute(1, 2, 0) * 255).round().byte().numpy()
    times = max(1, math.ceil(SIZE / max(image.shape[1:])))
    large = Image.fromarray(pixels)
    return _png_of(large.resize([side * times for side in large.size], Image.Resampling.LANCZOS))


def _png_of(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return buffer.getvalue()


def _drawn(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
