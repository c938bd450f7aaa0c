"""SteinDreamer: SDS with control variates, terms of zero mean that are subtracted to lower its variance."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sdilib.checks import in_range, setting
from sdilib.guidance.base import Direction, View, WeightedRule
from sdilib.schedule import Latents, Times, spread
from sdilib.seeds import Generators, normal

_BINS = 10  # of t: the best coefficients depend on it


@dataclass(frozen=True, eq=False)
class SteinDreamer(WeightedRule):
    """Stein score distillation, *reconstructed*: w(t) (eps - mu_1 noise - mu_2 [noise phi - sqrt(1 - alpha) grad phi]).

    By Stein's identity the subtracted terms have zero mean for any phi(x_t); SDS is the case mu = (1, 0), from which the
    rule starts. phi compares the render's depth with a depth estimated from x_t. mu is fitted by least squares to past
    updates at similar t, so that it does not depend on the current noise and the rule has the same mean as SDS. A scene
    without depth uses the first variate only. Costs 2 UNet sample-forwards per item.

    No code is published, and the full paper was not available to us. Here the estimate is linear, the mean of the
    latents' channels, and phi is its covariance with the depth; the paper uses a network (MiDaS) and its gradient.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.
        memory: weight of the past in the running moments that mu is fitted to, in (0, 1]; 1 is SDS.

    Raises:
        ValueError: a setting outside its range.

    Source: 2401.00604, section 4.
    """

    memory: float = setting(0.95, in_range, 0, 1, open_low=True)
    weight: str = field(default="1-alpha", kw_only=True)
    _moments: Float[Tensor, "bins 2 3"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        super().__post_init__()
        # For each bin of t: the variates' second moments, and in the last column those with eps.
        begin = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
        object.__setattr__(self, "_moments", begin.repeat(_BINS, 1, 1))

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return eps minus its variates, and refit mu; see `WeightedRule`."""
        noise = normal(x0, generator)
        x_t = self.denoiser.schedule.add_noise(x0, noise, t)
        eps = self.guided(view)(x_t, t)
        variates = [noise]
        if view.depth is not None:
            pattern = _pattern(view.depth, x0)
            level = (1 - self.denoiser.schedule.alpha_cumprod(t)).sqrt()
            phi = spread((pattern * x_t).flatten(1).sum(1), x0)
            variates.append(noise * phi - spread(level, x0) * pattern)
        bins = (_BINS * t).long().clamp(max=_BINS - 1)
        mu = torch.linalg.solve(self._moments[bins, :, :2], self._moments[bins, :, 2])
        along = eps
        for number, variate in enumerate(variates):
            along = along - spread(mu[:, number], x0) * variate
        self._refit(bins, variates, eps)
        return Direction(noise, eps, along)

    def _refit(self, bins: Tensor, variates: list[Tensor], eps: Tensor) -> None:
        rows = torch.stack([*variates, eps], 1).flatten(2).double()
        if not bool(rows.isfinite().all()):
            return  # the step will be skipped, and must not spoil later ones
        products = (rows @ rows.transpose(1, 2) / rows.shape[2]).cpu()
        count = len(variates)
        for place in bins.unique().tolist():
            kept, product = self._moments[place], products[bins == place].mean(0)
            new = kept.clone()
            new[:count, :count], new[:count, 2] = product[:count, :count], product[:count, count]
            self._moments[place] = self.memory * kept + (1 - self.memory) * new

    def state_dict(self) -> dict[str, Tensor]:
        """Return the moments that mu is fitted to."""
        return {"moments": self._moments.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the moments.

        Args:
            state: from `state_dict`.
        """
        self._moments.copy_(state["moments"])


def _pattern(depth: Tensor, x0: Tensor) -> Tensor:
    """The depth at the latents' size, centred and with unit norm over all channels; zeros if it is flat."""
    small = functional.interpolate(depth[:, None].to(x0), x0.shape[-2:], mode="area").expand_as(x0)
    away = small - small.flatten(1).mean(1)[:, None, None, None]
    return away / spread(away.flatten(1).norm(dim=1).clamp_min(1e-6), x0)
