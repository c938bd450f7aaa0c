"""Penalties that keep a volume a plausible object, each a mean over pixels.

Each takes a `Render` and returns one number to be weighted and added to the loss. None divides by a
count or an opacity that can be 0, so that an empty volume gets finite gradients and can recover.
"""

from dataclasses import dataclass, fields

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.checks import in_range
from sdilib.nerf.render import Render

_CONVEX_SHARE = 0.4  # appendix A.2: convexity in the first 40% of the run
_COVERED = 0.5  # opacity from which a pixel belongs to the object
_CONVEXITY_SIZE = 8
# SJC's code: the share of the run from which emptiness weighs so many times as much.
_EMPTIED, _EMPTIER = 0.5, 20.0


@dataclass(frozen=True, slots=True)
class Penalties:
    """Weights of the penalties, each in [0, 1e6] (0 turns one off), and how they change during the run.

    Attributes:
        sparsity: weight of `sparsity`.
        opaqueness: final weight of `opaqueness`, which grows from 0, see `growth_share`.
        orientation: weight of `orientation`; needs normals, which cost about a second rendering.
        z_variance: final weight of `z_variance`, which grows from 0, see `growth_share`.
        convexity: weight of `convexity` in the first 40% of the run; needs normals.
        emptiness: weight of `emptiness`; 20 times as much in the second half of the run.
        sparsity_share: 0, or the fraction of the run over which sparsity falls to 0, linearly.
        growth_share: fraction of the run over which opaqueness and z_variance grow, linearly; 0:
            they are constant.

    Raises:
        ValueError: a weight outside its range, or a share outside [0, 1].
    """

    sparsity: float = 0.0
    opaqueness: float = 0.0
    orientation: float = 0.0
    z_variance: float = 0.0
    convexity: float = 0.0
    emptiness: float = 0.0
    sparsity_share: float = 0.0
    growth_share: float = 1.0

    def __post_init__(self) -> None:
        """Check the weights and shares; see the class."""
        for each in fields(self):
            high = 1 if each.name.endswith("_share") else 1e6
            in_range(each.name, getattr(self, each.name), 0, high)

    @property
    def normals(self) -> bool:
        """Whether a penalty needs normals."""
        return self.orientation > 0 or self.convexity > 0

    def __call__(self, render: Render, done: float) -> dict[str, Float[Tensor, ""]]:
        """Return each penalty times its weight, by name, without those whose weight is 0 by now.

        Args:
            render: the step's render.
            done: fraction of the run completed, in [0, 1].
        """
        grown = min(done / self.growth_share, 1.0) if self.growth_share else 1.0
        left = max(1 - done / self.sparsity_share, 0.0) if self.sparsity_share else 1.0
        weights = {
            sparsity: self.sparsity * left,
            opaqueness: self.opaqueness * grown,
            orientation: self.orientation,
            z_variance: self.z_variance * grown,
            convexity: self.convexity * (done < _CONVEX_SHARE),
            emptiness: self.emptiness * (_EMPTIER if done >= _EMPTIED else 1.0),
        }
        return {term.__name__: weight * term(render) for term, weight in weights.items() if weight}


def sparsity(render: Render) -> Float[Tensor, ""]:
    """Mean of sqrt(opacity^2 + 0.01): favours empty space.

    Args:
        render: any.

    Source: threestudio's sparsity loss, as in the official SDI settings.
    """
    return (render.opacity.square() + 0.01).sqrt().mean()


def opaqueness(render: Render) -> Float[Tensor, ""]:
    """Mean binary entropy of the opacity, in nats: makes each pixel either object or background.

    Args:
        render: any.

    Source: threestudio's opaque loss.
    """
    o = render.opacity.clamp(1e-3, 1 - 1e-3)
    return -(o * o.log() + (1 - o) * (1 - o).log()).mean()


def orientation(render: Render) -> Float[Tensor, ""]:
    """Mean penalty, over the pixels that see anything, of visible normals that face away.

    Args:
        render: with normals.

    Source: Ref-NeRF, 2112.03907, eq. 11, the weights detached as in DreamFusion.
    """
    seen = (render.opacity.detach() > 0).sum().clamp_min(1)
    return render.backfacing.sum() / seen


def z_variance(render: Render) -> Float[Tensor, ""]:
    """Mean variance of the distance along the ray, over the object's pixels: makes surfaces thin.

    Args:
        render: any.

    Source: HiFA, 2305.18766, section 3.3; the mean over pixels of opacity above 1/2, as in
    threestudio.
    """
    covered = render.opacity.detach() > _COVERED
    return (render.variance * covered).sum() / covered.sum().clamp_min(1)


def convexity(render: Render) -> Float[Tensor, ""]:
    """Mean of max(0, -sine) between neighbouring normals of an 8 x 8 image, both ways.

    Where a surface bulges towards the camera, going right its normal turns right, and going down it
    turns down: the sine of that turn is positive. In hollows it is negative. Each pair is weighted
    by how far both its cells are covered.

    Args:
        render: with normals.

    Source: appendix A.2 of the paper, on camera-space normals.
    """
    size = (_CONVEXITY_SIZE, _CONVEXITY_SIZE)
    right, up, back = _unit(functional.adaptive_avg_pool2d(render.normal, size)).unbind(1)
    cover = functional.adaptive_avg_pool2d(render.opacity.detach()[:, None], size)[:, 0]
    # The component along the image's other axis of the cross product of first and second normal.
    across = back[:, :, :-1] * right[:, :, 1:] - right[:, :, :-1] * back[:, :, 1:]
    down = up[:, :-1] * back[:, 1:] - back[:, :-1] * up[:, 1:]
    return (
        (cover[:, :, :-1] * cover[:, :, 1:] * (-across).clamp_min(0)).mean()
        + (cover[:, :-1] * cover[:, 1:] * (-down).clamp_min(0)).mean()
    ) / 2


def emptiness(render: Render) -> Float[Tensor, ""]:
    """Mean of log(1 + 10 w) over the samples of all rays, w their weights: favours few of them, and no haze.

    Args:
        render: with this measured.

    Source: SJC, 2212.00774, section 4.3, with its code's numbers.
    """
    return render.emptiness.mean()


def _unit(vectors: Tensor) -> Tensor:
    """Vectors in channels, made unit; those much shorter than 0.01 stay short."""
    return vectors / (vectors.square().sum(1, keepdim=True) + 1e-4).sqrt()
