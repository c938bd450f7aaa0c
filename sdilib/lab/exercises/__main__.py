"""The process in which `grade` runs a notebook: its file, and where the verdict goes."""

import sys
from dataclasses import asdict

from sdilib.lab.exercises.grading import mark_notebook
from sdilib.storage import write_json

if __name__ == "__main__":
    write_json(sys.argv[2], asdict(mark_notebook(sys.argv[1])))
