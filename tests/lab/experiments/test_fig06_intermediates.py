"""Figure 6: variables that belong together, numbers of known images, claims that follow the numbers."""

import pytest
import torch
from made_up import PROMPTS, held

from sdilib.inversion import RandomNoise
from sdilib.lab.experiments import fig06_intermediates as experiment
from sdilib.lab.experiments.fig06_intermediates import COSINE, DETAIL, PLACE, SHOWN, TIMES, Noised
from sdilib.seeds import generator

TWO, SEEDS = ["a red mug", "a blue rocket"], [3, 4]


@pytest.fixture(scope="module")
def x0(tiny) -> torch.Tensor:
    return torch.randn(2, *tiny.latent_shape, generator=generator(0, 0, "x"))


@pytest.fixture(scope="module")
def run(tiny, x0) -> dict[str, Noised]:
    return experiment.intermediates(tiny, x0, TWO, SEEDS, guidance_scale=7.5)


def test_what_is_noised_is_the_render_and_what_is_denoised_follows_eq_5(tiny, x0, run):
    for each in run.values():
        for k, t in enumerate(TIMES):
            noised = tiny.schedule.add_noise(x0, each.kappa[:, k], t)
            torch.testing.assert_close(each.x_t[:, k], noised, rtol=1e-4, atol=1e-4)
            eps = tiny.guided(tiny.embed(TWO), 7.5)(noised, t)
            clean = tiny.schedule.denoised(noised, eps, t)
            torch.testing.assert_close(each.denoised[:, k], clean, rtol=1e-3, atol=1e-3)
    assert (run["SDS"].x_t - run["SDI"].x_t).abs().max() > 0.1
    assert run["SDS"].num_forwards == 2 * len(TIMES)
    assert run["SDI"].num_forwards > run["SDS"].num_forwards


def test_a_batch_answers_what_its_items_would_alone(tiny, x0, run, monkeypatch):
    monkeypatch.setattr("sdilib.lab.experiments.shared.path.BATCH", 1)
    apart = experiment.intermediates(tiny, x0, TWO, SEEDS, guidance_scale=7.5)
    assert torch.equal(apart["SDS"].kappa, run["SDS"].kappa)
    torch.testing.assert_close(apart["SDI"].x_t, run["SDI"].x_t, rtol=1e-3, atol=1e-3)


def test_sds_is_sdi_with_a_random_kappa(tiny, x0):
    both = experiment.intermediates(tiny, x0, TWO, SEEDS, guidance_scale=7.5, kappa=RandomNoise())
    assert torch.equal(both["SDI"].kappa, both["SDS"].kappa)


def test_coverage_is_the_part_that_differs_from_the_border():
    images = torch.full((1, 3, 16, 16), 0.8)
    images[:, 0, 4:8, 4:10] = 0.2
    covered = experiment.coverage(images, size=4)
    expected = torch.zeros(1, 4, 4)
    expected[0, 1, 1], expected[0, 1, 2] = 1.0, 0.5
    torch.testing.assert_close(covered, expected)


def test_measures_of_known_latents():
    images = torch.full((2, 3, 16, 16), 0.8)
    images[:, :, 4:8, 4:8] = 0.2
    x0 = torch.zeros(2, 4, 4, 4)
    kappa = torch.ones(2, 9, 4, 4, 4)
    kappa[1, :, :, 1, 1] = 2.0  # the object's cell
    denoised = torch.ones(2, 9, 4, 4, 4)
    denoised[1, 1] *= -1
    run = {"SDI": Noised(kappa, denoised, kappa, 1.0)}
    pixels = torch.rand(2, 9, 3, 16, 16)
    pixels[0, 0] = 0.5
    measures = experiment.measures(x0, run, images, {"SDI": pixels})
    torch.testing.assert_close(measures[PLACE]["SDI"], torch.tensor([[1.0] * 9, [4.0] * 9]))
    neighbours = torch.tensor([[1.0] * 8, [-1.0, -1.0] + [1.0] * 6])
    torch.testing.assert_close(measures[COSINE]["SDI"], neighbours)
    assert measures[DETAIL]["SDI"][0, 0] < 1e-6 < measures[DETAIL]["SDI"][1, 2]


def decided(sds: float, sdi: float, count: int = 8) -> list[bool | None]:
    jitter = 0.01 * torch.arange(float(count))[:, None].expand(-1, 9)
    by_rule = {"SDS": sds + jitter, "SDI": sdi + jitter}
    numbers = experiment.summary(dict.fromkeys((DETAIL, COSINE, PLACE), by_rule))
    return held(experiment.CLAIMS, numbers, PROMPTS[:count])


def test_verdicts_follow_the_numbers():
    assert decided(0.1, 0.5) == [True] * 3
    assert decided(0.5, 0.1) == [False] * 3
    assert decided(0.1, 0.5, count=7) == [None] * 3


def test_fine_detail_counts_from_t_07_on():
    detail = {"SDS": torch.tensor([[9.0] * 6 + [1.0, 2.0, 3.0]])}
    numbers = experiment.summary({DETAIL: detail, COSINE: detail, PLACE: detail})
    assert numbers[experiment.EARLY]["SDS"].tolist() == [2.0]


def test_pictures_begin_with_the_render_and_show_the_update_about_grey():
    render, other = torch.rand(2, 3, 8, 8)
    noised = torch.rand(3, 3, 8, 8)
    clean = torch.stack([render, other, other])
    rows = experiment.rows(render, {"SDS": noised}, {"SDS": clean}, [1, 2])
    x_t, denoised, update = rows.values()
    torch.testing.assert_close(x_t, torch.stack([render, noised[1], noised[2]]))
    torch.testing.assert_close(denoised[1:], clean[1:])
    torch.testing.assert_close(update[0], torch.full_like(render, 0.5))
    torch.testing.assert_close(update[2], 0.5 + other - render)


def test_the_figure_has_a_row_a_variable_and_a_curve_a_rule(tiny, run):
    size = tiny.decode(run["SDS"].x_t[0]).shape[-1]
    render, denoised = torch.rand(2, 3, size, size), torch.rand(2, 9, 3, size, size)
    by_rule = {rule: torch.rand(2, 9) - 0.5 for rule in run}
    numbers = {DETAIL: by_rule, PLACE: by_rule}
    numbers[COSINE] = {rule: each[:, :8] for rule, each in by_rule.items()}
    figure = experiment.draw(tiny, run, render, dict.fromkeys(run, denoised), numbers)
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 6 * (1 + len(SHOWN))
    assert [axes.get_title() for axes in drawn[:3]] == ["render", "t = 0.1", "t = 0.3"]
    panel, *_ = (axes for axes in figure.axes if not axes.images)
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["SDS", "SDI"]
    assert panel.get_ylim()[0] < float(by_rule["SDS"].mean(0).min())
