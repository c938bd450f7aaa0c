"""Figure 8: from SDS to SDI, one change at a time.

The paper's four, in its order; the last two again with whole steps, several updates towards each target, as SDI's
preset has them; and a random kappa with as many UNet sample-forwards as SDI, by more steps.
"""

from collections.abc import Mapping
from typing import Any

from sdilib.lab.claims import Claim, Less
from sdilib.lab.experiments.shared.objects import Comparison, nearer, run_of
from sdilib.lab.presets import SDS_TIMES
from sdilib.schedule import whole_steps

OURS, RANDOM = "inversion, whole steps", "annealed t, whole steps"
HALF_SIZE = "SDS, half size"  # DreamFusion's, which renders smaller than the model sees
EQUAL_COST = "annealed t, equal cost"
_TAUS = 20

CLAIMS = (
    nearer("A higher resolution improves SDS", "SDS", HALF_SIZE),
    nearer("Annealing t improves on a random t", "annealed t", "SDS"),
    nearer("Inversion improves on a random κ, one update per target", "inversion", "annealed t"),
    nearer("Inversion improves on a random κ, several updates per target", OURS, RANDOM),
    nearer("Several updates per target improve on one, with a random κ", RANDOM, "annealed t"),
    nearer("Inversion improves on a random κ at equal cost", OURS, EQUAL_COST),
    Less("The main improvement is inversion's ({by})", "gain", "annealing t", "inversion"),
)


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each method changes of SDI's settings.

    Args:
        settings: those of SDI.
    """
    run = run_of(settings, "any")
    n, tau_max = (run.rule_settings[name] for name in ("num_inversion_steps", "tau_max"))
    # The inversion goes up to t + tau: on average over tau, as it is drawn for each view.
    times = [float(run.times.at(k, run.steps)) for k in range(run.steps)]
    ends = [min(1.0, t + tau_max * (k + 0.5) / _TAUS) for t in times for k in range(_TAUS)]
    forwards = run.steps + round(sum(whole_steps(t, n) for t in ends) / _TAUS)
    sds = SDS_TIMES | {"rule": "sds", "guidance_scale": 7.5, "updates": 1}
    return {
        HALF_SIZE: sds | {"render_size": run.size // 2},
        "SDS": sds,
        "annealed t": {"kappa": "random", "updates": 1},
        "inversion": {"updates": 1},
        RANDOM: {"kappa": "random"},
        OURS: {},
        EQUAL_COST: {"kappa": "random", "updates": 1, "steps": forwards},
    }


def claims(made: Comparison) -> list[Claim]:
    """Check `CLAIMS`; a gain is what a change takes from the distance.

    Args:
        made: the runs of `variants`.
    """
    distance = made.numbers["distance"]
    annealing = distance["SDS"] - distance["annealed t"]
    inversion = distance[RANDOM] - distance[OURS]
    return made.check(CLAIMS, {"gain": {"annealing t": annealing, "inversion": inversion}})
