"""The adapter that VSD and ESD train: a trainable copy of the denoiser, with its optimiser.

e_phi(x_t, t, y, pose) starts equal to the denoiser's e_y(x_t, t) and learns to predict the noise in noised renders of
the scene. A denoiser can supply its adapter by a method `adapter(rank)`, as `StableDiffusion` does with LoRA; otherwise
a small network is added to its prediction.
"""

import logging
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sdilib.cameras import POSE, Camera, Poses
from sdilib.denoiser import Condition, Denoiser
from sdilib.schedule import Latents, Times
from sdilib.seeds import generator as generator_at
from sdilib.storage import load_optimizer_tensors, optimizer_tensors, under

_log = logging.getLogger(__name__)

_HIDDEN = 64
_SCALE = 2.0**10  # of the loss, so that gradients do not vanish in half precision; otherwise exact


@runtime_checkable
class Adapter(Protocol):
    """A trainable copy of a denoiser, initially equal to it."""

    @property
    def learned(self) -> Mapping[str, nn.Parameter]:
        """The trained parameters by name, in single precision or better."""
        ...

    def __call__(self, x_t: Latents, t: Times, condition: Condition, pose: Poses) -> Latents:
        """Return e_phi, with a graph to `learned`; counts towards the denoiser's sample-forwards.

        Args:
            x_t: noisy latents.
            t: one time per item.
            condition: the prompt's, one row per item.
            pose: the camera's; zeros for no camera.
        """
        ...


class Residual:
    """The adapter of a denoiser that supplies none: e_y plus a one-hidden-layer network whose last layer starts at zero.

    Attributes:
        learned: the network's parameters by name.
    """

    def __init__(self, denoiser: Denoiser, like: Latents) -> None:
        """Initialise the network.

        Args:
            denoiser: frozen.
            like: latents whose shape, dtype and device are used.
        """
        self._denoiser, size = denoiser, like[0].numel()
        with torch.random.fork_rng(devices=[]):  # layers initialise from torch's global stream
            first, last = nn.Linear(size + 2 + POSE, _HIDDEN), nn.Linear(_HIDDEN, size)
        draw = generator_at(0, 0, "adapter")
        nn.init.normal_(first.weight, std=first.in_features**-0.5, generator=draw)
        for begun_at_zero in (first.bias, last.weight, last.bias):
            nn.init.zeros_(begun_at_zero)
        self._network = nn.Sequential(first, nn.SiLU(), last).to(like)
        self.learned = dict(self._network.named_parameters())

    def __call__(self, x_t: Latents, t: Times, condition: Condition, pose: Poses) -> Latents:
        """Return e_y plus the network's output; see `Adapter`."""
        with torch.no_grad():
            (e_y,) = self._denoiser.branches(x_t, t, [condition])
        level = (1 - self._denoiser.schedule.alpha_cumprod(t)).sqrt()
        seen = [x_t.flatten(1), torch.stack([t.cpu(), level], 1).to(x_t), pose.to(x_t)]
        return e_y + self._network(torch.cat(seen, 1)).view_as(x_t)


def poses(camera: Camera | None, like: Latents) -> Poses:
    """Return each camera-to-world matrix, flattened to a row; zeros without a camera.

    Args:
        camera: one per item, or None for a scene with a single view.
        like: latents whose batch size and device are used.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    if camera is None:
        return like.new_zeros(len(like), POSE, dtype=dtype)
    axes = camera.axes.transpose(1, 2)
    matrix = torch.eye(4, dtype=axes.dtype).repeat(len(camera), 1, 1)
    matrix[:, :3, :3] = axes
    matrix[:, :3, 3] = camera.distance.to(axes)[:, None] * axes[:, :, 2]
    return matrix.flatten(1).to(like.device, dtype)


class Learner:
    """An adapter and its optimiser, created at the first update, when the latents' shape is known."""

    def __init__(self, denoiser: Denoiser, *, rank: int, rate: float) -> None:
        """Keep the settings until the first update.

        Args:
            denoiser: frozen.
            rank: rank of its adapter.
            rate: learning rate of AdamW.
        """
        self._denoiser, self._rank, self._rate = denoiser, rank, rate
        self._state: Mapping[str, Tensor] = {}
        self._made: tuple[Adapter, torch.optim.Optimizer] | None = None

    def _ready(self, like: Tensor) -> tuple[Adapter, torch.optim.Optimizer]:
        if self._made is None:
            own: Any = getattr(self._denoiser, "adapter", None)
            adapter: Adapter = Residual(self._denoiser, like) if own is None else own(self._rank)
            self._made = adapter, torch.optim.AdamW(adapter.learned.values(), self._rate)
            self._restore(*self._made)
        return self._made

    def __call__(self, x_t: Latents, t: Times, condition: Condition, pose: Poses) -> Latents:
        """Return e_phi without a graph; see `Adapter`."""
        adapter, _ = self._ready(x_t)
        with torch.no_grad():
            return adapter(x_t, t, condition, pose)

    def learn(
        self,
        x0: Latents,
        noise: Latents,
        t: Times,
        condition: Condition,
        pose: Poses,
    ) -> None:
        """Take one AdamW step on the mean of (e_phi(x_t, t) - noise)²: 1 sample-forward per item and a backward pass.

        A step whose gradient is not finite is skipped, with a warning.

        Args:
            x0: clean latents of what the scene shows.
            noise: noise added to them.
            t: one time per item.
            condition: the prompt's.
            pose: the camera's.
        """
        adapter, optimizer = self._ready(x0)
        with torch.enable_grad():
            x_t = self._denoiser.schedule.add_noise(x0, noise, t)
            missed = adapter(x_t, t, condition, pose) - noise
            loss = _SCALE * missed.square().mean()
            gradients = torch.autograd.grad(loss, list(adapter.learned.values()))
        if not bool(torch.stack([each.isfinite().all() for each in gradients]).all()):
            _log.warning("the adapter's gradient is not finite: its step is skipped")
            return
        for parameter, gradient in zip(adapter.learned.values(), gradients, strict=True):
            parameter.grad = gradient / _SCALE
        optimizer.step()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the adapter's parameters and the optimiser's moments by name."""
        if self._made is None:
            return dict(self._state)
        adapter, optimizer = self._made
        learned = {f"adapter.{k}": v.detach().clone() for k, v in adapter.learned.items()}
        moments = optimizer_tensors(optimizer)
        return learned | {f"optimizer.{name}": value.clone() for name, value in moments.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state, now or at the first update.

        Args:
            state: from `state_dict`.
        """
        self._state = dict(state)
        if self._made is not None:
            self._restore(*self._made)

    def _restore(self, adapter: Adapter, optimizer: torch.optim.Optimizer) -> None:
        if not self._state:
            return
        with torch.no_grad():
            for name, value in under(self._state, "adapter.").items():
                adapter.learned[name].copy_(value)
        moments = under(self._state, "optimizer.")
        load_optimizer_tensors(optimizer, {name: value.clone() for name, value in moments.items()})
