"""What the published code's variant of eq. 10 does to contrast and colour.

Eq. 10 noises the image to t with the noise kappa that inversion found on its way to t + tau:

    x(t) = sqrt(alpha(t)) x0 + sqrt(1 - alpha(t)) kappa.

The published code gives the network the inversion's end itself, as if it were at t:

    x(t)' = sqrt(alpha(t + tau)) x0 + sqrt(1 - alpha(t + tau)) kappa.

So what the denoised image keeps of x0 is scaled by sqrt(alpha(t + tau) / alpha(t)) < 1. Without tau
the two are one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from sdilib.guidance import SDI, Rule, Update, View
from sdilib.inversion import DDIMInversion
from sdilib.lab.claims import Claim, bound_claim, exact_claim, paired_claim
from sdilib.lab.metrics import saturation
from sdilib.schedule import NoiseSchedule, spread
from sdilib.seeds import Generators, generator
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import Generated, RuleFrom, distilled_images

__all__ = [
    "Watched",
    "contrast",
    "damping",
    "expected_deviation",
    "published_claims",
    "published_formula",
    "published_measures",
    "watched_images",
]

PLAIN, PAPER, PUBLISHED = "eq. 10, τ = 0", "eq. 10, τ ≤ 0.1", "published, τ ≤ 0.1"
"""What the claims compare: without tau, with it, and with it in the published code's way."""


def contrast(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
    """Return the standard deviation of each image's values, all pixels and channels together.

    Args:
        images: in [0, 1]; clamped.

    Returns:
        One number in [0, 0.5] an image; 0 for an even grey.
    """
    return images.clamp(0, 1).flatten(1).std(1, correction=0)


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A rule, and the standard deviation of each x(t) that it showed the network.

    Attributes:
        rule: SDS or SDI: one whose update's kappa is the noise that x(t) holds.
        schedule: of its denoiser.
        deviations: one tensor a call, of one number an item, on CPU; grows.
    """

    rule: Rule
    schedule: NoiseSchedule
    deviations: list[Tensor] = field(default_factory=list)

    def __call__(
        self,
        x0: Float[Tensor, " batch *shape"],
        t: Float[Tensor, " batch"],
        view: View,
        generator: Generators,
    ) -> Update:
        """Return the rule's update; see `Rule`."""
        update = self.rule(x0, t, view, generator)
        x_t = self.schedule.add_noise(x0, update.kappa, t)
        self.deviations.append(x_t.flatten(1).std(1, correction=0).cpu())
        return update


def watched_images(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    rule: RuleFrom,
    num_steps: int,
) -> tuple[Generated, Float[Tensor, "items steps"]]:
    """Distill images by plain annealed steps, and watch x(t).

    Args:
        model: frozen.
        prompts: one an image.
        seeds: one an image.
        rule: makes the rule of a batch, see `Watched`.
        num_steps: at least 2; the first, at t = 1, is the start that all methods share, so
            `time_grid(num_steps)[1:-1]` are the times of the deviations.

    Returns:
        The images, and the standard deviation of x(t) by image and step.
    """
    watched: list[Watched] = []

    def watch(model: StableDiffusion, eps: Tensor) -> Rule:
        watched.append(Watched(rule(model, eps), model.schedule))
        return watched[-1]

    run = distilled_images(model, prompts, seeds, rule=watch, num_steps=num_steps)
    return run, torch.cat([torch.stack(batch.deviations, 1) for batch in watched])


def expected_deviation(
    latents: Float[Tensor, " items *shape"], times: Sequence[float], schedule: NoiseSchedule
) -> Float[Tensor, "items steps"]:
    """Return the deviation of x(t) that the network was trained on, for each image and time.

    sqrt(alpha(t) Var(x0) + 1 - alpha(t)): the noise of training has unit deviation and knows
    nothing of x0.

    Args:
        latents: clean ones, of the model's own images.
        times: in [0, 1].
        schedule: of the noise.
    """
    alpha = schedule.alpha_cumprod(torch.tensor(times, dtype=torch.float64)).to(latents)
    return (alpha * latents.flatten(1).var(1, correction=0)[:, None] + 1 - alpha).sqrt()


def damping(
    schedule: NoiseSchedule, times: Sequence[float], tau_max: float
) -> Float[Tensor, " times"]:
    """Return the mean of sqrt(alpha(t + tau) / alpha(t)) over tau ~ U(0, tau_max), float64.

    What the published code's variant keeps of x0 in one step; t + tau is capped at 1.

    Args:
        schedule: of the noise.
        times: in [0, 1].
        tau_max: in [0, 1].
    """
    t = torch.tensor(times, dtype=torch.float64)
    taus = tau_max * (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    ends = [schedule.alpha_cumprod((t + tau).clamp(max=1)) for tau in taus]
    kept = torch.stack(ends, 1) / schedule.alpha_cumprod(t)[:, None]
    return kept.sqrt().mean(1)


def published_formula(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    latents: Float[Tensor, " items *shape"],
    *,
    t: float = 0.5,
    tau_max: float = 0.1,
) -> Claim:
    """Check that the published variant is eq. 10 with another noise subtracted and added.

    kappa' = (sqrt(alpha(t + tau) / alpha(t)) - 1) / sigma(t) · x0
             + sqrt((1 - alpha(t + tau)) / (1 - alpha(t))) · kappa

    Costs two inversions and a prediction an item.

    Args:
        model: frozen.
        prompts: one an item.
        seeds: one an item.
        latents: x0, where it is checked.
        t: when, in (0, 1].
        tau_max: of the inversion.
    """
    x0, prompt = latents.to(model.device), model.embed(prompts)
    times = torch.full((len(x0),), t, dtype=torch.float64)
    inversion = DDIMInversion(tau_max=tau_max)
    draws = [[generator(seed, 0, "guidance") for seed in seeds] for _ in range(2)]
    kappa = inversion(x0, times, model.guided(prompt), draws[0])
    published = SDI(model, kappa=inversion, renoise=False)
    update = published(x0, times, View(prompt), draws[1])
    schedule = model.schedule
    alpha, alpha_end = schedule.alpha_cumprod(times), schedule.alpha_cumprod(kappa.t)
    of_x0 = ((alpha_end / alpha).sqrt() - 1) / schedule.sigma(times)
    of_kappa = ((1 - alpha_end) / (1 - alpha)).sqrt()
    expected = spread(of_x0, x0) * x0 + spread(of_kappa, x0) * kappa.noise
    return exact_claim(
        "The published code's step is eq. 10's with κ' = (√(α(t+τ)/α(t)) - 1)/σ(t) · x0 "
        "+ √((1-α(t+τ))/(1-α(t))) · κ",
        (update.kappa - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1),
        at_most=1e-4,
        name="largest relative deviation of κ'",
    )


def published_measures(
    made: Mapping[str, Generated],
) -> dict[str, dict[str, Float[Tensor, " items"]]]:
    """Return contrast and saturation: by measure, then method, one an image.

    Args:
        made: images by method.
    """
    return {
        "contrast": {name: contrast(run.images) for name, run in made.items()},
        "saturation": {name: saturation(run.images) for name, run in made.items()},
    }


def published_claims(
    measures: Mapping[str, Mapping[str, Float[Tensor, " items"]]],
    deviations: Mapping[str, Float[Tensor, "items steps"]],
    expected: Float[Tensor, "items steps"],
    prompts: Sequence[str],
) -> list[Claim]:
    """Check what the difference does; the prompt is the unit that counts.

    Args:
        measures: from `published_measures`.
        deviations: of x(t), by method, from `watched_images`.
        expected: from `expected_deviation`.
        prompts: of the images.

    Source: appendix A.1 for "not sensitive to tau"; the rest follows from the module's formula.
    """
    claims = [
        paired_claim(
            f"At τ ≤ 0.1, the published code's images have less {what} than eq. 10's",
            smaller=of[PUBLISHED],
            larger=of[PAPER],
            names=("published", "eq. 10"),
            groups=prompts,
        )
        for what, of in measures.items()
    ]
    claims += [
        bound_claim(
            f"Eq. 10 is not sensitive to τ: up to 0.1 it changes {what} by less than 5 %",
            (of[PAPER] / of[PLAIN].clamp_min(1e-6) - 1).abs(),
            at_most=0.05,
            name="mean relative change",
            groups=prompts,
        )
        for what, of in measures.items()
    ]
    off = {name: (each / expected - 1).abs().mean(1) for name, each in deviations.items()}
    return [
        *claims,
        paired_claim(
            "The published code's x(t) deviates as it should more nearly than eq. 10's at τ ≤ 0.1",
            smaller=off[PUBLISHED],
            larger=off[PAPER],
            names=("off by, published", "off by, eq. 10"),
            groups=prompts,
            note="mean over t of |deviation / expected - 1|",
        ),
    ]
