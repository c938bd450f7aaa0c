"""Figure 10: which gamma to invert with, and which to step with."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.figure import FigureBase
from torch import Tensor

from sdilib.inversion import DDIMInversion, full_kappa, invert
from sdilib.lab.claims import Less, Within
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.experiments.shared import path as along
from sdilib.lab.experiments.shared.scales import STRATEGIES, strategies
from sdilib.lab.metrics import saturation
from sdilib.text_to_image import RuleFrom

BOTH, NONE, HALF, NEGATIVE = STRATEGIES
PAIRS = ((HALF, NEGATIVE), (HALF, NONE), (NEGATIVE, NONE))
"""Strategies that the paper finds on par."""

MEAN, RATIO, OVER_T = "geometric mean of r(t)", "ratio of residuals", "geometric mean over t"

CLAIMS = (
    *(
        Less(
            f"(γ_inv, γ_fwd) = {low} has a lower residual than {high}", MEAN, low, high, note=OVER_T
        )
        for low, high in ((NEGATIVE, HALF), (NEGATIVE, BOTH), (HALF, BOTH), (NONE, BOTH))
    ),
    *(
        Within(
            f"{one} and {other} perform on par: residuals within 20 % of each other",
            RATIO,
            f"{other} / {one}",
            1 / 1.2,
            1.2,
            note="the paper names no margin",
        )
        for one, other in PAIRS
    ),
)

SATURATION, EXCESS = "saturation", "saturation, of DDIM's"

OF_IMAGES = (
    *(
        Less(
            f"(γ_inv, γ_fwd) = {NEGATIVE} saturates images less than {other}",
            SATURATION,
            NEGATIVE,
            other,
        )
        for other in (HALF, BOTH)
    ),
    Within(
        f"(γ_inv, γ_fwd) = {NEGATIVE} saturates images as DDIM does, to 20 %",
        EXCESS,
        NEGATIVE,
        1 / 1.2,
        1.2,
        note="the paper names no margin",
    ),
)
"""Claims about the images, checked on what `seen` returns."""

STEPS = 10
"""n of the inversion of clean images."""

ByStrategy = Mapping[str, Float[Tensor, "items times"]]
ByScale = dict[float, Float[Tensor, "items steps"]]


def rules(guidance_scale: float) -> dict[str, RuleFrom]:
    """Return SDI at each of `STRATEGIES`.

    Args:
        guidance_scale: gamma that the model is sampled with.
    """
    return {
        name: along.sdi_with(partial(DDIMInversion, guidance_scale=inverse), forward)
        for name, (inverse, forward) in strategies(guidance_scale).items()
    }


def measures(path: along.Path) -> dict[str, dict[str, Any]]:
    """Return the residual along a path for each of `STRATEGIES`, and what `CLAIMS` compares.

    Strategies that share gamma_inv share the inversion.

    Args:
        path: at the gamma that the model is sampled with.
    """
    pairs = strategies(path.denoise.guidance_scale)
    kappas = {inverse: _inverted(path, inverse) for inverse, _ in pairs.values()}
    return summary(
        {
            name: along.residuals(path, kappas[inverse], guidance_scale=forward)
            for name, (inverse, forward) in pairs.items()
        }
    )


def summary(r: ByStrategy) -> dict[str, dict[str, Any]]:
    """Return the residuals, and what `CLAIMS` compares.

    Args:
        r: residuals by strategy.
    """
    mean = {name: along.mean_over_t(each) for name, each in r.items()}
    ratios = {f"{other} / {one}": mean[other] / mean[one] for one, other in PAIRS}
    return {"r": dict(r), MEAN: mean, RATIO: ratios}


def seen(rows: Mapping[str, Float[Tensor, "items 3 height width"]]) -> dict[str, dict[str, Any]]:
    """Return what `OF_IMAGES` compares.

    Args:
        rows: images in [0, 1], of "DDIM" and of each strategy.
    """
    measured = {name: saturation(images) for name, images in rows.items()}
    excess = {NEGATIVE: measured[NEGATIVE] / measured["DDIM"]}
    return {SATURATION: measured, EXCESS: excess}


def maps(
    path: along.Path, inverse_scales: Sequence[float], forward_scales: Sequence[float]
) -> Float[Tensor, "inverse forward times"]:
    """Return the mean residual over items, by gamma_inv, gamma_fwd and time.

    Args:
        path: at the times of the maps.
        inverse_scales: values of gamma_inv, as multiples of the path's gamma; each costs an inversion.
        forward_scales: values of gamma_fwd, likewise; each costs a call of the denoiser per inversion.
    """
    gamma = path.denoise.guidance_scale
    kappas = [_inverted(path, inverse * gamma) for inverse in inverse_scales]
    asked = [
        along.residuals(path, kappa, guidance_scale=forward * gamma).mean(0)
        for kappa in kappas
        for forward in forward_scales
    ]
    return torch.stack(asked).unflatten(0, (len(kappas), -1))


def _inverted(path: along.Path, gamma: float) -> Tensor:
    make = partial(DDIMInversion, guidance_scale=gamma)
    return along.noises(path, make, name=f"inversion at {gamma:g}")


def clean_deviations(path: along.Path, inverse_scales: Sequence[float]) -> ByScale:
    """Return the root mean square of kappa on clean images, at t = 1/n, 2/n … 1, by gamma_inv.

    One inversion up to t = 1 passes through all of these times: `DDIMInversion` at t = k/n takes the same first k steps.
    Costs n calls of the denoiser per item and scale.

    Args:
        path: whose samples are inverted.
        inverse_scales: values of gamma_inv, as multiples of the path's gamma.
    """

    def rows(items: Tensor, gamma: float) -> Iterator[tuple[Tensor]]:
        denoise = replace(path.denoise, guidance_scale=gamma).select(items)
        x0 = path.samples[items].to(denoise.prompt.conditional.device)
        for step in invert(x0, denoise, t=1.0, num_inversion_steps=STEPS):
            yield (full_kappa(x0, step.x_next, t=step.t_next, denoise=denoise),)

    found = {}
    for scale in inverse_scales:
        ask = partial(rows, gamma=scale * path.denoise.guidance_scale)
        (kappa,) = along.batched(len(path.seeds), ask, total=STEPS, name="clean")
        found[scale] = along.root_mean_square(kappa)
    return found


def draw(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]],
    columns: Sequence[str],
    *,
    times: Sequence[float],
    r: ByStrategy,
    deviations: ByScale,
    grid_times: Sequence[float],
    grid: Float[Tensor, "inverse forward times"],
    scales: tuple[Sequence[float], Sequence[float]],
) -> drawing.Figure:
    """Draw images and residual by strategy, deviation of kappa, and maps over gamma.

    Args:
        rows: one image per prompt, by strategy (gamma_inv, gamma_fwd); the first eight are drawn.
        columns: the prompts.
        times: falling, of the residuals.
        r: residuals by strategy.
        deviations: from `clean_deviations`.
        grid_times: of the maps.
        grid: from `maps`.
        scales: the maps' values of gamma_inv and gamma_fwd.
    """
    heights = drawing.PANELS, drawing.PANELS
    figure, (upper, lower) = drawing.images_above(rows, columns, *heights)
    over_t, spread = drawing.panels(upper, 2, drawing.PANELS)
    drawing.draw_curves(over_t, times, r, "residual r(t) of eq. 8")
    head = {"title": f"({drawing.INVERSE}, {drawing.FORWARD})", "title_fontsize": 6.5}
    over_t.legend(**head, **drawing.SMALL)
    colours = _shades(deviations)
    for scale, each in deviations.items():
        t = torch.linspace(0, 1, each.shape[1] + 1)[1:]
        spread.plot(t, each.mean(0), color=colours[scale], linewidth=1.2, label=f"{scale:g}")
    spread.axhline(1, color="#999999", linewidth=0.8, linestyle="--", zorder=0)
    spread.set_xlim(1, 0)
    drawing.legend(spread, columns=5)
    drawing.finish(spread, f"deviation of κ on clean images, by {drawing.INVERSE} / γ", "t")
    _draw_maps(lower, grid_times, grid, scales)
    return figure


def _shades(scales: Iterable[float]) -> dict[float, tuple[float, ...]]:
    """Reds for inversions that follow the prompt, greens for those that oppose it, black for 0."""
    shades: dict[float, tuple[float, ...]] = {0.0: (0.0, 0.0, 0.0)}
    for sign, name in ((-1, "Greens"), (1, "Reds")):
        side = sorted((scale for scale in scales if scale * sign > 0), key=abs)
        palette = colormaps[name](torch.linspace(0.4, 0.95, max(len(side), 1)).numpy())
        shades |= {scale: tuple(colour) for scale, colour in zip(side, palette, strict=False)}
    return shades


def _draw_maps(
    figure: FigureBase,
    times: Sequence[float],
    grid: Float[Tensor, "inverse forward times"],
    scales: tuple[Sequence[float], Sequence[float]],
) -> None:
    inverse, forward = ([f"{scale:g}" for scale in side] for side in scales)
    line = drawing.panels(figure, len(times), drawing.PANELS, between=0.14)
    for axes, t, values in zip(line, times, grid.double().unbind(2), strict=True):
        # Logarithms, so that one diverging corner does not hide the rest.
        shown = values.clamp_min(1e-9).log()
        drawn = axes.imshow(shown.numpy(), cmap="viridis_r", aspect="auto")
        middle = sum(drawn.get_clim()) / 2
        for i, j in torch.cartesian_prod(*map(torch.arange, values.shape)).tolist():
            colour = "white" if float(shown[i, j]) > middle else "black"
            style = {"color": colour, "ha": "center", "va": "center", "fontsize": 6.5}
            axes.text(j, i, f"{float(values[i, j]):.2g}", **style)
        axes.set_xticks(range(len(forward)), forward)
        axes.set_yticks(range(len(inverse)), inverse if axes is line[0] else [""] * len(inverse))
        axes.spines[:].set_visible(False)
        drawing.finish(axes, f"mean r at t = {t:.2g}", f"{drawing.FORWARD} / γ")
        axes.tick_params(length=0)
    line[0].set_ylabel(f"{drawing.INVERSE} / γ", fontsize=8)
