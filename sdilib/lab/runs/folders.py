"""Folders of runs and their settings: one folder per run, named after everything that determines the run.

During a run, its folder holds its settings, `log.jsonl`, `preview.png` and checkpoints; the scene and `done.json` are
written last.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sdilib.checks import reject
from sdilib.guidance.named import RULES, rule_version
from sdilib.lab.provenance import repository
from sdilib.storage import hash_json, read_json, slug
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

SCENES: Mapping[str, type[Text3D] | type[Text2D]] = {"nerf": Text3D, "image": Text2D}
"""Kinds of runs, by the name of their scene in the settings."""

CONFIG, LOG, LOCK = "config.json", "log.jsonl", ".lock"
SCENE, DONE = "scene.safetensors", "done.json"
"""Files of a run's folder."""

NUMERICS = 2
"""Raised by hand when the same settings give different numbers, so that old runs are not taken for new ones."""

_UNSTATED = 2  # what it was when runs did not yet say it

_LATER: Mapping[str, Any] = {"emptiness": 0.0, "background_saturation": 1.0}
"""Settings that came later, and the value that runs without them had: there it does not count, and they keep their names."""

_ABOUT = ("scene", "model_hash", "numerics")  # in a run's configuration, beside its settings

_OF_A_RUN = {"prompt", "rule", "steps", "model_hash"}  # settings that every version has


def settings_of(config: Text3D | Text2D) -> dict[str, Any]:
    """Return all settings of a run and the name of its scene, ready for JSON.

    Args:
        config: of the run.
    """
    scene = next(name for name, kind in SCENES.items() if isinstance(config, kind))
    return {"scene": scene} | config.settings()


def config_of(settings: Mapping[str, Any]) -> Text3D | Text2D:
    """Return the run with the given settings; the inverse of `settings_of`, also for a run's `config.json`.

    Args:
        settings: all of them, with or without what else a run's configuration holds.

    Raises:
        ValueError: settings of another version, or a missing rule.
    """
    kind = _kind(settings)
    if kind is None:
        reject("settings", ", ".join(settings), "those of this version")
    return kind.of(**{k: v for k, v in settings.items() if k not in _ABOUT})


def _kind(settings: Mapping[str, Any]) -> type[Text3D] | type[Text2D] | None:
    """The kind of run that the settings are for; None if one is missing."""
    kind = SCENES.get(settings.get("scene", ""))
    needed = {each.name for each in fields(kind)} - {"rule_settings", *_LATER} if kind else set()
    return kind if needed <= settings.keys() else None


def address(config: Text3D | Text2D, model: str) -> str:
    """Return the name of a run's folder.

    Args:
        config: all its settings count, and the code of a user's own rule.
        model: `StableDiffusion.identity` of the model.
    """
    given = {k: v for k, v in settings_of(config).items() if k not in _LATER or v != _LATER[k]}
    known = given | {"model": model, "numerics": NUMERICS}
    if version := rule_version(config.rule):
        known["rule_version"] = version
    return name_of(config, known)


def name_of(config: Text3D | Text2D, known: Mapping[str, Any]) -> str:
    """Return a run's name: its rule, prompt and seed, and a hash.

    Args:
        config: of the run.
        known: what the hash is of.
    """
    rule = slug(config.rule.rpartition("/")[2], 40)
    return f"{rule}-{slug(config.prompt, 40)}-{config.seed}-{hash_json(known)}"


def runs_folder(root: str | Path = "") -> Path:
    """Return the folder of all runs.

    Args:
        root: returned if given. Otherwise, the folder is `runs` in the repository that holds the working directory, or
            in the working directory itself.
    """
    return Path(root) if str(root) else repository() / "runs"


def known_runs(root: str | Path = "runs") -> list[dict[str, Any]]:
    """Return what is known of each run below a folder.

    Args:
        root: folder of all runs. Folders with another kind of configuration, such as a training's, are skipped.

    Returns:
        For each: `name`, `config` (its settings), `state` (unfinished, diverged or done), `older` (whether this version
        cannot read its settings), `steps` taken and `bytes`. No code of a user's own rule is run.
    """
    found = []
    for path in sorted(Path(root).glob(f"[!.]*/{CONFIG}")):  # not one that is being copied
        with suppress(FileNotFoundError):  # one that is being removed
            config = read_json(path)
            if isinstance(config, dict) and config.keys() >= _OF_A_RUN:
                found.append(_known(path.parent, config))
    return found


def _known(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    done = read_json(folder / DONE) if (folder / DONE).exists() else None
    log = read_log(folder / LOG)
    return {
        "name": folder.name,
        "config": config,
        "state": "unfinished" if not done else "diverged" if done["diverged"] else "done",
        "older": _is_older(config),
        "steps": log[-1]["step"] + 1 if log else 0,
        "bytes": sum(map(_size, folder.rglob("*"))),
    }


def _is_older(settings: Mapping[str, Any]) -> bool:
    if settings.get("numerics", _UNSTATED) != NUMERICS:
        return True
    if _kind(settings) is None or settings["rule"] not in RULES:
        return _kind(settings) is None
    try:
        config_of(settings)
    except ValueError:
        return True
    return False


def _size(path: Path) -> int:
    """Bytes of a file; 0 for a folder, and for a file that a run in progress has renamed meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a log; a killed process may leave an incomplete one.

    Args:
        path: of the log; need not exist.
    """
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def remove(names: Sequence[str], root: str | Path = "runs") -> None:
    """Remove runs; one in progress is left alone.

    Args:
        names: of their folders.
        root: folder of all runs.

    Raises:
        ValueError: an unknown name, or a run that another process is working on.
    """
    known = [run["name"] for run in known_runs(root)]
    for name in names:
        if name not in known:
            reject("run", name, f"one of the runs in {root}", known=known)
    for name in names:
        folder = Path(root) / name
        try:
            with FileLock(folder / LOCK).acquire(blocking=False):
                shutil.rmtree(folder)
        except Timeout:
            reject("run", name, "a run that no process is working on")
