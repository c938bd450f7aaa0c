"""Text to 3D: one run, from its settings to the steps of its distillation.

A `Text3D` holds the whole configuration of a run as plain values. `build` turns it into a scene, an
optimiser and a rule, and `Built3D.steps` then distils step by step.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.cameras import LIMITS, VIEWS, Camera, sample_cameras
from sdilib.checks import (
    ends,
    finite,
    in_range,
    like,
    one_of,
    positive_int,
    reject,
    setting,
)
from sdilib.denoiser import (
    PromptEmbeddings,
    azimuth_weights,
    each_tensor,
    require_finite,
    with_view,
)
from sdilib.distillation import THROUGH, Codec, Enlarged, Step, check_run, distill_step
from sdilib.guidance import Rule, View
from sdilib.guidance.named import RunSettings, make_rule
from sdilib.nerf.field import ACTIVATIONS, BACKGROUNDS, BLOB_RADIUS, RADIUS, NeRF
from sdilib.nerf.hash_grid import BACKENDS, LARGEST_TABLE, HashGrid, usable_backend
from sdilib.nerf.regularisers import Penalties
from sdilib.nerf.scene import NeRFScene
from sdilib.scenes import Scene3D
from sdilib.schedule import T_SCHEDULES, TimeSchedule
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.precision import usable_precision

_log = logging.getLogger(__name__)

Ends = Sequence[int | float]
"""A range's two ends, the lower first."""

Shown = TypeVar("Shown", bound=Scene3D)

_EMPTY = 0.002  # mean opacity below which nothing is visible
_AZIMUTH = 22.5  # of the single view by which a run is followed, in degrees
_LARGEST = 4096  # pixels per side, beyond any model's
_GROWING = 0.1  # fraction of a run in which the scene may still be empty


class EmptySceneError(RuntimeError):
    """The volume has vanished, and no gradient can bring it back: the run has diverged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text3D(RunSettings):
    """One run from a text to a NeRF.

    Attributes:
        prompt: what to make, without view words.
        model: "mini" (bundled), a folder in diffusers' format, or a hub id.
        precision: type of its weights: "auto", "float32", "float16" or "bfloat16" (see `usable_precision`).
        rule: one of `guidance.named.RULES`, or a user-defined rule.
        rule_settings: the rule's settings, by name. Those left out take its defaults, except that
            gamma is 7.5 for every rule, and SDI's inversion uses `INVERSION` and gamma_inv = -gamma.
            `Text3D.of` takes them together with the others.
        negative_prompt: replaces ∅ in eq. 3, in inversions too; "" is the empty prompt.
        view_words: whether to append each camera's view to the prompt (DreamFusion, 2209.14988).
        view_embeddings: "word" embeds each view's word; "blended" interpolates between front, side and
            back (see `Camera.view_shares`).
        perp_neg: 0, or the weight of negative prompts with the words of other views (Perp-Neg,
            2304.04968); inversions do not use them.
        perp_neg_by: "constant" gives each of the other views that weight, at 3 more sample-forwards
            per item and guided prediction; "azimuth" multiplies it by `azimuth_weights` for front and
            side, at 2 more.
        steps: number of distillation steps.
        cameras: views per step.
        updates: optimiser steps towards each target.
        azimuth_degrees: range of the cameras' azimuth, sampled uniformly like the ranges below; the
            defaults are the views of the bundled model's world (see `sample_cameras`).
        elevation_degrees: range of elevation for views that are not overhead, in [-89, 89].
        distance: range of the cameras' distance from the origin, outside the blob's radius; in the
            paper the cameras are within the volume's radius.
        fov_degrees: range of the full vertical field of view, in (0, 120].
        overhead_share: probability of a view from above, in [0, 1].
        through: how a target in latents reaches pixels, "encoder" or "decoder" (see `distill_step`).
        image_weight: weight of a second loss, in the image (HiFA's lambda_rgb; see `distill_step`).
        t_schedule: how t varies (see `TimeSchedule`).
        t_start: highest t.
        t_end: lowest t.
        size: height and width of the images that the model sees, and of the renders, in pixels.
        render_size: 0, or a smaller height and width of the renders, which are then enlarged
            bilinearly to `size`; targets in pixels are shrunk to it (DreamFusion, 2209.14988).
        num_samples: samples along a ray through the centre.
        rays_per_patch: 0, or the number of rays per patch in deferred backpropagation.
        learning_rate: Adam's learning rate for the hash grid.
        network_learning_rate: Adam's learning rate for the small network.
        background_learning_rate: Adam's learning rate for a learned environment.
        radius: radius of the ball that contains the volume.
        levels: levels of the hash grid, which spans the cube around that ball.
        base_resolution: resolution of the first level, in cells per side.
        finest_resolution: resolution of the last level.
        log2_table_size: log2 of the largest number of entries per level.
        hidden: width of the small network.
        first_levels: levels of the hash grid active at first, if the others are added one by one,
            coarse to fine (Neuralangelo, 2306.03092, section 3.3).
        progressive_start: fraction of the run after which levels begin to be added.
        progressive_share: 0, or the fraction of the run after which all levels are active.
        backend: backend of the hash grid; "tinycudann" falls back to "numba" if it cannot be used.
        activation: activation of the density, "softplus" or "exp".
        blob_height: height of the initial blob, added to the density at the centre before the activation.
        blob_radius: radius at which the blob falls to 0.
        background: "fixed", "random" or "environment", see `NeRF`.
        background_saturation: how far a random background is from its own grey, in [0, 1]; 1 is any colour.
        shading: fraction of steps lit by a point light, after an unlit first tenth of the run; lit steps
            need normals (DreamFusion, 2209.14988; threestudio's diffuse_prob).
        textureless: fraction of the lit steps rendered in white (threestudio's textureless_prob).
        sparsity: weight of the sparsity penalty (see `Penalties`). Ten times the default erases what is
            nearly as light as the background: a spotted mug's white spots become holes.
        opaqueness: final weight of this penalty, which grows from 0 during the run.
        orientation: weight of this penalty; needs normals, which cost about a second rendering.
        z_variance: final weight of this penalty, which grows from 0 during the run.
        convexity: weight of this penalty in the first 40% of the run; needs normals.
        emptiness: weight of this penalty, SJC's; 20 times as much in the second half of the run.
        sparsity_share: 0, or the fraction of the run over which sparsity falls to 0.
        growth_share: fraction of the run over which opaqueness and z_variance grow; 0: they are constant.
        seed: seed of everything drawn, 0 or more.

    Raises:
        ValueError: a setting outside its range; the message names it.
    """

    INVERSION: ClassVar[Mapping[str, Any]] = MappingProxyType({"entropy": 0.3, "tau_max": 1 / 30})
    """The paper's inversion in 3D, the default of SDI here: H(t) of eq. 11 and tau of appendix A.1. In 2D, and where a
    residual of eq. 8 is measured, both are off."""

    view_words: bool = setting(True, like, True)
    view_embeddings: str = setting("word", one_of, ("word", "blended"))
    perp_neg: float = setting(0.0, in_range, 0, 1e6)
    perp_neg_by: str = setting("constant", one_of, ("constant", "azimuth"))
    steps: int = setting(120, positive_int)
    cameras: int = setting(4, positive_int)
    updates: int = setting(1, positive_int)
    azimuth_degrees: Ends = (-180.0, 180.0)
    elevation_degrees: Ends = (-8.0, 45.0)
    distance: Ends = (3.3, 3.9)
    fov_degrees: Ends = (37.0, 43.0)
    overhead_share: float = setting(0.15, in_range, 0, 1)
    through: str = setting("encoder", one_of, THROUGH)
    image_weight: float = setting(0.0, in_range, 0, 1e6)
    t_schedule: str = setting("linear", one_of, T_SCHEDULES)
    t_start: float = 0.98
    t_end: float = 0.2
    size: int = setting(64, positive_int, at_most=_LARGEST)
    render_size: int = setting(0, positive_int, at_least=0)
    num_samples: int = setting(64, positive_int)
    rays_per_patch: int = setting(0, positive_int, at_least=0)
    learning_rate: float = setting(0.05, in_range, 0, 10, open_low=True)
    network_learning_rate: float = setting(0.01, in_range, 0, 10, open_low=True)
    background_learning_rate: float = setting(0.001, in_range, 0, 10, open_low=True)
    radius: float = setting(RADIUS, in_range, 0, 1e3, open_low=True)
    levels: int = setting(12, positive_int)
    base_resolution: int = setting(8, positive_int)
    finest_resolution: int = 64
    log2_table_size: int = setting(15, positive_int, at_most=LARGEST_TABLE)
    hidden: int = setting(32, positive_int)
    first_levels: int = setting(4, positive_int)
    progressive_start: float = 0.0
    progressive_share: float = setting(0.0, in_range, 0, 1)
    backend: str = setting("numba", one_of, BACKENDS)
    activation: str = setting("exp", one_of, ACTIVATIONS)
    blob_height: float = setting(5.0, finite)
    blob_radius: float = BLOB_RADIUS
    background: str = setting("random", one_of, BACKGROUNDS)
    background_saturation: float = setting(1.0, in_range, 0, 1)
    shading: float = setting(0.0, in_range, 0, 1)
    textureless: float = setting(0.0, in_range, 0, 1)
    sparsity: float = 0.003
    opaqueness: float = 0.05
    orientation: float = 0.0
    z_variance: float = 0.0
    convexity: float = 0.0
    emptiness: float = 0.0
    sparsity_share: float = 0.0
    growth_share: float = 1.0
    seed: int = setting(0, positive_int, at_least=0)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        RunSettings.__post_init__(self)  # super() knows no class with slots
        if self.rule_settings.get("kappa") == "cached":
            reject("kappa", "cached", "another one in 3D, where not the rule alone moves the image")
        positive_int("finest_resolution", self.finest_resolution, self.base_resolution)
        if self.render_size >= self.size:
            reject("render_size", self.render_size, f"0, or a size below {self.size}, the model's")
        in_range("blob_radius", self.blob_radius, 0, self.radius, open_low=True)
        limits = LIMITS | {"distance": (self.blob_radius, LIMITS["distance"][1], True)}
        for name, (low, high, open_low) in limits.items():
            pair = ends(name, getattr(self, name), low, high, open_low=open_low)
            object.__setattr__(self, name, pair)  # one form, whether it came from JSON or not
        if self.perp_neg and not self.view_words:
            reject("perp_neg", self.perp_neg, "0 where view_words is False")
        if self.view_embeddings != "word" and not self.view_words:
            reject("view_embeddings", self.view_embeddings, "'word' where view_words is False")
        in_range("progressive_start", self.progressive_start, 0, self.progressive_share)
        rgb_weight = self.rule_settings.get("rgb_weight")
        if self.image_weight and rgb_weight:
            expected = f"0, or the rule's own rgb_weight={rgb_weight} at 0: they are one loss"
            reject("image_weight", self.image_weight, expected)
        _ = self.times, self.penalties  # both check their settings

    @property
    def times(self) -> TimeSchedule:
        """How t varies."""
        return TimeSchedule(self.t_schedule, self.t_start, self.t_end)

    def around(self, azimuths: Sequence[int | float]) -> Camera:
        """Return cameras to look at the object with: from the middle of the run's distances and fields of view.

        Args:
            azimuths: in degrees, one per camera.
        """
        # Rounded, so that the middle of the world's distances is 3.6 and not a bit below it.
        distance, fov = (round(sum(of) / 2, 6) for of in (self.distance, self.fov_degrees))
        return Camera.around(azimuths, distance=distance, fov_degrees=fov)

    @property
    def penalties(self) -> Penalties:
        """The penalties that keep the volume plausible."""
        return Penalties(**{each.name: getattr(self, each.name) for each in fields(Penalties)})

    def on(self, device: torch.device) -> "Text3D":
        """Return the settings with a backend and a precision that work on a device.

        Args:
            device: the model's.
        """
        precision = usable_precision(self.precision, device)
        return replace(self, backend=usable_backend(self.backend, device), precision=precision)

    def build(self, model: StableDiffusion | None = None) -> "Built3D[NeRFScene]":
        """Build the run in its initial state.

        Args:
            model: the model of these settings, if it is already loaded.

        Raises:
            ValueError: a prompt, size, precision or rule setting that cannot be used.
        """
        model = model or StableDiffusion.from_pretrained(self.model, dtype=self.precision)
        if self.size % model.factor:
            reject(
                "size", self.size, f"a multiple of {model.factor}, the model's pixels per latent"
            )
        if self.size != (native := model.factor * model.latent_shape[-1]):
            _log.warning("size=%d: the model is meant for %d pixels", self.size, native)
        config = self.on(model.device)
        model.require_precision(config.precision)
        scene, groups = _nerf_scene(config, model.device)
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)
        rule = make_rule(self.rule, model, self.rule_settings)
        built = Built3D(config, model, scene, optimizer, rule)
        for camera in (Camera.around([0, 90, 180]), Camera.around([0], elevation_degrees=70)):
            built.prompt_of(camera)  # finds unknown words before any work
        return built


@dataclass(slots=True, eq=False)
class Built3D(Generic[Shown]):
    """The parts of a run; all its state is in `scene`, `optimizer` and `rule`.

    `Text3D.build` makes a NeRF. Any other `Scene3D` takes its place together with an optimiser, as in
    `dataclasses.replace(built, scene=scene, optimizer=torch.optim.Adam(scene.parameters(), lr=0.01))`;
    the settings of the NeRF then mean nothing.

    Attributes:
        config: the settings it was built from, with the backend and precision in use.
        model: the denoiser and codec, frozen.
        scene: what is optimised; renders have the settings' `render_size`, or else their `size`.
        optimizer: over the scene's parameters.
        rule: guidance.
    """

    config: Text3D
    model: StableDiffusion
    scene: Shown
    optimizer: torch.optim.Optimizer
    rule: Rule

    @property
    def codec(self) -> Codec:
        """The codec between renders and latents: the model, with an enlargement if renders are smaller."""
        config = self.config
        if not config.render_size:
            return self.model
        return Enlarged(self.model, config.size, config.render_size)

    @property
    def image(self) -> Float[Tensor, "3 height width"]:
        """The object as it is now, always from the same viewpoint, in [0, 1], on CPU."""
        return self.scene.views(self.config.around([_AZIMUTH])).image[0].clamp(0, 1)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the scene of a finished run, seen from four sides at the settings' `size`.

        Args:
            state: the scene's, from its `state_dict`.
        """
        self.scene.load_state_dict(state)
        self.scene.resize(self.config.size, self.config.size)
        self.scene.look(Camera.around([0, 90, 180, 270]))

    def prompt_of(self, camera: Camera) -> PromptEmbeddings:
        """Return the prompt for each view, with its view word and any negatives of `perp_neg`.

        Args:
            camera: the views.
        """
        config, away = self.config, self.config.negative_prompt
        if not config.view_words:
            return self.model.embed([config.prompt] * len(camera), away)
        embed = partial(self.model.embed, negative_prompt=away)
        said = {view: with_view(config.prompt, view) for view in VIEWS}
        asked, shares = embed([said[view] for view in camera.views]), camera.view_shares
        if config.view_embeddings == "blended":
            of_views = embed(list(said.values())).conditional
            blended = each_tensor(
                of_views, lambda rows: torch.einsum("bv,v...->b...", shares.to(rows), rows)
            )
            asked = replace(asked, conditional=blended)
        if not config.perp_neg:
            return asked
        if config.perp_neg_by == "azimuth":
            others = [["front", "side"]] * len(camera)
            weights = tuple(config.perp_neg * each for each in azimuth_weights(shares))
        else:
            others = [[other for other in VIEWS if other != view] for view in camera.views]
            weights = (config.perp_neg,) * (len(VIEWS) - 1)
        negatives = (embed([said[view] for view in views]) for views in zip(*others, strict=True))
        rows = tuple(each.conditional for each in negatives)
        return replace(asked, negatives=rows, negative_weights=weights)

    def steps(self, first_step: int = 0, skipped: int = 0) -> Iterator[Step]:
        """Distil, one step per iteration (Algorithms 1 and 2).

        Args:
            first_step: where to continue.
            skipped: `Step.skipped` of the step before.

        Yields:
            Each step, completed or skipped; its random draws depend only on its number and the seed.

        Raises:
            EmptySceneError: nothing is visible after the first tenth of the run.
            NonFiniteError: too many steps in a row are not finite, or the scene is not.
        """
        config, codec = self.config, self.codec
        check_run(self.scene, self.rule, num_steps=config.steps, first_step=first_step, codec=codec)
        how: dict[str, Any] = {"optimizer": self.optimizer, "codec": codec}
        how |= {name: getattr(config, name) for name in ("through", "updates", "image_weight")}
        ranges: dict[str, Any] = {name: tuple(getattr(config, name)) for name in LIMITS}
        ranges["overhead_share"] = config.overhead_share
        ranges["antipodal"] = getattr(self.rule, "antipodal", False)
        for number in range(first_step, config.steps):
            draw = generator(config.seed, number, "camera")
            camera = sample_cameras(config.cameras, draw, **ranges)
            self.scene.look(camera, draw, done=number / config.steps)
            time, guidance = (
                [generator(config.seed, number, purpose, item) for item in range(len(camera))]
                for purpose in ("time", "guidance")
            )
            t = config.times.at(number, config.steps, generator=time, batch=len(camera))
            view = View(self.prompt_of(camera), camera=camera, done=number / config.steps)
            how |= {"step": number, "skipped": skipped}
            step = distill_step(self.scene, self.rule, view, t, guidance, **how)
            skipped = step.skipped
            opacity = float(step.measured.get("opacity", 1.0))  # another kind of scene has none
            if opacity < _EMPTY and number > _GROWING * config.steps:
                raise EmptySceneError(
                    f"opacity={opacity:.2g}: expected at least {_EMPTY} at step {number}; "
                    "the volume is empty, smaller penalties or learning rates may help"
                )
            yield step
        require_finite("at the end", parameters=list(self.scene.parameters()))


def _nerf_scene(config: Text3D, device: torch.device) -> tuple[NeRFScene, list[dict[str, Any]]]:
    """The scene, and its parameters in groups with their learning rates."""
    draw = generator(config.seed, 0, "nerf")
    grid = HashGrid(
        num_levels=config.levels,
        log2_table_size=config.log2_table_size,
        base_resolution=config.base_resolution,
        finest_resolution=config.finest_resolution,
        backend=config.backend,
        generator=draw,
    )
    nerf = NeRF(
        grid=grid,
        radius=config.radius,
        hidden=config.hidden,
        activation=config.activation,
        blob_height=config.blob_height,
        blob_radius=config.blob_radius,
        background=config.background,
        background_saturation=config.background_saturation,
        generator=draw,
    ).to(device)
    scene = NeRFScene(
        nerf,
        Camera.around([0] * config.cameras),
        height=config.render_size or config.size,
        width=config.render_size or config.size,
        num_samples=config.num_samples,
        rays_per_patch=config.rays_per_patch or None,
        penalties=config.penalties,
        shading=config.shading,
        textureless=config.textureless,
        first_levels=config.first_levels,
        progressive_start=config.progressive_start,
        progressive_share=config.progressive_share,
    )
    groups: list[dict[str, Any]] = [
        {"params": list(grid.parameters()), "lr": config.learning_rate},
        {"params": list(nerf.network.parameters()), "lr": config.network_learning_rate},
    ]
    if nerf.environment is not None:
        behind = list(nerf.environment.parameters())
        groups.append({"params": behind, "lr": config.background_learning_rate})
    return scene, groups
