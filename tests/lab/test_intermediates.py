"""Figure 6: variables that belong together, numbers of known images, claims that follow the numbers."""

import pytest
import torch

from sdilib.inversion import RandomNoise
from sdilib.lab.plotting.intermediates import intermediate_rows
from sdilib.lab.studies import intermediates as study
from sdilib.lab.studies.intermediates import COSINE, DETAIL, PLACE, Intermediates

TWO, SEEDS, TIMES = ["a red mug", "a blue rocket"], [3, 4], [0.3, 0.8]
PROMPTS = [f"prompt {i}" for i in range(8)]


@pytest.fixture(scope="module")
def run(tiny) -> Intermediates:
    return study.intermediates(tiny, TWO, SEEDS, times=TIMES, num_steps=4, batch_size=1)


def test_what_is_noised_is_the_render_and_what_is_denoised_follows_eq_5(tiny, run):
    assert run.x0.shape == (2, *tiny.latent_shape)
    for rule in ("SDS", "SDI"):
        for k, t in enumerate(TIMES):
            noised = tiny.schedule.add_noise(run.x0, run.kappa[rule][:, k], t)
            torch.testing.assert_close(run.x_t[rule][:, k], noised, rtol=1e-4, atol=1e-4)
            eps = tiny.guided(tiny.embed(TWO), 7.5)(noised, t)
            clean = tiny.schedule.denoised(noised, eps, t)
            torch.testing.assert_close(run.denoised[rule][:, k], clean, rtol=1e-3, atol=1e-3)
    assert (run.x_t["SDS"] - run.x_t["SDI"]).abs().max() > 0.1
    assert run.num_forwards["SDS"] == 2 * len(TIMES)
    assert run.num_forwards["SDI"] > run.num_forwards["SDS"]


def test_batches_do_not_change_it_and_sds_is_sdi_with_a_random_kappa(tiny, run):
    whole = study.intermediates(
        tiny, TWO, SEEDS, times=TIMES, num_steps=4, batch_size=2, kappa=RandomNoise()
    )
    torch.testing.assert_close(whole.x0, run.x0, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(whole.kappa["SDS"], run.kappa["SDS"])
    torch.testing.assert_close(whole.kappa["SDI"], whole.kappa["SDS"])


@pytest.mark.parametrize("times", [[], [0.5, 0.3], [0.3, 0.3], [0.0, 0.5], [0.5, 1.5]])
def test_times_have_to_rise_within_their_range(tiny, times):
    with pytest.raises(ValueError, match="times="):
        study.intermediates(tiny, TWO, SEEDS, times=times)


def test_coverage_is_the_part_that_differs_from_the_border():
    images = torch.full((1, 3, 16, 16), 0.8)
    images[:, 0, 4:8, 4:10] = 0.2
    covered = study.coverage(images, size=4)
    expected = torch.zeros(1, 4, 4)
    expected[0, 1, 1], expected[0, 1, 2] = 1.0, 0.5
    torch.testing.assert_close(covered, expected)


def test_measures_of_known_latents():
    images = torch.full((2, 3, 16, 16), 0.8)
    images[:, :, 4:8, 4:8] = 0.2
    x0 = torch.zeros(2, 4, 4, 4)
    kappa = torch.ones(2, 3, 4, 4, 4)
    kappa[1, :, :, 1, 1] = 2.0  # the object's cell
    denoised = torch.ones(2, 3, 4, 4, 4)
    denoised[1, 1] *= -1
    run = Intermediates(
        (0.2, 0.5, 0.8), x0, {"SDI": kappa}, {"SDI": denoised}, {"SDI": kappa}, {"SDI": 1.0}
    )
    pixels = torch.rand(2, 3, 3, 16, 16)
    pixels[0, 0] = 0.5
    measures = study.intermediate_measures(run, images, {"SDI": pixels})
    torch.testing.assert_close(measures[PLACE]["SDI"], torch.tensor([[1.0] * 3, [4.0] * 3]))
    torch.testing.assert_close(measures[COSINE]["SDI"], torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    assert measures[DETAIL]["SDI"][0, 0] < 1e-6 < measures[DETAIL]["SDI"][1, 2]


def verdicts(sds: float, sdi: float, count: int = 8) -> list[bool | None]:
    jitter = 0.01 * torch.arange(float(count))[:, None]
    measures = {
        name: {"SDS": sds + jitter.expand(-1, 3), "SDI": sdi + jitter.expand(-1, 3)}
        for name in (DETAIL, COSINE, PLACE)
    }
    claims = study.intermediate_claims(measures, (0.2, 0.7, 0.9), PROMPTS[:count])
    return [claim.holds for claim in claims]


def test_verdicts_follow_the_numbers():
    assert verdicts(0.1, 0.5) == [True] * 3
    assert verdicts(0.5, 0.1) == [False] * 3
    assert verdicts(0.1, 0.5, count=7) == [None] * 3


def test_pictures_begin_with_the_render_and_show_the_update_about_grey(generator):
    render, other = torch.rand(2, 3, 8, 8, generator=generator)
    noised = torch.rand(3, 3, 8, 8, generator=generator)
    clean = torch.stack([render, other, other])
    rows = study.pictured(render, {"SDS": noised}, {"SDS": clean}, [1, 2])
    x_t, denoised, update = rows.values()
    torch.testing.assert_close(x_t, torch.stack([render, noised[1], noised[2]]))
    torch.testing.assert_close(denoised[1:], clean[1:])
    torch.testing.assert_close(update[0], torch.full_like(render, 0.5))
    torch.testing.assert_close(update[2], 0.5 + other - render)


def test_the_figure_has_a_row_a_variable_and_a_curve_a_rule(generator):
    names = [f"{rule}, {name}" for rule in ("SDS", "SDI") for name in ("noised", "denoised")]
    rows = {name: torch.rand(3, 3, 8, 8, generator=generator) for name in names}
    by_rule = {rule: torch.rand(2, 3, generator=generator) - 0.5 for rule in ("SDS", "SDI")}
    figure = intermediate_rows(rows, [0.0, 0.5, 0.9], {"cosine": ([0.2, 0.5, 0.9], by_rule)})
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 12
    assert [axes.get_title() for axes in drawn[:3]] == ["render", "t = 0.5", "t = 0.9"]
    (panel,) = (axes for axes in figure.axes if not axes.images)
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["SDS", "SDI"]
    assert panel.get_ylim()[0] < float(by_rule["SDS"].mean(0).min())
