"""Figure 4: how x(t), x0(t) and the scene that is optimised evolve over t, and one step in the plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from sdilib.checks import positive_int, reject
from sdilib.ddim import ddim
from sdilib.distill import distill
from sdilib.guidance import SDI
from sdilib.inversion import Cached
from sdilib.lab.claims import Claim, exact_claim, paired_claim
from sdilib.lab.metrics import high_frequency_energy
from sdilib.lab.studies.residuals import start
from sdilib.oracle import GaussianMixture
from sdilib.scenes import ImageScene
from sdilib.schedule import spread, time_grid
from sdilib.seeds import generator, normal
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_image import RuleFrom, distilled_steps

__all__ = [
    "Evolution",
    "PlaneTrajectory",
    "change_per_step",
    "density",
    "distance_to_end",
    "distilled",
    "evolution_claims",
    "fine_detail",
    "pick",
    "plane_trajectory",
    "sampled",
    "three_blobs",
]

Latents = Float[Tensor, "items times channels h w"]


@dataclass(frozen=True, slots=True, eq=False)
class Evolution:
    """DDIM's run in both of its variables, on CPU.

    Attributes:
        times: of the steps, falling from 1.
        x_t: the noisy latents x(t) that each step begins with.
        x0: the single-step denoised latents x0(t), eq. 5; the last is where the run ends.
    """

    times: tuple[float, ...]
    x_t: Latents
    x0: Latents


def sampled(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    num_steps: int,
    guidance_scale: float = 7.5,
    batch_size: int = 16,
) -> Evolution:
    """Sample by DDIM (eq. 2) and keep x(t) and x0(t) of every step.

    Costs 2 sample-forwards a step and item.

    Args:
        model: frozen.
        prompts: one an item.
        seeds: one an item.
        num_steps: equal steps from t = 1 to 0.
        guidance_scale: gamma.
        batch_size: items at a time.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a prediction is not finite.
    """
    positive_int("num_steps", num_steps, at_least=2)
    positive_int("batch_size", batch_size)
    times = time_grid(num_steps)
    denoise = model.guided(model.embed(prompts), guidance_scale)
    noisy, clean = [], []
    for items in torch.arange(len(prompts)).split(batch_size):
        x_1 = start(model, [seeds[i] for i in items.tolist()])
        run = ddim(x_1, denoise.select(items), times=times)
        steps = list(tqdm(run, total=num_steps, desc="DDIM", leave=False))
        noisy.append(torch.stack([step.x_t for step in steps], 1).cpu())
        clean.append(torch.stack([step.x0 for step in steps], 1).cpu())
    return Evolution(tuple(times[:-1]), torch.cat(noisy), torch.cat(clean))


def distilled(
    model: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    rule: RuleFrom,
    num_steps: int,
    batch_size: int = 16,
) -> Latents:
    """Distill latent scenes by plain steps (eq. 10) and keep their parameters at DDIM's times.

    They begin, at t = 1, at DDIM's x0(1), as in `generate.distilled_images`; what belongs to a time
    t is the scene after its step at t.

    Args:
        model: frozen.
        prompts: one an item.
        seeds: one an item.
        rule: makes the rule of a batch.
        num_steps: as in `sampled`.
        batch_size: items at a time.

    Raises:
        ValueError: an argument outside its range.
        NonFiniteError: a tensor on the way is not finite.
    """
    positive_int("num_steps", num_steps, at_least=2)
    positive_int("batch_size", batch_size)
    embedded, parts = model.embed(prompts), []
    for items in torch.arange(len(prompts)).split(batch_size):
        some = [seeds[i] for i in items.tolist()]
        run = distilled_steps(model, embedded.select(items), some, rule=rule, num_steps=num_steps)
        latents: list[Tensor] = []
        for step in tqdm(run, total=num_steps - 1, desc="SDI", leave=False):
            latents += [step.render()] if latents else [step.x0, step.render()]
        parts.append(torch.stack(latents, 1).cpu())
    return torch.cat(parts)


def pick(times: Sequence[float], count: int) -> list[int]:
    """Return the places of `count` times spread over a run, its first and its last among them.

    Args:
        times: of the steps.
        count: how many, at least 2; a shorter run gives all it has.

    Raises:
        ValueError: `count` below 2.

    Examples:
        >>> pick([1.0, 0.8, 0.6, 0.4, 0.2], 3)
        [0, 2, 4]
    """
    positive_int("count", count, at_least=2)
    count = min(count, len(times))
    return [round(k * (len(times) - 1) / (count - 1)) for k in range(count)]


def change_per_step(latents: Latents) -> Float[Tensor, "items intervals"]:
    """Return the root mean square of the change from each step to the next.

    Args:
        latents: over time.
    """
    return latents.diff(dim=1).flatten(2).square().mean(2).sqrt()


def fine_detail(
    images: Float[Tensor, "items times 3 height width"],
) -> Float[Tensor, "items times"]:
    """Return `metrics.high_frequency_energy` of images over time.

    Args:
        images: in [0, 1].
    """
    return high_frequency_energy(images.flatten(0, 1)).unflatten(0, images.shape[:2])


def distance_to_end(
    images: Float[Tensor, "items times 3 height width"],
    ends: Float[Tensor, "items 3 height width"],
) -> Float[Tensor, "items times"]:
    """Return the root mean square difference of images over time from where their run ends.

    Args:
        images: in [0, 1].
        ends: the last image of each item's run.
    """
    return (images - ends[:, None]).flatten(2).square().mean(2).sqrt()


def evolution_claims(
    run: Evolution,
    cached: Float[Tensor, "scenes times channels h w"],
    detail: Mapping[str, Float[Tensor, "_ times"]],
    distance: Mapping[str, Float[Tensor, "_ times"]],
    prompts: Sequence[str],
) -> list[Claim]:
    """Check what figure 4 says about the two variables; the prompt is the unit that counts.

    Args:
        run: from `sampled`.
        cached: from `distilled`, with the cached kappa, of the run's first items.
        detail: from `fine_detail`, by variable: "x(t)", "x0(t)", and "scene" for the first items.
        distance: from `distance_to_end`, likewise; the scene's is to its own end.
        prompts: of the run's items.
    """
    own = run.x0[: len(cached)]
    off = (cached - own).flatten(2).norm(dim=2) / own.flatten(2).norm(dim=2)
    noisy, clean, scene = (distance[name] for name in ("x(t)", "x0(t)", "scene"))
    fewer = list(prompts[: len(scene)])
    far = [(scene - each[: len(scene)]).abs().mean(1) for each in (clean, noisy)]
    return [
        exact_claim(
            "At every t, eq. 10 with the cached κ gives DDIM's own x0(t) (eq. 6 ≡ eq. 2)",
            off.flatten(),
            at_most=1e-3,
            name="largest relative deviation of latents",
            note="rounding in float32 grows along the run",
        ),
        paired_claim(
            "x0(t) evolves from blurry to sharp: x0(1) has less fine detail than the last x0(t)",
            smaller=detail["x0(t)"][:, 0],
            larger=detail["x0(t)"][:, -1],
            names=("x0(1)", "the last"),
            groups=prompts,
        ),
        paired_claim(
            "Already x0(1) is closer to the image that the run ends with than the noisy x(1) is",
            smaller=clean[:, 0],
            larger=noisy[:, 0],
            names=("x0(1)", "x(1)"),
            groups=prompts,
            note="root mean square over pixels, both decoded",
        ),
        paired_claim(
            "The scene that SDI optimises evolves from blurry to sharp, too",
            smaller=detail["scene"][:, 0],
            larger=detail["scene"][:, -1],
            names=("first", "last"),
            groups=fewer,
            note="it begins at x0(1); fine detail may be dirt",
        ),
        paired_claim(
            "Over t, the scene nears its end as x0(t) does rather than as x(t) does",
            smaller=far[0],
            larger=far[1],
            names=("off x0(t)", "off x(t)"),
            groups=fewer,
        ),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class PlaneTrajectory:
    """One run in the plane, where everything is exact.

    Attributes:
        times: of the steps, falling from 1.
        x_bar: the noisy point x(t) / sqrt(alpha(t)), the variable of eq. 1.
        x0: DDIM's x0(t), eq. 5.
        updated: x0(t) as SDI with the cached kappa makes it, eq. 10.
    """

    times: Float[Tensor, " steps"]
    x_bar: Float[Tensor, "steps 2"]
    x0: Float[Tensor, "steps 2"]
    updated: Float[Tensor, "steps 2"]

    def since(self, t: float) -> "PlaneTrajectory":
        """Return the part of the run at times of at most t.

        Args:
            t: in (0, 1].

        Raises:
            ValueError: nothing is left.
        """
        kept = self.times <= t + 1e-9
        if not bool(kept.any()):
            reject("t", t, f"a time of at least the run's last, {float(self.times[-1]):.3g}")
        return PlaneTrajectory(
            self.times[kept], self.x_bar[kept], self.x0[kept], self.updated[kept]
        )


def three_blobs() -> GaussianMixture:
    """Return three unequal Gaussians in the plane, in float64."""
    means = torch.tensor([[-2.2, 0.4], [2.0, 0.9], [0.3, -2.0]], dtype=torch.float64)
    stds = torch.tensor([0.4, 0.36, 0.44], dtype=torch.float64)
    weights = torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64)
    return GaussianMixture(means.reshape(-1, 2, 1, 1), stds, weights)


def plane_trajectory(
    mixture: GaussianMixture, *, num_steps: int = 9, seed: int = 0
) -> PlaneTrajectory:
    """Follow one point by DDIM and by SDI with the cached kappa, at gamma = 1.

    Args:
        mixture: in the plane.
        num_steps: equal steps from t = 1 to 0, at least 2.
        seed: of the point.

    Raises:
        ValueError: an argument outside its range.
    """
    positive_int("num_steps", num_steps, at_least=2)
    prompt = mixture.prompt([range(len(mixture.weights))])
    blank = torch.zeros(1, 2, *mixture.means.shape[1:], dtype=torch.float64)
    noise = normal(blank, generator(seed, 0, "start"))
    x_1 = mixture.sample(torch.zeros(1, dtype=torch.long), 1.0, noise)
    steps = list(ddim(x_1, mixture.guided(prompt, 1.0), times=time_grid(num_steps)))
    run = distill(
        ImageScene(steps[0].x0),
        SDI(mixture, 1.0, Cached(steps[0].eps)),
        prompt=prompt,
        num_steps=num_steps,
        t_end=0.0,
        seeds=seed,
        first_step=1,
    )
    updated = [steps[0].x0, *(step.update.target for step in run)]
    alphas = [mixture.schedule.alpha_cumprod(step.t) for step in steps]
    x_bar = [
        step.x_t / spread(alpha.sqrt(), step.x_t) for step, alpha in zip(steps, alphas, strict=True)
    ]
    times = torch.tensor([step.t for step in steps], dtype=torch.float64)
    paths = [torch.cat(path).flatten(1) for path in (x_bar, [s.x0 for s in steps], updated)]
    return PlaneTrajectory(times, *paths)


def density(
    mixture: GaussianMixture, *, extent: float = 4.0, size: int = 160
) -> tuple[Float[Tensor, " size"], Float[Tensor, "size size"]]:
    """Return the clean density over a square, up to a factor.

    Args:
        mixture: in the plane.
        extent: the square reaches from -extent to extent.
        size: points a side.

    Returns:
        The coordinates, the same along both axes, and the density by (y, x), at most 1.
    """
    at = torch.linspace(-extent, extent, positive_int("size", size, at_least=2)).double()
    y, x = torch.meshgrid(at, at, indexing="ij")
    points = torch.stack([x, y], -1).reshape(-1, *mixture.means.shape[1:])
    log_weights = mixture.weights.log().expand(len(points), -1)
    log = mixture.log_density(points, 0.0, log_weights)
    return at, (log - log.max()).exp().reshape(size, size)
