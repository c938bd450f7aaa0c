"""Section 4's argument in the plane, where everything is in closed form."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Claim, bound_claim, exact_claim, paired_claim
from sdilib.lab.studies.toy import ToyPaths, distance_to_mode
from sdilib.oracle import GaussianMixture

__all__ = ["plane_claims"]


def plane_claims(
    mixture: GaussianMixture,
    paths: ToyPaths,
    late: ToyPaths,
    practised: Float[Tensor, "points 2"],
    errors: Mapping[str, Float[Tensor, "steps points"]],
) -> list[Claim]:
    """Check section 4's argument in the plane.

    Args:
        mixture: what is sampled.
        paths: all methods from t = 1.
        late: the same from a later time.
        practised: where SDS with random t ends.
        errors: distance of each rule's update from DDIM's.
    """
    inversion, random = "SDI, inversion", "SDS, random κ"
    names = ("inversion", "random κ")
    t_late = f"t = {float(late.times[0]):.2g}"
    return [
        exact_claim(
            "With the cached κ, SDI is DDIM (eq. 6 ≡ eq. 2)",
            paths.distances("SDI, cached κ"),
            at_most=1e-9,
        ),
        paired_claim(
            "One update with κ from inversion lies closer to DDIM's than one with a random κ",
            smaller=errors[inversion].mean(0),
            larger=errors[random].mean(0),
            names=names,
        ),
        paired_claim(
            f"From {t_late} on, SDI by inversion ends closer to DDIM's end than SDS does",
            smaller=late.distances(inversion),
            larger=late.distances(random),
            names=names,
        ),
        bound_claim(
            "From t = 1 on, SDI by inversion ends within 0.2 of DDIM's end",
            paths.distances(inversion),
            at_most=0.2,
            note="each x0(1) is nearly the average: no inversion can find the noise it came from",
        ),
        paired_claim(
            "SDS as practised ends further from the nearest mode than DDIM: it averages",
            smaller=distance_to_mode(mixture, paths.x0["DDIM"][-1]),
            larger=distance_to_mode(mixture, practised),
            names=("DDIM", "SDS"),
        ),
    ]
