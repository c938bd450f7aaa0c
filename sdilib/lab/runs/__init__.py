"""Runs on disk: a run is found by its settings, survives being killed, and is computed once.

`making` computes a run or loads it if finished, `folders` names its folder after its settings, `checkpoints` saves what
the next step depends on, `memory` predicts how much a run will take, `exporting` writes a finished run's files.
"""

from sdilib.lab.runs.folders import address, config_of, known_runs, remove, runs_folder
from sdilib.lab.runs.making import Finished, Interrupted, distilled

__all__ = [
    "Finished",
    "Interrupted",
    "address",
    "config_of",
    "distilled",
    "known_runs",
    "remove",
    "runs_folder",
]
