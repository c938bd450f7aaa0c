"""Text to 3D: what one run is, from its settings to the steps of its distillation.

A `Text3D` is the whole configuration of a run as plain values. `build` turns it into what
`distill` takes: a NeRF, an optimiser, a rule, and the prompts, cameras and penalties of a step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sdilib.cameras import Camera, sample_cameras
from sdilib.checks import ends, finite, in_range, one_of, positive_int, reject
from sdilib.distill import THROUGH, Codec, Enlarged, Step, distill
from sdilib.guidance import ISM, SDI, SDS, Rule
from sdilib.inversion import (
    DDIMInversion,
    FixedNoise,
    FixedPoint,
    GradientDescent,
    KappaChoice,
    RandomNoise,
)
from sdilib.nerf.field import ACTIVATIONS, BACKGROUNDS, RADIUS, NeRF
from sdilib.nerf.hash_grid import BACKENDS, HashGrid, usable_backend
from sdilib.nerf.regularisers import convexity, opaqueness, orientation, sparsity, z_variance
from sdilib.nerf.render import Render
from sdilib.nerf.scene import NeRFScene
from sdilib.prompts import VIEWS, PromptEmbeddings, view_prompt
from sdilib.schedule import T_SCHEDULES
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion

__all__ = ["KAPPAS", "RULES", "Built", "EmptySceneError", "Ends", "Text3D", "build"]

RULES = ("sdi", "sds", "ism")
KAPPAS = ("inversion", "random", "fixed", "fixed point", "gradient descent")

Ends = Sequence[int | float]
"""A range's two ends, the lower first."""

_LIMITS = {  # of ranges: lowest and highest end, and whether the lowest itself is excluded
    "azimuth_degrees": (-3600, 3600, False),
    "elevation_degrees": (-89, 89, False),
    "distance": (RADIUS, 1000, True),
    "fov_degrees": (0, 120, True),
}
_EMPTY = 0.002  # mean opacity below which nothing is left to be seen
_GROWING = 0.1  # share of a run in which a scene may yet be empty
_FIRST_LEVELS = 4  # of the hash grid, where its levels come one after the other
_UNLIT = 0.1  # share of a run before shading begins, as threestudio's 1000 steps of 10000
_CONVEX_SHARE = 0.4  # appendix A.2: convexity in the first 40% of the run


class EmptySceneError(RuntimeError):
    """The volume has vanished, from where no gradient leads back: the run has diverged."""


@dataclass(frozen=True, slots=True)
class Text3D:
    """One run from a text to a NeRF.

    Attributes:
        prompt: without view words.
        model: "mini" (bundled), a folder in diffusers' format, or a hub id.
        rule: "sdi", "sds" or "ism".
        guidance_scale: gamma, of the denoiser.
        view_words: whether the words of each camera's view are appended to the prompt (DreamFusion,
            2209.14988).
        perp_neg: 0, or the weight of the prompt with each of the other views' words as a negative
            (Perp-Neg, 2304.04968), which costs 3 more sample-forwards an item and guided
            prediction; inversions are without negatives.
        kappa: of SDI, one of `KAPPAS`.
        inversion_guidance_scale: gamma_inv.
        num_inversion_steps: n for the whole range of t; iterations, where kappa is iterated.
        unit: whether the inverted kappa is scaled to unit deviation, which is not in the paper.
        entropy: of the inverted kappa: H(t) = entropy · sqrt(1 - alpha(t)) · N(0, I) is added (eq.
            11, 0.3 there); 0 leaves it out.
        tau_max: the inversion goes up to t + tau, tau ~ U(0, tau_max) (appendix A.1, 1/30 there).
        steps: of the distillation.
        cameras: views a step.
        updates: optimiser steps towards each target.
        update_fraction: how far towards the rule's target a step's own lies, in (0, 1] (see
            `distill`).
        azimuth_degrees: range of the cameras, drawn from uniformly as those that follow; the
            defaults are the bundled model's world (see `sample_cameras`).
        elevation_degrees: range of those not overhead, in [-89, 89].
        distance: range of the cameras' distance from the origin, outside the volume's 1.22.
        fov_degrees: range of the full vertical field of view, in (0, 120].
        overhead_share: probability of a view from above, in [0, 1].
        through: how a target in latents reaches pixels, "encoder" or "decoder" (see `distill`).
        t_schedule: how t runs.
        t_start: highest t.
        t_end: lowest t.
        size: height and width of what the model sees, and of the renders, in pixels.
        render_size: 0, or a smaller height and width of the renders, which are then enlarged
            bilinearly to `size`, and targets in pixels shrunk to it (DreamFusion, 2209.14988).
        num_samples: along a ray through the centre.
        rays_per_patch: 0, or the rays that backpropagation is deferred by.
        learning_rate: of the hash grid, by Adam.
        network_learning_rate: of the small network.
        levels: of the hash grid.
        finest_resolution: of the hash grid.
        progressive_share: 0, or the share of the run, in (0, 1], after which all levels are active:
            from 4 on, coarse to fine (Neuralangelo, 2306.03092, section 3.3).
        backend: of the hash grid; "tinycudann" becomes "numba" where it cannot be used.
        activation: of the density, "softplus" or "exp".
        blob_height: added to the density at the centre at first, before the activation.
        background: "fixed", "learned" or "random".
        shading: share of the steps lit by a point light, after a first tenth of the run without;
            costs normals in those (DreamFusion, 2209.14988; threestudio's diffuse_prob, 0.75 there).
        textureless: share of those steps in white (threestudio's textureless_prob, 0.5 there).
        sparsity: weight of that penalty, as those that follow; 0 leaves it out. Ten times the default empties what is
            nearly as light as the background: a spotted mug's white spots become holes.
        opaqueness: its weight grows with the run, from 0 to this.
        orientation: needs normals, which cost about a second rendering.
        z_variance: likewise grows.
        convexity: in the first 40% of the run; needs normals.
        seed: of everything drawn, 0 or more.

    Raises:
        ValueError: a setting outside its range; names it.
    """

    prompt: str
    model: str = "mini"
    rule: str = "sdi"
    guidance_scale: float = 7.5
    view_words: bool = True
    perp_neg: float = 0.0
    kappa: str = "inversion"
    inversion_guidance_scale: float = -7.5
    num_inversion_steps: int = 10
    unit: bool = False
    entropy: float = 0.0
    tau_max: float = 0.0
    steps: int = 60
    cameras: int = 4
    updates: int = 3
    update_fraction: float = 1.0
    azimuth_degrees: Ends = (-180.0, 180.0)
    elevation_degrees: Ends = (-8.0, 45.0)
    distance: Ends = (3.3, 3.9)
    fov_degrees: Ends = (37.0, 43.0)
    overhead_share: float = 0.15
    through: str = "decoder"
    t_schedule: str = "linear"
    t_start: float = 0.98
    t_end: float = 0.2
    size: int = 64
    render_size: int = 0
    num_samples: int = 64
    rays_per_patch: int = 0
    learning_rate: float = 0.05
    network_learning_rate: float = 0.01
    levels: int = 12
    finest_resolution: int = 64
    progressive_share: float = 0.0
    backend: str = "numba"
    activation: str = "exp"
    blob_height: float = 5.0
    background: str = "fixed"
    shading: float = 0.0
    textureless: float = 0.0
    sparsity: float = 0.003
    opaqueness: float = 0.05
    orientation: float = 0.0
    z_variance: float = 0.0
    convexity: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        if not self.prompt.strip():
            reject("prompt", self.prompt, "a text with at least one word")
        choices = {
            "rule": RULES,
            "kappa": KAPPAS,
            "through": THROUGH,
            "t_schedule": T_SCHEDULES,
            "backend": BACKENDS,
            "activation": ACTIVATIONS,
            "background": BACKGROUNDS,
        }
        for name, allowed in choices.items():
            one_of(name, getattr(self, name), allowed)
        for name in ("guidance_scale", "inversion_guidance_scale", "blob_height"):
            finite(name, getattr(self, name))
        counts = ("num_inversion_steps", "steps", "cameras", "updates", "size", "num_samples")
        for name in (*counts, "levels", "finest_resolution"):
            positive_int(name, getattr(self, name))
        for name in ("rays_per_patch", "render_size", "seed"):
            positive_int(name, getattr(self, name), at_least=0)
        if self.render_size >= self.size:
            reject("render_size", self.render_size, f"0, or a size below {self.size}, the model's")
        for name, (low, high, open_low) in _LIMITS.items():
            pair = ends(name, getattr(self, name), low, high, open_low=open_low)
            object.__setattr__(self, name, pair)  # one form, whether it came from JSON or not
        if in_range("perp_neg", self.perp_neg, 0, 1e6) and not self.view_words:
            reject("perp_neg", self.perp_neg, "0 where view_words is False")
        _inversion(self)  # which checks its own settings
        for name in ("overhead_share", "progressive_share", "shading", "textureless"):
            in_range(name, getattr(self, name), 0, 1)
        in_range("update_fraction", self.update_fraction, 0, 1, open_low=True)
        in_range("t_start", self.t_start, 0, 1, open_low=True)
        in_range("t_end", self.t_end, 0, self.t_start)
        for name in ("learning_rate", "network_learning_rate"):
            in_range(name, getattr(self, name), 0, 10, open_low=True)
        for name in ("sparsity", "opaqueness", "orientation", "z_variance", "convexity"):
            in_range(name, getattr(self, name), 0, 1e6)

    def settings(self) -> dict[str, Any]:
        """Return the settings by name; `Text3D(**settings)` is the same, also by way of JSON."""
        return asdict(self)

    def on(self, device: torch.device) -> "Text3D":
        """Return the settings as they can be had on a device: with a backend that works there, see `usable_backend`.

        Args:
            device: the model's.
        """
        return replace(self, backend=usable_backend(self.backend, device))

    def active_levels(self, step: int) -> int:
        """Return how many levels of the hash grid a step sees.

        Args:
            step: its number, from 0; that of the run's length is the finished scene's.
        """
        rest = self.levels - _FIRST_LEVELS
        whole = self.progressive_share * self.steps
        if rest <= 0 or step >= whole:
            return self.levels
        return _FIRST_LEVELS + int(rest * step / whole)

    @property
    def normals(self) -> bool:
        """Whether a penalty needs them."""
        return self.orientation > 0 or self.convexity > 0


@dataclass(slots=True, eq=False)
class Built:
    """A run's parts; all state lies in `scene`, `optimizer` and `rule`.

    Attributes:
        config: what it was built from, with the backend in use.
        model: the denoiser and codec, frozen.
        scene: what is optimised.
        optimizer: over the scene's parameters.
        rule: guidance.
        opacity: mean over the pixels of the last render with a graph.
    """

    config: Text3D
    model: StableDiffusion
    scene: NeRFScene
    optimizer: torch.optim.Optimizer
    rule: Rule
    opacity: float = 1.0

    @property
    def codec(self) -> Codec:
        """Between renders and latents: the model, with an enlargement where renders are smaller."""
        config = self.config
        if not config.render_size:
            return self.model
        return Enlarged(self.model, config.size, config.render_size)

    def cameras(self, draw: torch.Generator) -> Camera:
        """Return the views of a step.

        Args:
            draw: the step's generator.
        """
        config = self.config
        low_high = {name: tuple(getattr(config, name)) for name in _LIMITS}
        return sample_cameras(
            config.cameras, draw, overhead_share=config.overhead_share, **low_high
        )

    def prompt_of(self, camera: Camera) -> PromptEmbeddings:
        """Return the prompt with the words of each view, and with `perp_neg` its negatives.

        Args:
            camera: the views.
        """
        prompt, weight = self.config.prompt, self.config.perp_neg
        if not self.config.view_words:
            return self.model.embed([prompt] * len(camera))
        words = [f"{view} view" for view in camera.views]
        asked = self.model.embed([view_prompt(prompt, view) for view in words])
        if not weight:
            return asked
        others = [
            [view_prompt(prompt, other) for other in VIEWS if other != view] for view in words
        ]
        negatives = tuple(
            self.model.embed(texts).conditional for texts in zip(*others, strict=True)
        )
        return replace(asked, negatives=negatives, negative_weights=(weight,) * len(negatives))

    def penalty(self, render: Render, done: float) -> Tensor:
        """Return what keeps the volume a plausible object, and note its opacity.

        Args:
            render: of the step.
            done: share of the run, in [0, 1].
        """
        self.opacity = float(render.opacity.detach().mean())
        config = self.config
        weighted = (
            (config.sparsity, sparsity),
            (config.opaqueness * done, opaqueness),
            (config.orientation, orientation),
            (config.z_variance * done, z_variance),
            (config.convexity * (done < _CONVEX_SHARE), convexity),
        )
        terms = [weight * term(render) for weight, term in weighted if weight]
        return torch.stack(terms).sum() if terms else render.opacity.sum() * 0

    def distilled(self, first_step: int = 0) -> Iterator[Step]:
        """Distill, one step an iteration.

        Args:
            first_step: where to go on.

        Yields:
            Each step, complete.

        Raises:
            EmptySceneError: nothing is left to be seen after the first tenth of the run.
            NonFiniteError: a number is not finite.
        """
        config = self.config
        run = distill(
            self.scene,
            self.rule,
            prompt=self.prompt_of,
            num_steps=config.steps,
            cameras=self.cameras,
            penalty=self.penalty,
            updates=config.updates,
            update_fraction=config.update_fraction,
            optimizer=self.optimizer,
            t_schedule=config.t_schedule,
            t_start=config.t_start,
            t_end=config.t_end,
            seeds=config.seed,
            codec=self.codec,
            through=config.through,
            first_step=first_step,
        )
        self._begin(first_step)
        for step in run:
            if self.opacity < _EMPTY and step.step > _GROWING * config.steps:
                raise EmptySceneError(
                    f"opacity={self.opacity:.2g}: expected at least {_EMPTY} at step {step.step}; "
                    "the volume is empty, smaller penalties or learning rates may help"
                )
            yield step
            self._begin(step.step + 1)

    def _begin(self, step: int) -> None:
        """Set what the step's number alone decides."""
        config, scene = self.config, self.scene
        scene.nerf.grid.active_levels = config.active_levels(step)
        scene.shading = config.shading if step >= _UNLIT * config.steps else 0.0
        scene.textureless = config.textureless


def build(config: Text3D, model: StableDiffusion | None = None) -> Built:
    """Return a run at its beginning.

    Args:
        config: see there.
        model: the one of `config.model`, if it is loaded already.

    Raises:
        ValueError: a prompt or size that the model cannot take.
    """
    model = model or StableDiffusion.from_pretrained(config.model)
    if config.size % model.factor:
        reject("size", config.size, f"a multiple of {model.factor}, the model's pixels a latent")
    every_view = Camera.around([0, 90, 180]), Camera.around([0], elevation_degrees=70)
    config = config.on(model.device)
    draw = generator(config.seed, 0, "nerf")
    grid = HashGrid(
        num_levels=config.levels,
        finest_resolution=config.finest_resolution,
        backend=config.backend,
        generator=draw,
    )
    nerf = NeRF(
        grid=grid,
        activation=config.activation,
        blob_height=config.blob_height,
        background=config.background,
        generator=draw,
    ).to(model.device)
    scene = NeRFScene(
        nerf,
        Camera.around([0] * config.cameras),
        height=config.render_size or config.size,
        width=config.render_size or config.size,
        num_samples=config.num_samples,
        normals=config.normals,
        rays_per_patch=config.rays_per_patch or None,
    )
    rest = [p for name, p in nerf.named_parameters() if not name.startswith("grid.")]
    optimizer = torch.optim.Adam(
        [
            {"params": list(grid.parameters()), "lr": config.learning_rate},
            {"params": rest, "lr": config.network_learning_rate},
        ],
        betas=(0.9, 0.99),
        eps=1e-15,
    )
    built = Built(config, model, scene, optimizer, _rule(config, model))
    for camera in every_view:  # a word the model does not know is found before any work
        built.prompt_of(camera)
    return built


def _rule(config: Text3D, model: StableDiffusion) -> Rule:
    if config.rule == "sds":
        return SDS(model, config.guidance_scale)
    if config.rule == "ism":
        return ISM(model, config.guidance_scale, config.num_inversion_steps)
    return SDI(model, config.guidance_scale, kappa=_kappa(config))


def _inversion(config: Text3D) -> DDIMInversion:
    return DDIMInversion(
        config.inversion_guidance_scale,
        config.num_inversion_steps,
        tau_max=config.tau_max,
        entropy=config.entropy,
        unit=config.unit,
    )


def _kappa(config: Text3D) -> KappaChoice:
    choices: dict[str, KappaChoice] = {
        "inversion": _inversion(config),
        "random": RandomNoise(),
        "fixed": FixedNoise(),
        "fixed point": FixedPoint(config.num_inversion_steps),
        "gradient descent": GradientDescent(config.num_inversion_steps),
    }
    return choices[config.kappa]
