"""The published code's variant: its formula, what it damps, and claims that follow the numbers."""

import pytest
import torch
from made_up import PROMPTS, generated, held

from sdilib.denoiser import GuidedDenoiser
from sdilib.guidance import SDI, SDS, View
from sdilib.inversion import Cached, DDIMInversion
from sdilib.lab.experiments import figx1_published_code as experiment
from sdilib.lab.images import Generated, ddim_images, distilled_images
from sdilib.schedule import NoiseSchedule, time_grid
from sdilib.seeds import generator as generator_at

TIMES = torch.tensor([0.9, 0.52, 0.13], dtype=torch.float64)


def test_contrast_is_the_deviation_of_values():
    half = (torch.arange(8) < 4).float().expand(1, 3, 8, -1)
    images = torch.cat([half, 0.25 + half / 2, 0 * half + 0.3, 3 * half - 1])
    torch.testing.assert_close(experiment.contrast(images), torch.tensor([0.5, 0.25, 0.0, 0.5]))


def test_x_of_t_is_watched_and_the_update_left_alone(tiny, two, generator):
    x0 = torch.randn(2, *tiny.latent_shape, generator=generator)
    draws = [[generator_at(i, 0, "guidance") for i in range(2)] for _ in range(3)]
    seen = []
    watched = experiment.watched(lambda m, _: SDS(m, 7.5), seen)(tiny, x0)
    t, view = TIMES[:2], View(two)
    update, plain = watched(x0, t, view, draws[0]), SDS(tiny, 7.5)(x0, t, view, draws[1])
    assert torch.equal(update.gradient, plain.gradient)
    noise = torch.stack([torch.randn(*tiny.latent_shape, generator=g) for g in draws[2]])
    x_t = tiny.schedule.add_noise(x0, noise, t)
    torch.testing.assert_close(seen[0][0], x_t.flatten(1).std(1, correction=0))


def test_what_is_watched_of_the_published_variant_is_what_the_network_sees(tiny, two, monkeypatch):
    asked, branches = [], tiny.branches
    monkeypatch.setattr(
        tiny,
        "branches",
        lambda x_t, t, conditions: asked.append(x_t) or branches(x_t, t, conditions),
    )
    x0, seen = torch.randn(2, *tiny.latent_shape, generator=generator_at(1, 0, "x0")), []
    kappa = DDIMInversion(tau_max=0.1)
    make = experiment.watched(lambda m, _: SDI(m, kappa=kappa, renoise=False), seen)
    draws = [generator_at(i, 0, "guidance") for i in range(2)]
    make(tiny, x0)(x0, TIMES[:2], View(two), draws)
    torch.testing.assert_close(seen[0][0], asked[-1].flatten(1).std(1, correction=0))


def test_images_are_those_of_distilling_and_deviations_have_a_step_each(tiny, monkeypatch):
    monkeypatch.setattr("sdilib.lab.images.BATCH", 2)
    work = (tiny, ["a red mug", "a blue rocket", "a red mug"], [0, 0, 1])
    make, seen = lambda m, eps: SDI(m, kappa=Cached(eps)), []
    settings = {"num_steps": 5, "latents": "free"}
    run = distilled_images(*work, rule=experiment.watched(make, seen), **settings)
    assert torch.equal(run.latents, distilled_images(*work, rule=make, **settings).latents)
    over_t = experiment.over_time({"SDI": seen}, run.latents, tiny.schedule)
    assert over_t["times"] == time_grid(5)[1:-1]
    assert over_t["deviations"]["SDI"].shape == over_t["expected"].shape == (3, 4)
    assert float(over_t["deviations"]["SDI"].min()) > 0


def test_the_expected_deviation_is_that_of_noised_latents(generator):
    schedule, times = NoiseSchedule.scaled_linear(), [0.9, 0.3]
    latents = 0.7 * torch.randn(2, 4, 64, 64, generator=generator) + 0.4
    expected = experiment.expected_deviation(latents, times, schedule)
    noise = torch.randn(2, 4, 64, 64, generator=generator)
    for i, t in enumerate(times):
        seen = schedule.add_noise(latents, noise, t).flatten(1).std(1)
        torch.testing.assert_close(seen, expected[:, i], rtol=0.02, atol=0)


def test_damping_is_none_without_tau_and_the_mean_of_what_a_step_keeps(scripted, rows):
    denoiser = scripted(lambda x_t, t, condition: torch.zeros_like(x_t))
    schedule, times = denoiser.schedule, [0.8, 0.4]
    assert torch.equal(experiment.damping(schedule, times, 0.0), torch.ones(2, dtype=torch.float64))
    # A denoiser that finds no noise returns what the variant keeps of x0.
    count = 400
    x0 = torch.ones(count, 4, 2, 2, dtype=torch.float64)
    rule = SDI(denoiser, kappa=DDIMInversion(tau_max=0.1), renoise=False)
    for t, expected in zip(times, experiment.damping(schedule, times, 0.1).tolist(), strict=True):
        draws = [generator_at(i, 0, "guidance") for i in range(count)]
        at = torch.full((count,), t, dtype=torch.float64)
        kept = rule(x0, at, View(rows(count)), draws).denoised[:, 0, 0, 0]
        assert expected < 0.97
        assert float(kept.mean()) == pytest.approx(expected, abs=0.01)


def test_the_formula_holds_and_would_not_with_another_noise(tiny, monkeypatch):
    prompts, seeds = ["a red mug", "a blue rocket"], [0, 1]
    latents = torch.randn(2, *tiny.latent_shape, generator=generator_at(0, 0, "latents"))

    def holds() -> bool | None:
        numbers = experiment.formula(tiny, prompts, seeds, latents)
        return held(experiment.CLAIMS[:1], numbers)[0]

    assert holds()
    monkeypatch.setattr(experiment, "SDI", lambda m, **more: SDI(m, **more | {"renoise": True}))
    assert not holds()


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
    return generated((0.8 + size * jitter * left).expand(-1, -1, 16, -1))


def decided(plain, paper, published, off, prompts=PROMPTS) -> list[bool | None]:
    generator = torch.Generator()
    sizes = {experiment.PLAIN: plain, experiment.PAPER: paper, experiment.PUBLISHED: published}
    jitter = 0.01 * torch.rand(8, 3, generator=generator)
    deviations = {experiment.PAPER: 1.2 + jitter, experiment.PUBLISHED: 1 + off + jitter}
    over_t = {"deviations": deviations, "expected": torch.ones(8, 3)}
    made = {name: pictures(size, generator) for name, size in sizes.items()}
    return held(experiment.CLAIMS[1:], experiment.measures(made, over_t), prompts)


def test_verdicts_follow_the_numbers():
    assert decided(0.6, 0.6, 0.4, off=0.05) == [True] * 5
    assert decided(0.6, 0.3, 0.4, off=-0.4) == [False] * 5
    assert decided(0.6, 0.6, 0.6, off=0.05)[2:] == [True] * 3
    assert decided(0.6, 0.6, 0.4, off=0.05, prompts=["the same"] * 8) == [None] * 5


def test_the_figure_draws_mean_deviations_and_the_factor_over_t(generator):
    names = (
        "DDIM",
        "eq. 10, τ = 0",
        "eq. 10, τ ≤ 0.1",
        "published, τ ≤ 0.1",
        "published, τ ≤ 1/30",
    )
    made = {n: generated(torch.rand(9, 3, 4, 4, generator=generator)) for n in names}
    seen = {name: [list(torch.rand(5, 9, generator=generator))] for name in names[1:]}
    over_t = experiment.over_time(seen, made["DDIM"].latents, NoiseSchedule.scaled_linear())
    numbers = experiment.measures(made, over_t) | over_t
    figure = experiment.draw(made, [f"prompt {i}" for i in range(9)], numbers)
    assert sum(bool(axes.images) for axes in figure.axes) == 5 * 8
    curves, factors = (axes for axes in figure.axes if axes.get_xlabel() == "t")
    for line, each in zip(curves.lines, over_t["deviations"].values(), strict=False):
        torch.testing.assert_close(torch.as_tensor(line.get_ydata()), each.mean(0))
    kept = torch.as_tensor(factors.lines[0].get_ydata())
    torch.testing.assert_close(kept, over_t["kept"]["published, τ ≤ 0.1"])


def test_the_border_is_the_outermost_sixteenth():
    image = torch.full((2, 3, 32, 32), 0.8)
    image[:, :, 2:-2, 2:-2] = torch.rand(28, 28)  # the object does not count
    image[1, :, :2] -= 0.1
    found = experiment.border_deviation(image)
    # Of 32² - 28² pixels 64 are off.
    uneven = 0.1 * (64 / 240 * (1 - 64 / 240)) ** 0.5
    torch.testing.assert_close(found, torch.tensor([0.0, uneven]), atol=1e-6, rtol=0)


def test_each_rule_is_run_both_ways_and_what_is_known_is_not_made_again(tiny):
    work = (tiny, ["a red mug"], [0])
    asked = []

    def distill(rule, **settings):
        asked.append((settings["name"], settings["latents"], settings.get("num_steps", 2)))
        return distilled_images(*work, rule=rule, **{"num_steps": 2} | settings)

    sampled = ddim_images(*work, num_steps=2)
    known = {"DDIM": sampled, "SDI, encoded": sampled}
    made = experiment.both_ways(distill, 7.5, sds_steps=3, known=known)
    assert made["SDI, encoded"] is sampled
    assert [name for name, *_ in asked] == list(made)[2:]
    assert [steps for *_, steps in asked] == [2, 2, 2, 3, 3]
    assert not torch.allclose(made["SDS, free"].latents, made["SDS, encoded"].latents)
    numbers = experiment.seen_measures(made)
    assert held(experiment.SEEN_CLAIMS, numbers, ["a red mug"]) == [None] * 7
    figure = experiment.draw_both_ways(made, ["a red mug"], numbers)
    assert len(figure.axes) == len(made) + 3
