"""The ring as a benchmark of rules: distilled through windows by the library's step, and measured against the truth.

It takes seconds, and every number is exact; see `oracle.Ring`. Any rule that needs no network of its own runs on it
unchanged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.denoiser import Condition, Denoiser
from sdilib.distillation import distill_step
from sdilib.guidance import Rule, View
from sdilib.oracle import Ring
from sdilib.scenes import Rendering
from sdilib.schedule import NoiseSchedule, TimeSchedule
from sdilib.seeds import generator, normal

VIEWS = 4
"""Views per step, equally spaced: each point of the ring is seen twice."""

ASKED = 1
"""Number of the class that the prompt asks for."""


class Windows:
    """A scene: signals on the circle, all turned alike, each seen through `VIEWS` windows.

    Attributes:
        space: "latents".
        values: the signals.
        turn: of the first window, in points.
    """

    space = "latents"

    def __init__(self, values: Float[Tensor, "rings points"]) -> None:
        """Start from some signals.

        Args:
            values: copied.
        """
        self.values = values.detach().clone().requires_grad_()
        self.turn = 0

    def render(self) -> Rendering:
        """Return the windows, ring by ring, as images of one line."""
        first = self.turn + torch.arange(VIEWS) * (Ring.POINTS // VIEWS)
        seen = self.values[:, _windows(first)]
        return Rendering(seen.reshape(-1, 1, 1, Ring.WINDOW))

    def parameters(self) -> Iterator[Tensor]:
        """Return the signals."""
        yield self.values

    def state_dict(self) -> dict[str, Tensor]:
        """Return the signals."""
        return {"values": self.values.detach().clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore them in place.

        Args:
            state: from `state_dict`.
        """
        with torch.no_grad():
            self.values.copy_(state["values"])


def _windows(first: Tensor) -> Tensor:
    """The points of windows that begin at the given points, one row per window."""
    return (first[:, None] + torch.arange(Ring.WINDOW)) % Ring.POINTS


class Erring:
    """A denoiser with an error that is a fixed, rough function of its input, like a network's.

    Its size does not depend on t; where there is much noise, it is small compared with the prediction.

    Attributes:
        schedule: the exact denoiser's.
        num_forwards: sample-forwards.
    """

    def __init__(self, exact: Denoiser, size: float) -> None:
        """Add an error to an exact denoiser.

        Args:
            exact: the denoiser, of windows.
            size: root mean square of the error, in units of the noise, in [0, 1].
        """
        self._exact, self._size = exact, size
        self.schedule: NoiseSchedule = exact.schedule
        self.num_forwards = 0
        draws = generator(0, 0, "error")
        inward, outward, shift = (
            torch.randn(shape, generator=draws, dtype=torch.float64)
            for shape in ((Ring.WINDOW, 64), (64, Ring.WINDOW), (64,))
        )
        # A sum of 64 sines of mean square 1/2.
        self._maps = inward, outward / 32**0.5, 10 * shift

    def branches(
        self,
        x_t: Float[Tensor, " batch *shape"],
        t: float | Tensor,
        conditions: Sequence[Condition],
    ) -> tuple[Float[Tensor, " batch *shape"], ...]:
        """Return the exact eps under each condition, and the same error added to each; see `Denoiser`.

        Args:
            x_t: points at time t.
            t: one time for all, or one per item.
            conditions: as the exact denoiser's.
        """
        self.num_forwards += len(conditions) * len(x_t)
        inward, outward, shift = (of.to(x_t) for of in self._maps)
        error = torch.sin(x_t.flatten(1) @ inward + shift) @ outward
        each = self._exact.branches(x_t, t, conditions)
        return tuple(eps + self._size * error.reshape(x_t.shape) for eps in each)


@dataclass(frozen=True, slots=True, eq=False)
class Distilled:
    """The result of a rule.

    Attributes:
        values: the signals at the end, one per seed.
        deviations: standard deviation of kappa, mean over steps and views.
        num_forwards: sample-forwards per ring.
    """

    values: Float[Tensor, "rings points"]
    deviations: Float[Tensor, " rings"]
    num_forwards: float


def distilled_rings(
    ring: Ring,
    rule: Rule,
    *,
    num_rings: int = 8,
    num_steps: int = 60,
    step_size: float = 1.0,
    t_schedule: str = "linear",
    t_end: float = 0.02,
    denoiser: Denoiser | None = None,
    seed: int = 0,
) -> Distilled:
    """Distil rings of the class `ASKED`, from faint noise, by steps of the gradient.

    Args:
        ring: the truth.
        rule: guidance; its denoiser is the ring's, or one made from it.
        num_rings: distilled in parallel; none depends on the others.
        num_steps: of the run.
        step_size: 1 takes each point to the mean of its views' targets, a whole step of eq. 10.
        t_schedule: see `TimeSchedule`; all views of a ring have the same t.
        t_end: lowest t.
        denoiser: whose sample-forwards are counted; the ring's if None.
        seed: ring i has this seed plus i.

    Raises:
        ValueError: a rule that does not run on an exact denoiser.
        NonFiniteError: a number on the way is not finite.
    """
    counted = denoiser or ring.denoiser
    times, before = TimeSchedule(t_schedule, t_end=t_end), counted.num_forwards
    seeds = range(seed, seed + num_rings)
    blank = torch.zeros(num_rings, Ring.POINTS, dtype=torch.float64)
    scene = Windows(0.1 * normal(blank, [generator(each, 0, "start") for each in seeds]))
    seen_by = VIEWS * Ring.WINDOW / Ring.POINTS
    optimizer = torch.optim.SGD(list(scene.parameters()), lr=step_size / seen_by)
    prompt, deviations, skipped = ring.prompt(ASKED, num_rings * VIEWS), [], 0
    for step in range(num_steps):
        turns = Ring.POINTS // Ring.STRIDE
        turned = torch.randint(turns, (1,), generator=generator(0, step, "turn"))
        scene.turn = Ring.STRIDE * int(turned)
        clocks = [generator(each, step, "time") for each in seeds]
        t = times.at(step, num_steps, generator=clocks, batch=num_rings).repeat_interleave(VIEWS)
        draws = [generator(each, step, "guidance", k) for each in seeds for k in range(VIEWS)]
        view = View(prompt, done=step / num_steps)
        made = distill_step(
            scene, rule, view, t, draws, step=step, skipped=skipped, optimizer=optimizer
        )
        skipped = made.skipped
        deviations.append(made.update.kappa.reshape(num_rings, -1).std(1))
    spent = (counted.num_forwards - before) / num_rings
    return Distilled(scene.values.detach(), torch.stack(deviations).mean(0), spent)


def measures(ring: Ring, values: Float[Tensor, "rings points"]) -> dict[str, Tensor]:
    """Return the numbers of each ring, by measure.

    "distance" is the root mean square to the nearest texture, of any class; "amplitude" and "fine" are the amplitudes of
    the requested class's component and of the fine one, relative to the true ones; "class" is 1 if the nearest texture is
    of the requested class; "coherence" is the share of windows whose nearest texture is that of most windows.

    Args:
        ring: the truth.
        values: signals.
    """
    near = torch.cdist(values, ring.textures) / Ring.POINTS**0.5
    distance, nearest = near.min(1)
    waves = torch.fft.rfft(values).abs() * 2**0.5 / Ring.POINTS
    places = _windows(torch.arange(0, Ring.POINTS, Ring.STRIDE))
    seen = torch.stack(
        [torch.cdist(values[:, at], ring.textures[:, at]).argmin(1) for at in places], 1
    )
    agree = (seen == seen.mode(1, keepdim=True).values).double().mean(1)
    return {
        "distance": distance,
        "amplitude": waves[:, ring.cycles[ASKED]],
        "fine": waves[:, Ring.FINE_CYCLES] / ring.fine,
        "class": (ring.labels[nearest, 0] == ASKED).double(),
        "coherence": agree,
    }


def modes_covered(ring: Ring, values: Float[Tensor, "rings points"]) -> float:
    """Return how many textures of the requested class the rings reach, relative to what fair draws would reach.

    About 1 if a rule's results vary as much as the prompt allows; less if seeds end alike.

    Args:
        ring: the truth.
        values: signals, one per seed.
    """
    own = torch.nonzero(ring.labels[:, 0] == ASKED).flatten()
    reached = torch.cdist(values, ring.textures[own]).argmin(1).unique()
    return len(reached) / (len(own) * (1 - (1 - 1 / len(own)) ** len(values)))
