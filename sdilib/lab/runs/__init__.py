"""Runs on disk: a run is found by its settings, survives being killed, and is computed once.

`making` makes a run or finds it finished, `folders` knows where runs lie and what they are of, `checkpoints` keeps what
the next step depends on, `memory` foresees what a run will take, `exports` is what a finished run gives away.
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
