"""Rules that subtract the prediction of a copy of the denoiser, trained on the scene.

VSD  w(t) (eps - e_phi(pose))
ESD  w(t) (eps - lambda e_phi(no pose) - (1 - lambda) e_phi(pose))
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from sdilib.cameras import Poses
from sdilib.checks import in_range, one_of, positive_int, setting
from sdilib.guidance.base import Direction, View, WeightedRule
from sdilib.guidance.learned import Learner, poses
from sdilib.schedule import Latents, Times
from sdilib.seeds import Generators, normal, uniform

ORDERS = ("after", "before")
"""When the adapter learns: after the scene's gradient is computed, as published, or before (L²-VSD, 2507.09748)."""


@dataclass(frozen=True, eq=False)
class VSD(WeightedRule):
    """Variational score distillation: w(t) (eps(x_t, t, y) - e_phi(x_t, t, y, pose)).

    phi is an adapter of the denoiser (see `learned`), trained at each update on that update's latents, with its own
    noise and t. Untrained, it is the denoiser, and the gradient is (gamma - 1) w (e_y - e_∅). For a single object, a
    perfect phi knows the very noise that was added, and the rule is SDS. The noise is the first thing drawn from the
    generators. Costs 2 UNet sample-forwards per item for eps, 1 for e_phi, and 1 with a backward pass for each training
    step.

    Differences from the published code: phi is the denoiser itself with LoRA, not Stable Diffusion 2.1 in
    v-prediction, and learns to predict eps; the camera embedding ends in a layer that starts at zero; phi's prompt
    includes the view's words; there is one particle. In the paper, t is at most 0.5 after a fifth of the run.

    Attributes:
        denoiser: frozen.
        guidance_scale: gamma.
        weight: w(t), one of `WEIGHTS`.
        rank: rank of the LoRA.
        adapter_rate: learning rate of phi's AdamW.
        adapter_steps: training steps of phi per update.
        camera_dropout: probability that phi is trained without the pose, in [0, 1].
        order: when phi learns, one of `ORDERS`.

    Raises:
        ValueError: a setting outside its range.

    Source: ProlificDreamer, 2305.16213, eq. 9 and Algorithm 1.
    """

    rank: int = setting(4, positive_int)
    adapter_rate: float = setting(1e-4, in_range, 0, 1, open_low=True)
    adapter_steps: int = setting(1, positive_int, at_least=0)
    camera_dropout: float = setting(0.1, in_range, 0, 1)
    order: str = setting("after", one_of, ORDERS)
    weight: str = field(default="1-alpha", kw_only=True)
    _phi: Learner = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the settings; see the class."""
        super().__post_init__()
        phi = Learner(self.denoiser, rank=self.rank, rate=self.adapter_rate)
        object.__setattr__(self, "_phi", phi)

    def direction(self, x0: Latents, t: Times, view: View, generator: Generators) -> Direction:
        """Return eps - e_phi, and train phi; see `WeightedRule`."""
        noise, pose = normal(x0, generator), poses(view.camera, x0)
        if self.order == "before":
            self._learn(x0, view, pose, generator)
        x_t = self.denoiser.schedule.add_noise(x0, noise, t)
        eps = self.guided(view)(x_t, t)
        e_phi = self.learned(x_t, t, view, pose)
        if self.order == "after":
            self._learn(x0, view, pose, generator)
        return Direction(noise, eps, eps - e_phi)

    def learned(self, x_t: Latents, t: Times, view: View, pose: Poses) -> Latents:
        """Return e_phi, what is subtracted.

        Args:
            x_t: noisy latents.
            t: one time per item.
            view: supplies the prompt.
            pose: the camera's, see `poses`.
        """
        return self._phi(x_t, t, view.prompt.conditional, pose)

    def _learn(self, x0: Tensor, view: View, pose: Tensor, generator: Generators) -> None:
        for _ in range(self.adapter_steps):
            noise = normal(x0, generator)
            t = 1 - uniform(len(x0), generator)  # in (0, 1]
            kept = (uniform(len(x0), generator) >= self.camera_dropout).to(pose)
            self._phi.learn(x0, noise, t, view.prompt.conditional, kept[:, None] * pose)

    def state_dict(self) -> dict[str, Tensor]:
        """Return phi and its optimiser's state."""
        return self._phi.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state.

        Args:
            state: from `state_dict`.
        """
        self._phi.load_state_dict(state)


@dataclass(frozen=True, eq=False)
class ESD(VSD):
    """Entropic score distillation: VSD with a share lambda of phi's prediction made without the pose.

    lambda = 0 is VSD; lambda = 1 drops the camera, and so rewards views that differ. Costs 1 UNet sample-forward per
    item more than VSD, unless lambda is 0 or 1.

    Attributes:
        entropy_share: lambda, in [0, 1]; the authors suggest 0.5.

    Raises:
        ValueError: a setting outside its range.

    Source: 2401.00909, eq. 9, published as VSD with phi guided by the camera at a scale of 1 - lambda. The other
    attributes are those of `VSD`.
    """

    entropy_share: float = setting(0.5, in_range, 0, 1)

    def learned(self, x_t: Latents, t: Times, view: View, pose: Poses) -> Latents:
        """Return lambda e_phi(no pose) + (1 - lambda) e_phi(pose); see `VSD`."""
        parts = ((self.entropy_share, 0 * pose), (1 - self.entropy_share, pose))
        each = [share * VSD.learned(self, x_t, t, view, of) for share, of in parts if share]
        return sum(each[1:], each[0])
