"""Rules that subtract a neighbouring prediction, or noise that stays in place.

ASD         w(t) (eps(x_t, t, y) - e_y(x_{t + shift}, t + shift)), with the same noise
SDS-Bridge  SDS, then w(t) gamma (e(wanted words) - e(words for SDS's faults))
CFD         w(t) (eps(x_t, t, y) - noise), with noise fixed to the surface
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from sdilib.cameras import Camera
from sdilib.checks import in_range, reject, setting
from sdilib.guidance.base import (
    AUTO_WORDS,
    Direction,
    View,
    WeightedRule,
    embedded,
    own_words,
)
from sdilib.guidance.sds import SDS
from sdilib.schedule import Latents, Times
from sdilib.seeds import Generators, normal, uniform

_LEAST_TIME = 0.02  # ScaleDreamer's lowest t


@dataclass(frozen=True, eq=False)
class ASD(WeightedRule):
    """Asynchronous score distillation: w(t) (eps(x_t, t, y) - e_y(x_{t'}, t')), t' = t + shift U(0, 1) (t - 0.02).

    Both predictions use the same noise. The one at the noisier t' plays the part of VSD's adapter, since it is closer to
    what an adapter would learn. With shift = 0 the gradient is (gamma - 1) w (e_y - e_∅). Costs 3 UNet sample-forwards
    per item. In the paper t is drawn from a window that falls from [.5, .98] to [.02, .5].

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.
        shift: the largest shift, as a fraction of t - 0.02, in [0, 1].

    Raises:
        ValueError: a setting outside its range.

    Source: ScaleDreamer, 2407.02040.
    """

    shift: float = setting(0.1, in_range, 0, 1)
    weight: str = field(default="1-alpha", kw_only=True)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return eps - e_y at the noisier time; see `WeightedRule`."""
        schedule, noise = self.denoiser.schedule, normal(x0, generator)
        room = (t - _LEAST_TIME).clamp(min=0)
        later = (t + self.shift * uniform(len(x0), generator) * room).clamp(max=1)
        eps = self.guided(view)(schedule.add_noise(x0, noise, t), t)
        x_later = schedule.add_noise(x0, noise, later)
        (e_y,) = self.denoiser.branches(x_later, later, [view.prompt.conditional])
        return Direction(noise, eps, eps - e_y)


@dataclass(frozen=True, eq=False)
class SDSBridge(SDS):
    """SDS as a bridge between distributions, in two stages: SDS, then from the current distribution to the wanted one.

    The second stage is w(t) gamma (e(prompt, wanted words) - e(prompt, words for SDS's faults)). On a model that does
    not know the words, and on an oracle, it goes from the empty prompt to the prompt. Costs 2 UNet sample-forwards per
    item. Perp-Neg's negatives count in the first stage only.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma of both stages; the authors use 40 in 2D and 100 in 3D.
        weight: w(t), one of `WEIGHTS`.
        wanted: words appended to the prompt; "" is the prompt alone, "auto" the paper's `WANTED` if the model knows
            them.
        faults: words for SDS's faults, appended to the prompt; "" is the empty prompt, "auto" the paper's `FAULTS` if
            the model knows them.
        first_share: fraction of the run that the first stage takes, in [0, 1]; 1 is SDS. The authors use 0.8 in 3D.

    Raises:
        ValueError: a setting outside its range, words that cannot be embedded, or words with a prompt that has no text.

    Source: 2406.09417.
    """

    WANTED: ClassVar[str] = "detailed high resolution, high quality, sharp"
    FAULTS: ClassVar[str] = (
        "oversaturated, smooth, pixelated, cartoon, foggy, hazy, blurry, bad structure, noisy, malformed"
    )

    guidance_scale: float = 40.0
    wanted: str = AUTO_WORDS
    faults: str = AUTO_WORDS
    first_share: float = setting(0.5, in_range, 0, 1)
    weight: str = field(default="1-alpha", kw_only=True)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        super().__post_init__()
        for name in ("wanted", "faults"):
            self._words(name)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return the stage's direction; see `WeightedRule`."""
        if view.done < self.first_share:
            return SDS.direction(self, x0, t, view, generator)
        noise = normal(x0, generator)
        x_t = self.denoiser.schedule.add_noise(x0, noise, t)
        wanted, there = (
            self._condition("wanted", view, view.prompt.conditional),
            self._condition("faults", view, view.prompt.unconditional),
        )
        e_wanted, e_there = self.denoiser.branches(x_t, t, [wanted, there])
        along = self.guidance_scale * (e_wanted - e_there)
        return Direction(noise, e_there + along, along)

    def _words(self, name: str) -> str:
        own = self.WANTED if name == "wanted" else self.FAULTS
        return own_words(self.denoiser, name, getattr(self, name), own)

    def _condition(self, name: str, view: View, without: Tensor) -> Tensor:
        words = self._words(name)
        if not words:
            return without
        if not view.prompt.texts:
            reject(name, words, "'' for a prompt that was never a text")
        texts = [f"{text}, {words}" for text in view.prompt.texts]
        return embedded(self.denoiser, name, texts)


@dataclass(frozen=True, eq=False)
class CFD(WeightedRule):
    """Consistent flow distillation: w(t) (eps(x_t, t, y) - noise), where the noise is a function of position.

    Each point of the object's surface keeps its noise for the whole run. Space is divided into cells about as wide as a
    latent at the first camera's distance, and a latent takes the noise of the cell it sees (see `surface_noise`), or
    that of its direction where it sees no surface. In a scene without depth, hence in 2D, the noise is drawn at the
    first update and kept: SDI with the "fixed" kappa. Costs 2 UNet sample-forwards per item.

    Differences from the published code: cells of space replace a warped texture integrated over each pixel, so that
    neighbours within one cell share their noise; noise is never renewed. The authors let t fall in pieces from 0.98
    (`t_schedule="pieces"`).

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma; the authors' 7 in 2D and 70 in the first stage in 3D are 8 and 71 in eq. 3.
        weight: w(t), one of `WEIGHTS`.

    Raises:
        ValueError: a setting outside its range.

    Source: 2501.05445; in 2D the fixed noise is also that of FSD, 2405.10988.
    """

    _state: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return eps - noise; see `WeightedRule`."""
        state = self._state
        if view.depth is None or view.camera is None:
            if "noise" not in state:
                state["noise"] = normal(x0, generator)
            noise = state["noise"].to(x0)
        else:
            if "seed" not in state:
                one = generator if isinstance(generator, torch.Generator) else generator[0]
                state["seed"] = (2**53 * uniform(1, one)).long()
                state["cell"] = _widths(view.camera, x0.shape[-2])[:1] * view.camera.distance[:1]
            noise = _carried(view.camera, view.depth, x0, state["seed"], state["cell"])
        eps = self.guided(view)(self.denoiser.schedule.add_noise(x0, noise, t), t)
        return Direction(noise, eps)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the noise, or the numbers it is computed from."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state.

        Args:
            state: from `state_dict`.
        """
        self._state.clear()
        self._state.update(state)


def surface_noise(
    cells: Int[Tensor, "*places 3"], channels: int, *, seed: int
) -> Float[Tensor, "*places channels"]:
    """Return an N(0, 1) number for each cell of space and channel, the same at every call.

    A hash of the cell gives two uniform numbers, which Box-Muller turns into a normal one. Float64, on the cells'
    device.

    Args:
        cells: integer coordinates.
        channels: how many numbers per cell.
        seed: seed of the noise.
    """
    hashed = _mixed(torch.full_like(cells[..., 0], seed))
    for axis in range(3):
        hashed = _mixed(hashed ^ cells[..., axis])
    each = _mixed(hashed[..., None] ^ torch.arange(1, channels + 1, device=cells.device))
    radius, angle = ((_mixed(each + k) >> 11).bitwise_and(2**53 - 1).double() for k in (1, 2))
    return (-2 * ((radius + 1) / 2**53).log()).sqrt() * (2 * math.pi * angle / 2**53).cos()


def _mixed(numbers: Tensor) -> Tensor:
    """Scramble 64-bit numbers one to one (splitmix64's finaliser, with products that wrap around)."""
    numbers = numbers + (0x9E3779B97F4A7C15 - 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64)):
        numbers = (numbers ^ _shifted(numbers, shift)) * factor
    return numbers ^ _shifted(numbers, 31)


def _shifted(numbers: Tensor, by: int) -> Tensor:
    """Shift right, filling with zeros: torch's own shift copies the sign."""
    return (numbers >> by).bitwise_and(2 ** (64 - by) - 1)


def _widths(camera: Camera, height: int) -> Tensor:
    """Width of a latent at distance 1 from each camera."""
    return 2 * torch.tan(torch.deg2rad(camera.fov_degrees.double()) / 2) / height


def _carried(camera: Camera, depth: Tensor, x0: Tensor, seed: Tensor, cell: Tensor) -> Tensor:
    """The noise that each latent sees, in `x0`'s shape."""
    height, width = x0.shape[-2:]
    rays = camera.rays(height, width, dtype=torch.float64, device=x0.device)
    near = functional.interpolate(depth[:, None].double(), (height, width), mode="nearest-exact")
    length = near[:, 0] / rays.cosines
    points = (rays.origins + length[..., None] * rays.directions) / cell.to(x0.device)
    # Where no surface is seen: cells of direction, a latent wide.
    widths = _widths(camera, height).to(x0.device)[:, None, None, None]
    behind = rays.directions / widths + 2**20
    cells = torch.where((near[:, 0] > 0)[..., None], points, behind).floor().long()
    return surface_noise(cells, x0.shape[1], seed=int(seed)).movedim(-1, 1).to(x0)
