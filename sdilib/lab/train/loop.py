"""The training loop, which resumes to the same bits, because step i depends on (seed, i) alone.

Letters: i is the step, from 0; the learning rate is a function of i, the batch is drawn from the
stream (seed, i), and everything else (weights, their moving average, the optimiser) is in the
checkpoint, a single file that is replaced by renaming.
"""

import copy
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sdilib.checks import in_range, positive_int, reject
from sdilib.stable_diffusion.precision import usable_precision
from sdilib.storage import (
    load_optimizer_tensors,
    load_tensors,
    optimizer_tensors,
    read_json,
    save_tensors,
    under,
    write_json,
)

Model = TypeVar("Model", bound=nn.Module)

_log = logging.getLogger(__name__)

CHECKPOINT, SETTINGS = "checkpoint.safetensors", "config.json"

_CLIP = 1.0  # largest norm of the gradient

_MAY_CHANGE = {
    f"loop.{name}" for name in ("steps", "cooldown", "device", "save_seconds", "export_seconds")
}


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """What every training has in common.

    Args:
        steps: number of optimiser steps in all.
        learning_rate: the highest one, reached after the warm-up.
        warmup: steps in which it rises from 0.
        cooldown: share of the steps, the last ones, in which it falls to 0 in a straight line. Before them
            nothing depends on `steps`, so that a run can be prolonged from a checkpoint that lies there.
        weight_decay: of AdamW.
        average: decay of the weights' moving average, in [0, 1).
        device: where the model is; "" is CUDA where there is one, else the CPU.
        save_seconds: time between two checkpoints.
        export_seconds: time between two calls of `export`.

    Raises:
        ValueError: a number outside its range.
    """

    steps: int
    learning_rate: float
    warmup: int = 100
    cooldown: float = 0.3
    weight_decay: float = 0.01
    average: float = 0.999
    device: str = ""
    save_seconds: float = 60.0
    export_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what would only fail, or do nothing, hours later."""
        positive_int("steps", self.steps)
        in_range("learning_rate", self.learning_rate, 0, 1, open_low=True)
        positive_int("warmup", self.warmup, 0)
        in_range("cooldown", self.cooldown, 0, 1)
        in_range("weight_decay", self.weight_decay, 0, 1)
        if in_range("average", self.average, 0, 1) == 1:
            reject("average", self.average, "a number in [0, 1): at 1 the average never moves")


def check_channels(channels: Sequence[int], groups: int) -> None:
    """Refuse numbers of channels that the groups of the normalisations do not divide.

    Args:
        channels: of a network's levels.
        groups: of its normalisations.

    Raises:
        ValueError: no channels, or groups that do not divide them.
    """
    positive_int("groups", groups)
    if not channels or any(count < 1 or count % groups for count in channels):
        reject("channels", channels, f"positive multiples of groups={groups}")


def keep_settings(out: Path, config: Any, **trained_on: Any) -> None:
    """Write a training's settings into its folder, unless it has a checkpoint with other settings.

    Args:
        out: folder of the checkpoint.
        config: a dataclass with a `loop`, of which the length, the cool-down, the device and the times between writes may
            change from call to call.
        **trained_on: what else a training is of, such as the number of pictures; kept like the settings.

    Raises:
        ValueError: any other setting differs from the checkpoint's.
    """
    settings = json.loads(json.dumps(asdict(config) | trained_on))
    path = out / SETTINGS
    if path.is_file() and (out / CHECKPOINT).is_file():
        before, now = (_flat(values) for values in (read_json(path), settings))
        other = [name for name in now if now[name] != before.get(name) and name not in _MAY_CHANGE]
        if other:
            was = ", ".join(f"{name}={before.get(name)!r}" for name in other)
            reject("out", str(out), f"a folder without the checkpoint of another training ({was})")
    write_json(path, settings)


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    loop = {f"loop.{name}": value for name, value in settings["loop"].items()}
    return {name: value for name, value in settings.items() if name != "loop"} | loop


def learning_rate(config: LoopConfig, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, constant, linear down to 0.

    Source: warm-up, stable, decay: MiniCPM (2404.06395), section 4.
    """
    risen = (step + 1) / max(1, config.warmup)
    falling = max(1.0, config.cooldown * config.steps)
    return config.learning_rate * min(1.0, risen, (config.steps - step) / falling)


@contextmanager
def initialised(seed: int) -> Iterator[None]:
    """Seed the initialisation of modules, which draws from torch's global stream.

    Args:
        seed: of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        yield


def training_device(name: str = "") -> torch.device:
    """Return the device that a name stands for.

    Args:
        name: as torch names it; "" is CUDA where there is one, else the CPU.
    """
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def autocast(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 where the hardware supports it; elsewhere it would be slower, not faster.

    Args:
        device: of the model.
    """
    fast = usable_precision("bfloat16", device) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def train_loop(
    model: Model,
    loss: Callable[[int], dict[str, Tensor]],
    config: LoopConfig,
    *,
    out: Path,
    export: Callable[[Model], None] | None = None,
) -> Model:
    """Train until `config.steps`, from the checkpoint in `out` if there is one.

    Args:
        model: trained in place, where it is.
        loss: the step's loss under "loss", and further numbers to log; must depend on the step's
            number and the model only.
        config: see `LoopConfig`.
        out: folder of the checkpoint and of `log.jsonl`.
        export: called with the averaged weights now and then, and at the end.

    Returns:
        A model with the averaged weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = _State(model, config)
    first = state.load(out / CHECKPOINT)
    saved = time.monotonic()
    exported = saved - config.export_seconds + 120.0  # the first export comes after two minutes
    with (
        (out / "log.jsonl").open("a" if first else "w") as log,
        tqdm(total=config.steps, initial=first) as bar,
    ):
        for step in range(first, config.steps):
            numbers = state.advance(step, loss)
            bar.update()
            now = time.monotonic()
            if (step + 1) % 50 == 0 or step + 1 == config.steps:
                bar.set_postfix(loss=f"{numbers['loss']:.4f}")
                log.write(json.dumps({"step": step + 1, **numbers}) + "\n")
                log.flush()
            if now - saved > config.save_seconds:
                state.save(out / CHECKPOINT, step + 1)
                saved = now
            if export is not None and now - exported > config.export_seconds:
                export(state.averaged)
                exported = time.monotonic()
    state.save(out / CHECKPOINT, max(first, config.steps))
    if export is not None:
        export(state.averaged)
    return state.averaged


class _State(Generic[Model]):
    """Model, moving average and optimiser, saved to and loaded from one file."""

    def __init__(self, model: Model, config: LoopConfig):
        self.model, self.config = model, config
        self.averaged: Model = copy.deepcopy(model).requires_grad_(False).eval()
        self.optimiser = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )

    def advance(self, step, loss):
        """One optimiser step; returns the numbers to log."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, step)
        numbers = loss(step)
        numbers["loss"].backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        # Early on, the average must follow faster, or it would keep the random start for too long.
        decay = min(self.config.average, (1.0 + step) / (10.0 + step))
        pairs = zip(self.averaged.parameters(), self.model.parameters(), strict=True)
        with torch.no_grad():
            for mine, theirs in pairs:
                mine.lerp_(theirs, 1.0 - decay)
        return {**{key: value.item() for key, value in numbers.items()}, "norm": norm.item()}

    def save(self, path, step):
        """Write everything the next step depends on."""
        parts = {
            "model": self.model.state_dict(),
            "average": self.averaged.state_dict(),
            "optimiser": optimizer_tensors(self.optimiser),
        }
        # Tensors that share memory would be refused, so each is its own copy.
        tensors = {f"{part}.{k}": v.clone() for part, of in parts.items() for k, v in of.items()}
        save_tensors(path, tensors | {"step": torch.tensor(step)})

    def load(self, path):
        """Return the number of finished steps, 0 without a checkpoint."""
        if not path.exists():
            return 0
        tensors = load_tensors(path)
        self.model.load_state_dict(under(tensors, "model."))
        self.averaged.load_state_dict(under(tensors, "average."))
        load_optimizer_tensors(self.optimiser, under(tensors, "optimiser."))
        _log.info("resumed from %s at step %d", path, int(tensors["step"]))
        return int(tensors["step"])
