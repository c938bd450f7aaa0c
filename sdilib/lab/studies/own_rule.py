"""A rule of one's own beside DDIM, SDS and SDI: what is measured of it, and what it is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from sdilib.lab.claims import Claim, exact_claim, paired_claim
from sdilib.lab.metrics import high_frequency_energy, psnr, saturation
from sdilib.text_to_image import Generated

__all__ = ["MeansTable", "closer_than_sds", "rule_measures", "rule_table", "special_case"]

REFERENCE, RIVAL, OWN = "DDIM", "SDS", "my rule"

CLOSENESS = "PSNR to DDIM (dB)"

Measures = Mapping[str, Mapping[str, Float[Tensor, " items"]]]
"""By metric, then method, one number an image; the reference has no distance to itself."""


@dataclass(frozen=True, slots=True)
class MeansTable:
    """Means over images as a notebook shows them, one method a row.

    Attributes:
        columns: their titles, the first the methods'.
        rows: as texts.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _repr_markdown_(self) -> str:
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rule_measures(made: Mapping[str, Generated]) -> dict[str, dict[str, Float[Tensor, " items"]]]:
    """Return fine detail, saturation and the distance to DDIM's image of the same noise.

    Args:
        made: images by method, DDIM among them.
    """
    others = {name: run for name, run in made.items() if name != REFERENCE}
    reference = made[REFERENCE].images
    return {
        "fine detail": {name: high_frequency_energy(run.images) for name, run in made.items()},
        "saturation": {name: saturation(run.images) for name, run in made.items()},
        # Equal images would be infinitely close.
        CLOSENESS: {n: psnr(run.images, reference).clamp(max=200) for n, run in others.items()},
    }


def rule_table(made: Mapping[str, Generated], measures: Measures) -> MeansTable:
    """Return the means by method, and the cost of an image.

    Args:
        made: images by method.
        measures: from `rule_measures`.
    """
    columns = ("method", *measures, "sample-forwards", "seconds")
    rows = [
        (
            name,
            *(
                f"{values[name].mean():.3g}" if name in values else ""
                for values in measures.values()
            ),
            f"{run.num_forwards:.0f}",
            f"{run.seconds:.2g}",
        )
        for name, run in made.items()
    ]
    return MeansTable(columns, tuple(rows))


def special_case(claim: str, own: Generated, known: Generated) -> Claim:
    """Check that two methods made the same latents, to rounding in float32, which grows on the way.

    Args:
        claim: what that shows, a sentence.
        own: by the rule, in the special case.
        known: by the method that it then is.
    """
    difference = (own.latents - known.latents).flatten(1).norm(dim=1)
    return exact_claim(
        claim,
        difference / known.latents.flatten(1).norm(dim=1),
        at_most=1e-3,
        name="largest relative deviation of latents",
    )


def closer_than_sds(measures: Measures, prompts: Sequence[str]) -> Claim:
    """Test whether the rule's images are closer to DDIM's than those of SDS are.

    Args:
        measures: from `rule_measures`.
        prompts: of the images; the unit that counts.
    """
    return paired_claim(
        "The rule comes closer to DDIM's image of the same noise than SDS does (PSNR, dB)",
        smaller=measures[CLOSENESS][RIVAL],
        larger=measures[CLOSENESS][OWN],
        names=(RIVAL, OWN),
        groups=prompts,
        note="a question to the rule, not a statement of the paper",
    )
