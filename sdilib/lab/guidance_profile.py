"""What guidance does to a model's predictions over t: three numbers that show what a value of γ means.

γ multiplies a difference, e_y - e_∅, whose size depends on the model: 7.5 is weak for one and strong for another.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.checks import positive_int
from sdilib.denoiser import Denoiser, GuidedDenoiser, PromptEmbeddings, classifier_free_guidance
from sdilib.inversion import full_kappa, invert
from sdilib.schedule import time_grid
from sdilib.seeds import generator, normal

STRENGTH = "‖e_y - e_∅‖ / ‖e_∅‖"
SPREAD = "spread of x0(t) over draws / data"
DEVIATION = "std of κ"

_GAMMA = 7.5


@torch.no_grad()
def guidance_profile(
    denoiser: Denoiser,
    x0: Float[Tensor, " batch *shape"],
    prompt: PromptEmbeddings,
    *,
    num_draws: int = 4,
) -> dict[str, list[float]]:
    """Measure what guidance does on clean latents and their prompts, at t = 0.1, 0.2, ..., 1, with γ = 7.5.

    Costs 20 (num_draws + 1) sample-forwards per item: 400 for four items and four draws.

    Args:
        denoiser: frozen.
        x0: clean latents of pictures that show the prompts: renders of a world, or a model's own samples.
        prompt: one row per item; negatives are left out.
        num_draws: of the noise, the same at each time; at least 2.

    Returns:
        "t", and by its name the mean over items of each quantity at each t. `STRENGTH` is how far the prompt moves a
        prediction, mean over draws. `SPREAD` is the standard deviation, over draws, of the guided single-step denoised image
        (eq. 5): root mean square over elements, in units of the data's own deviation. Near 0, all draws agree and the choice
        of κ does not matter; above 1, they differ by more than two images do. `DEVIATION` is the standard deviation over the
        elements of the κ that ten steps of inversion at -γ find; 1 for noise.

    Raises:
        ValueError: fewer than two draws.
    """
    positive_int("num_draws", num_draws, at_least=2)
    schedule, data = denoiser.schedule, x0.std(correction=0)
    times = time_grid(10, 0.0, 1.0)[1:]
    strengths, spreads = list[Tensor](), list[Tensor]()
    for t in times:
        moved, denoised = list[Tensor](), list[Tensor]()
        for draw in range(num_draws):
            draws = [generator(0, draw, "guidance profile", item) for item in range(len(x0))]
            x_t = schedule.add_noise(x0, normal(x0, draws), t)
            e_y, e_0 = denoiser.branches(x_t, t, [prompt.conditional, prompt.unconditional])
            moved.append((e_y - e_0).flatten(1).norm(dim=1) / e_0.flatten(1).norm(dim=1))
            eps = classifier_free_guidance(e_y, e_0, _GAMMA)
            denoised.append(schedule.denoised(x_t, eps, t))
        strengths.append(torch.stack(moved).mean(0))
        variance = torch.stack(denoised).var(0, correction=1)
        spreads.append(variance.flatten(1).mean(1).sqrt() / data)
    inverse = GuidedDenoiser(denoiser, prompt.without_negatives(), -_GAMMA)
    deviations = _deviations(x0, inverse, times)
    found = {STRENGTH: strengths, SPREAD: spreads, DEVIATION: deviations}
    means = {name: torch.stack(of, 1).cpu().mean(0).tolist() for name, of in found.items()}
    return {"t": times} | means


def _deviations(x0: Tensor, denoise: GuidedDenoiser, times: list[float]) -> list[Tensor]:
    """Deviations of κ at each time of one inversion, which reaches t = k / n after k of n equal steps."""
    path = invert(x0, denoise, t=1.0, num_inversion_steps=len(times))
    kappas = (
        full_kappa(x0, s.x_next, t=t, denoise=denoise) for t, s in zip(times, path, strict=True)
    )
    return [kappa.flatten(1).std(1, correction=0) for kappa in kappas]
