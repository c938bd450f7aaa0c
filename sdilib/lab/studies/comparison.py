"""Runs in 3D side by side: made or found, looked at and measured, for a figure to draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.lab.evaluator import Evaluator
from sdilib.lab.runs import Finished, distilled
from sdilib.lab.studies.comparisons import plan
from sdilib.lab.studies.objects import Looked, looked_at, measures
from sdilib.stable_diffusion import StableDiffusion

__all__ = ["Compared", "compared"]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Runs of several methods, for each one a prompt and seed.

    Attributes:
        prompts: of each method's runs, in their order.
        runs: by method.
        looked: their 16 views, by method.
        numbers: by measure, then method, one a run: those of `objects.measures`, and "seconds" and "sample-forwards".
    """

    prompts: Sequence[str]
    runs: Mapping[str, Sequence[Finished]]
    looked: Mapping[str, Sequence[Looked]]
    numbers: Mapping[str, Mapping[str, Float[Tensor, " runs"]]]

    @property
    def seconds(self) -> float:
        """What all runs took when they were made."""
        return float(sum(each.sum() for each in self.numbers["seconds"].values()))

    @property
    def diverged(self) -> dict[str, list[str]]:
        """The reasons for which runs diverged, by method; "" for one that did not."""
        return {name: [run.diverged for run in each] for name, each in self.runs.items()}


def compared(
    variants: Mapping[str, Mapping[str, Any]],
    prompts: Sequence[str],
    settings: Mapping[str, Any],
    *,
    model: StableDiffusion,
    evaluator: Evaluator | None,
    seed: int = 0,
    num_seeds: int = 1,
    root: str | Path = "",
) -> Compared:
    """Make the runs of a figure, or find them, and measure them.

    Args:
        variants: what each method changes of the settings; see `studies.comparisons`.
        prompts: without view words.
        settings: those of SDI.
        model: frozen.
        evaluator: judges; None for a model of another world.
        seed: the first one.
        num_seeds: of each prompt, at least 1.
        root: folder of all runs; see `jobs.runs_folder`.

    Raises:
        ValueError: a setting that cannot be; before the first run.
        Interrupted: Ctrl-C; what is finished stays, the rest goes on by the same call.
    """
    planned = plan(prompts, variants, settings, seed=seed, num_seeds=num_seeds)
    each_prompt = [*prompts] * num_seeds
    runs: dict[str, list[Finished]] = {name: [] for name in planned}
    total = sum(map(len, planned.values()))
    with tqdm(total=total, desc="runs", unit="run") as bar:
        for name, configs in planned.items():
            for config in configs:
                runs[name].append(distilled(config, root=root, model=model, progress=False))
                bar.update()
    size = settings["size"]
    looked = {
        name: [looked_at(run.scene, size=size) for run in each] for name, each in runs.items()
    }
    numbers: dict[str, dict[str, Tensor]] = measures(looked, each_prompt, evaluator)
    for measure, of in (("seconds", "seconds"), ("sample-forwards", "num_forwards")):
        numbers[measure] = {
            name: torch.tensor([float(getattr(run, of)) for run in each], dtype=torch.float64)
            for name, each in runs.items()
        }
    return Compared(each_prompt, runs, looked, numbers)
