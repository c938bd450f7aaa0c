"""Figure 8: from SDS to SDI, one change at a time.

The paper's four changes, in its order. Beyond the paper: a random kappa with more steps, so that it costs as many UNet
sample-forwards as SDI; SDI without the randomness of its inversion; and the last two of the four again through the
decoder, with several updates towards each target.
"""

from collections.abc import Mapping
from typing import Any

from sdilib.lab.claims import Claim, Less
from sdilib.lab.experiments.shared.objects import Comparison, nearer, run_of
from sdilib.lab.practice import SDS_3D
from sdilib.schedule import whole_steps

OURS, RANDOM = "inversion", "annealed t"
HALF_SIZE = "SDS, half size"  # as DreamFusion renders, below the model's resolution
EQUAL_COST = "annealed t, equal cost"
EXACT = "inversion, H = 0"
DECODED, RANDOM_DECODED = "inversion, decoder", "annealed t, decoder"
_DECODER = {"through": "decoder", "updates": 3}
_TAUS = 20

CLAIMS = (
    nearer("A higher resolution improves SDS", "SDS", HALF_SIZE),
    nearer("Annealing t improves on a random t", RANDOM, "SDS"),
    nearer("Inversion improves on a random κ", OURS, RANDOM),
    nearer("Inversion improves on a random κ at equal cost", OURS, EQUAL_COST),
    nearer("H = 0.3 and τ improve on an exact inversion", OURS, EXACT),
    nearer("The encoder improves on the decoder, with inversion", OURS, DECODED),
    nearer("Inversion improves on a random κ through the decoder", DECODED, RANDOM_DECODED),
    Less("The main improvement is inversion's ({by})", "gain", "annealing t", "inversion"),
)


def variants(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes that each method makes to SDI's settings.

    Args:
        settings: those of SDI.
    """
    run = run_of(settings, "any")
    n, tau_max = (run.rule_settings[name] for name in ("num_inversion_steps", "tau_max"))
    # The inversion goes up to t + tau. Tau is drawn for each view, so the cost is averaged over it.
    times = [float(run.times.at(k, run.steps)) for k in range(run.steps)]
    ends = [min(1.0, t + tau_max * (k + 0.5) / _TAUS) for t in times for k in range(_TAUS)]
    forwards = run.steps + round(sum(whole_steps(t, n) for t in ends) / _TAUS)
    return {
        HALF_SIZE: SDS_3D | {"render_size": run.size // 2},
        "SDS": SDS_3D,
        RANDOM: {"kappa": "random"},
        OURS: {},
        EQUAL_COST: {"kappa": "random", "steps": forwards},
        EXACT: {"entropy": 0.0, "tau_max": 0.0},
        RANDOM_DECODED: _DECODER | {"kappa": "random"},
        DECODED: _DECODER,
    }


def claims(made: Comparison) -> list[Claim]:
    """Check `CLAIMS`; a gain is the amount by which a change lowers the distance.

    Args:
        made: the runs of `variants`.
    """
    distance = made.numbers["distance"]
    annealing = distance["SDS"] - distance[RANDOM]
    inversion = distance[RANDOM] - distance[OURS]
    return made.check(CLAIMS, {"gain": {"annealing t": annealing, "inversion": inversion}})
