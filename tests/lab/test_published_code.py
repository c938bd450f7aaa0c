"""The published code's variant: its formula, what it damps, and claims that follow the numbers."""

import pytest
import torch

from sdilib.denoiser import GuidedDenoiser
from sdilib.guidance import SDI, SDS, View
from sdilib.inversion import Cached, DDIMInversion
from sdilib.lab.plotting.published_code import HUES, published_code
from sdilib.lab.studies import published_code as study
from sdilib.schedule import NoiseSchedule, time_grid
from sdilib.seeds import generator as generator_at
from sdilib.text_to_image import Generated, distilled_images

PROMPTS = [f"prompt {i}" for i in range(8)]
TIMES = torch.tensor([0.9, 0.52, 0.13], dtype=torch.float64)


def test_contrast_is_the_deviation_of_values():
    half = (torch.arange(8) < 4).float().expand(1, 3, 8, -1)
    images = torch.cat([half, 0.25 + half / 2, 0 * half + 0.3, 3 * half - 1])
    torch.testing.assert_close(study.contrast(images), torch.tensor([0.5, 0.25, 0.0, 0.5]))


def test_x_of_t_is_watched_and_the_update_left_alone(oracle, generator):
    x0 = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator)
    view = View(oracle.prompt([[0], [1], [2]]))
    draws = [[generator_at(i, 0, "guidance") for i in range(3)] for _ in range(3)]
    watched = study.Watched(SDS(oracle, 7.5), oracle.schedule)
    update, plain = watched(x0, TIMES, view, draws[0]), SDS(oracle, 7.5)(x0, TIMES, view, draws[1])
    assert torch.equal(update.gradient, plain.gradient)
    noise = torch.stack([torch.randn(4, 2, 2, dtype=torch.float64, generator=g) for g in draws[2]])
    x_t = oracle.schedule.add_noise(x0, noise, TIMES)
    torch.testing.assert_close(watched.deviations[0], x_t.flatten(1).std(1, correction=0))


def test_what_is_watched_of_the_published_variant_is_what_the_network_sees(scripted, rows):
    denoiser = scripted(lambda x_t, t, condition: 0.3 * x_t)
    x0 = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator_at(1, 0, "x0"))
    rule = SDI(denoiser, kappa=DDIMInversion(tau_max=0.1), renoise=False)
    watched = study.Watched(rule, denoiser.schedule)
    watched(x0, TIMES, View(rows(3)), [generator_at(i, 0, "guidance") for i in range(3)])
    seen, _ = denoiser.asked[-1]
    torch.testing.assert_close(watched.deviations[0], seen.flatten(1).std(1, correction=0))


def test_images_are_those_of_distilling_and_deviations_have_a_step_each(tiny):
    prompts, seeds = ["a red mug", "a blue rocket", "a red mug"], [0, 0, 1]

    def rule(model, eps):
        return SDI(model, kappa=Cached(eps))

    run, deviations = study.watched_images(tiny, prompts, seeds, rule=rule, num_steps=5)
    plain = distilled_images(tiny, prompts, seeds, rule=rule, num_steps=5)
    assert torch.equal(run.latents, plain.latents)
    assert deviations.shape == (3, len(time_grid(5)[1:-1]))
    assert float(deviations.min()) > 0


def test_the_expected_deviation_is_that_of_noised_latents(generator):
    schedule, times = NoiseSchedule.scaled_linear(), [0.9, 0.3]
    latents = 0.7 * torch.randn(2, 4, 64, 64, generator=generator) + 0.4
    expected = study.expected_deviation(latents, times, schedule)
    noise = torch.randn(2, 4, 64, 64, generator=generator)
    for i, t in enumerate(times):
        seen = schedule.add_noise(latents, noise, t).flatten(1).std(1)
        torch.testing.assert_close(seen, expected[:, i], rtol=0.02, atol=0)


def test_damping_is_none_without_tau_and_the_mean_of_what_a_step_keeps(scripted, rows):
    denoiser = scripted(lambda x_t, t, condition: torch.zeros_like(x_t))
    schedule, times = denoiser.schedule, [0.8, 0.4]
    assert torch.equal(study.damping(schedule, times, 0.0), torch.ones(2, dtype=torch.float64))
    # A denoiser that finds no noise returns what the variant keeps of x0.
    count = 400
    x0 = torch.ones(count, 4, 2, 2, dtype=torch.float64)
    rule = SDI(denoiser, kappa=DDIMInversion(tau_max=0.1), renoise=False)
    for t, expected in zip(times, study.damping(schedule, times, 0.1).tolist(), strict=True):
        draws = [generator_at(i, 0, "guidance") for i in range(count)]
        at = torch.full((count,), t, dtype=torch.float64)
        kept = rule(x0, at, View(rows(count)), draws).denoised[:, 0, 0, 0]
        assert expected < 0.97
        assert float(kept.mean()) == pytest.approx(expected, abs=0.01)


def test_the_formula_holds_and_would_not_with_another_noise(tiny, monkeypatch):
    prompts, seeds = ["a red mug", "a blue rocket"], [0, 1]
    latents = torch.randn(2, *tiny.latent_shape, generator=generator_at(0, 0, "latents"))
    assert study.published_formula(tiny, prompts, seeds, latents).holds
    monkeypatch.setattr(study, "SDI", lambda m, **more: SDI(m, **more | {"renoise": True}))
    assert not study.published_formula(tiny, prompts, seeds, latents).holds


def test_without_tau_the_formulas_kappa_is_kappa_itself(oracle, generator):
    x0 = torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator)
    prompt = oracle.prompt([[0], [1], [2]])
    update = SDI(oracle, renoise=False)(x0, TIMES, View(prompt), generator)
    kappa = DDIMInversion()(x0, TIMES, GuidedDenoiser(oracle, prompt, 7.5), generator)
    torch.testing.assert_close(update.kappa, kappa.noise)


def pictures(size: float, generator: torch.Generator) -> Generated:
    """Eight images of half a red square: contrast and saturation grow with `size`."""
    left = (torch.arange(16) < 8).float() * torch.tensor([0.0, -1.0, -1.0])[:, None, None]
    jitter = 1 + 0.02 * torch.rand(8, 1, 1, 1, generator=generator)
    images = 0.8 + size * jitter * left
    images = images.expand(-1, -1, 16, -1)
    return Generated(images, images, 2.0, 0.1, torch.zeros(8, 0), torch.zeros(8, 0))


def verdicts(plain, paper, published, off, prompts=PROMPTS) -> list[bool | None]:
    generator = torch.Generator()
    sizes = {study.PLAIN: plain, study.PAPER: paper, study.PUBLISHED: published}
    measures = study.published_measures({n: pictures(s, generator) for n, s in sizes.items()})
    jitter = 0.01 * torch.rand(8, 3, generator=generator)
    deviations = {study.PAPER: 1.2 + jitter, study.PUBLISHED: 1 + off + jitter}
    claims = study.published_claims(measures, deviations, torch.ones(8, 3), prompts)
    return [claim.holds for claim in claims]


def test_verdicts_follow_the_numbers():
    assert verdicts(0.6, 0.6, 0.4, off=0.05) == [True] * 5
    assert verdicts(0.6, 0.3, 0.4, off=-0.4) == [False] * 5
    assert verdicts(0.6, 0.6, 0.6, off=0.05)[2:] == [True] * 3
    assert verdicts(0.6, 0.6, 0.4, off=0.05, prompts=["the same"] * 8) == [None] * 5


def test_the_figure_draws_mean_deviations_and_the_factor_over_t(generator):
    times, schedule = time_grid(6)[1:-1], NoiseSchedule.scaled_linear()
    rows = {name: torch.rand(9, 3, 4, 4, generator=generator) for name in HUES}
    numbers = {"contrast": {name: torch.rand(9, generator=generator) for name in HUES}}
    deviations = {name: torch.rand(9, 5, generator=generator) for name in list(HUES)[1:]}
    kept = {"published, τ ≤ 0.1": study.damping(schedule, times, 0.1)}
    figure = published_code(
        rows,
        [f"prompt {i}" for i in range(9)],
        numbers,
        times=times,
        deviations=deviations,
        expected=torch.ones(9, 5),
        kept=kept,
    )
    assert sum(bool(axes.images) for axes in figure.axes) == 5 * 8
    curves, factors = (axes for axes in figure.axes if axes.get_xlabel() == "t")
    for line, each in zip(curves.lines, deviations.values(), strict=False):
        torch.testing.assert_close(torch.as_tensor(line.get_ydata()), each.mean(0))
    torch.testing.assert_close(
        torch.as_tensor(factors.lines[0].get_ydata()), next(iter(kept.values()))
    )
