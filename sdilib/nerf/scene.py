"""A radiance field as a `Scene` that renders the views of the step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.checks import in_range, positive_int
from sdilib.nerf.field import BACKGROUND, NeRF
from sdilib.nerf.occupancy import OccupancyGrid
from sdilib.nerf.regularisers import Penalties
from sdilib.nerf.render import Marcher, Render, render
from sdilib.scenes import Rendering
from sdilib.seeds import normal, uniform
from sdilib.storage import under

# DreamFusion's light, in units of its cameras' mean distance, 1.25: spread of the direction around
# the camera's, and range of the distance from the origin.
_LIGHT_SPREAD, _LIGHT_DISTANCE = 0.8, (0.64, 1.2)
_SURFACE = 0.5  # opacity above which a pixel shows a surface
_UNLIT = 0.1  # fraction of a run before shading begins, like threestudio's 1000 steps of 10000


@dataclass(frozen=True, slots=True, eq=False)
class _Looking:
    """What the renders of a step share."""

    camera: Camera
    done: float
    jitter: Tensor
    drawn: Tensor
    marcher: Marcher
    light: Tensor | None = None


class NeRFScene:
    """A NeRF seen by the cameras of the step.

    `look` sets the views; every render until the next `look` shows them, with the same samples along
    the rays. Only `look` draws random numbers, so a step can be repeated from its generator.

    Attributes:
        space: "pixels".
        nerf: the field.
        occupancy: where the field may be non-empty.
    """

    space = "pixels"

    def __init__(
        self,
        nerf: NeRF,
        camera: Camera,
        *,
        height: int = 64,
        width: int = 64,
        num_samples: int = 64,
        rays_per_patch: int | None = None,
        occupancy_resolution: int = 32,
        penalties: Penalties | None = None,
        shading: float = 0.0,
        textureless: float = 0.0,
        first_levels: int = 4,
        progressive_start: float = 0.0,
        progressive_share: float = 0.0,
    ) -> None:
        """Set up the scene of a field.

        Args:
            nerf: optimised in place.
            camera: the first views.
            height: of the renders, in pixels.
            width: of the renders, in pixels.
            num_samples: samples along a ray through the centre.
            rays_per_patch: a number defers backpropagation: memory for the graph of only that many
                rays, and a second rendering in the backward pass.
            occupancy_resolution: cells per side.
            penalties: what keeps the volume plausible; None for none.
            shading: fraction of steps lit by a point light, after an unlit first tenth of the run.
            textureless: fraction of the lit steps rendered in white.
            first_levels: levels of the hash grid active at first, if the others are added one by
                one, coarse to fine.
            progressive_start: fraction of the run after which levels begin to be added, at most
                `progressive_share`.
            progressive_share: 0, or the fraction of the run after which all levels are active.

        Raises:
            ValueError: a number outside its range.
        """
        self.nerf = nerf
        self.occupancy = OccupancyGrid(nerf.radius, resolution=occupancy_resolution)
        self.occupancy.to(next(nerf.parameters()).device)
        self._penalties = penalties or Penalties()
        self._size = (positive_int("height", height), positive_int("width", width))
        self._marcher = Marcher(
            self.occupancy,
            num_samples=num_samples,
            normals=self._penalties.normals,
            emptiness=self._penalties.emptiness > 0,
        )
        if rays_per_patch is not None:
            positive_int("rays_per_patch", rays_per_patch)
        self._rays_per_patch = rays_per_patch
        self._shading = in_range("shading", shading, 0, 1)
        self._textureless = in_range("textureless", textureless, 0, 1)
        self._first_levels = positive_int("first_levels", first_levels)
        in_range("progressive_share", progressive_share, 0, 1)
        in_range("progressive_start", progressive_start, 0, progressive_share)
        self._progressive = (progressive_start, progressive_share)
        self.look(camera)

    @property
    def field(self) -> NeRF:
        """The field, with a density and a colour everywhere, hence a surface; scenes without one have views only."""
        return self.nerf

    @property
    def camera(self) -> Camera:
        """The views of the step."""
        return self._looking.camera

    def look(
        self, camera: Camera, generator: torch.Generator | None = None, *, done: float = 1.0
    ) -> None:
        """Set the views of the step, and update the occupancy.

        Args:
            camera: the views.
            generator: for the positions of samples, a random background and light; None means fixed
                samples, no light, and no update of the occupancy.
            done: fraction of the run completed, in [0, 1]; levels of the grid, shading and penalties
                depend on it.
        """
        like = next(self.nerf.parameters())
        self.nerf.grid.active_levels = self._levels(done)
        jitter = torch.zeros(len(camera), *self._size)
        drawn = torch.full((len(camera), 3), BACKGROUND)
        marcher, light = self._marcher, None
        if generator is not None:
            jitter = torch.rand(jitter.shape, generator=generator)
            drawn = torch.rand(drawn.shape, generator=generator)
            self.occupancy.update(self.nerf, generator=generator)
            if self._shading and done >= _UNLIT:
                marcher, light = self._lit(camera, generator)
        self._looking = _Looking(camera, done, jitter.to(like), drawn.to(like), marcher, light)

    def _levels(self, done: float) -> int:
        """How many levels of the hash grid are active (Neuralangelo, 2306.03092, section 3.3)."""
        levels, first = len(self.nerf.grid.resolutions), self._first_levels
        start, end = self._progressive
        if levels <= first or done >= end:
            return levels
        rest = (levels - first) * (done - start) / (end - start) if done > start else 0
        return first + int(rest + 1e-6)

    def _lit(self, camera: Camera, generator: torch.Generator) -> tuple[Marcher, Tensor | None]:
        """Draw whether the step is lit, and where from (DreamFusion, 2209.14988, section 3.2)."""
        lit, white = uniform(2, generator).tolist()
        if lit >= self._shading:
            return self._marcher, None
        shading = "textureless" if white < self._textureless else "diffuse"
        away = camera.axes[:, 2]
        direction = away + _LIGHT_SPREAD * normal(away, generator)
        near, far = _LIGHT_DISTANCE
        length = camera.distance * (near + (far - near) * uniform(len(away), generator))
        position = length[:, None] * torch.nn.functional.normalize(direction, dim=-1)
        light = position.to(next(self.nerf.parameters()))
        return replace(self._marcher, normals=True, shading=shading), light

    def resize(self, height: int, width: int) -> None:
        """Set the size of the renders, keeping the views, with fixed samples.

        Args:
            height: of the renders, in pixels.
            width: of the renders, in pixels.

        Raises:
            ValueError: a number below 1.
        """
        self._size = (positive_int("height", height), positive_int("width", width))
        self.look(self.camera, done=self._looking.done)

    def render(self) -> Rendering:
        """Return the images of the step's views, in [0, 1], with the penalty that keeps the volume plausible."""
        seen = self.render_all()
        terms = self._penalties(seen, self._looking.done)
        penalty = torch.stack(list(terms.values())).sum() if terms else None
        measured = {"opacity": seen.opacity.detach().mean()}
        if penalty is not None:
            measured |= {
                name: each.detach() for name, each in (terms | {"penalty": penalty}).items()
            }
        depth = torch.where(seen.opacity > _SURFACE, seen.depth, 0.0).detach()
        return Rendering(seen.image, penalty, depth, measured)

    def render_all(self) -> Render:
        """Return images and what the penalties use, with a graph to the parameters.

        Cost: one rendering, and with `rays_per_patch` a second one in the backward pass.
        """
        looking, drawn = self._looking, self._looking.drawn
        rays = looking.camera.rays(*self._size, dtype=drawn.dtype, device=drawn.device)
        return render(
            self.nerf,
            looking.camera,
            looking.marcher,
            height=self._size[0],
            width=self._size[1],
            background=self.nerf.background_colour(drawn, rays.directions),
            jitter=looking.jitter,
            light=looking.light,
            rays_per_patch=self._rays_per_patch,
        )

    @torch.no_grad()
    def views(self, camera: Camera, *, batch: int = 4) -> Render:
        """Return renders from other cameras, on CPU; the scene's own views stay as they were.

        Args:
            camera: any number of views.
            batch: views rendered at a time.
        """
        before, parts = self._looking, []
        try:
            for items in torch.arange(len(camera)).split(positive_int("batch", batch)):
                self.look(camera.select(items), done=before.done)
                parts.append(self.render_all())
        finally:
            self._looking = before
        names = [field.name for field in fields(Render)]
        return Render(**{n: torch.cat([getattr(p, n).cpu() for p in parts]) for n in names})

    def parameters(self) -> Iterator[Tensor]:
        """Return the field's parameters."""
        yield from self.nerf.parameters()

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of the parameters and of the occupancy, by name."""
        return {
            name: values.detach().clone()
            for part, module in self._modules.items()
            for name, values in module.state_dict(prefix=f"{part}.").items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore them in place.

        Args:
            state: from `state_dict`.
        """
        for part, module in self._modules.items():
            module.load_state_dict(under(state, f"{part}."))

    @property
    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"nerf": self.nerf, "occupancy": self.occupancy}
