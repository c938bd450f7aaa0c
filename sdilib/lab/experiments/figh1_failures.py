"""Failure cases (appendix H.1): the worst of SDI's objects by a measure of each kind of failure, none picked by hand.

Janus: the front is also seen from behind. Drift: the sides show different things. Hollow: light passes through the object
within its outline. Misshapen: no object that the prompt could mean has its silhouettes.
"""

import textwrap
from collections import Counter
from collections.abc import Mapping

import torch
from jaxtyping import Float
from scipy.ndimage import binary_fill_holes
from torch import Tensor

from sdilib.cameras import VIEWS
from sdilib.lab.claims import Rare
from sdilib.lab.evaluator import Evaluator, asked
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared.drawing import Figure
from sdilib.lab.experiments.shared.objects import (
    AZIMUTHS,
    BEHIND,
    Comparison,
    Looked,
    true_views,
)
from sdilib.lab.world.views import has_front

VARIANTS = {"SDI": {}}
"""Figure 2's runs."""

JANUS, DRIFT, HOLLOW, MISSHAPEN = "Janus", "drift", "hollow", "misshapen"

BARS = {JANUS: 0.5, DRIFT: 0.25, HOLLOW: 0.1, MISSHAPEN: 0.4}
"""Thresholds above which a measure counts as a failure; our choice."""

MEANT = {
    JANUS: "front seen from behind (probability)",
    DRIFT: "views that disagree (share)",
    HOLLOW: "outline that lets light through (share)",
    MISSHAPEN: "1 - IoU with the nearest object",
}
"""The definition of each measure."""

SHOWN = 2
"""Number of objects shown per kind of failure, all of different prompts."""

_RARE = 0.1

CLAIMS = tuple(
    Rare(said, f"{kind} above its bar", "SDI", at_most=_RARE)
    for kind, said in (
        (JANUS, "At most a tenth of the objects show their front from behind, too"),
        (DRIFT, "At most a tenth drift: their sides show other things than each other"),
        (HOLLOW, "At most a tenth are hollow"),
        (MISSHAPEN, "At most a tenth are misshapen"),
    )
)

Failures = dict[str, Float[Tensor, " runs"]]
"""How bad each run is, by kind of failure."""


def measures(made: Comparison) -> Failures:
    """Return how bad each run is, by kind of failure; without an evaluator, only how hollow.

    Args:
        made: runs of `VARIANTS`.
    """
    pairs = list(zip(made.looked["SDI"], made.prompts, strict=True))
    judge = made.judge
    if judge is None:
        return {HOLLOW: torch.tensor([holes(looked.opacity) for looked, _ in pairs]).double()}
    return {
        JANUS: torch.tensor([front_behind(*pair, judge) for pair in pairs]).double(),
        DRIFT: torch.tensor([drift(looked, judge) for looked, _ in pairs]).double(),
        HOLLOW: torch.tensor([hollow(*pair) for pair in pairs]).double(),
        MISSHAPEN: 1 - made.numbers["IoU"]["SDI"],
    }


def front_behind(looked: Looked, prompt: str, judge: Evaluator) -> float:
    """Return the mean probability that a judge gives the word "front" in the views from behind.

    Args:
        looked: the 16 views; those near a border between two words are skipped.
        prompt: if its object has no front, the result is 0.
        judge: the evaluator.
    """
    if not has_front(asked(prompt)["object"] or ""):
        return 0.0
    seen = judge.attributes(looked.images[BEHIND]).probabilities["view"]
    return float(seen[:, VIEWS.index("front")].mean())


def drift(looked: Looked, judge: Evaluator) -> float:
    """Return the share of views whose word is not the most frequent one, averaged over object, colour and pattern.

    Args:
        looked: the 16 views.
        judge: the evaluator.
    """
    seen = judge.attributes(looked.images)
    words = [seen.words(name) for name in ("object", "colour", "pattern")]
    agree = [Counter(each).most_common(1)[0][1] / len(each) for each in words]
    return 1 - sum(agree) / len(agree)


def holes(opacity: Float[Tensor, "views height width"]) -> float:
    """Return the share of light that passes through inside the outline, the mean over views; 0 for an empty view.

    Args:
        opacity: in [0, 1].
    """
    shares = []
    for view in opacity.double():
        filled = torch.from_numpy(binary_fill_holes((view > 0.5).numpy()))
        shares.append(float((1 - view[filled]).mean()) if bool(filled.any()) else 0.0)
    return sum(shares) / len(shares)


def hollow(looked: Looked, prompt: str) -> float:
    """Return by how much `holes` exceeds its value for the true object, which may have a handle.

    Args:
        looked: the 16 views.
        prompt: names an object of the world.
    """
    truth = holes(true_views(prompt, looked.opacity.shape[-1]).opacity)
    return max(0.0, holes(looked.opacity) - truth)


def failed(found: Failures) -> dict[str, dict[str, Float[Tensor, " runs"]]]:
    """Return the numbers on which `CLAIMS` are checked: by measure, 1 for each run above its threshold.

    Args:
        found: from `measures`.
    """
    return {f"{k} above its bar": {"SDI": (of > BARS[k]).double()} for k, of in found.items()}


def worst(values: Float[Tensor, " runs"], made: Comparison) -> list[int]:
    """Return the indices of the `SHOWN` worst runs, all of different prompts.

    Args:
        values: more is worse.
        made: the runs.
    """
    ranked: list[int] = values.argsort(descending=True, stable=True).tolist()
    firsts: dict[str, int] = {}
    for k in ranked:
        firsts.setdefault(made.prompts[k], k)
    return list(firsts.values())[:SHOWN]


def draw(made: Comparison, found: Mapping[str, Float[Tensor, " runs"]]) -> Figure:
    """Draw the worst objects of each kind from eight sides; below, each measure over all runs, with its threshold.

    Args:
        made: runs of `VARIANTS`.
        found: from `measures`.
    """
    chosen = {kind: worst(values, made) for kind, values in found.items()}
    rows: dict[str, Tensor] = {}
    for kind, runs in chosen.items():
        for k in runs:
            seed = made.runs["SDI"][k].config.seed
            label = ", ".join([f"{kind}:", *textwrap.wrap(f"{made.prompts[k]} #{seed}", 13)])
            rows[label] = made.looked["SDI"][k].images[::2]
    columns = [f"{azimuth:.0f}°" for azimuth in AZIMUTHS[::2]]
    figure, (below,) = drawing.images_above(rows, columns, drawing.PANELS, titles=drawing.ONE_LINE)
    panels = drawing.panels(below, len(found), drawing.PANELS, between=0.25)
    for axes, (kind, values) in zip(panels, found.items(), strict=True):
        ranked = values.argsort(descending=True, stable=True).tolist()
        axes.plot(values[ranked].tolist(), ".", color="#999999", markersize=4)
        at = [ranked.index(k) for k in chosen[kind]]
        axes.plot(at, values[chosen[kind]].tolist(), "o", color="#b2182b", markersize=5)
        axes.axhline(BARS[kind], color="#444444", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_ylim(bottom=-0.02)
        axes.locator_params(axis="x", nbins=4, integer=True)
        drawing.finish(axes, "", "runs, the worst first")
        title = "\n".join(textwrap.wrap(f"{kind}: {MEANT[kind]}", 28))
        axes.set_title(title, fontsize=6.5, loc="left")
    return figure
