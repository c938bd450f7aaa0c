"""Figure 7: SDI and other authors' methods in 3D, each at its authors' settings and with the same number of steps."""

from collections.abc import Mapping
from typing import Any

from sdilib.lab.claims import Claim
from sdilib.lab.experiments.shared.objects import Comparison, nearer
from sdilib.lab.methods import known_methods

OURS = "SDI"


def variants(which: str, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes that each method makes to SDI's settings, as in Table 1.

    Args:
        which: see `methods.known_methods`.
        settings: those of SDI.
    """
    fit = ("nerf", settings["guidance_scale"], settings["steps"])
    return {name: of.settings(*fit) for name, of in known_methods(which).items()}


def claims(made: Comparison) -> list[Claim]:
    """Check that SDI's views are nearer to real renders than every other method's.

    Args:
        made: the runs of `variants`.
    """
    rivals = [name for name in made.runs if name != OURS]
    said = "SDI's views are nearer to real renders than {}'s"
    return made.check([nearer(said.format(name), OURS, name) for name in rivals])
