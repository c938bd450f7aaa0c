"""Sweeps: a table of runs, made by processes on one machine or on many.

Runs on disk, named after their settings, are the only truth: dask.distributed hands them out and holds no state, so a
sweep that was stopped, or given twice, makes nothing again. One process makes one run at a time, on so many threads, so
that their number changes no bit; on a machine with GPUs each has one, chosen before torch is imported.
"""

import csv
import json
import os
import platform
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from sdilib import __version__
from sdilib.checks import like, one_of, positive_int, reject
from sdilib.lab.presets import fitting, resolve
from sdilib.lab.runs.folders import (
    DONE,
    NUMERICS,
    SCENES,
    address,
    config_of,
    name_of,
    runs_folder,
    settings_of,
)
from sdilib.lab.runs.making import distilled
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.folders import check_folder, words_of
from sdilib.stable_diffusion.names import BUNDLED, RANDOM, check_name, model_folder
from sdilib.stable_diffusion.precision import AUTO
from sdilib.stable_diffusion.text import check_words
from sdilib.storage import hash_json, read_json
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D
from sdilib.threads import set_threads

_DEATHS = 3  # of workers, after which their run is to blame

Config = Text2D | Text3D


class Outcome(NamedTuple):
    """What became of a run.

    Attributes:
        name: of its folder; of its rule, prompt and seed, if there is none.
        state: "done", "diverged", "failed" or "killed".
        reason: why it is not done, or "".
        seconds: that it took when it was made.
    """

    name: str
    state: str
    reason: str
    seconds: float


def runs_of(path: str | Path) -> list[Config]:
    """Return the runs of a table.

    TOML: settings that all runs have (`scene`, "image" or "nerf"; `preset`, of a 3D run; any of the scene's and the
    rule's); under `[each]` lists, of which every combination is a run; `[[runs]]`, of which each is combined with those.
    CSV: a run per line, a setting per column, an empty field for the default.

    Args:
        path: ends in .toml or .csv.

    Raises:
        ValueError: a file that cannot be read, an unknown setting, a value that cannot be, a run that is there twice.
    """
    path = Path(path)
    if path.suffix not in (".toml", ".csv") or not path.is_file():
        reject("file", str(path), "an existing .toml or .csv file")
    rows = _rows_of_toml(path) if path.suffix == ".toml" else _rows_of_csv(path)
    found: dict[str, Config] = {}
    for number, row in enumerate(rows, 1):
        config = _config(row)
        name = _name(config)
        if name in found:
            reject("file", str(path), f"different runs; run {number} is there already ({name})")
        found[name] = config
    if not found:
        reject("file", str(path), "at least one run")
    return list(found.values())


def sweep(
    configs: Sequence[Config],
    *,
    root: str | Path = "",
    workers: int = 1,
    threads: int = 1,
    scheduler: str = "",
) -> Iterator[Outcome]:
    """Make runs, or find them, and yield what became of each as it ends.

    Args:
        configs: of the runs; equal ones are one.
        root: folder of all runs, which every worker can write.
        workers: processes on this machine, 1 or more.
        threads: of each run, 1 or more.
        scheduler: address of a dask scheduler whose workers are used in place of processes here; empty is none.

    Raises:
        ValueError: no such model, a word that it does not know, more workers than GPUs, or a worker with another version
            of this library.
        OSError: no scheduler answers at that address.
        RuntimeError: the scheduler was lost on the way; what is finished stays.
    """
    positive_int("workers", workers)
    positive_int("threads", threads)
    _check_models(configs)
    where = str(runs_folder(root).resolve())
    every = {_name(config): settings_of(config) for config in configs}
    on_gpu = any(config.model not in (*BUNDLED, *RANDOM) for config in configs)
    with _client(workers, threads, scheduler, on_gpu) as client:
        yield from _outcomes(client, every, where, threads)


def _check_models(configs: Sequence[Config]) -> None:
    """Refuse, before there is a process, the models and words that each run would; no weights are loaded or fetched."""
    for model in dict.fromkeys(config.model for config in configs):
        check_name(model)
        if (folder := model_folder(model)) is not None:
            check_folder(model, folder)
        if words := words_of(model, folder):
            asked = [(each.prompt, each.negative_prompt) for each in configs if each.model == model]
            for text in {text for pair in asked for text in pair}:
                check_words(text, words)


def _outcomes(
    client: Any, every: Mapping[str, Mapping[str, Any]], root: str, threads: int
) -> Iterator[Outcome]:
    from distributed import CancelledError, KilledWorker, as_completed

    # As one graph: many that are submitted one by one keep a scheduler from its workers.
    common = {"root": root, "threads": threads, "version": _version()}
    # On a shared scheduler, another's runs of the same names lie elsewhere.
    keys = [f"{name}-{hash_json(common)[:8]}" for name in every]
    futures = client.map(_make, list(every.values()), key=keys, pure=False, **common)
    names = dict(zip(keys, every, strict=True))
    # With results: otherwise each is asked for by itself, one after the other.
    ended = as_completed(futures, with_results=True, raise_errors=False)
    for count, (future, found) in enumerate(ended):
        if isinstance(found, Outcome):
            yield found
            continue
        if isinstance(found, CancelledError):
            lost = f"the scheduler was lost after {count} of {len(every)} runs, which stay"
            raise RuntimeError(f"{lost}: the same command makes the others")
        _, error, _ = found
        if isinstance(error, KilledWorker):
            died = f"{error.allowed_failures + 1} workers died of it (out of memory?)"
            yield Outcome(names[future.key], "killed", died, 0.0)
        else:
            said = f"{type(error).__name__}: {error}"
            yield Outcome(names[future.key], "failed", said, 0.0)


def _make(settings: Mapping[str, Any], root: str, threads: int, version: str = "") -> Outcome:
    """A run, in a worker's process; that may have come when the others had been asked for their version."""
    if version not in ("", _version()):
        reject("worker", platform.node(), f"sdilib {version}, not {_version()}")
    set_threads(threads)
    config = config_of(settings)
    model = _model(config.model, getattr(config, "precision", AUTO))
    name = address(config.on(model.device), model.identity)
    done = Path(root) / name / DONE
    if not done.exists():  # one that is there is not even built, which takes a prediction
        quiet: Any = {"progress": False, "preview_seconds": 0.0}
        distilled(config, root=root, model=model, **quiet)
    said = read_json(done)
    state = "diverged" if said["diverged"] else "done"
    return Outcome(name, state, said["diverged"], said["seconds"])


@lru_cache(maxsize=1)
def _model(name: str, precision: str) -> StableDiffusion:
    return StableDiffusion.from_pretrained(name, dtype=precision)


def _version() -> str:
    return f"{__version__}, numerics {NUMERICS}"


@contextmanager
def _client(workers: int, threads: int, scheduler: str, on_gpu: bool) -> Iterator[Any]:
    import dask.config as dask_config

    # Read at the import of distributed. What ended a run is said by its outcome.
    dask_config.update_defaults({"distributed": {"logging": {"distributed": "critical"}}})
    from distributed import Client, Nanny, Scheduler, SpecCluster

    if scheduler:
        with Client(scheduler, timeout="10s") as client:
            versions: Any = client.run(_version)
            for address, theirs in versions.items():
                if theirs != _version():
                    reject("worker", address, f"sdilib {_version()}, not {theirs}")
            yield client
        return
    devices = _devices() if on_gpu else []
    if devices and workers > len(devices):
        reject("workers", workers, f"at most {len(devices)}, one for each GPU")
    limits = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
    ours = dict.fromkeys(limits, str(threads))
    ours["DASK_DISTRIBUTED__LOGGING__DISTRIBUTED"] = "critical"
    here = {"host": "127.0.0.1", "dashboard": False}  # for this machine only
    here["dashboard_address"] = "127.0.0.1:0"  # of a server that answers without a dashboard, too
    gpus = [{"CUDA_VISIBLE_DEVICES": name} for name in devices] or [{}] * workers
    options = [here | {"nthreads": 1, "env": ours | gpu} for gpu in gpus[:workers]]
    nannies = {k: {"cls": Nanny, "options": each} for k, each in enumerate(options)}
    limited = ("terminate", "pause", "spill", "target")  # by the system alone, not at a share of it
    own = {
        "distributed.scheduler.allowed-failures": _DEATHS - 1,
        "distributed.scheduler.worker-saturation": 1.0,  # a run that waits is not blamed for a death
        "distributed.nanny.pre-spawn-environ": ours,
    } | {f"distributed.worker.memory.{name}": False for name in limited}
    cluster_of: Any = {"scheduler": {"cls": Scheduler, "options": here | {"port": 0}}}
    with (
        _environment_kept(),
        dask_config.set(own),
        SpecCluster(workers=nannies, **cluster_of) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _environment_kept() -> Iterator[None]:
    """What a worker is to find in its environment, dask writes into this process's own."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _devices() -> list[str]:
    """The names of the GPUs that may be used; asked without torch, which would take one."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return [str(k) for k, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]


class _Requeued:
    """A run as a job: at its time limit it is submitted again, and goes on from its checkpoint."""

    def __call__(self, *job: Any) -> Outcome:
        return _make(*job)

    def checkpoint(self, *job: Any) -> Any:
        """Return what is submitted in its place.

        Args:
            *job: as it was submitted.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *job)


def submit(
    configs: Sequence[Config],
    *,
    root: str | Path = "",
    threads: int = 1,
    cluster: str = "slurm",
    options: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Submit runs as one array of jobs, by submitit, and return the jobs; a sweep of the same runs says what became of them.

    Args:
        configs: of the runs.
        root: folder of all runs, which every node can write; logs go to `.jobs` in it.
        threads: of each run, 1 or more.
        cluster: "slurm", or "local" for processes here.
        options: of submitit's `AutoExecutor.update_parameters`, such as timeout_min or slurm_partition.

    Raises:
        ValueError: no such model, a word that it does not know, or an option that submitit does not.
    """
    from submitit import AutoExecutor

    _check_models(configs)
    where = runs_folder(root).resolve()
    executor = AutoExecutor(
        folder=where / ".jobs", cluster=one_of("cluster", cluster, ("slurm", "local"))
    )
    try:
        executor.update_parameters(
            cpus_per_task=positive_int("threads", threads), **(options or {})
        )
    except (NameError, TypeError) as error:
        reject("slurm", dict(options or {}), f"options of submitit ({error})")
    every = {_name(config): settings_of(config) for config in configs}
    count = len(every)
    common = ([value] * count for value in (str(where), threads, _version()))
    return executor.map_array(_Requeued(), list(every.values()), *common)


def _name(config: Config) -> str:
    """Of a run, before its model is known."""
    return name_of(config, settings_of(config))


def _rows_of_toml(path: Path) -> Iterator[dict[str, Any]]:
    with _readable(path, "TOML"):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    each, runs = content.pop("each", {}), content.pop("runs", [{}])
    if not isinstance(each, dict):
        reject("each", each, "a table of lists, [each]")
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        reject("runs", runs, "tables, each under [[runs]]")
    for name, values in each.items():
        if not isinstance(values, list) or not values:
            reject(f"each.{name}", values, "a list of values")
    for run, combined in product(runs, product(*each.values())):
        yield content | run | dict(zip(each, combined, strict=True))


def _rows_of_csv(path: Path) -> Iterator[dict[str, Any]]:
    with _readable(path, "CSV"), path.open(newline="", encoding="utf-8") as file:
        columns, *lines = [line for line in csv.reader(file) if line] or [[]]
    columns = [name.strip() for name in columns]
    if len(set(columns)) < len(columns) or any(len(line) != len(columns) for line in lines):
        reject("file", str(path), "each column once, and as many fields in each line as columns")
    for line in lines:
        named = zip(columns, line, strict=True)
        yield {name: value_of(name, text) for name, text in named if text.strip()}


@contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (csv.Error, RecursionError, ValueError) as error:
        reject("file", str(path), f"{kind} ({error})")


def value_of(name: str, text: str) -> Any:
    """Return a setting's value as a table's field, or a command line, says it: a text for those that are texts, or else JSON.

    Args:
        name: of the setting.
        text: as written.
    """
    if name in ("prompt", "negative_prompt", "rule", "model", "weight"):
        return text
    try:
        return json.loads(text)
    except (RecursionError, ValueError):
        return text


def _config(row: Mapping[str, Any]) -> Config:
    settings = dict(row)
    kind = SCENES[one_of("scene", settings.pop("scene", "nerf"), SCENES)]
    preset = like("preset", settings.pop("preset", ""), "")
    if preset and kind is not Text3D:
        reject("preset", preset, "none for images: a preset is of 3D runs")
    of_preset = resolve("run3d", preset) if preset else {}
    settings.setdefault("prompt", "")  # one that is lacking may be misspelt: unknown names first
    like("rule_settings", settings.get("rule_settings", {}), {})
    for own in fields(kind):
        if own.name in settings and isinstance(own.default, bool | int | float | str):
            # One form: it names the run.
            settings[own.name] = like(own.name, settings[own.name], own.default)
    if of_preset:
        of_preset.pop("preset")
        settings = fitting(of_preset, settings.get("rule", "sdi")) | settings
    return kind.of(**settings)
