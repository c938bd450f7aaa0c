"""Guidance scales: pairs (gamma_inv, gamma_fwd), the same noise sampled at several, and plots over gamma."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import finish
from sdilib.lab.images import Generated, ddim_images
from sdilib.stable_diffusion import StableDiffusion

STRATEGIES = {"(γ, γ)": (1, 1), "(0, 0)": (0, 0), "(0, γ)": (0, 1), "(-γ, γ)": (-1, 1)}
"""The pairs (gamma_inv, gamma_fwd) of figures 10 and 18, as multiples of the gamma that the model is sampled with."""


def strategies(guidance_scale: float) -> dict[str, tuple[float, float]]:
    """Return (gamma_inv, gamma_fwd) of each of `STRATEGIES`.

    Args:
        guidance_scale: gamma that the model is sampled with.
    """
    return {
        name: (inverse * guidance_scale, forward * guidance_scale)
        for name, (inverse, forward) in STRATEGIES.items()
    }


def sweep(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    scales: Sequence[float],
    num_steps: int,
) -> dict[str, Generated]:
    """Sample by DDIM at several guidance scales, from the same noise.

    Args:
        model: frozen.
        prompts: one per image.
        seeds: one per image.
        scales: gammas; 1 needs only the conditional prediction and costs half as much.
        num_steps: of DDIM.

    Returns:
        The samples by gamma ("7.5").
    """
    return {
        f"{scale:g}": ddim_images(model, prompts, seeds, num_steps=num_steps, guidance_scale=scale)
        for scale in scales
    }


def draw_against(
    axes: Axes, scales: Sequence[float], of: Mapping[str, Float[Tensor, " _"]], title: str
) -> None:
    """Draw a tick per item and the line of means against gamma.

    Args:
        axes: changed in place.
        scales: the gammas.
        of: numbers by gamma ("7.5").
        title: what the numbers are.
    """
    each = [of[f"{scale:g}"] for scale in scales]
    for scale, items in zip(scales, each, strict=True):
        axes.plot([scale] * len(items), items, "_", color="#999999", alpha=0.6, markersize=5)
    means = [float(items.mean()) for items in each]
    axes.plot(scales, means, "o-", color="#1b1b1b", markersize=4, linewidth=1)
    over_gamma(axes, scales, title)


def over_gamma(axes: Axes, scales: Sequence[float], title: str) -> None:
    """Give a panel its title and a logarithmic axis of gamma, with a tick per value.

    Args:
        axes: changed in place.
        scales: the gammas.
        title: of the panel.
    """
    axes.set_xscale("log")
    axes.set_xticks(scales, [f"{scale:g}" for scale in scales], minor=False)
    axes.minorticks_off()
    finish(axes, title, "γ", fontsize=7.5, labelpad=1)
