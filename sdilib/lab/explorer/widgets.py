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
from sdilib.guidance.base import WEIGHTS
from sdilib.guidance.named import KAPPAS, RULES, make_rule, rule_settings
from sdilib.lab.explorer.curves import explored, run_curves
from sdilib.lab.explorer.session import Session, Snapshot, code
from sdilib.lab.presets import example_prompts
from sdilib.lab.world.captions import VIEWS, prompt
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.schedule import T_SCHEDULES
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import Text2D

__all__ = ["Explorer", "WordPicker"]

SIZE = 192
"""Width of a shown image, in pixels."""

_STYLE = {"description_width": "110px"}
_LAYOUT = {"width": "310px"}
_ANY = "any"
_LABELS = {
    "kappa": "κ",
    "guidance_scale": "γ",
    "inversion_guidance_scale": "γ of inversion",
    "num_inversion_steps": "n",
    "tau_max": "τ at most",
    "inversion_start": "inverted from t",
    "t_schedule": "t",
    "t_end": "t at the end",
    "learning_rate": "Adam (0: eq. 10)",
}
_CHOICES = {"kappa": KAPPAS, "weight": WEIGHTS, "t_schedule": T_SCHEDULES}
_OF_A_RUN = ("steps", "seed", "t_schedule", "t_end", "learning_rate")
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
        controls: by the name of a run's setting, each with a `value`. Those of rules are there once a rule that
            reads them was chosen.
        of_the_rule: the box of those that the chosen rule reads.
        buttons: by name: "start", "pause" (or go on) and "stop".
        status: one sentence, on the run or on what is wrong.
        code: the program that makes the image of a whole run with what the controls say.
    """

    def __init__(
        self,
        model: StableDiffusion,
        *,
        rule: str = "sdi",
        num_steps: int = 30,
        seed: int = 0,
        pictures_per_second: float = 4.0,
    ) -> None:
        """Build the widget; nothing runs yet.

        Args:
            model: frozen. One of the world has dropdowns of its words, any other a line of text.
            rule: that the control begins with; or one of your own, as rule.py, rule.py:Rule or module:Rule.
            num_steps: likewise.
            seed: likewise.
            pictures_per_second: at most, in (0, 60].

        Raises:
            ValueError: a value outside its range.
        """
        self.session = Session(model)
        rate = in_range("pictures_per_second", pictures_per_second, 0, 60, open_low=True)
        self._pause = 1 / rate
        prompt = example_prompts(model.draws_world)[0]
        start = Text2D(prompt, rule=rule, steps=num_steps, seed=seed)
        self.controls: dict[str, Any] = {
            "prompt": WordPicker() if model.draws_world else _control("prompt", prompt),
            "rule": _dropdown("rule", dict.fromkeys((*RULES, rule)), rule),
            **{name: _control(name, getattr(start, name)) for name in _OF_A_RUN},
        }
        self.of_the_rule = ipywidgets.VBox()
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
            self._watch(control)
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
        prompt, rule, *of_a_run = self.controls.values()
        buttons = ipywidgets.HBox(list(self.buttons.values()))
        left = ipywidgets.VBox(
            [prompt, rule, self.of_the_rule, *of_a_run, buttons],
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

    def config(self) -> Text2D:
        """Return the run that the controls describe.

        Raises:
            ValueError: a value outside its range.
        """
        names = (
            "prompt",
            "rule",
            *_OF_A_RUN,
            *(name for name in self._read() if name in self.controls),
        )
        values = {name: self.controls[name].value for name in names}
        config = Text2D.of(**values, model=self.session.model.name)
        make_rule(config.rule, self.session.model, config.rule_settings)  # which checks its own
        return config

    def _read(self) -> dict[str, Any]:
        """What the chosen rule reads, and with it the chosen noise."""
        rule = self.controls["rule"].value
        read = rule_settings(rule)
        if "kappa" in read and "kappa" in self.controls:
            read = rule_settings(rule, {"kappa": self.controls["kappa"].value})
        return read

    def start(self, *, pause_after: int = 0) -> None:
        """Begin the run that the controls describe; the one before it is cancelled.

        If a value is wrong, the status line says so and nothing begins.

        Args:
            pause_after: after so many steps the run pauses by itself; 0 is never.
        """
        try:
            self.session.start(self.config(), pause_after=pause_after)
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
        return explored({"image": image, "denoised in one step": denoised}, snapshot)

    def close(self) -> None:
        """End the run and take the widget away."""
        self.session.close()
        if self._painter is not None:
            self._painter.join(10)
        _open.discard(self)
        for widget in (*self.pictures, self.curves, self.view):
            widget.close()

    def _watch(self, control: Any) -> None:
        for part in getattr(control, "children", None) or (control,):
            part.observe(lambda _: self._changed(), "value")

    def _changed(self) -> None:
        """Show the settings that the rule reads, and write the code again."""
        try:
            read = {name: value for name, value in self._read().items() if value is not None}
            for name in read.keys() - self.controls.keys():
                self.controls[name] = _control(name, read[name])
                self._watch(self.controls[name])
            self.of_the_rule.children = [self.controls[name] for name in read]
            self.code.value = code(self.config())
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
            if snapshot.config is None or snapshot.latents is None:
                return
            self.progress.max = snapshot.config.steps
            self.progress.value = snapshot.step + 1
            for picture, image in zip(self.pictures, self.session.images(snapshot), strict=True):
                picture.value = _png(image)
            self.curves.value = _drawn(run_curves(snapshot))


def _dropdown(label: str, options: Any, value: str) -> Any:
    return ipywidgets.Dropdown(
        options=list(options), value=value, description=label, style=_STYLE, layout=_LAYOUT
    )


def _control(name: str, value: Any) -> Any:
    """Return the control of a setting; a number out of range is left for the settings to refuse."""
    label = _LABELS.get(name, name.replace("_", " "))
    if name in _CHOICES:
        return _dropdown(label, _CHOICES[name], value)
    kinds = {bool: "Checkbox", int: "IntText", float: "FloatText", str: "Textarea"}
    kind = getattr(ipywidgets, kinds[type(value)])
    return kind(value=value, description=label, style=_STYLE, layout=_LAYOUT)


def _sentence(snapshot: Snapshot) -> str:
    """Say what a run does, in one line."""
    if snapshot.config is None:
        return "Nothing runs yet."
    if snapshot.state == "failed":
        return snapshot.message
    if snapshot.step < 0:
        return f"{snapshot.state}: before its first step"
    done = f"step {snapshot.step + 1} of {snapshot.config.steps}"
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
