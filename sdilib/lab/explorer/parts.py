"""What the explorer and the results are put together from: pictures, sentences, and a little style."""

import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
from jaxtyping import Float
from PIL import Image
from torch import Tensor

STYLE = """<style>
.sdi {font-size: 13px}
.sdi .widget-box {overflow: visible}
.sdi .widget-html-content {line-height: 1.35; font-size: 13px}
.sdi h4 {margin: 10px 0 2px 2px; font-size: 12px; font-weight: 600; opacity: .7}
.sdi-wrap {flex-flow: row wrap !important; gap: 4px 16px}
.sdi-card img {border-radius: 6px; background: #d9d9d9}
.sdi-card {gap: 4px}
.sdi-run {border: 1px solid rgba(128, 128, 128, .35); border-radius: 8px; padding: 8px}
.sdi-dim {opacity: .65; font-size: 11px}
.sdi-wrong {color: var(--jp-error-color1, #b2182b); font-weight: 600}
.sdi button {border-radius: 4px}
.sdi .sdi-copy {border: none; height: 28px; padding: 0 12px; font-size: 13px; cursor: pointer;
  background: var(--jp-layout-color2, #eee); color: var(--jp-ui-font-color1, #222)}
</style>"""
"""Of both pages; colours are those of JupyterLab's theme where there is one."""

WIDE = "calc(100% - 4px)"
"""As wide as there is room, with a widget's margins."""

LABELS = {
    "kappa": "noise κ",
    "guidance_scale": "γ",
    "inversion_guidance_scale": "γ of inversion",
    "num_inversion_steps": "inversion steps n",
    "tau_max": "τ at most",
    "inversion_start": "inverted from t",
    "t_schedule": "t runs",
    "t_start": "t at the start",
    "t_end": "t at the end",
    "weight": "weight w(t)",
    "cameras": "views per step",
    "size": "size (px)",
    "render_size": "render size (px)",
    "renoise": "noised again",
    "entropy": "entropy H",
    "unit": "κ to unit size",
}
"""What settings are called on a page, where it is not their names."""

_KINDS = {"image": "image", "nerf": "3D object"}
_BLANK, _NOTHING = Image.new("RGB", (2, 2), "#d9d9d9"), Image.new("RGBA", (640, 1))


def row(*children: Any, **layout: str) -> ipywidgets.Box:
    """Return widgets side by side, below each other where there is no room.

    Args:
        *children: widgets.
        **layout: of the box.
    """
    box = ipywidgets.Box(list(children), layout={"display": "flex", **layout})
    return box.add_class("sdi-wrap")


def button(label: str, icon: str, act: Any, *, hint: str = "", style: str = "") -> Any:
    """Return a button.

    Args:
        label: on it.
        icon: a name of Font Awesome's.
        act: is called at each click, without arguments.
        hint: shown on hover.
        style: "success", "danger" or none.
    """
    made = ipywidgets.Button(
        description=label, icon=icon, button_style=style, tooltip=hint, layout={"width": "auto"}
    )
    made.on_click(lambda _: act())
    return made


def folded(label: str, inside: ipywidgets.Widget) -> ipywidgets.VBox:
    """Return a widget with a button above that shows and hides it: an accordion's head cannot be reached by keyboard.

    Args:
        label: on the button.
        inside: hidden at first.
    """
    shown = ipywidgets.Box([inside], layout={"display": "none"})
    opened = ipywidgets.ToggleButton(
        description=label, icon="caret-right", layout={"width": "auto"}
    )

    def turn(change: Any) -> None:
        shown.layout.display = "" if change.new else "none"
        opened.icon = "caret-down" if change.new else "caret-right"

    opened.observe(turn, "value")
    return ipywidgets.VBox([opened, shown])


def said(text: str, *, wrong: bool = False, dim: bool = False, hint: str = "") -> str:
    """Return a sentence as HTML.

    Args:
        text: plain.
        wrong: whether it says what is wrong.
        dim: whether it is an aside.
        hint: shown on hover.
    """
    look = "sdi-wrong" if wrong else "sdi-dim" if dim else ""
    return f'<span class="{look}" title="{html.escape(hint)}">{html.escape(text)}</span>'


def differences(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of each of several runs what the others have otherwise, as in "rule sds · steps 100".

    What only some of them read is left out: it follows from their rules.

    Args:
        settings: of the runs, by name.

    Examples:
        >>> differences([{"rule": "sdi", "seed": 0}, {"rule": "sds", "seed": 0}])
        ['rule sdi', 'rule sds']
    """
    shared = [name for name in settings[0] if all(name in each for each in settings)]
    apart = [n for n in shared if any(each[n] != settings[0][n] for each in settings)]
    return [" · ".join(_named(name, each[name]) for name in apart) for each in settings]


def _named(name: str, value: Any) -> str:
    """A setting in words; a prompt, and what is made, say what they are."""
    if name in ("prompt", "scene"):
        return _KINDS.get(value, str(value))
    what = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"{LABELS.get(name, name.replace('_', ' '))} {what}"


def picture(size: int) -> ipywidgets.Image:
    """Return a picture that is blank at first.

    Args:
        size: width and height, in pixels; 0 is as wide as there is room, to 640, and flat while it is blank.
    """
    wide = (
        {"width": f"{size}px", "height": f"{size}px"}
        if size
        else {"width": WIDE, "max_width": "640px"}
    )
    blank = _bytes(_BLANK if size else _NOTHING)
    return ipywidgets.Image(value=blank, format="png", layout={"max_width": "100%"} | wide)


def png(image: Float[Tensor, "3 height width"], size: int) -> bytes:
    """Return an image as PNG, enlarged to a size.

    Args:
        image: in [0, 1].
        size: of the longer side, at least, in pixels.
    """
    pixels = (image.clamp(0, 1).permute(1, 2, 0) * 255).round().byte().numpy()
    return enlarged(Image.fromarray(pixels), size)


def enlarged(image: Image.Image, size: int) -> bytes:
    """Return an image as PNG, a whole number of times as large.

    Args:
        image: any.
        size: of the longer side, at least, in pixels.
    """
    times = max(1, -(-size // max(image.size)))
    return _bytes(image.resize([side * times for side in image.size], Image.Resampling.LANCZOS))


def _bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    return buffer.getvalue()
