"""LoRA on Stable Diffusion's UNet, conditioned on the camera's pose as well as the time: what VSD trains."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from sdilib.cameras import POSE, Poses
from sdilib.schedule import Latents, NoiseSchedule, Times
from sdilib.seeds import generator

_LAYERS = ["to_q", "to_k", "to_v", "to_out.0"]


class LoRA:
    """A UNet that shares the frozen weights of another, and adds low-rank weights of its own.

    The up-projections and the last layer of the pose embedding start at zero: at first it predicts what the frozen UNet
    predicts, whatever the pose. The learned weights are in single precision even if the frozen ones are in half.

    Attributes:
        learned: the parameters by name.
    """

    def __init__(
        self,
        unet: nn.Module,
        schedule: NoiseSchedule,
        *,
        rank: int = 4,
        counted: Callable[[int], None],
    ) -> None:
        """Copy the UNet's modules and add the low-rank weights; the frozen UNet is left unchanged.

        Args:
            unet: a `UNet2DConditionModel`, frozen.
            schedule: its noise schedule.
            rank: rank of the projections of q, k, v and out in every attention layer.
            counted: called with each call's number of sample-forwards.
        """
        frozen = next(unet.parameters())
        dtype = torch.promote_types(frozen.dtype, torch.float32)
        # The copy's modules are its own, its weights are the frozen UNet's.
        shared = {id(value): value for value in (*unet.parameters(), *unet.buffers())}
        own: Any = copy.deepcopy(unet, shared)
        self._unet, self._schedule, self._counted = own, schedule, counted
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=_LAYERS)
        width = own.time_embedding.linear_2.out_features
        with torch.random.fork_rng(devices=[]):  # layers initialise from torch's global stream
            inject_adapter_in_model(config, own)
            first, last = nn.Linear(POSE, width), nn.Linear(width, width)
        for part in (last.weight, last.bias, first.bias):
            nn.init.zeros_(part)
        pose = nn.Sequential(first, nn.SiLU(), last).to(frozen.device, dtype)
        own.class_embedding = pose  # which the UNet adds to the time embedding
        self.learned: dict[str, nn.Parameter] = {}
        draw = generator(0, 0, "adapter")
        for name, value in list(own.named_parameters()):
            if "lora_" not in name and not name.startswith("class_embedding."):
                continue
            begun = value.detach().to(dtype)
            if "lora_A" in name or name == "class_embedding.0.weight":
                std = 1 / rank if "lora_A" in name else POSE**-0.5
                numbers = torch.randn(value.shape, generator=draw, dtype=torch.float64)
                begun = (std * numbers).to(begun)
            module, _, last_name = name.rpartition(".")
            self.learned[name] = nn.Parameter(begun)
            setattr(own.get_submodule(module), last_name, self.learned[name])

    def __call__(
        self,
        x_t: Latents,
        t: Times,
        condition: Float[Tensor, " batch *condition"],
        pose: Poses,
    ) -> Latents:
        """Return e_phi, with a graph to `learned`.

        Args:
            x_t: noisy latents.
            t: one time per item.
            condition: text embeddings.
            pose: the camera's; zeros for no camera.
        """
        frozen, learned = self._unet.conv_in.weight, self._unet.class_embedding[0].weight
        self._counted(len(x_t))
        output = self._unet(
            x_t.to(frozen),
            self._schedule.timestep(t).to(frozen.device, torch.float32).expand(len(x_t)),
            encoder_hidden_states=condition.to(frozen),
            class_labels=pose.to(learned),
        ).sample
        return self._schedule.eps(output.to(x_t), x_t, t)
