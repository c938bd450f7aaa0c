"""Figure 17: the noise patterns of each kappa, and the one-step denoised images they give."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.lab.experiments.shared.drawing import WIDTH, Figure

__all__ = ["as_colours", "patterns"]

LEFT, TOP, GAP = 0.55, 0.42, 0.07
"""Room at the left and above, and between one time and the next, in inches."""


def as_colours(
    kappa: Float[Tensor, "items channels height width"],
) -> Float[Tensor, "items 3 height width"]:
    """Return the first three channels as red, green and blue, each item standardised, on CPU.

    Grey is the mean of all three, black and white lie three standard deviations from it.

    Args:
        kappa: of at least three channels.
    """
    shown = kappa[:, :3].float().cpu()
    flat = shown.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    size = centred.square().mean(1, keepdim=True).sqrt().clamp_min(1e-12)
    return (0.5 + (centred / size / 6)).clamp(0, 1).reshape(shown.shape)


def patterns(
    kappas: Mapping[str, Float[Tensor, "times channels h w"]],
    denoised: Mapping[str, Float[Tensor, "times 3 height width"]],
    times: Sequence[float],
    deviations: Mapping[str, Float[Tensor, " times"]],
) -> Figure:
    """Draw figure 17: a column a choice, and two rows a time.

    Args:
        kappas: noises by choice.
        denoised: one-step denoised images in [0, 1], drawn below their noise.
        times: falling.
        deviations: root mean square of each noise, written in its corner.
    """
    side = (WIDTH - LEFT) / len(kappas)
    height = TOP + len(times) * (2 * side + GAP)
    figure = Figure(figsize=(WIDTH, height))

    def place(image: Tensor, column: int, top: float) -> None:
        box = (
            (LEFT + column * side) / WIDTH,
            1 - (top + side) / height,
            0.97 * side / WIDTH,
            0.97 * side / height,
        )
        axes = figure.add_axes(box)
        axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
        axes.axis("off")

    for column, (name, noise) in enumerate(kappas.items()):
        coloured = functional.interpolate(as_colours(noise), scale_factor=4, mode="nearest")
        x = LEFT + (column + 0.485) * side
        figure.text(
            x / WIDTH,
            1 - (TOP - 0.05) / height,
            name.replace(", ", "\n"),
            ha="center",
            va="bottom",
            fontsize=7,
        )
        for k in range(len(times)):
            top = TOP + k * (2 * side + GAP)
            place(coloured[k], column, top)
            place(denoised[name][k], column, top + side)
            figure.text(
                (LEFT + column * side + 0.04) / WIDTH,
                1 - (top + 0.04) / height,
                f"{float(deviations[name][k]):.2f}",
                fontsize=6.5,
                va="top",
                bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
            )
    for k, t in enumerate(times):
        top = TOP + k * (2 * side + GAP)
        middles = ((0.5, f"t = {t:.2g}\nκ"), (1.5, "denoised"))
        for shift, label in middles:
            y = 1 - (top + shift * side) / height
            figure.text((LEFT - 0.06) / WIDTH, y, label, ha="right", va="center", fontsize=7)
    return figure
