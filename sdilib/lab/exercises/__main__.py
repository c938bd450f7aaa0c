"""The process in which `grade` runs a notebook; its arguments are the notebook and the file for the verdict."""

import sys
from dataclasses import asdict

from sdilib.lab.exercises.grading import mark_notebook
from sdilib.storage import write_json

if __name__ == "__main__":
    write_json(sys.argv[2], asdict(mark_notebook(sys.argv[1])))
