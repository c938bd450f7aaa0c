"""Volume rendering: samples along rays in occupied space, composited by nerfacc.

Notation: a ray is inside the ball of the scene from `near` to `far`; its samples are intervals of
equal length there, shifted by `jitter`. A sample contributes to the pixel with weight
w = T (1 - exp(-density dt)), where T is the fraction of light that reaches it.

On CPU the samples form a dense table (rays, samples), and the field is evaluated only where the
occupancy grid allows and light arrives; on CUDA nerfacc marches and packs the samples, if its
kernels are available. From there on both share the same code.
"""

import importlib.util
import logging
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache, partial

import nerfacc
import torch
from filelock import FileLock
from jaxtyping import Float, Int
from torch import Tensor, nn

from sdilib.cameras import Camera
from sdilib.checks import check_settings, one_of, positive_int, reject, setting
from sdilib.nerf.deferred import in_patches
from sdilib.nerf.field import Field
from sdilib.nerf.occupancy import OccupancyGrid

SHADINGS = ("albedo", "diffuse", "textureless")

_VISIBLE = 1e-4  # samples reached by less light than this are left out
_STRETCH = 8  # samples of a ray that are evaluated before checking whether light is left
_STRETCH_ON_CUDA = 64  # where the check waits for the device
_NORMAL_WEIGHT = 0.064  # of a ray's light, the most that samples without a normal take together
_TINY = 1e-6
_AMBIENT, _DIFFUSE = 0.1, 0.9  # threestudio's light, whose sum is 1
_STEEP = 10.0  # SJC's
_FLAT = 0.1  # slope of the density below which a normal means nothing

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class RayRender:
    """What rays see; everything carries a graph to the field.

    Attributes:
        colour: colour of the volume, without the background.
        opacity: fraction of light that the volume absorbs, in [0, 1].
        length: weighted mean distance along the ray, however little there is; 0 for nothing at all.
        variance: weighted variance of that distance.
        normal: mean normal times the opacity; its last axis is empty unless normals are computed.
        backfacing: sum of the (detached) weights times max(0, normal . direction)^2 (Ref-NeRF,
            2112.03907); 0 unless normals are computed.
        emptiness: mean of log(1 + 10 weight) over `num_samples`; 0 unless it is asked for.
    """

    colour: Float[Tensor, "rays 3"]
    opacity: Float[Tensor, " rays"]
    length: Float[Tensor, " rays"]
    variance: Float[Tensor, " rays"]
    normal: Float[Tensor, "rays axes"]
    backfacing: Float[Tensor, " rays"]
    emptiness: Float[Tensor, " rays"]


@dataclass(frozen=True, slots=True, eq=False)
class Render:
    """A batch of views, and what the regularisers use.

    Attributes:
        image: colours in [0, 1], background included.
        opacity: fraction of light that the volume absorbs, in [0, 1].
        depth: distance along the viewing direction of what there is, however little; 0 for nothing at
            all.
        variance: variance of the distance along the ray, within each pixel.
        normal: mean normal times opacity, in the camera's axes right, up, back; no channels unless
            normals are computed.
        backfacing: Ref-NeRF's penalty per pixel; 0 unless normals are computed.
        emptiness: SJC's penalty per pixel; 0 unless it is asked for.
    """

    image: Float[Tensor, "batch 3 height width"]
    opacity: Float[Tensor, "batch height width"]
    depth: Float[Tensor, "batch height width"]
    variance: Float[Tensor, "batch height width"]
    normal: Float[Tensor, "batch axes height width"]
    backfacing: Float[Tensor, "batch height width"]
    emptiness: Float[Tensor, "batch height width"]


@dataclass(frozen=True, slots=True, eq=False)
class _Samples:
    """Packed intervals along rays, and the field there; everything but their positions carries a graph."""

    ray: Int[Tensor, " samples"]
    middle: Float[Tensor, " samples"]
    colour: Float[Tensor, "samples 3"]
    weights: Float[Tensor, " samples"]


@dataclass(frozen=True, slots=True, eq=False)
class Marcher:
    """How rays are sampled.

    Attributes:
        occupancy: where to look, and the ball's radius.
        num_samples: intervals along a ray through the centre; at least 1.
        normals: whether to compute normals, by differences: six more densities per sample that takes
            more than 0.064 / `num_samples` of a ray's light; the others have none, and are not shaded.
        shading: "albedo" is the field's colour; "diffuse" that colour under a point light, (0.1 +
            0.9 max(0, normal . direction to the light)); "textureless" the same on white. The last
            two need normals.
        emptiness: whether to measure what SJC's penalty needs.
        packed: whether to march with nerfacc's kernels, which need CUDA; None uses them if they are
            available (see `has_kernels`).

    Source of the shadings: DreamFusion, 2209.14988, section 3.1, with threestudio's numbers.
    """

    occupancy: OccupancyGrid
    num_samples: int = setting(64, positive_int)
    normals: bool = False
    shading: str = setting("albedo", one_of, SHADINGS)
    emptiness: bool = False
    packed: bool | None = None

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        check_settings(self)
        if self.shading != "albedo" and not self.normals:
            reject("normals", self.normals, f"True, for shading={self.shading!r}")

    def render_rays(
        self,
        field: Field,
        origins: Float[Tensor, "rays 3"],
        directions: Float[Tensor, "rays 3"],
        jitter: Float[Tensor, " rays"],
        light: Float[Tensor, "rays 3"] | None = None,
    ) -> RayRender:
        """Render rays.

        Args:
            field: what is rendered.
            origins: where they start.
            directions: unit vectors.
            jitter: in [0, 1), the fraction of an interval by which the samples are shifted.
            light: position of the point light, for a shading other than "albedo".

        Raises:
            ValueError: such a shading without a light.
        """
        if light is None and self.shading != "albedo":
            reject("light", light, f"positions, for shading={self.shading!r}")
        packed = origins.is_cuda and has_kernels() if self.packed is None else self.packed
        march = _march_packed if packed else _march_dense
        samples = march(field, self, origins, directions, jitter)
        middle, colour, weights = samples.middle, samples.colour, samples.weights

        def total(of: Tensor, values: Tensor | None = None, ray: Tensor = samples.ray) -> Tensor:
            return nerfacc.accumulate_along_rays(of, values, ray, len(origins))

        opacity = total(weights)[:, 0]
        share = weights / opacity[samples.ray].clamp_min(_TINY)
        column = total(share, middle[:, None])
        off = (middle - column[samples.ray, 0]) ** 2
        variance = total(share, off[:, None])
        normal, backfacing = origins.new_zeros(len(origins), 0), origins.new_zeros(len(origins))
        if self.normals:
            seen = weights.detach() > _NORMAL_WEIGHT / self.num_samples
            ray, seen_weights = samples.ray[seen], weights[seen]
            points = origins[ray] + middle[seen, None] * directions[ray]
            facing = _normals(field, points, 1e-2 * self.occupancy.radius)
            away = (facing * directions[ray]).sum(-1).clamp_min(0) ** 2
            if light is not None and self.shading != "albedo":
                towards = nn.functional.normalize(light[ray] - points, dim=-1)
                lit = _AMBIENT + _DIFFUSE * (facing * towards).sum(-1).clamp_min(0)
                colour = torch.ones_like(colour) if self.shading == "textureless" else colour
                colour = colour * torch.ones_like(middle).masked_scatter(seen, lit)[:, None]
            normal = total(seen_weights, facing, ray)
            backfacing = total(seen_weights.detach(), away[:, None], ray)[:, 0]
        held = origins.new_zeros(len(origins))
        if self.emptiness:
            costs = (_STEEP * weights).log1p() / self.num_samples
            held = total(costs)[:, 0]
        column, variance = column[:, 0], variance[:, 0]
        return RayRender(
            total(weights, colour), opacity, column, variance, normal, backfacing, held
        )


def render(
    field: Field,
    camera: Camera,
    marcher: Marcher,
    *,
    height: int,
    width: int,
    background: Float[Tensor, "batch *image 3"],
    jitter: Float[Tensor, "batch height width"] | None = None,
    light: Float[Tensor, "batch 3"] | None = None,
    rays_per_patch: int | None = None,
) -> Render:
    """Render views with a graph to the field.

    Args:
        field: what is rendered.
        camera: the views; the images are on the background's device, in its precision.
        marcher: how rays are sampled.
        height: of the images, in pixels.
        width: of the images, in pixels.
        background: colour behind the volume, one per pixel, or one per view (batch, 1, 1, 3).
        jitter: in [0, 1) per pixel; None uses fixed samples.
        light: positions of a point light, one per view, for the marcher's shading.
        rays_per_patch: None keeps the graph of all rays; a number renders that many rays at a time
            without one, and again with one in the backward pass (see `deferred`).
    """
    rays = camera.rays(height, width, dtype=background.dtype, device=background.device)
    shape = (len(camera), height, width)
    jitter = background.new_zeros(shape) if jitter is None else jitter
    flat = (rays.origins.view(-1, 3), rays.directions.view(-1, 3), jitter.reshape(-1))
    if light is not None:
        flat = (*flat, light[:, None, None].expand(*shape, 3).reshape(-1, 3))
    render_rays = partial(marcher.render_rays, field)
    if rays_per_patch is None:
        seen = render_rays(*flat)
    else:
        seen = in_patches(render_rays, *flat, rays_per_patch=rays_per_patch)
    opacity = seen.opacity.view(shape)
    behind = (1 - opacity)[..., None] * background
    axes = camera.axes.to(background)
    normal = seen.normal.view(*shape, -1)
    if marcher.normals:
        normal = torch.einsum("bij,bhwj->bhwi", axes, normal)
    return Render(
        image=(seen.colour.view(*shape, 3) + behind).movedim(-1, 1),
        opacity=opacity,
        depth=seen.length.view(shape) * rays.cosines,
        variance=seen.variance.view(shape),
        normal=normal.movedim(-1, 1),
        backfacing=seen.backfacing.view(shape),
        emptiness=seen.emptiness.view(shape),
    )


@cache
def has_kernels() -> bool:
    """Return whether nerfacc's CUDA kernels are available: prebuilt, or else built by nvcc in this call.

    Without them CUDA uses the same path as the CPU, in plain torch; a warning says so once.
    """
    if not torch.cuda.is_available():
        return False
    built, lacks = importlib.util.find_spec("nerfacc.csrc") is not None, "no nvcc to build them"
    if built or shutil.which("nvcc"):
        try:
            from torch.utils.cpp_extension import _get_build_directory  # needs setuptools

            # Of two processes that build at once, one would delete the other's folder.
            with FileLock(f"{_get_build_directory('nerfacc_cuda', verbose=False)}.lock"):
                backend = importlib.import_module("nerfacc.cuda._backend")
            if backend._C is not None:
                return True
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            lacks = str(error)
    _log.warning("nerfacc has no CUDA kernels, rays are sampled in plain torch: %s", lacks)
    return False


def _in_ball(origins: Tensor, directions: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Lengths at which rays enter and leave the ball; equal where they miss it."""
    middle = -(origins * directions).sum(-1)
    gap = radius**2 - (origins.square().sum(-1) - middle**2)
    half = gap.clamp_min(0).sqrt()
    near = (middle - half).clamp_min(0)
    return near, torch.maximum(middle + half, near)


def _march_dense(
    field: Field, marcher: Marcher, origins: Tensor, directions: Tensor, jitter: Tensor
) -> _Samples:
    """On CPU, and on CUDA without kernels: a table of intervals, evaluated stretch by stretch while light is left."""
    radius = marcher.occupancy.radius
    near, far = (ends[:, None] for ends in _in_ball(origins, directions, radius))
    count = torch.arange(marcher.num_samples + 2).to(near)  # one more, because of the shift
    edges = near + (count - jitter[:, None]) * (2 * radius / marcher.num_samples)
    edges = torch.minimum(torch.maximum(edges, near), far)
    start, end = edges[:, :-1], edges[:, 1:]
    light, found = torch.ones_like(near[:, 0]), []
    stretch = _STRETCH_ON_CUDA if origins.is_cuda else _STRETCH
    for a, b in zip(start.split(stretch, 1), end.split(stretch, 1), strict=True):
        lit = light > _VISIBLE
        places, points = marcher.occupancy.looked_into(origins, directions, a, b, lit)
        if found and not len(points):
            continue  # nothing there; but keep the first stretch, for the graph to the field
        density, colour = field.density_and_colour(points)
        table = a.new_zeros(a.numel()).scatter(0, places, density).view_as(a)
        light = light * (-(table.detach() * (b - a)).sum(1)).exp()
        found.append((places, a, b, table, colour))
    places, starts, ends, tables, colours = zip(*found, strict=True)
    start, end = torch.cat(starts, 1), torch.cat(ends, 1)
    weights, _, _ = nerfacc.render_weight_from_density(start, end, torch.cat(tables, 1))

    def packed(values: Tensor) -> Tensor:
        parts = zip(values.split(stretch, 1), places, strict=True)
        return torch.cat([part.flatten()[where] for part, where in parts])

    ray = torch.arange(len(start), device=start.device)[:, None].expand(start.shape)
    return _Samples(packed(ray), packed(0.5 * (start + end)), torch.cat(colours), packed(weights))


def _march_packed(
    field: Field, marcher: Marcher, origins: Tensor, directions: Tensor, jitter: Tensor
) -> _Samples:
    """On CUDA: nerfacc's march."""
    radius = marcher.occupancy.radius
    step = 2 * radius / marcher.num_samples
    near, far = _in_ball(origins, directions, radius)

    def clipped(start: Tensor, end: Tensor, ray: Tensor) -> tuple[Tensor, Tensor]:
        return torch.maximum(start, near[ray]), torch.minimum(end, far[ray])

    def points(start: Tensor, end: Tensor, ray: Tensor) -> Tensor:
        return origins[ray] + (0.5 * (start + end))[:, None] * directions[ray]

    def density(start: Tensor, end: Tensor, ray: Tensor) -> Tensor:
        return field.density(points(*clipped(start, end, ray), ray))

    with torch.no_grad():
        ray, start, end = marcher.occupancy.sampling(
            origins,
            directions,
            sigma_fn=density,
            near_plane=-step,  # below any t_min, which starts before a camera within the ball
            t_min=torch.where(far > near, near - jitter * step, far),
            # nerfacc takes an interval whose midpoint lies before the end: keep the one cut there.
            t_max=torch.where(far > near, far + 0.5 * step, far),
            render_step_size=step,
            early_stop_eps=_VISIBLE,
        )
        start, end = clipped(start, end, ray)
    densities, colour = field.density_and_colour(points(start, end, ray))
    weights, _, _ = nerfacc.render_weight_from_density(
        start, end, densities, ray_indices=ray, n_rays=len(origins)
    )
    return _Samples(ray, 0.5 * (start + end), colour, weights)


def _normals(field: Field, points: Tensor, distance: float) -> Tensor:
    """Direction in which density falls, by central differences; short where it hardly changes."""
    steps = distance * torch.eye(3).to(points)
    around = torch.stack([points[:, None] + steps, points[:, None] - steps])
    ahead, behind = field.density(around.view(-1, 3)).view(2, -1, 3)
    slope = (ahead - behind) / (2 * distance)
    return -slope / (slope.square().sum(-1, keepdim=True) + _FLAT**2).sqrt()
