"""Figure 11 in 3D: the number n of inversion steps for the whole range of t."""

from sdilib.lab.claims import Claim, Within
from sdilib.lab.experiments.shared.objects import Comparison, nearer

OURS = "n = 10"

VARIANTS = {f"n = {n}": {"num_inversion_steps": n} for n in (3, 5, 10, 20, 30)}
"""The paper's."""

CLAIMS = (
    nearer("n = 10 improves on n = 3", "n = 10", "n = 3"),
    nearer("n = 10 improves on n = 5", "n = 10", "n = 5"),
    Within(
        "n = 30 adds to what n = 10 gained over n = 3 a tenth at most ({by})",
        "gain, less a tenth of that of n = 10",
        "n = 30",
        at_most=0.0,
        note="in the paper 82 % become 83 %, after 71 % at n = 3; it names no margin",
    ),
)


def claims(made: Comparison) -> list[Claim]:
    """Check `CLAIMS`.

    Args:
        made: the runs of `VARIANTS`.
    """
    distance = made.numbers["distance"]
    up_to, beyond = distance["n = 3"] - distance["n = 10"], distance["n = 10"] - distance["n = 30"]
    return made.check(CLAIMS, {CLAIMS[-1].measure: {"n = 30": beyond - 0.1 * up_to}})
