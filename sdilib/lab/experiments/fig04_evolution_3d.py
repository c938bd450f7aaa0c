"""Figure 4 in 3D: one view of each NeRF over its run by SDI, from a blur to detail and steadily to its end."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Claim, Less, Within, verdicts
from sdilib.lab.experiments.shared.drawing import Figure
from sdilib.lab.experiments.shared.objects import Comparison, turns
from sdilib.lab.metrics import high_frequency_energy

VARIANTS = {"SDI": {}}

DETAIL, LEFT, MOST = "fine detail", "distance to the end", "most fine detail"

CLAIMS = (
    Less("The render has less fine detail at first than at the end", DETAIL, "first", "end"),
    Less("Half-way it is nearer to its end than at first", LEFT, "half-way", "first"),
    Within(
        "It is never noisy: at most twice as fine in detail as at its end", MOST, "run", at_most=2.0
    ),
)

Films = Mapping[str, Float[Tensor, "times 3 height width"]]


def films(made: Comparison) -> tuple[list[float], Films]:
    """Return the times of a run's frames, and the frames by prompt, without runs that diverged.

    Args:
        made: runs of `VARIANTS`, of one seed.
    """
    runs = {prompt: run.frames for prompt, run in zip(made.prompts, made.runs["SDI"], strict=True)}
    times = list(max(runs.values(), key=len))
    whole = {prompt: frames for prompt, frames in runs.items() if len(frames) == len(times)}
    return times, {prompt: torch.stack(list(each.values())) for prompt, each in whole.items()}


def measures(shown: Films) -> dict[str, Float[Tensor, "runs times"]]:
    """Return fine detail over a run, and the root mean square distance to its end.

    Args:
        shown: from `films`.
    """
    left = [(each - each[-1:]).flatten(1).square().mean(1).sqrt() for each in shown.values()]
    detail = [high_frequency_energy(each) for each in shown.values()]
    return {DETAIL: torch.stack(detail), LEFT: torch.stack(left)}


def claims(
    numbers: Mapping[str, Float[Tensor, "runs times"]], prompts: Sequence[str]
) -> list[Claim]:
    """Check `CLAIMS`.

    Args:
        numbers: from `measures`.
        prompts: of the runs.
    """
    stages = {"first": 0, "half-way": numbers[DETAIL].shape[1] // 2, "end": -1}
    staged = {
        name: {stage: each[:, k] for stage, k in stages.items()} for name, each in numbers.items()
    }
    detail = numbers[DETAIL]
    staged[MOST] = {"run": detail.amax(1) / detail[:, -1]}
    return verdicts(CLAIMS, staged, groups=prompts)


def draw(times: Sequence[float], shown: Films) -> Figure:
    """Draw the first four runs over time.

    Args:
        times: of the frames.
        shown: from `films`.
    """
    return turns(dict(list(shown.items())[:4]), [f"t = {t:.2f}" for t in times])
