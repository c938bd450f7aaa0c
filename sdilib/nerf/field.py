"""The radiance field: density and colour at a point, the same from every direction.

Notation: points are (x, y, z) in the world's coordinates, inside a ball around the origin; density
is absorption per unit length, at least 0.
"""

from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sdilib.checks import in_range, one_of, positive_int
from sdilib.nerf.hash_grid import HashGrid
from sdilib.seeds import generator as generator_at

ACTIVATIONS = ("softplus", "exp")
BACKGROUNDS = ("fixed", "random", "environment")
RADIUS = 1.22
"""Radius of the ball that contains the volume; the world's objects lie within 1.22 times their stretch."""
BACKGROUND = 0.92
"""Grey of a fixed background, the world's, and of a random one if nothing is drawn."""
BLOB_RADIUS = 0.61
"""Radius at which a field's initial blob falls to 0, before the activation."""

_LARGEST_EXPONENT = 15.0


@runtime_checkable
class Field(Protocol):
    """Anything that can be rendered."""

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Return absorption per unit length.

        Args:
            points: positions in the world.
        """
        ...

    def density_and_colour(
        self, points: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points 3"]]:
        """Return density, and colour in [0, 1].

        Args:
            points: positions in the world.
        """
        ...


class NeRF(nn.Module):
    """A radiance field: a hash grid, then one small network for density and colour.

    It starts as a soft blob at the centre: a cone, `blob_height` (1 - |x| / `blob_radius`), which is
    negative outside that radius, is added to the density before its activation (Magic3D, 2211.10440;
    the default height is threestudio's).

    Attributes:
        grid: the encoding.
        radius: radius of the ball that contains the volume.
        background: "fixed", "random" or "environment".
        environment: the background in each direction; None for the other kinds.
    """

    def __init__(
        self,
        *,
        grid: HashGrid | None = None,
        radius: float = RADIUS,
        hidden: int = 32,
        activation: str = "softplus",
        blob_height: float = 10.0,
        blob_radius: float = BLOB_RADIUS,
        background: str = "fixed",
        background_saturation: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialise the parameters at random.

        Args:
            grid: the encoding; None is `HashGrid` with its defaults.
            radius: radius of the ball that contains the volume.
            hidden: width of the network's one hidden layer.
            activation: activation of the density, "softplus" or "exp" (with a truncated gradient,
                as in Instant-NGP).
            blob_height: added to the density at the centre, before the activation.
            blob_radius: radius at which the blob falls to 0.
            background: "fixed", "random" (one colour per view) or "environment" (learned, by
                direction).
            background_saturation: how far a random background is from its own grey, in [0, 1]; 1 is any colour.
            generator: for the network, and for the grid if none is given; None uses seed 0.

        Raises:
            ValueError: a number outside its range, an unknown activation or background.
        """
        super().__init__()
        self.radius = in_range("radius", radius, 0, 1e3, open_low=True)
        positive_int("hidden", hidden)
        self.activation = one_of("activation", activation, ACTIVATIONS)
        self.background = one_of("background", background, BACKGROUNDS)
        in_range("blob_radius", blob_radius, 0, 1e3, open_low=True)
        self._blob = (blob_height, blob_radius / radius)
        generator = generator or generator_at(0, 0, "nerf")
        self.grid = HashGrid(generator=generator) if grid is None else grid
        self.network = _network((self.grid.num_features, hidden, 4), generator)
        self._saturation = in_range("background_saturation", background_saturation, 0, 1)
        learned = self.background == "environment"
        self.environment = Environment(generator) if learned else None

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Return absorption per unit length.

        Args:
            points: positions in the ball.
        """
        return self._density(points, self._raw(points)[:, 0])

    def density_and_colour(
        self, points: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points 3"]]:
        """Return density, and colour in (0, 1).

        Args:
            points: positions in the ball.
        """
        raw = self._raw(points)
        return self._density(points, raw[:, 0]), raw[:, 1:].sigmoid()

    def background_colour(
        self, drawn: Float[Tensor, "batch 3"], directions: Float[Tensor, "batch height width 3"]
    ) -> Float[Tensor, "batch height width 3"]:
        """Return the colours behind the volume, in [0, 1].

        Args:
            drawn: one colour per view, from U(0, 1), used by a random background.
            directions: of the rays, unit vectors.
        """
        if self.environment is not None:
            return self.environment(directions)
        if self.background == "random":
            drawn = drawn.mean(-1, keepdim=True).lerp(drawn, self._saturation)
            return drawn[:, None, None].expand_as(directions)
        return torch.full_like(directions, BACKGROUND)

    def _raw(self, points: Tensor) -> Tensor:
        return self.network(self.grid(0.5 + points / (2 * self.radius)))

    def _density(self, points: Tensor, raw: Tensor) -> Tensor:
        height, radius = self._blob
        distance = points.norm(dim=-1) / self.radius
        raw = raw + height * (1 - distance / radius)
        if self.activation == "exp":
            return _TruncatedExp.apply(raw)
        return nn.functional.softplus(raw)


class Environment(nn.Module):
    """A colour for each direction: a small network on its spherical harmonics up to degree 2.

    Source: the neural environment map of threestudio, which the official SDI settings use.
    """

    def __init__(self, generator: torch.Generator) -> None:
        """Initialise the parameters at random: a soft pattern around grey.

        Args:
            generator: source of randomness.
        """
        super().__init__()
        self.network = _network((9, 16, 16, 3), generator)

    def forward(self, directions: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape 3"]:
        """Return colours in (0, 1).

        Args:
            directions: unit vectors.
        """
        x, y, z = directions.unbind(-1)
        linear = 3**0.5 * directions
        mixed = 15**0.5 * torch.stack([x * y, y * z, z * x, 0.5 * (x * x - y * y)], -1)
        along = 5**0.5 * (1.5 * z * z - 0.5)[..., None]
        # Each with mean square 1 over the sphere.
        harmonics = [torch.ones_like(along), linear, mixed, along]
        return self.network(torch.cat(harmonics, -1)).sigmoid()


def _network(widths: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    """Linear layers without biases, initialised like nn.Linear but from the generator; ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layer = nn.Linear(before, after, bias=False)
        nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
        layers += [layer, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


class _TruncatedExp(torch.autograd.Function):
    """exp with a gradient that stops growing at densities beyond any use."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor) -> Tensor:
        ctx.save_for_backward(raw)
        return raw.exp()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (raw,) = ctx.saved_tensors
        return gradients[0] * raw.clamp(max=_LARGEST_EXPONENT).exp()
