"""Section 4's argument in the plane."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from sdilib.lab.experiments.shared.drawing import COLOURS, WIDTH, Figure, quiet
from sdilib.lab.studies.toy import ToyPaths

__all__ = ["toy_argument"]


def _plane(axes: Axes, truth: Float[Tensor, "points 2"], title: str) -> None:
    axes.scatter(*truth.T.tolist(), s=5, color="#c9c9c9", linewidths=0, zorder=0)
    axes.set_title(title, fontsize=8, loc="left")
    axes.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def toy_argument(
    paths: ToyPaths,
    late: ToyPaths,
    practised: Float[Tensor, "points 2"],
    times: Float[Tensor, " steps"],
    errors: Mapping[str, Float[Tensor, "steps points"]],
    *,
    num_drawn: int = 6,
) -> Figure:
    """Draw section 4's argument in the plane: paths, ends, and the error of a single update.

    Args:
        paths: all methods from t = 1.
        late: the same from a later time.
        practised: where SDS with random t ends.
        times: of `errors`.
        errors: distance of each rule's update from DDIM's.
        num_drawn: how many paths are drawn as lines.
    """
    figure = Figure(figsize=(WIDTH, 4.9), layout="constrained")
    grid = figure.subplots(2, 3)
    panels = [
        (
            grid[0, 0],
            paths,
            ("DDIM", "SDI, cached κ"),
            num_drawn,
            "a  DDIM's x₀(t), and SDI's on top of it",
        ),
        (grid[0, 1], paths, ("DDIM", "SDS, random κ"), 2, "b  SDS: the same step, random κ"),
        (
            grid[0, 2],
            late,
            ("DDIM", "SDI, inversion"),
            num_drawn,
            f"c  SDI by inversion from t = {float(late.times[0]):.2g}",
        ),
    ]
    for axes, drawn, names, count, title in panels:
        _plane(axes, drawn.truth, title)
        for name in names:
            dashed = (0, (2, 2)) if name == "SDI, cached κ" else "-"
            x0 = drawn.x0[name][:, :count]
            for point in range(x0.shape[1]):
                label = name if point == 0 else None
                axes.plot(
                    *x0[:, point].T.tolist(),
                    color=COLOURS[name],
                    linestyle=dashed,
                    linewidth=1.1,
                    label=label,
                )
                axes.plot(*x0[-1, point].tolist(), "o", color=COLOURS[name], markersize=3)
        axes.legend(
            fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, -0.1), ncols=2
        )
    _plane(grid[1, 0], paths.truth, "d  ends of DDIM")
    grid[1, 0].scatter(*paths.x0["DDIM"][-1].T.tolist(), s=6, color=COLOURS["DDIM"])
    _plane(grid[1, 1], paths.truth, "e  ends of SDS: random t, Adam")
    grid[1, 1].scatter(*practised.T.tolist(), s=6, color=COLOURS["SDS"])
    axes = grid[1, 2]
    for name, values in errors.items():
        axes.plot(
            times.tolist(), values.mean(1).tolist(), color=COLOURS[name], label=name, linewidth=1.4
        )
        low, high = torch.quantile(values, torch.tensor([0.25, 0.75], dtype=values.dtype), dim=1)
        axes.fill_between(
            times.tolist(),
            low.tolist(),
            high.tolist(),
            color=COLOURS[name],
            alpha=0.15,
            linewidth=0,
        )
    axes.set_title("f  one update's distance to DDIM's", fontsize=8, loc="left")
    axes.set_xlabel("t  (a run goes from right to left)", fontsize=8)
    axes.legend(fontsize=7, frameon=False)
    quiet(axes)
    return figure
