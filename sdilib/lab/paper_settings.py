"""The paper's 3D settings beside those of its published code and ours at preset `gpu`, which is read from this table.

The paper says little about its scene and cameras; for them its code, threestudio's `sdi.yaml`, is the source.
"""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, NamedTuple

from sdilib.storage import atomic_write

PAGE = Path(__file__).parents[2] / "paper_figures" / "settings.md"
"""The table as a page, which figures at preset `gpu` refer to."""

_TEMPLATE = Path(__file__).with_suffix(".md")
"""The rest of the page, such as what is not a setting."""


class Row(NamedTuple):
    """One setting.

    Attributes:
        name: of the setting.
        paper: its value there; None if the paper does not say.
        where: in the paper.
        official: the published code's; None if it has none.
        ours: at preset `gpu`; None is the paper's, or else the published code's.
        why: why ours differs, or what a number leaves open.
    """

    name: str
    paper: Any
    where: str
    official: Any
    ours: Any = None
    why: str = ""

    @property
    def value(self) -> Any:
        """Ours at preset `gpu`."""
        asked = self.official if self.paper is None else self.paper
        return asked if self.ours is None else self.ours


RUN: tuple[Row, ...] = (
    Row("steps", 10_000, "section 6.1", 10_000),
    Row("cameras", None, "", 1),
    Row("updates", 1, "algorithm 2", 1),
    Row("size", 512, "section 6.2", 512),
    Row("through", "encoder", "eq. 4", "encoder"),
    Row("learning_rate", 0.01, "appendix A", 0.01),
    Row("network_learning_rate", 0.01, "appendix A", 0.01),
    Row("background_learning_rate", None, "", 0.001),
    Row("t_schedule", "linear", "section 5", "linear"),
    Row(
        "t_start", 1.0, "algorithm 2", 0.98, 0.98, "at t = 1 next to nothing of the render is left"
    ),
    Row("t_end", 0.2, "algorithm 2", 0.25),
    Row("view_words", None, "", True),
    Row("view_embeddings", None, "", "blended"),
    Row("perp_neg", 1.0, "appendix A.1", 1.0, why="the paper says that it is on"),
    Row("perp_neg_by", None, "", "azimuth"),
    # Cameras.
    Row("azimuth_degrees", None, "", [-180.0, 180.0]),
    Row("elevation_degrees", None, "", [-10.0, 45.0]),
    Row("overhead_share", None, "", 0.0),
    Row("distance", None, "", [1.5, 2.0]),
    Row("fov_degrees", None, "", [40.0, 70.0]),
    # The volume and what is behind it.
    Row("radius", None, "", 2.0),
    Row(
        "num_samples",
        None,
        "",
        512,
        why="along the ball's diameter; theirs are along a cube's diagonal",
    ),
    Row("levels", None, "", 16),
    Row("base_resolution", None, "", 16),
    Row("finest_resolution", None, "", 4096),
    Row("log2_table_size", None, "", 19),
    Row("first_levels", None, "", 8),
    Row("progressive_start", None, "", 0.2),
    Row("progressive_share", None, "", 0.6),
    Row("hidden", None, "", 64),
    Row("activation", None, "", "softplus"),
    Row("blob_height", None, "", 10.0),
    Row("blob_radius", None, "", 0.5),
    Row("background", None, "", "environment"),
    Row("shading", None, "", 0.3),
    Row("textureless", None, "", 0.75),
    # Penalties that keep the scene plausible.
    Row("orientation", None, "", 0.1),
    Row("sparsity", None, "", 0.15),
    Row("sparsity_share", None, "", 0.3),
    Row("opaqueness", None, "", 0.1),
    Row("z_variance", None, "", 1.0),
    Row("growth_share", None, "", 0.0),
    Row("convexity", 0.1, "appendix A.2", 0.1),
    # How it is computed.
    Row("backend", None, "", "tinycudann", why="where it is installed; else announced and another"),
    Row("rays_per_patch", None, "", None, 2048, "theirs are all at once: the same gradients"),
)
"""Settings of `Text3D`; the others have their defaults."""

RULE: tuple[Row, ...] = (
    Row("guidance_scale", 7.5, "section 5", 7.5),
    Row("inversion_guidance_scale", -7.5, "section 5", -7.5),
    Row("num_inversion_steps", 10, "figure 11", 10),
    Row("weight", "sigma", "algorithm 2", "sigma"),
    Row("renoise", True, "algorithm 2", False),
    Row("entropy", 0.3, "eq. 11", 0.3),
    Row("tau_max", 1 / 30, "appendix A.1", 0.1),
)
"""Settings of SDI, whose defaults in 3D are the paper's."""

OFFICIAL_2D: Mapping[str, Any] = MappingProxyType(
    {"guidance_scale": 8.5, "inversion_guidance_scale": -6.5, "t_end": 0.02}
    | {"renoise": False, "entropy": 0.3, "tau_max": 0.1}
)
"""What the published notebook does in 2D, as far as settings can express it. Without Perp-Neg its code computes
e_y + γ (e_y - e_∅), which is eq. 3 at γ + 1."""


def gpu() -> dict[str, Any]:
    """Return the settings of `Text3D` at preset `gpu`."""
    return {row.name: row.value for row in RUN}


def official() -> dict[str, Any]:
    """Return where the published code differs from the paper in 3D, as far as settings can express it."""
    other = [row for row in RUN + RULE if row.official not in (None, row.value)]
    return {row.name: row.official for row in other}


def page() -> Path:
    """Write the table to `PAGE`, and return its path."""
    rows = [(f"`{r.name}`", r.paper, r.where, r.official, r.value, r.why) for r in RUN + RULE]
    settings = "\n".join(f"| {' | '.join(map(_said, row))} |" for row in rows)
    whole = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(settings=settings)
    return atomic_write(PAGE, whole)


def _said(value: Any) -> str:
    match value:
        case None:
            return "not said"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}".replace("-", "−")
        case list():
            return " … ".join(map(_said, value))
    return str(value)
