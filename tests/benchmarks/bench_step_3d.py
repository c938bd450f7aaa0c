"""Where the seconds of one 3D step go: UNet, VAE, rendering, backward pass, optimiser.

Run by `make bench`; prints the mean step of a short run at the preset laptop, over its whole range
of t, after a warm-up of one step; no judgement.
"""

import argparse
import sys
import time

import torch
from bench_step import timed

import sdilib.distillation as loop
from sdilib.lab.presets import resolve
from sdilib.lab.prompts import example_prompts
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_3d import Built3D, Text3D


def watched(built: Built3D) -> dict[str, list[float]]:
    """Let each part of a step note its seconds."""
    spent: dict[str, list[float]] = {}

    def watch(name: str, owner: object, *calls: str) -> None:
        seconds = spent.setdefault(name, [])
        for call in calls:
            setattr(owner, call, timed(getattr(owner, call), seconds))

    watch("UNet", built.model._unet, "forward")
    watch("VAE", built.model, "encode", "decode")
    watch("rendering", built.scene, "render_all")
    watch("occupancy", built.scene, "look")
    watch("backward, penalties", loop, "_push")
    watch("optimiser", built.optimizer, "step")
    return spent


def main() -> None:
    """Print one line per part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--batch", type=int, default=4, help="views per step")
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    settings = resolve("run3d", "laptop", model=options.model, steps=options.steps)
    del settings["preset"]
    settings["cameras"] = options.batch
    model = StableDiffusion.from_pretrained(options.model)
    config = Text3D.of(prompt=example_prompts(model.draws_world)[0], **settings)
    next(config.build(model).steps())
    built = config.build(model)
    spent, forwards = watched(built), model.num_forwards
    began = time.perf_counter()
    for _ in built.steps():
        pass
    whole = (time.perf_counter() - began) / options.steps
    parts = {name: sum(seconds) / options.steps for name, seconds in spent.items()}
    parts["rest"] = whole - sum(parts.values())
    forwards = (model.num_forwards - forwards) / options.steps
    sys.stdout.write(
        f"3D step, {options.model}, {options.batch} views of {config.size} x {config.size}, "
        f"{config.updates} updates, {torch.get_num_threads()} threads: {whole:.2f} s, "
        f"{forwards:.0f} sample-forwards\n"
    )
    for name, seconds in parts.items():
        sys.stdout.write(f"{name:20}{seconds:7.3f} s{seconds / whole:6.0%}\n")


if __name__ == "__main__":
    main()
