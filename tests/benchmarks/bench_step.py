"""How much of a distillation step is the UNet: the floor that everything else is measured against.

Then, what a sample costs the UNet by precision and batch. Run by `make bench`; prints milliseconds and shares of one
process, no judgement.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from sdilib.distillation import distill
from sdilib.guidance import ISM, SDI, SDS
from sdilib.inversion import FixedPoint
from sdilib.lab.prompts import example_prompts
from sdilib.scenes import ImageScene
from sdilib.stable_diffusion import StableDiffusion

RULES = {
    "SDS": SDS,
    "SDI, inversion": SDI,
    "SDI, fixed point": lambda model: SDI(model, kappa=FixedPoint()),
    "ISM": ISM,
}
PRECISIONS, BATCHES = ("float32", "bfloat16"), (2, 8, 16)


def timed(call: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Return `call`, adding the seconds of each use to `spent`."""

    def timing(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - began)

    return timing


def main() -> None:
    """Time ten steps of each rule, after a warm-up of two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    model = StableDiffusion.from_pretrained(options.model)
    prompt = model.embed([example_prompts(model.draws_world)[0]] * options.batch)
    spent: list[float] = []
    model._unet.forward = timed(model._unet.forward, spent)
    sys.stdout.write(
        f"{options.model}, batch {options.batch}, {torch.get_num_threads()} threads\n"
        f"{'rule':18}{'step ms':>9}{'UNet ms':>9}{'share':>7}{'sample-forwards':>17}\n"
    )
    for name, rule in RULES.items():
        scene = ImageScene(torch.zeros(options.batch, *model.latent_shape))
        run = distill(scene, rule(model), prompt=prompt, num_steps=12)
        forwards = 0
        for step in run:
            if step.step == 1:
                spent.clear()
                began = time.perf_counter()
            elif step.step > 1:
                forwards += step.update.num_forwards
        whole = time.perf_counter() - began
        sys.stdout.write(
            f"{name:18}{100 * whole:9.1f}{100 * sum(spent):9.1f}{sum(spent) / whole:7.0%}"
            f"{forwards / 10 / options.batch:17.1f}\n"
        )
    by_precision(options.model)


def by_precision(name: str) -> None:
    """Print the time of a sample-forward for each precision and batch, in units of that of float32 at batch 8."""
    spent: dict[tuple[str, int], float] = {}
    for precision in PRECISIONS:
        model = StableDiffusion.from_pretrained(name, dtype=getattr(torch, precision))
        condition = model.embed([example_prompts(model.draws_world)[0]]).conditional
        for batch in BATCHES:
            x_t, conditions = (
                torch.zeros(batch, *model.latent_shape),
                [condition.repeat(batch, 1, 1)],
            )
            seconds: list[float] = []
            with torch.no_grad():
                for _ in range(6):
                    timed(model.branches, seconds)(x_t, 0.5, conditions)
            spent[precision, batch] = min(seconds[1:]) / batch
    unit = spent["float32", 8]
    sys.stdout.write(f"\n{'batch':18}" + "".join(f"{batch:9}" for batch in BATCHES) + "\n")
    for precision in PRECISIONS:
        row = "".join(f"{spent[precision, batch] / unit:9.2f}" for batch in BATCHES)
        sys.stdout.write(f"{precision:18}{row}\n")


if __name__ == "__main__":
    main()
