"""Your own rule beside DDIM, SDS and SDI: its measures and its claims."""

from collections.abc import Mapping, Sequence
from typing import Any

from sdilib.lab.claims import Exact, Less, markdown_row
from sdilib.lab.experiments.shared import images
from sdilib.lab.experiments.shared.drawing import COLOURS, Figure, images_and_items
from sdilib.lab.experiments.shared.images import CLOSENESS, COLOUR, DETAIL, LATENTS, Made

SPECIAL = "η = 0"
"""The rule in the special case in which it is DDIM; measured, not drawn."""

measures = images.measures

PANELS = (DETAIL, COLOUR, CLOSENESS)

CLAIMS = (
    Exact("With η = 0 the rule is DDIM", LATENTS, SPECIAL, at_most=1e-3, note="to rounding"),
    Less(
        "The rule is closer to DDIM's image of the same noise than SDS (PSNR, dB)",
        CLOSENESS,
        lower="SDS",
        higher="my rule",
        note="a question to the rule, not a statement of the paper",
    ),
)


def means(made: Made, numbers: Mapping[str, Any]) -> Any:
    """Return means over images as a table, IPython's `Markdown`: a method per row, with the cost per image.

    Args:
        made: images by method.
        numbers: from `measures`.
    """
    from IPython.display import Markdown  # only installed for notebooks

    lines = [["method", *PANELS, "sample-forwards", "seconds"], ["---"] * (len(PANELS) + 3)]
    for name, (forwards, seconds) in images.costs(made).items():
        items = [numbers[panel].get(name) for panel in PANELS]
        cells = ["" if each is None else f"{each.mean():.3g}" for each in items]
        lines.append([name, *cells, f"{forwards:.0f}", f"{seconds:.2g}"])
    return Markdown("\n".join(map(markdown_row, lines)))


def draw(made: Made, prompts: Sequence[str], numbers: Mapping[str, Any]) -> Figure:
    """Draw a row of images per method, and below them the numbers of all items.

    Args:
        made: images by method; "my rule" is drawn in blue.
        prompts: one per image.
        numbers: from `measures`.
    """
    rows, columns = images.firsts({n: run for n, run in made.items() if n != SPECIAL}, prompts)
    drawn = {k: {n: x for n, x in numbers[k].items() if n in rows} for k in PANELS}
    colours = COLOURS | {"my rule": "#2166ac"}
    return images_and_items(rows, columns, drawn, colour=colours.__getitem__)
