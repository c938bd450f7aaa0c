"""Where a field may be non-empty: a grid of cells over the cube around its ball."""

from collections.abc import Callable

import nerfacc
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sdilib.checks import positive_int
from sdilib.nerf import _march_kernel
from sdilib.nerf.field import Field

_DECAY = 0.95  # of the densities seen before, at each update
_EMPTY = 0.1  # density below which a cell counts as empty, unless the mean is lower


class OccupancyGrid(nn.Module):
    """Which cells of the cube around the ball may be occupied; nerfacc's grid, updated reproducibly.

    nerfacc's own update draws from torch's global stream and visits some cells twice; this one
    samples every cell, at a point drawn from the generator given.

    Attributes:
        radius: radius of the ball.
    """

    def __init__(self, radius: float, *, resolution: int = 32) -> None:
        """Start with every cell occupied.

        Args:
            radius: radius of the ball.
            resolution: cells per side of the cube.

        Raises:
            ValueError: a resolution below 1.
        """
        super().__init__()
        self.radius = radius
        box = torch.tensor([-radius] * 3 + [radius] * 3)
        self._estimator = nerfacc.OccGridEstimator(box, positive_int("resolution", resolution))
        self._estimator.get_buffer("binaries").fill_(True)

    @torch.no_grad()
    def update(self, field: Field, *, generator: torch.Generator | None = None) -> None:
        """Sample the density in each cell; mark the dense cells and their neighbours as occupied.

        Args:
            field: what is rendered.
            generator: draws the point within each cell; None takes its centre.
        """
        grid = self._estimator
        seen, cells = grid.get_buffer("occs"), grid.get_buffer("binaries")
        corner = grid.get_buffer("grid_coords").to(seen)
        within = torch.full(corner.shape, 0.5)
        if generator is not None:
            within = torch.rand(corner.shape, generator=generator)
        points = (2 * (corner + within.to(corner)) / cells.shape[-1] - 1) * self.radius
        seen.copy_(torch.maximum(_DECAY * seen, field.density(points).to(seen)))
        # A volume that is almost empty keeps its densest parts, or it could never fill again.
        found = (seen > seen.mean().clamp(max=_EMPTY)).view(cells.shape).to(seen)
        # One point may miss what reaches into a cell from the next: mark one more ring.
        cells.copy_(nn.functional.max_pool3d(found, 3, stride=1, padding=1) > 0)

    @property
    def sampling(self) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
        """nerfacc's ray marching, on CUDA only."""
        return self._estimator.sampling

    def looked_into(
        self,
        origins: Float[Tensor, "rays 3"],
        directions: Float[Tensor, "rays 3"],
        start: Float[Tensor, "rays intervals"],
        end: Float[Tensor, "rays intervals"],
        lit: Bool[Tensor, " rays"],
    ) -> tuple[Int[Tensor, " found"], Float[Tensor, "found 3"]]:
        """Return which intervals may be occupied, as indices into the flattened table, and their midpoints.

        Args:
            origins: origins of the rays.
            directions: unit vectors.
            start: starts of the intervals along the rays.
            end: their ends; an interval that does not end after its start is empty.
            lit: whether light arrives at a ray's intervals; rays without light are left out.
        """
        if origins.device.type != "cpu":
            points = origins[:, None] + (0.5 * (start + end))[..., None] * directions[:, None]
            kept = lit[:, None] & (end > start) & self.occupied(points)
            return kept.flatten().nonzero()[:, 0], points[kept]
        places = torch.empty(start.numel(), dtype=torch.int64)
        points = origins.new_empty(start.numel(), 3)
        found = _march_kernel.look(
            origins.numpy(),
            directions.numpy(),
            start.numpy(),
            end.numpy(),
            lit.numpy(),
            self._estimator.get_buffer("binaries")[0].numpy(),
            np.asarray(self.radius, points.numpy().dtype)[()],
            places.numpy(),
            points.numpy(),
        )
        # Copies, or the graph would keep the buffers for all intervals.
        return places[:found].clone(), points[:found].clone()

    def occupied(self, points: Float[Tensor, "*shape 3"]) -> Bool[Tensor, "*shape"]:
        """Return whether each point lies in an occupied cell.

        Args:
            points: positions in the world.
        """
        cells = self._estimator.get_buffer("binaries")[0]
        count = cells.shape[0]
        at = ((points / self.radius + 1) * (0.5 * count)).long().clamp_(0, count - 1)
        return cells.view(-1)[(at[..., 0] * count + at[..., 1]) * count + at[..., 2]]
