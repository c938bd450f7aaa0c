"""Algorithms 1 and 2 from the code: the source of SDS and SDI side by side, and a check that they agree."""

import ast
import difflib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.patches import Rectangle
from torch import Tensor

from sdilib.guidance import SDI, SDS, View
from sdilib.inversion import RandomNoise
from sdilib.lab.claims import Exact
from sdilib.lab.experiments.shared.canvas import canvas
from sdilib.lab.experiments.shared.drawing import COLOURS, WIDTH, Figure
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion

HEADS = (
    (
        "Algorithm 1: SDS",
        't ~ U(0, 1) and κ ~ N(0, I) at each step:\ndistill(…, t_schedule="random", t_end=0)',
    ),
    ("Algorithm 2: SDI", 't falls linearly, κ from inversion:\ndistill(…, t_schedule="linear")'),
)
"""Title and subtitle of each side."""

CLAIMS = (
    Exact(
        "With a random κ, SDI's update is SDS's (section 4)",
        "difference of gradients",
        "random κ",
        at_most=0.0,
        note="the same noise, w(t) and t",
    ),
)

FONT = 6.5
LINE = 1.5 * FONT / 72
"""Height of a line of code, in inches."""
CHARACTERS = 58
"""Most characters in a line of a column; longer lines are broken."""
EDGE, HEAD, GAP = 0.08, 0.62, 0.12
"""Space at the sides, for a column's head, and between the columns, in inches."""

Rows = Sequence[tuple[str | None, str | None, bool]]
"""(left line, right line, whether they are equal); None where a side has no line."""


def body(function: Callable[..., Any]) -> list[str]:
    """Return the source of a function's body, without its docstring, as lines.

    Args:
        function: written in Python; decorators that keep `__wrapped__` are seen through.

    Raises:
        OSError: its source is not on disk.
    """
    source = textwrap.dedent(inspect.getsource(function))
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    first = node.body[0]  # the docstring, if there is one
    start = first.end_lineno if ast.get_docstring(node) is not None else first.lineno - 1
    lines = source.splitlines()[start:]
    return textwrap.dedent("\n".join(lines)).strip("\n").splitlines()


def aligned(left: Sequence[str], right: Sequence[str]) -> list[tuple[str | None, str | None, bool]]:
    """Align two texts side by side, equal lines at the same height; see `Rows`.

    Args:
        left: lines.
        right: lines.
    """
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    return [
        (mine, theirs, what == "equal")
        for what, i, i_end, j, j_end in matcher.get_opcodes()
        for mine, theirs in zip_longest(left[i:i_end], right[j:j_end])
    ]


def measures(
    model: StableDiffusion, prompts: Sequence[str], *, guidance_scale: float = 7.5, seed: int = 0
) -> dict[str, dict[str, Float[Tensor, " items"]]]:
    """Return the largest difference between SDS's gradient and that of SDI with a random kappa, at equal w, t and noise.

    Evaluated at random latents, at times from 1/n to 1 spread over the n prompts. Costs 4 sample-forwards per prompt.

    Args:
        model: frozen.
        prompts: one per item.
        guidance_scale: gamma of both.
        seed: of latents and noise.

    Source: section 4, "SDS as a special case".
    """
    count, view = len(prompts), View(model.embed(prompts))
    blank = torch.zeros(count, *model.latent_shape, device=model.device)
    x0 = normal(blank, generator(seed, 0, "start"))
    t = torch.arange(1, count + 1, dtype=torch.float64) / count
    sds, sdi = SDS(model, guidance_scale), SDI(model, guidance_scale, kappa=RandomNoise())
    one, other = (rule(x0, t, view, generator(seed, 0, "guidance")).gradient for rule in (sds, sdi))
    return {
        "difference of gradients": {"random κ": (one - other).abs().flatten(1).amax(1)},
        "largest gradient": {"SDS": one.abs().flatten(1).amax(1)},
    }


def draw(rows: Rows, heads: Sequence[tuple[str, str]] = HEADS) -> Figure:
    """Draw two pieces of code side by side, differences on a tinted background.

    Args:
        rows: from `aligned`.
        heads: title and subtitle of each side; a subtitle may hold a line break.
    """
    lines = [
        (pair, same)
        for *sides, same in rows
        for pair in zip_longest(*map(_wrapped, sides), fillvalue="")
    ]
    height = HEAD + LINE * len(lines) + 2 * EDGE
    width = (WIDTH - 2 * EDGE - GAP) / 2
    figure, axes = canvas(height)
    for side, (title, subtitle) in enumerate(heads):
        left, colour = EDGE + side * (width + GAP), COLOURS[("SDS", "SDI")[side]]
        top = {"color": colour, "fontsize": 9, "fontweight": "bold", "va": "top"}
        axes.text(left, height - EDGE, title, **top)
        axes.text(left, height - EDGE - 0.19, subtitle, fontsize=7, va="top", linespacing=1.3)
        axes.plot([left, left + width], [height - HEAD] * 2, color=colour, linewidth=1)
        for i, (pair, same) in enumerate(lines):
            text, bottom = pair[side], height - HEAD - EDGE - LINE * (i + 1)
            if not same:
                ground = {"alpha": 0.13 if text else 0.04, "linewidth": 0, "facecolor": colour}
                axes.add_patch(Rectangle((left, bottom), width, LINE, **ground))
            grey = "#555555" if same else "#000000"
            style = {"family": "monospace", "fontsize": FONT, "color": grey, "parse_math": False}
            axes.text(left + 0.04, bottom + LINE / 2, text, va="center_baseline", **style)
    return figure


def _wrapped(line: str | None) -> list[str]:
    text = line or ""
    indent = " " * (len(text) - len(text.lstrip()))
    hanging = f"{indent}# " if text.lstrip().startswith("#") else f"{indent}        "
    lines = textwrap.wrap(
        text.strip(), CHARACTERS, initial_indent=indent, subsequent_indent=hanging
    )
    return lines or [""]
