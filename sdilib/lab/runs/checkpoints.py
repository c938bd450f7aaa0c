"""Checkpoints of a run: everything that its next step depends on, in one file; the previous file is kept as well."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from sdilib.checks import reject
from sdilib.guidance import StatefulRule
from sdilib.storage import (
    atomic_write,
    load_optimizer_tensors,
    load_tensors,
    optimizer_tensors,
    save_tensors,
    under,
)
from sdilib.text_to_3d import Built3D
from sdilib.text_to_image import Built2D

CHECKPOINT, _BEFORE = "checkpoint.safetensors", "checkpoint.before.safetensors"

_log = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far a run is.

    Attributes:
        step: number of the next step.
        seconds: of work, over all sessions.
        num_forwards: UNet sample-forwards, over all sessions.
        skipped: `Step.skipped` of the step before; 0 in a checkpoint of an older version.
    """

    step: int
    seconds: float
    num_forwards: int
    skipped: int = 0


def save(built: Built3D | Built2D, folder: Path, progress: Progress) -> None:
    """Write a checkpoint; the one before it is kept.

    Args:
        built: the run, between two steps.
        folder: of the run.
        progress: so far.
    """
    tensors = {f"scene.{name}": value for name, value in built.scene.state_dict().items()}
    moments = optimizer_tensors(built.optimizer)
    tensors |= {f"optimizer.{name}": value for name, value in moments.items()}
    if isinstance(built.rule, StatefulRule):
        tensors |= {f"rule.{name}": value for name, value in built.rule.state_dict().items()}
    tensors["progress"] = torch.tensor(progress, dtype=torch.float64)
    path = folder / CHECKPOINT
    if path.exists():  # copied, not moved, so that it is still there after a kill in between
        atomic_write(folder / _BEFORE, path.read_bytes())
    save_tensors(path, {name: value.clone() for name, value in tensors.items()})


def restore(built: Built3D | Built2D, folder: Path) -> Progress | None:
    """Restore a run in place from its last intact checkpoint; None if there is none.

    Args:
        built: the run, at its beginning.
        folder: of the run.

    Raises:
        ValueError: a checkpoint of other settings.
    """
    paths = [folder / name for name in (CHECKPOINT, _BEFORE) if (folder / name).exists()]
    for path in paths:
        try:
            tensors = load_tensors(path)
        except OSError as error:
            then = "starting again" if path is paths[-1] else "going on from the one before it"
            _log.warning("a checkpoint cannot be read: %s; %s", error, then)
            path.unlink()  # or the next `save` would keep it as the one before
            continue
        if not _fits(built, tensors):
            expected = "one of these settings; without the file the run starts again"
            reject("checkpoint", str(path), expected)
        built.scene.load_state_dict(under(tensors, "scene."))
        load_optimizer_tensors(built.optimizer, under(tensors, "optimizer."))
        if isinstance(built.rule, StatefulRule):
            built.rule.load_state_dict(under(tensors, "rule."))
        step, seconds, *counts = tensors["progress"].tolist()
        _log.info("going on with %s at step %d", folder.name, int(step))
        return Progress(int(step), seconds, *map(int, counts))
    return None


def remove(folder: Path) -> None:
    """Remove what a finished run no longer needs.

    Args:
        folder: of the run.
    """
    for name in (CHECKPOINT, _BEFORE):
        (folder / name).unlink(missing_ok=True)


def _fits(built: Built3D | Built2D, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether a checkpoint has the names and shapes of the run's state; checked before loading."""
    state, saved = built.scene.state_dict(), under(tensors, "scene.")
    moments = under(tensors, "optimizer.")
    parameters = [p for group in built.optimizer.param_groups for p in group["params"]]
    return (
        {name: value.shape for name, value in state.items()}
        == {name: value.shape for name, value in saved.items()}
        and "progress" in tensors
        # There are none while all steps so far were skipped.
        and (not moments or isinstance(built.optimizer, torch.optim.Adam))
        and all(
            not value.ndim or value.shape == parameters[int(key.split(".")[0])].shape
            for key, value in moments.items()
        )
    )
