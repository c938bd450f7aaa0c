"""Figure 5: one step of SDI on a scene in the middle of its run, and SDS's step at the same point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import in_range, positive_int
from sdilib.guidance import SDI, SDS, Rule, Update, View
from sdilib.inversion import Cached, DDIMInversion, invert
from sdilib.lab.claims import Claim, paired_claim
from sdilib.seeds import generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import distilled_steps

__all__ = ["Overview", "one_step", "overview_claims", "overview_images", "root_mean_square"]

Latents = Float[Tensor, "items channels h w"]


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A step of SDI and what belongs to it.

    Attributes:
        t: what the renders are noised to.
        x0: the renders before the step, latents.
        x_t: by rule, "SDI" and "SDS": the renders noised by its kappa (eq. 7).
        updates: by rule.
        ladder: the first item's noisy latents after each step of the inversion.
        ladder_times: their times, rising to t.
        ddim: DDIM's own x0 after the step (eq. 6).
    """

    t: float
    x0: Latents
    x_t: dict[str, Latents]
    updates: dict[str, Update]
    ladder: Float[Tensor, "steps channels h w"]
    ladder_times: tuple[float, ...]
    ddim: Latents


def one_step(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    num_steps: int = 30,
    t: float = 0.8,
    guidance_scale: float = 7.5,
    inversion: DDIMInversion | None = None,
) -> Overview:
    """Bring latent scenes to some t by eq. 10 with the cached kappa, and ask SDI and SDS for a step.

    At 30 steps and t = 0.8 it costs 34 sample-forwards a prompt, and 16 more for the first.

    Args:
        model: frozen.
        prompts: one an item; all are one batch.
        seeds: one an item.
        num_steps: of a whole run, from t = 1 to 0, at least 2.
        t: of the step; the nearest of the run's times is taken, and not its first.
        guidance_scale: gamma of both rules.
        inversion: SDI's; the paper's if None.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a tensor on the way is not finite.
    """
    positive_int("num_steps", num_steps, at_least=2)
    in_range("t", t, 0, 1, open_low=True)
    number = min(max(round((1 - t) * num_steps), 1), num_steps - 1)
    inversion = inversion or DDIMInversion()
    prompt = model.embed(prompts)
    run = distilled_steps(
        model,
        prompt,
        seeds,
        rule=lambda m, eps: SDI(m, guidance_scale, Cached(eps)),
        num_steps=num_steps,
        start_guidance_scale=guidance_scale,
    )
    *_, step = islice(run, number)
    x0, times = step.x0, step.t
    rules: dict[str, Rule] = {
        "SDI": SDI(model, guidance_scale, inversion),
        "SDS": SDS(model, guidance_scale),
    }
    updates: dict[str, Update] = {}
    for name, rule in rules.items():
        draws = [generator(seed, number, "overview") for seed in seeds]
        updates[name] = rule(x0, times, View(prompt), draws)
    x_t = {
        name: model.schedule.add_noise(x0, update.kappa, times) for name, update in updates.items()
    }
    inverse = model.guided(prompt.select(torch.tensor([0])), inversion.guidance_scale)
    ladder = list(
        invert(x0[:1], inverse, t=times[:1], num_inversion_steps=inversion.num_inversion_steps)
    )
    return Overview(
        t=float(times[0]),
        x0=x0,
        x_t=x_t,
        updates=updates,
        ladder=torch.cat([each.x_next for each in ladder]),
        ladder_times=tuple(float(each.t_next[0]) for each in ladder),
        ddim=step.update.target,
    )


@torch.no_grad()
def overview_images(
    model: StableDiffusion, made: Overview
) -> dict[str, Float[Tensor, "pictures 3 height width"]]:
    """Return the first item's pictures, decoded, in [0, 1], on CPU.

    Args:
        model: whose VAE decodes.
        made: from `one_step`.

    Returns:
        "ladder" with a picture a step of the inversion; "render", and by rule "x(t), SDI",
        "target, SDI" and so on, with one each.
    """
    latents = {"render": made.x0[:1], "ladder": made.ladder}
    for name, update in made.updates.items():
        latents[f"x(t), {name}"] = made.x_t[name][:1]
        latents[f"target, {name}"] = update.denoised[:1]
    return {
        name: model.decode(each.to(model.device)).clamp(0, 1).float().cpu()
        for name, each in latents.items()
    }


def root_mean_square(difference: Latents) -> Float[Tensor, " items"]:
    """Return the root mean square of each item's elements.

    Args:
        difference: of latents.
    """
    return difference.flatten(1).square().mean(1).sqrt()


def overview_claims(
    residuals: Mapping[str, Float[Tensor, " items"]],
    distances: Mapping[str, Float[Tensor, " items"]],
    prompts: Sequence[str],
) -> list[Claim]:
    """Check what the step is for; the prompt is the unit that counts.

    Args:
        residuals: of eq. 8 at the renders, for "SDI" and "SDS".
        distances: of each one's denoised render from DDIM's own next x0(t), likewise.
        prompts: of the items.
    """
    names = ("inverted κ", "random κ")
    return [
        paired_claim(
            "At the step drawn, the inverted κ solves eq. 8 better than a random one",
            smaller=residuals["SDI"],
            larger=residuals["SDS"],
            names=names,
            groups=prompts,
            note="residual r(t)",
        ),
        paired_claim(
            "At the step drawn, SDI's target lies closer to DDIM's next x0(t) than SDS's does",
            smaller=distances["SDI"],
            larger=distances["SDS"],
            names=names,
            groups=prompts,
            note="root mean square over latents",
        ),
    ]
