"""Run a student's notebook in a separate process, and mark the last exercise that it defines.

The process sets a time limit but is not a sandbox: the notebook can do whatever the grader's account can.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sdilib.checks import finite, reject
from sdilib.lab.exercises.marking import Verdict, raised
from sdilib.storage import read_json

_HERE = str(Path(__file__).resolve().parents[3])
"""Folder from which this library is imported."""


def grade(notebook: str | Path, *, seconds: float = 60.0) -> Verdict:
    """Run a notebook, and mark the exercise in it.

    Args:
        notebook: a `.py` in percent format or an `.ipynb`; its code is executed without a kernel.
        seconds: after which it is stopped; importing torch counts.

    Raises:
        ValueError: no such file, or a limit that is not above 0.
    """
    path = Path(notebook)
    if path.suffix not in (".py", ".ipynb") or not path.is_file():
        reject("notebook", str(notebook), "an existing .py or .ipynb file")
    if finite("seconds", seconds) <= 0:
        reject("seconds", seconds, "a number above 0")
    found = filter(None, (_HERE, os.environ.get("PYTHONPATH")))
    env = os.environ | {"PYTHONPATH": os.pathsep.join(found), "MPLBACKEND": "agg"}
    with tempfile.TemporaryDirectory(prefix="sdilib") as folder:
        out, said = Path(folder) / "verdict.json", Path(folder) / "errors.txt"
        # Not with the folder of what is handed in among those that modules are found in.
        words = [sys.executable, "-P", "-m", "sdilib.lab.exercises", path.name, str(out)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        try:
            # A file: a pipe would be waited for as long as any process that the notebook started has it open.
            with said.open("w") as errors:
                how = {"stderr": errors, "cwd": path.parent, "env": env, "timeout": seconds}
                done = subprocess.run(words, **quiet, **how)
        except subprocess.TimeoutExpired:
            says = f"it was stopped after {seconds:g} seconds: is there a loop without an end?"
            return Verdict(path.stem, False, says)
        if out.is_file():
            return Verdict(**read_json(out))
        lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
    last = [line for line in lines if line.strip()][-1:]
    says = f"its process ended with code {done.returncode}"
    return Verdict(path.stem, False, ": ".join([says, *last]))


def mark_notebook(notebook: str | Path) -> Verdict:
    """Execute a notebook's code here, and mark the last exercise that it defines.

    A cell that fails, or that only IPython understands, is skipped, as long as the function exists in the end.

    Args:
        notebook: see `grade`.
    """
    from sdilib.lab.exercises.tasks import EXERCISES
    from sdilib.lab.notebooks.sources import cells

    path, problem = Path(notebook), ""
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        code = cells(path, "code")
    except Exception as error:
        return Verdict(path.stem, False, raised("reading it", error))
    for number, cell in enumerate(code, 1):
        try:
            exec(compile(cell, f"cell {number}", "exec"), names)
        except (Exception, SystemExit) as error:
            problem = problem or raised(f"code cell {number}", error)
    mine = [name for name in EXERCISES if callable(names.get(name))]
    if not mine:
        return Verdict(path.stem, False, problem or f"it defines none of {', '.join(EXERCISES)}")
    return EXERCISES[mine[-1]].mark(names[mine[-1]])
