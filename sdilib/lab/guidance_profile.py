"""What guidance does to a model's predictions over t: three numbers that show what a value of γ means.

γ multiplies a difference, e_y - e_∅, whose size depends on the model: 7.5 is weak for one and strong for another.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import finite, positive_int
from sdilib.denoiser import Denoiser, GuidedDenoiser, PromptEmbeddings, classifier_free_guidance
from sdilib.inversion import full_kappa, invert
from sdilib.schedule import time_grid
from sdilib.seeds import generator, normal

STRENGTH = "‖e_y - e_∅‖ / ‖e_∅‖"
SPREAD = "spread of x0(t) over draws / data"
DEVIATION = "std of κ"


@dataclass(frozen=True, slots=True, eq=False)
class GuidanceProfile:
    """Numbers per item and time, on CPU.

    Attributes:
        times: rising, the last is 1.
        strength: how far the prompt moves a prediction, relative to it: the norm of e_y - e_∅ over that of e_∅,
            mean over draws.
        spread: standard deviation, over draws of the noise, of the guided single-step denoised image (eq. 5): root
            mean square over elements, in units of the data's own deviation. Near 0, all draws agree and the choice
            of κ does not matter; above 1, they differ by more than two images do.
        deviation: standard deviation over the elements of the κ that inversion finds; 1 for noise.
        num_forwards: UNet sample-forwards spent.
    """

    times: tuple[float, ...]
    strength: Float[Tensor, "items times"]
    spread: Float[Tensor, "items times"]
    deviation: Float[Tensor, "items times"]
    num_forwards: int

    def table(self) -> dict[str, list[float]]:
        """Return the times, and each quantity's mean over items, by its name in words."""
        each = {STRENGTH: self.strength, SPREAD: self.spread, DEVIATION: self.deviation}
        return {"t": list(self.times)} | {name: of.mean(0).tolist() for name, of in each.items()}


@torch.no_grad()
def guidance_profile(
    denoiser: Denoiser,
    x0: Float[Tensor, " batch *shape"],
    prompt: PromptEmbeddings,
    *,
    guidance_scale: float = 7.5,
    inversion_guidance_scale: float = -7.5,
    num_times: int = 10,
    num_draws: int = 4,
    seed: int = 0,
) -> GuidanceProfile:
    """Measure what guidance does on clean latents and their prompts.

    Costs 2 · num_times · (num_draws + 1) sample-forwards per item: 400 for four items.

    Args:
        denoiser: frozen.
        x0: clean latents of pictures that show the prompts: renders of a world, or a model's own samples.
        prompt: one row per item; negatives are left out.
        guidance_scale: γ of the denoised images.
        inversion_guidance_scale: γ_inv of κ.
        num_times: equally spaced, from 1 / num_times to 1; also the steps of the inversion, 10 in the paper.
        num_draws: of the noise, the same at each time; at least 2.
        seed: of the draws.

    Raises:
        ValueError: an argument outside its range.
    """
    positive_int("num_times", num_times)
    positive_int("num_draws", num_draws, at_least=2)
    finite("guidance_scale", guidance_scale)
    finite("inversion_guidance_scale", inversion_guidance_scale)
    before, schedule = denoiser.num_forwards, denoiser.schedule
    times, data = time_grid(num_times, 0.0, 1.0)[1:], x0.std(correction=0)
    strengths, spreads = list[Tensor](), list[Tensor]()
    for t in times:
        moved, denoised = list[Tensor](), list[Tensor]()
        for draw in range(num_draws):
            draws = [generator(seed, draw, "guidance profile", item) for item in range(len(x0))]
            x_t = schedule.add_noise(x0, normal(x0, draws), t)
            e_y, e_0 = denoiser.branches(x_t, t, [prompt.conditional, prompt.unconditional])
            moved.append((e_y - e_0).flatten(1).norm(dim=1) / e_0.flatten(1).norm(dim=1))
            eps = classifier_free_guidance(e_y, e_0, guidance_scale)
            denoised.append(schedule.denoised(x_t, eps, t))
        strengths.append(torch.stack(moved).mean(0))
        variance = torch.stack(denoised).var(0, correction=1)
        spreads.append(variance.flatten(1).mean(1).sqrt() / data)
    inverse = GuidedDenoiser(denoiser, prompt.without_negatives(), inversion_guidance_scale)
    deviations = _deviations(x0, inverse, times)
    strength, spread, deviation = (
        torch.stack(of, 1).cpu() for of in (strengths, spreads, deviations)
    )
    spent = denoiser.num_forwards - before
    return GuidanceProfile(tuple(times), strength, spread, deviation, spent)


def _deviations(x0: Tensor, denoise: GuidedDenoiser, times: list[float]) -> list[Tensor]:
    """Deviations of κ at each time of one inversion, which reaches t = k / n after k of n equal steps."""
    path = invert(x0, denoise, t=1.0, num_inversion_steps=len(times))
    kappas = (
        full_kappa(x0, s.x_next, t=t, denoise=denoise) for t, s in zip(times, path, strict=True)
    )
    return [kappa.flatten(1).std(1, correction=0) for kappa in kappas]
