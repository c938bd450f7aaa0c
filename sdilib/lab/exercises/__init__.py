"""Six exercises for a class, from the noise schedule to VSD: each a formula with blanks, marked in seconds.

`check` marks a function in the notebook where it is written; `grade` runs a notebook in a separate process. The models are
exact, so an answer is either right or wrong, and the usual mistakes are named.
"""

from sdilib.lab.exercises.grading import grade
from sdilib.lab.exercises.marking import Verdict
from sdilib.lab.exercises.tasks import alpha, check, sigma

__all__ = ["Verdict", "alpha", "check", "grade", "sigma"]
