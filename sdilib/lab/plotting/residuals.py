"""Figures 9 and 10 in 2D: images, and below them the residual of eq. 8 and what it costs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import (
    COLOURS,
    LABELS,
    MOST_COLUMNS,
    SMALL,
    WIDTH,
    Figure,
    draw_rows,
    legend,
    quiet,
    rows_height,
)

__all__ = ["HUES", "guidance_scales", "noise_choice", "strategy_label"]

HUES = {
    "DDIM": COLOURS["DDIM"],
    "random": "#762a83",
    "fixed": "#b08bc0",
    "fixed point": "#b2182b",
    "descent": "#4393c3",
    "inversion": COLOURS["SDI, inversion"],
    "cached": COLOURS["SDI, cached κ"],
    "(7.5, 7.5)": "#b2182b",
    "(0, 0)": "#4393c3",
    "(0, 7.5)": "#b08bc0",
    "(-7.5, 7.5)": COLOURS["SDI, inversion"],
}
"""A colour a choice of kappa, named by what stands before a comma, and one a strategy."""

INVERSE, FORWARD = r"$\gamma_\mathrm{inv}$", r"$\gamma_\mathrm{fwd}$"

PANELS = 2.3
"""Height of a line of panels, in inches."""


def noise_choice(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    *,
    times: Sequence[float],
    r: Mapping[str, Float[Tensor, "items times"]],
    costs: Mapping[str, float],
) -> Figure:
    """Draw figure 9 in 2D: images by choice of kappa, its residual over t, and against its cost.

    Args:
        rows: one image a prompt, by choice; the first eight are drawn.
        columns: the prompts.
        times: falling, of the residuals.
        r: residuals by choice, in rising cost within a family; those that are no row of images are
            drawn against cost alone.
        costs: of one kappa, in sample-forwards, by choice.
    """
    figure, below = _images_above(rows, columns, PANELS)
    over_t, against = below.subplots(1, 2)
    _margins(below, PANELS)
    named = {f"{name}  ({costs[name]:.0f})": name for name in rows if name in r}
    _curves(
        over_t,
        times,
        {label: r[name] for label, name in named.items()},
        {label: _hue(name) for label, name in named.items()},
    )
    over_t.set_title("residual r(t) of eq. 8", fontsize=8, loc="left")
    over_t.legend(title="κ  (sample-forwards)", title_fontsize=6.5, **SMALL)
    for family in dict.fromkeys(name.partition(",")[0] for name in r):
        members = sorted((n for n in r if n.partition(",")[0] == family), key=costs.__getitem__)
        x, y = [costs[n] for n in members], [float(r[n].mean()) for n in members]
        against.plot(x, y, "o-", color=_hue(family), markersize=4, linewidth=1.2, label=family)
        for name, place in zip(members, zip(x, y, strict=True), strict=True):
            number = name.partition(", ")[2].removeprefix("n = ").removeprefix("×")
            text = {"textcoords": "offset points", "xytext": (0, 4), "ha": "center"}
            against.annotate(number, place, fontsize=6.5, color=_hue(family), **text)
    against.set_xscale("symlog", linthresh=2, linscale=0.3)
    against.set_xticks([0, 2, 5, 10, 20, 40], ["0", "2", "5", "10", "20", "40"], minor=False)
    against.minorticks_off()
    against.margins(x=0.1)
    against.set_ylim(bottom=0, top=1.18 * against.get_ylim()[1])
    against.set_xlabel("sample-forwards for one κ", fontsize=8)
    against.set_title("mean of r(t), by iterations or n, against cost", fontsize=8, loc="left")
    against.legend(**SMALL)
    quiet(against)
    return figure


def guidance_scales(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    *,
    times: Sequence[float],
    r: Mapping[str, Float[Tensor, "items times"]],
    deviations: Mapping[float, Float[Tensor, "items steps"]],
    grid_times: Sequence[float],
    grid: Float[Tensor, "inverse forward times"],
    scales: tuple[Sequence[float], Sequence[float]],
) -> Figure:
    """Draw figure 10 in 2D: images and residual by strategy, deviation of kappa, maps over gamma.

    Args:
        rows: one image a prompt, by strategy (gamma_inv, gamma_fwd); the first eight are drawn.
        columns: the prompts.
        times: falling, of the residuals.
        r: residuals by strategy.
        deviations: of kappa on clean images at equally spaced times up to 1, by gamma_inv.
        grid_times: of the maps.
        grid: mean residual by gamma_inv, gamma_fwd and time.
        scales: the grid's values of gamma_inv and gamma_fwd.
    """
    labelled = {strategy_label(name): images for name, images in rows.items()}
    figure, below = _images_above(labelled, columns, 2 * PANELS)
    upper, lower = (below.add_subfigure(part) for part in below.add_gridspec(2, 1, hspace=0))
    over_t, spread = upper.subplots(1, 2)
    _margins(upper, PANELS)
    _curves(over_t, times, r, {name: _hue(name) for name in r})
    over_t.set_title("residual r(t) of eq. 8", fontsize=8, loc="left")
    over_t.legend(title=f"({INVERSE}, {FORWARD})", title_fontsize=6.5, **SMALL)
    colours = _shades(deviations)
    for scale, each in deviations.items():
        steps = each.shape[1]
        t = [(k + 1) / steps for k in range(steps)]
        spread.plot(t, each.mean(0), color=colours[scale], linewidth=1.2, label=f"{scale:g}")
    spread.axhline(1, color="#999999", linewidth=0.8, linestyle="--", zorder=0)
    spread.set_xlim(1, 0)
    spread.set_xlabel("t", fontsize=8)
    spread.set_title(f"deviation of κ on clean images, by {INVERSE}", fontsize=8, loc="left")
    legend(spread, columns=5)
    quiet(spread)
    _maps(lower, grid_times, grid, scales)
    return figure


def strategy_label(name: str) -> str:
    """Return a strategy's name with its two gammas spelled out; other names as they are.

    Args:
        name: e.g. "(0, 7.5)".
    """
    if not name.startswith("("):
        return name
    inverse, forward = name.strip("()").split(", ")
    return f"{INVERSE} = {inverse}, {FORWARD} = {forward}"


def _hue(name: str) -> str:
    return HUES[name] if name in HUES else HUES[name.partition(",")[0]]


def _images_above(
    rows: Mapping[str, Tensor], columns: Sequence[str], height: float
) -> tuple[Figure, FigureBase]:
    """Return a figure with rows of images, and its free part of some height below them."""
    columns = columns[:MOST_COLUMNS]
    shown = {name: images[:MOST_COLUMNS] for name, images in rows.items()}
    upper = rows_height(shown, columns)
    figure = Figure(figsize=(WIDTH, upper + height))
    parts = figure.add_gridspec(2, 1, height_ratios=(upper, height), hspace=0)
    above, below = (figure.add_subfigure(part) for part in parts)
    draw_rows(above, shown, columns)
    return figure, below


def _margins(figure: FigureBase, height: float) -> None:
    figure.subplots_adjust(
        left=0.5 * LABELS / WIDTH, right=0.98, bottom=0.45 / height, top=1 - 0.3 / height
    )
    figure.subplots_adjust(wspace=0.17)


def _curves(
    axes: Axes,
    times: Sequence[float],
    r: Mapping[str, Float[Tensor, "items times"]],
    colours: Mapping[str, str],
) -> None:
    for name, each in r.items():
        _band(axes, times, each.double(), colours[name], label=name)
    axes.set_xlim(1, 0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("t", fontsize=8)
    quiet(axes)


def _band(axes: Axes, x: Sequence[float], values: Tensor, colour: str, **line: Any) -> None:
    """Draw the mean over items, and the band between their quartiles."""
    low, high = values.quantile(torch.tensor([0.25, 0.75], dtype=values.dtype), dim=0)
    axes.fill_between(list(x), low.tolist(), high.tolist(), color=colour, alpha=0.15, linewidth=0)
    axes.plot(list(x), values.mean(0).tolist(), color=colour, linewidth=1.3, markersize=3.5, **line)


def _shades(scales: Iterable[float]) -> dict[float, tuple[float, ...]]:
    """Reds for inversions that follow the prompt, greens for those that oppose it, black for 0."""
    shades: dict[float, tuple[float, ...]] = {0.0: (0.0, 0.0, 0.0)}
    for sign, name in ((-1, "Greens"), (1, "Reds")):
        side = sorted((scale for scale in scales if scale * sign > 0), key=abs)
        palette = colormaps[name](torch.linspace(0.4, 0.95, max(len(side), 1)).numpy())
        shades |= {scale: tuple(colour) for scale, colour in zip(side, palette, strict=False)}
    return shades


def _maps(
    figure: FigureBase,
    times: Sequence[float],
    grid: Float[Tensor, "inverse forward times"],
    scales: tuple[Sequence[float], Sequence[float]],
) -> None:
    inverse, forward = scales
    panels = figure.subplots(1, len(times), squeeze=False)[0]
    figure.subplots_adjust(
        left=0.075, right=0.98, bottom=0.45 / PANELS, top=1 - 0.3 / PANELS, wspace=0.14
    )
    for k, (axes, t) in enumerate(zip(panels, times, strict=True)):
        values = grid[:, :, k].double()
        # Logarithms, so that one diverging corner does not swallow the rest.
        picture = axes.imshow(values.clamp_min(1e-9).log().numpy(), cmap="viridis_r", aspect="auto")
        middle = sum(picture.get_clim()) / 2
        for i in range(len(inverse)):
            for j in range(len(forward)):
                dark = float(values[i, j].clamp_min(1e-9).log()) > middle
                text = {"color": "white" if dark else "black", "ha": "center", "va": "center"}
                axes.text(j, i, f"{float(values[i, j]):.2g}", fontsize=6.5, **text)
        axes.set_xticks(range(len(forward)), [f"{scale:g}" for scale in forward])
        labels = [f"{scale:g}" for scale in inverse] if k == 0 else [""] * len(inverse)
        axes.set_yticks(range(len(inverse)), labels)
        axes.tick_params(length=0)
        axes.set_xlabel(FORWARD, fontsize=8)
        axes.set_title(f"mean r at t = {t:.2g}", fontsize=8, loc="left")
        axes.spines[:].set_visible(False)
        quiet(axes)
    panels[0].set_ylabel(INVERSE, fontsize=8)
