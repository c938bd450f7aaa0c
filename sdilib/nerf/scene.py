"""A radiance field as a `Scene`: it renders the views of the step."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.cameras import Camera
from sdilib.checks import positive_int
from sdilib.nerf.field import NeRF
from sdilib.nerf.render import Marcher, OccupancyGrid, Render, render
from sdilib.seeds import normal, uniform
from sdilib.storage import under

__all__ = ["NeRFScene"]

# DreamFusion's light, in units of its cameras' mean distance, 1.25: spread of the direction around
# the camera's, and range of the distance from the origin.
_LIGHT_SPREAD, _LIGHT_DISTANCE = 0.8, (0.64, 1.2)


class NeRFScene:
    """A NeRF seen by the cameras of the step.

    `look` chooses the views; every render until the next `look` is of those, with the same samples
    along the rays. Nothing is drawn but there, so a step is repeatable from its generator.

    Attributes:
        space: "pixels".
        nerf: the field.
        occupancy: where it may be anything.
        camera: the views of the step.
        shading: share of the `look`s with a generator whose renders are lit by a point light, in
            [0, 1]; all others show the field's own colour. Not part of the state, as the next: set
            by whoever trains.
        textureless: share of those that are white.
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
        normals: bool = False,
        rays_per_patch: int | None = None,
        occupancy_resolution: int = 32,
    ) -> None:
        """Look at a field.

        Args:
            nerf: optimised in place.
            camera: the first views.
            height: of the renders, in pixels.
            width: of the renders, in pixels.
            num_samples: along a ray through the centre.
            normals: whether renders hold normals, which orientation and convexity need.
            rays_per_patch: a number defers backpropagation: memory for the graph of so many rays
                only, and a second rendering in the backward pass.
            occupancy_resolution: cells a side.

        Raises:
            ValueError: a number below 1.
        """
        self.nerf = nerf
        self.occupancy = OccupancyGrid(nerf.radius, resolution=occupancy_resolution)
        self.occupancy.to(next(nerf.parameters()).device)
        self._size = (positive_int("height", height), positive_int("width", width))
        self._marcher = Marcher(self.occupancy, num_samples=num_samples, normals=normals)
        if rays_per_patch is not None:
            positive_int("rays_per_patch", rays_per_patch)
        self._rays_per_patch = rays_per_patch
        self.shading = self.textureless = 0.0
        self.look(camera)

    def look(self, camera: Camera, generator: torch.Generator | None = None) -> None:
        """Set the views of the step, and look up anew where the field is.

        Args:
            camera: the views.
            generator: for the places of samples, a random background and light; None is fixed
                samples, no light, and no look into the field.
        """
        self.camera = camera
        like = next(self.nerf.parameters())
        self._jitter = torch.zeros(len(camera), *self._size)
        self._drawn = torch.full((len(camera), 3), 0.5)
        self._lit, self._light = self._marcher, None
        if generator is not None:
            self._jitter = torch.rand(self._jitter.shape, generator=generator)
            self._drawn = torch.rand(self._drawn.shape, generator=generator)
            self.occupancy.update(self.nerf, generator=generator)
            if self.shading:
                self._draw_light(generator)
        self._jitter, self._drawn = self._jitter.to(like), self._drawn.to(like)

    def _draw_light(self, generator: torch.Generator) -> None:
        """Draw whether the step is lit, and where from (DreamFusion, 2209.14988, section 3.2)."""
        lit, white = uniform(2, generator).tolist()
        if lit >= self.shading:
            return
        shading = "textureless" if white < self.textureless else "diffuse"
        self._lit = replace(self._marcher, normals=True, shading=shading)
        away = self.camera.axes[:, 2]
        direction = away + _LIGHT_SPREAD * normal(away, generator)
        near, far = _LIGHT_DISTANCE
        length = self.camera.distance * (near + (far - near) * uniform(len(away), generator))
        position = length[:, None] * torch.nn.functional.normalize(direction, dim=-1)
        self._light = position.to(next(self.nerf.parameters()))

    def resize(self, height: int, width: int) -> None:
        """Set the size of the renders, and look again where the scene looks, with fixed samples.

        Args:
            height: of the renders, in pixels.
            width: of the renders, in pixels.

        Raises:
            ValueError: a number below 1.
        """
        self._size = (positive_int("height", height), positive_int("width", width))
        self.look(self.camera)

    def render(self) -> Float[Tensor, "batch 3 height width"]:
        """Return the images of the step's views, in [0, 1], with a graph to the parameters."""
        return self.render_all().image

    def render_all(self) -> Render:
        """Return images and what the regularisers look at, with a graph to the parameters.

        Cost: one rendering, and with `rays_per_patch` a second one in the backward pass.
        """
        return render(
            self.nerf,
            self.camera,
            self._lit,
            height=self._size[0],
            width=self._size[1],
            background=self.nerf.background_colour(self._drawn),
            jitter=self._jitter,
            light=self._light,
            rays_per_patch=self._rays_per_patch,
        )

    @torch.no_grad()
    def views(self, camera: Camera, *, batch: int = 4) -> Render:
        """Return renders from other cameras, on CPU; the scene looks where it looked before.

        Args:
            camera: any number of views.
            batch: rendered at a time.
        """
        looking = (self.camera, self._jitter, self._drawn, self._lit, self._light)
        parts = []
        for items in torch.arange(len(camera)).split(positive_int("batch", batch)):
            self.look(camera.select(items))
            parts.append(self.render_all())
        self.camera, self._jitter, self._drawn, self._lit, self._light = looking
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
