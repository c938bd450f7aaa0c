"""Six exercises for a class, from the noise schedule to VSD: a formula with blanks each, marked in seconds.

`check` marks a function where it is written, in a notebook; `grade` runs a notebook in a process of its own. The models are
exact, so that an answer is right or wrong; one that is wrong in a usual way is told which.
"""

from sdilib.lab.exercises.grading import grade
from sdilib.lab.exercises.marking import Verdict
from sdilib.lab.exercises.tasks import alpha, check, sigma

__all__ = ["Verdict", "alpha", "check", "grade", "sigma"]
