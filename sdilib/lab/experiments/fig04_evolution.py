"""Figure 4: how x(t), x0(t) and the optimised scene evolve over t, and one run in the plane."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from sdilib.checks import positive_int
from sdilib.lab.claims import Exact, Less
from sdilib.lab.experiments.shared import path as along
from sdilib.lab.experiments.shared import plane
from sdilib.lab.experiments.shared.canvas import canvas, picture
from sdilib.lab.experiments.shared.drawing import COLOURS, WIDTH, Figure, draw_curves
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import RuleFrom, distilled_steps

NOISY, SCENE, CLEAN = "x(t)", "scene", "x0(t)"
HUES = {NOISY: "#3b6fb6", SCENE: COLOURS["inversion"], CLEAN: COLOURS["cached"]}
SPELLED = {NOISY: "noisy\n$x(t)$", SCENE: "scene ψ\nby SDI", CLEAN: "denoised\n$x_0(t)$"}
"""Label of each variable beside its row."""

DETAIL, DISTANCE, CHANGE = "fine detail", "distance to the end", "change per step"

ERROR, SHARPNESS = "relative deviation of latents", "fine detail at the ends"
START, LAG = "distance to the end, at t = 1", "mean over t of the gap between distances"

CLAIMS = (
    Exact(
        "At every t, eq. 10 with the cached κ gives DDIM's own x0(t) (eq. 6 ≡ eq. 2)",
        ERROR,
        "cached κ",
        at_most=1e-3,
        note="rounding in float32 grows along the run",
    ),
    Less(
        "x0(t) evolves from blurry to sharp: x0(1) has less fine detail than the last x0(t)",
        SHARPNESS,
        "x0(1)",
        "the last x0(t)",
    ),
    Less(
        "Already x0(1) is closer to the image that the run ends with than the noisy x(1) is",
        START,
        CLEAN,
        NOISY,
        note="root mean square over pixels, both decoded",
    ),
    Less(
        "The scene that SDI optimises evolves from blurry to sharp, too",
        SHARPNESS,
        "the first scene",
        "the last scene",
        note="it begins at x0(1); fine detail may be dirt",
    ),
    Less(
        "Over t, the scene nears its end as x0(t) does rather than as x(t) does", LAG, CLEAN, NOISY
    ),
)
"""Items are prompts, and n counts them; scenes are made for the first few only."""

NAME, TOP, PLANE, GAP, TICKS = 0.72, 0.4, 2.0, 0.16, 0.38
"""Space for names at the left, for times above, for the plane, before it, and for ticks, in inches."""

CURVES, UNDER, LEGEND = 1.0, 0.42, 0.62
"""Height of the panels below the images, of the space for their labels, and of the plane's legend."""

LEVELS = [0.02, 0.08, 0.18, 0.32, 0.5, 0.7, 0.9, 1.01]
"""Contour levels of the density in the plane."""

Latents = Float[Tensor, "_ times channels h w"]
Images = Float[Tensor, "_ times 3 height width"]


def distilled(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    rule: RuleFrom,
    num_steps: int,
    guidance_scale: float,
) -> Latents:
    """Distill latent scenes by plain steps (eq. 10) and keep their parameters at DDIM's times.

    They begin at DDIM's x0(1), at t = 1, as in `lab.images.distilled_images`. The scene at a time t is the one after the
    step at t.

    Args:
        model: frozen.
        prompts: one per item.
        seeds: one per item.
        rule: makes the rule of a batch.
        num_steps: of DDIM.
        guidance_scale: gamma of DDIM's x0(1).

    Raises:
        NonFiniteError: a tensor on the way is not finite.
    """
    embedded = model.embed(prompts)
    settings = {"num_steps": num_steps, "start_guidance_scale": guidance_scale}

    def rows(items: Tensor) -> Iterator[tuple[Tensor]]:
        prompt, some = embedded.select(items), [seeds[i] for i in items.tolist()]
        run = distilled_steps(model, prompt, some, rule=rule, **settings)
        for k, step in enumerate(run):
            if k == 0:
                yield (step.x0,)
            yield (step.render(),)

    return along.batched(len(prompts), rows, total=num_steps, name="SDI")[0]


def measures(
    latents: Mapping[str, Latents], images: Mapping[str, Images], cached: Latents
) -> dict[str, dict[str, Float[Tensor, "..."]]]:
    """Return three numbers over t by variable, and what `CLAIMS` compares.

    Args:
        latents: by variable, "x(t)", "scene" and "x0(t)"; scenes may be those of the first items only.
        images: the same, decoded.
        cached: latents of scenes with the cached kappa, of the first items.

    Returns:
        Fine detail; the root mean square distance of an image to the end of its run, which for x(t) and x0(t) is the
        last x0(t); the root mean square change of latents from each step to the next.
    """
    detail = {name: along.fine_detail(each) for name, each in images.items()}
    ends = {name: images[CLEAN if name == NOISY else name][:, -1:] for name in images}
    distance = {name: along.root_mean_square(each - ends[name]) for name, each in images.items()}
    noisy, scene, clean = (distance[name] for name in (NOISY, SCENE, CLEAN))
    few = len(scene)
    return {
        DETAIL: detail,
        DISTANCE: distance,
        CHANGE: {name: along.root_mean_square(each.diff(dim=1)) for name, each in latents.items()},
        ERROR: {"cached κ": along.relative_error(cached, latents[CLEAN][: len(cached)]).flatten()},
        SHARPNESS: {
            "x0(1)": detail[CLEAN][:, 0],
            "the last x0(t)": detail[CLEAN][:, -1],
            "the first scene": detail[SCENE][:, 0],
            "the last scene": detail[SCENE][:, -1],
        },
        START: {CLEAN: clean[:, 0], NOISY: noisy[:, 0]},
        LAG: {
            CLEAN: (scene - clean[:few]).abs().mean(1),
            NOISY: (scene - noisy[:few]).abs().mean(1),
        },
    }


def pick(times: Sequence[float], count: int) -> list[int]:
    """Return the indices of `count` times spread over a run, including its first and last.

    Args:
        times: of the steps.
        count: how many, at least 2; a run with fewer times gives all of them.

    Raises:
        ValueError: `count` below 2.

    Examples:
        >>> pick([1.0, 0.8, 0.6, 0.4, 0.2], 3)
        [0, 2, 4]
    """
    positive_int("num_columns", count, at_least=2)
    count = min(count, len(times))
    return [round(k * (len(times) - 1) / (count - 1)) for k in range(count)]


def plane_path(seed: int) -> plane.Paths:
    """Return the part of a run among three blobs that is drawn: one point, from t = 0.7 on.

    Args:
        seed: of the point.
    """
    return plane.follow(plane.three_blobs(), num_points=1, num_steps=9, seed=seed).since(0.7)


def draw(
    images: Mapping[str, Images],
    times: Sequence[float],
    numbers: Mapping[str, Mapping[str, Tensor]],
    run: plane.Paths,
    *,
    num_columns: int = 7,
) -> Figure:
    """Draw rows of images over t, curves below them, and a run in the plane on the right.

    Args:
        images: in [0, 1] by variable; the first item is drawn.
        times: of the run.
        numbers: from `measures`; the curves show the mean and the middle half of the items.
        run: from `plane_path`.
        num_columns: how many times are shown, at least 2.
    """
    shown = pick(times, num_columns)
    side = (WIDTH - NAME - GAP - PLANE) / len(shown)
    height = TOP + len(images) * side + 0.36 + CURVES + UNDER
    figure, axes = canvas(height)

    def panel(left: float, bottom: float, width: float, tall: float) -> Axes:
        return figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, tall / height))

    for x, title in (
        (0.04, "a  one run in its variables"),
        (WIDTH - PLANE, "e  the same in the plane"),
    ):
        axes.text(x, height - 0.05, title, fontsize=8, va="top")
    axes.text(NAME - 0.07, height - TOP + 0.04, "t =", fontsize=7, ha="right")
    for column, k in enumerate(shown):
        x = NAME + (column + 0.48) * side
        axes.text(x, height - TOP + 0.04, f"{times[k]:.2f}", fontsize=7, ha="center")
        for row, each in enumerate(images.values()):
            picture(axes, each[0, k], x, height - TOP - (row + 0.48) * side, 0.96 * side)
    for row, name in enumerate(images):
        style = {"fontsize": 7.5, "ha": "right", "va": "center", "color": HUES[name]}
        axes.text(NAME - 0.07, height - TOP - (row + 0.48) * side, SPELLED[name], **style)
    width = (WIDTH - GAP - PLANE) / 3 - TICKS
    for k, measure in enumerate((DETAIL, DISTANCE, CHANGE)):
        curves = panel(k * (width + TICKS) + TICKS, UNDER, width, CURVES)
        at, title = times[measure == CHANGE :], f"{'bcd'[k]}  {measure}"
        draw_curves(curves, at, numbers[measure], title, colour=HUES.__getitem__)
    shape = (PLANE - 0.04, height - LEGEND - 0.24)
    _draw_plane(panel(WIDTH - PLANE, LEGEND, *shape), shape[1] / shape[0], run)
    return figure


def _draw_plane(axes: Axes, tall: float, run: plane.Paths) -> None:
    at, log = plane.density_map(plane.three_blobs())
    density = (log - log.max()).exp()
    axes.contourf(at, at, density.numpy(), levels=LEVELS, cmap="Greys", vmin=-0.2, vmax=2.4)
    axes.contour(at, at, density.numpy(), levels=LEVELS, colors="white", linewidths=0.5)
    x_bar, x0, updated = (
        path[:, 0] for path in (run.x_bar, run.x0["DDIM"], run.x0["SDI, cached κ"])
    )
    blue, orange = HUES[NOISY], HUES[CLEAN]
    path: dict[str, Any] = {"marker": "o", "markersize": 3.6, "zorder": 4}
    line = {"color": blue, "linewidth": 1.4, "label": r"DDIM's $\bar{x}(t)$ (eq. 2)"}
    axes.plot(*x_bar.T.tolist(), **path, **line)
    dashes: dict[str, Any] = {"linestyle": (0, (3, 2)), "linewidth": 0.7, "alpha": 0.6}
    x, y = torch.stack([x_bar, x0]).unbind(-1)
    labels = ["denoised in one step (eq. 5)", *[None] * (len(x0) - 1)]
    axes.plot(x, y, label=labels, color=blue, **dashes)
    axes.plot(*x0.T.tolist(), color=orange, linestyle="", **path)
    # Stands for the arrows in the legend.
    arrows = r"SDI's update of $x_0(t)$ (eq. 10)"
    axes.plot([], [], ">-", label=arrows, markersize=5, color=orange)
    arrow = {"arrowstyle": "-|>", "color": orange, "linewidth": 1.4, "mutation_scale": 8}
    for start, end in pairwise(updated.tolist()):
        axes.annotate("", end, start, arrowprops=arrow | {"shrinkA": 0, "shrinkB": 0}, zorder=5)
    k = int(x0.diff(dim=0).norm(dim=1).argmax())
    for text, point, name, shift, side in (
        (r"$\bar{x}(t)$", x_bar[k], NOISY, (5, 1), "left"),
        (r"$\bar{x}(t-\tau)$", x_bar[k + 1], NOISY, (-4, 5), "right"),
        ("$x_0(t)$", x0[k], CLEAN, (-4, -11), "left"),
        (r"$x_0(t-\tau)$", x0[k + 1], CLEAN, (-2, -12), "center"),
    ):
        style = {"color": HUES[name], "ha": side, "fontsize": 7.5, "zorder": 6}
        axes.annotate(text, tuple(point.tolist()), shift, textcoords="offset points", **style)
    # Leave space for the labels, then match the panel's shape, so that both axes have the same scale.
    points = torch.cat([x_bar, x0])
    low, high = (points.amin(0) - 0.9).tolist(), (points.amax(0) + 0.5).tolist()
    across = max(high[0] - low[0], (high[1] - low[1]) / tall)
    axes.set(xlim=(high[0] - across, high[0]), ylim=(high[1] - across * tall, high[1]))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color="#bbbbbb", linewidth=0.6)
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "borderaxespad": 0.3}
    axes.legend(fontsize=7, frameon=False, handlelength=2, **place)
