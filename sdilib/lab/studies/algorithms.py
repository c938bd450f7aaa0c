"""Algorithms 1 and 2, from the code: the source of SDS and SDI, line by line, and that they agree."""

import ast
import difflib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import torch

from sdilib.guidance import SDI, SDS, View
from sdilib.inversion import RandomNoise
from sdilib.lab.claims import Claim, exact_claim
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion

__all__ = ["aligned", "body", "same_update"]


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
    """Lay two texts side by side, equal lines at one height.

    Args:
        left: lines.
        right: lines.

    Returns:
        Rows of (left, right, whether the two are equal); None where a side has no line.
    """
    rows: list[tuple[str | None, str | None, bool]] = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for what, i, i_end, j, j_end in matcher.get_opcodes():
        pairs = zip_longest(left[i:i_end], right[j:j_end])
        rows += [(mine, theirs, what == "equal") for mine, theirs in pairs]
    return rows


def same_update(
    model: StableDiffusion, prompts: Sequence[str], *, guidance_scale: float = 7.5, seed: int = 0
) -> Claim:
    """Check that SDI with a random kappa makes SDS's very update, at equal w and t and noise.

    Asked at random latents, at times from 1/n to 1 spread over the n prompts. Costs 4
    sample-forwards a prompt.

    Args:
        model: frozen.
        prompts: one an item.
        guidance_scale: gamma of both.
        seed: of latents and noise.

    Source: section 4, "SDS as a special case".
    """
    count = len(prompts)
    view = View(model.embed(prompts))
    blank = torch.zeros(count, *model.latent_shape, device=model.device)
    x0 = normal(blank, generator(seed, 0, "start"))
    t = torch.arange(1, count + 1, dtype=torch.float64) / count
    sds, sdi = SDS(model, guidance_scale), SDI(model, guidance_scale, kappa=RandomNoise())
    one, other = (rule(x0, t, view, generator(seed, 0, "guidance")) for rule in (sds, sdi))
    return exact_claim(
        "With a random κ, SDI's update is SDS's (section 4)",
        (one.gradient - other.gradient).abs().flatten(1).amax(1),
        at_most=0.0,
        name="largest difference of gradients",
        note=f"the same noise, w(t) and t; gradients of up to {float(one.gradient.abs().max()):.3g}",
    )
