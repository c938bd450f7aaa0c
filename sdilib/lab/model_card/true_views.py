"""A NeRF fitted to true views through a model's encoder: how well a 3D object survives the autoencoder alone.

No denoiser is used: each target is the latents of the true picture that a camera sees. This reveals within a minute
whether an encoder is one-to-one in hue.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sdilib.cameras import Camera
from sdilib.checks import reject
from sdilib.guidance import Update, View
from sdilib.lab.evaluator import meant
from sdilib.lab.world.render import pictures
from sdilib.lab.world.scene import BACKGROUND, Background, WorldCamera
from sdilib.nerf.field import Environment
from sdilib.seeds import Generators
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_3d import Text3D

Images = Float[Tensor, "views 3 height width"]
Masks = Float[Tensor, "views height width"]
RGB = tuple[float, float, float]

USUAL: RGB = (BACKGROUND, BACKGROUND, BACKGROUND)
"""Background of a 3D object."""


def true_pictures(
    prompt: str, camera: Camera, size: int, behind: RGB = USUAL
) -> tuple[Images, Masks]:
    """Return the world's own pictures of a prompt's object, in [0, 1], and its silhouettes.

    Args:
        prompt: in the world's words, without a view; red and plain if it names no colour or pattern.
        camera: the views.
        size: height and width, in pixels.
        behind: colour of the background, in [0, 1].
    """
    scene = replace(meant(prompt), background=Background(behind))
    poses = (camera.azimuth_degrees, camera.elevation_degrees, camera.distance, camera.fov_degrees)
    views = zip(*(each.tolist() for each in poses), strict=True)
    return pictures([replace(scene, camera=WorldCamera(*pose)) for pose in views], size)


@dataclass(frozen=True, slots=True, eq=False)
class TrueViews:
    """A rule whose target is the latents of the true picture that each camera sees; costs no sample-forward.

    Attributes:
        model: whose encoder is used.
        prompt: in the world's words, without a view.
        behind: colour of the background.
    """

    model: StableDiffusion
    prompt: str
    behind: RGB = USUAL

    @torch.no_grad()
    def __call__(
        self,
        x0: Float[Tensor, " batch *shape"],
        t: Float[Tensor, " batch"],
        view: View,
        generator: Generators,
    ) -> Update:
        """Return the update; see `Rule`. The pictures have the size of the view's image."""
        if view.camera is None or view.image is None:
            reject("view", "without camera or image", "one of a scene in pixels that cameras see")
        size = view.image.shape[-1]
        pictures, _ = true_pictures(self.prompt, view.camera, size, self.behind)
        wanted = self.model.encode(pictures.to(x0))
        noises: dict[str, Any] = {"kappa": torch.zeros_like(x0), "eps": x0 - wanted}
        schedule = self.model.schedule
        return Update.from_noises(x0, t, **noises, schedule=schedule, weight="1", num_forwards=0)


@dataclass(frozen=True, slots=True, eq=False)
class TrueViewsFit:
    """The result of a fit, seen from sides to which it was not fitted.

    Attributes:
        errors: root mean square distance of the renders' latents from the true pictures', by step.
        images: of the fit, in [0, 1].
        opacity: of the fit, in [0, 1].
        pictures: true ones of the same views.
        silhouettes: true ones of the same views.
    """

    errors: tuple[float, ...]
    images: Images
    opacity: Masks
    pictures: Images
    silhouettes: Masks

    @property
    def iou(self) -> float:
        """Intersection over union of the silhouettes, the mean over views."""
        mine, true = self.opacity > 0.5, self.silhouettes > 0.5
        both, either = ((mine & true).sum((1, 2)), (mine | true).sum((1, 2)))
        return float((both / either.clamp(min=1)).mean())

    @property
    def psnr(self) -> float:
        """PSNR of the views, in dB."""
        return float(-10 * (self.images - self.pictures).square().mean().log10())

    @property
    def colour_error(self) -> float:
        """Error of the object's mean colour, root mean square over channels, in [0, 1]."""
        inside = (self.silhouettes > 0.5)[:, None].expand_as(self.pictures)
        missed = torch.where(inside, self.images - self.pictures, 0).sum((0, 2, 3))
        return float((missed / inside[:, 0].sum()).square().mean().sqrt())


class _Wall(Environment):
    """An environment of one colour, which is not learned."""

    def __init__(self, colour: RGB) -> None:
        nn.Module.__init__(self)
        self.colour = torch.tensor(colour)

    def forward(self, directions: Tensor) -> Tensor:
        return self.colour.to(directions).expand_as(directions)


def fit_true_views(
    model: StableDiffusion, prompt: str, *, num_views: int = 8, behind: RGB = USUAL, **settings: Any
) -> TrueViewsFit:
    """Fit a NeRF to an object's true views through the encoder, and render it.

    Args:
        model: of the world.
        prompt: in the world's words, without a view.
        num_views: number of renders, all around it.
        behind: colour of the background, in [0, 1].
        **settings: of the run, see `Text3D`.

    Raises:
        ValueError: an invalid setting.
    """
    run = Text3D.of(prompt=prompt, model=model.name, background="fixed", **settings)
    built = replace(run.build(model), rule=TrueViews(model, prompt, behind))
    built.scene.nerf.environment = _Wall(behind)
    errors = [float(step.gradient_norm.square().mean().sqrt()) for step in built.steps()]
    camera = Camera.around([360 * (k + 0.5) / num_views for k in range(num_views)])
    seen = built.scene.views(camera)
    pictures, silhouettes = true_pictures(prompt, camera, seen.image.shape[-1], behind)
    return TrueViewsFit(tuple(errors), seen.image.clamp(0, 1), seen.opacity, pictures, silhouettes)
