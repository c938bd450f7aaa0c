"""Where a scene is seen from: a batch of cameras that look at the origin, and their rays.

Notation: y is up, azimuth 0 is the object's front (+z), +90 its left (+x), elevation 90 above it;
(u, v) are the coordinates of a pixel's centre on the plane at depth 1, u to the right, v up.
The convention is that of the world's renderer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sdilib.checks import in_range, positive_int, reject
from sdilib.seeds import Generators, uniform

LIMITS: dict[str, tuple[float, float, bool]] = {
    "azimuth_degrees": (-3600.0, 3600.0, False),
    "elevation_degrees": (-89.0, 89.0, False),
    "distance": (0.0, 1000.0, True),
    "fov_degrees": (0.0, 120.0, True),
}
"""For each number of a camera: the lowest and highest value, and whether the lowest is excluded."""

POSE = 16
"""Length of a pose as given to a network: the numbers of the camera's matrix, by rows."""

Poses = Float[Tensor, "batch 16"]
"""Poses as given to a network."""

VIEWS = ("front", "side", "back", "overhead")
"""The words for views, appended to a prompt as in DreamFusion (2209.14988)."""

OVERHEAD_DEGREES = 60.0  # from this elevation up, a view is called overhead
FRONT_DEGREES, BACK_DEGREES = 45.0, 135.0  # below the first: front; beyond the second: back


def view_word(azimuth_degrees: int | float, elevation_degrees: int | float) -> str:
    """Return the word for a view, one of `VIEWS`.

    Args:
        azimuth_degrees: 0 in front of the object.
        elevation_degrees: 0 level, positive above.

    Examples:
        >>> view_word(-200, 10)
        'back'
    """
    if elevation_degrees >= OVERHEAD_DEGREES:
        return "overhead"
    turn = abs((azimuth_degrees + 180) % 360 - 180)
    return "front" if turn < FRONT_DEGREES else "back" if turn > BACK_DEGREES else "side"


@dataclass(frozen=True, slots=True, eq=False)
class Rays:
    """One ray per pixel.

    Attributes:
        origins: where the rays start, at the camera.
        directions: unit vectors.
        cosines: cosine of the angle to the viewing direction; a point at length s along the ray has
            depth s times this.
    """

    origins: Float[Tensor, "batch height width 3"]
    directions: Float[Tensor, "batch height width 3"]
    cosines: Float[Tensor, "batch height width"]


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A batch of cameras that look at the origin; the numbers are on the CPU, and only rays are moved to a device.

    Attributes:
        azimuth_degrees: 0 in front of the object, 90 at its left (+x), 180 behind it.
        elevation_degrees: in [-89, 89], 0 level, positive above.
        distance: from the origin, above 0.
        fov_degrees: full vertical field of view, in (0, 120].
    """

    azimuth_degrees: Float[Tensor, " batch"]
    elevation_degrees: Float[Tensor, " batch"]
    distance: Float[Tensor, " batch"]
    fov_degrees: Float[Tensor, " batch"]

    def __post_init__(self) -> None:
        """Check that every number is within `LIMITS`."""
        for name, (low, high, open_low) in LIMITS.items():
            for value in getattr(self, name).tolist():
                in_range(name, value, low, high, open_low=open_low)

    @classmethod
    def around(
        cls,
        azimuths: Sequence[int | float],
        *,
        elevation_degrees: int | float = 15.0,
        distance: int | float = 3.6,
        fov_degrees: int | float = 40.0,
    ) -> "Camera":
        """Return cameras at some azimuths and one elevation, distance and field of view.

        Args:
            azimuths: in degrees, one per camera.
            elevation_degrees: the same for all.
            distance: the same for all.
            fov_degrees: the same for all.

        Examples:
            >>> Camera.around([0, 90, 180, 270]).views
            ('front', 'side', 'back', 'side')
        """
        azimuth = torch.tensor(azimuths, dtype=torch.float64).reshape(-1)
        rest = (torch.full_like(azimuth, x) for x in (elevation_degrees, distance, fov_degrees))
        return cls(azimuth, *rest)

    def __len__(self) -> int:
        """Return the number of cameras."""
        return len(self.azimuth_degrees)

    def select(self, items: Int[Tensor, " items"]) -> "Camera":
        """Return some of the cameras, in the order given.

        Args:
            items: their numbers.
        """
        return Camera(**{name: getattr(self, name)[items] for name in LIMITS})

    @property
    def views(self) -> tuple[str, ...]:
        """The word for each view: front, side, back or overhead."""
        angles = self.azimuth_degrees.tolist(), self.elevation_degrees.tolist()
        return tuple(view_word(*pose) for pose in zip(*angles, strict=True))

    @property
    def view_shares(self) -> Float[Tensor, "batch 4"]:
        """How much of each of `VIEWS` a view is: rows of numbers in [0, 1] that sum to 1.

        Linear in azimuth between front (0 degrees), side (90) and back (180); all overhead from `OVERHEAD_DEGREES` up.
        """
        turn = ((self.azimuth_degrees.double() + 180) % 360 - 180).abs() / 90
        above = (self.elevation_degrees >= OVERHEAD_DEGREES).double()
        around = [(1 - turn).clamp(min=0), 1 - (turn - 1).abs(), (turn - 1).clamp(min=0)]
        return torch.stack([*(share * (1 - above) for share in around), above], 1)

    @property
    def axes(self) -> Float[Tensor, "batch 3 3"]:
        """Each camera's unit vectors, in rows: right, up, back (towards the viewer)."""
        a, e = torch.deg2rad(self.azimuth_degrees), torch.deg2rad(self.elevation_degrees)
        zero = torch.zeros_like(a)
        right = torch.stack([a.cos(), zero, -a.sin()], -1)
        back = torch.stack([a.sin() * e.cos(), e.sin(), a.cos() * e.cos()], -1)
        return torch.stack([right, torch.linalg.cross(back, right), back], -2)

    def rays(
        self,
        height: int,
        width: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Rays:
        """Return the rays through the centres of the pixels, the first pixel at the upper left.

        Args:
            height: of the images, in pixels.
            width: of the images, in pixels.
            dtype: of the rays; they are computed in float64.
            device: of the rays, and where they are computed.

        Raises:
            ValueError: a size below 1.
        """
        positive_int("height", height)
        positive_int("width", width)
        exact: Any = {"dtype": torch.float64, "device": device}
        axes, distance = self.axes.to(**exact), self.distance.to(**exact)
        scale = (2 * torch.tan(torch.deg2rad(self.fov_degrees.double()) / 2) / height).to(device)
        u = (torch.arange(width, **exact) + 0.5 - 0.5 * width) * scale[:, None]
        v = (0.5 * height - 0.5 - torch.arange(height, **exact)) * scale[:, None]
        ahead = torch.full((), -1.0, **exact)
        along = torch.stack(torch.broadcast_tensors(u[:, None, :], v[:, :, None], ahead), -1)
        directions = along @ axes[:, None]  # rows of axes are the frame: (u, v, -1) in the world
        length = directions.norm(dim=-1, keepdim=True)
        origins = (distance[:, None] * axes[:, 2])[:, None, None].expand_as(along)
        return Rays(
            origins.to(dtype).contiguous(),
            (directions / length).to(dtype),
            (1 / length[..., 0]).to(dtype),
        )


def sample_cameras(
    batch: int,
    generator: Generators,
    *,
    azimuth_degrees: tuple[float, float] = (-180.0, 180.0),
    elevation_degrees: tuple[float, float] = (-8.0, 45.0),
    distance: tuple[float, float] = (3.3, 3.9),
    fov_degrees: tuple[float, float] = (37.0, 43.0),
    overhead_share: float = 0.15,
    overhead_degrees: tuple[float, float] = (60.0, 80.0),
    antipodal: bool = False,
) -> Camera:
    """Draw cameras, each quantity uniformly over its range; the defaults are near the middle of the world's views.

    Args:
        batch: how many.
        generator: one for all, or one per item.
        azimuth_degrees: range.
        elevation_degrees: range of the views that are not overhead.
        distance: range.
        fov_degrees: range.
        overhead_share: probability of a view from above, in [0, 1].
        overhead_degrees: range of elevation of those views.
        antipodal: whether every second camera is placed opposite the one before it, at its elevation (MV-SDI,
            2606.29964).

    Raises:
        ValueError: a range whose ends are in the wrong order, or a camera outside `LIMITS`.
    """
    positive_int("batch", batch)
    in_range("overhead_share", overhead_share, 0.0, 1.0)

    def draw(name: str, ends: tuple[float, float]) -> Tensor:
        low, high = ends
        if not low <= high:
            reject(name, ends, "(lower end, upper end)")
        return low + (high - low) * uniform(batch, generator)

    above = uniform(batch, generator) < overhead_share
    camera = Camera(
        azimuth_degrees=draw("azimuth_degrees", azimuth_degrees),
        elevation_degrees=torch.where(
            above,
            draw("overhead_degrees", overhead_degrees),
            draw("elevation_degrees", elevation_degrees),
        ),
        distance=draw("distance", distance),
        fov_degrees=draw("fov_degrees", fov_degrees),
    )
    if not antipodal:
        return camera
    number = torch.arange(batch)
    first = number - number % 2
    azimuth = camera.azimuth_degrees[first] + 180 * (number % 2)
    elevation = camera.elevation_degrees[first]
    return replace(camera, azimuth_degrees=azimuth, elevation_degrees=elevation)
