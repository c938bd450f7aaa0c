"""Figure 4: both variables of one run, and claims that follow numbers."""

import pytest
import torch

from sdilib.ddim import ddim_step
from sdilib.guidance import SDI
from sdilib.inversion import Cached, RandomNoise
from sdilib.lab.experiments.shared.drawing import WIDTH
from sdilib.lab.plotting.evolution import evolution
from sdilib.lab.studies import evolution as study
from sdilib.lab.studies.evolution import Evolution
from sdilib.text_to_image import ddim_images

PROMPTS = [f"prompt {i}" for i in range(8)]
TWO, SEEDS, STEPS = ["a red mug", "a blue rocket"], [3, 4], 4


@pytest.fixture
def run(tiny) -> Evolution:
    return study.sampled(tiny, TWO, SEEDS, num_steps=STEPS, batch_size=1)


def test_the_run_is_that_of_generate_and_its_variables_belong_together(tiny, run):
    assert run.times == pytest.approx((1.0, 0.75, 0.5, 0.25))
    torch.testing.assert_close(
        run.x0[:, -1],
        ddim_images(tiny, TWO, SEEDS, num_steps=STEPS).latents,
        rtol=1e-3,
        atol=1e-4,
    )
    for k, (t, t_next) in enumerate(zip(run.times, run.times[1:], strict=False)):
        alpha = tiny.schedule.alpha_cumprod(t)
        # What eq. 5 took away is the prediction, and eq. 2 steps along it.
        eps = (run.x_t[:, k] - alpha.sqrt() * run.x0[:, k]) / (1 - alpha).sqrt()
        after = ddim_step(run.x_t[:, k], eps.float(), t=t, t_next=t_next, schedule=tiny.schedule)
        torch.testing.assert_close(after, run.x_t[:, k + 1], rtol=1e-3, atol=1e-4)


def test_the_scene_begins_at_x0_of_1_and_with_the_cached_kappa_stays_with_ddim(tiny, run):
    def made(kappa):
        def rule(model, eps):
            return SDI(model, kappa=kappa(eps))

        return study.distilled(tiny, TWO, SEEDS, rule=rule, num_steps=STEPS, batch_size=1)

    cached, other = made(Cached), made(lambda _: RandomNoise())
    assert cached.shape == other.shape == run.x0.shape
    torch.testing.assert_close(cached, run.x0, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(other[:, 0], run.x0[:, 0])
    assert (other[:, 1:] - run.x0[:, 1:]).abs().max() > 0.1
    numbers = {name: torch.zeros(2, STEPS) for name in ("x(t)", "x0(t)", "scene")}
    exact = [study.evolution_claims(run, m, numbers, numbers, TWO)[0] for m in (cached, other)]
    assert [claim.holds for claim in exact] == [True, False]


def test_what_is_picked_begins_and_ends_with_the_run():
    assert study.pick([1 - k / 30 for k in range(30)], 7)[::6] == [0, 29]
    assert study.pick([1.0, 0.5], 7) == [0, 1]
    with pytest.raises(ValueError, match="count=1: expected"):
        study.pick([1.0, 0.5], 1)


def test_change_and_distance_of_known_latents():
    steady = torch.arange(4.0)[None, :, None, None, None].expand(2, 4, 3, 8, 8)
    torch.testing.assert_close(study.change_per_step(steady), torch.ones(2, 3))
    far = study.distance_to_end(steady, steady[:, -1])
    torch.testing.assert_close(far, torch.tensor([3.0, 2.0, 1.0, 0.0]).expand(2, 4))


def test_fine_detail_is_measured_image_by_image(generator):
    images = torch.rand(2, 3, 3, 8, 8, generator=generator)
    images[1, 2] = 0.5
    detail = study.fine_detail(images)
    assert detail.shape == (2, 3)
    assert detail[1, 2] < 1e-6 < detail[1, 1]


def verdicts(rise: float, far: float, near: float, count: int = 8) -> list[bool | None]:
    """What is claimed of curves that rise, of x0(1)'s distance, and of the scene's from x0(t)'s."""
    jitter = 0.01 * torch.arange(8.0)[:, None]
    ramp = torch.linspace(0, 1, 4)
    detail = {"x(t)": 1 + 0 * ramp + jitter, "x0(t)": 2 + rise * ramp + jitter}
    detail["scene"] = detail["x0(t)"][:count]
    distance = {"x(t)": 2 - ramp + jitter, "x0(t)": (2 + far) * (1 - ramp) + jitter}
    distance["scene"] = (distance["x0(t)"] + near * (distance["x(t)"] - distance["x0(t)"]))[:count]
    latents = torch.ones(8, 4, 4, 2, 2)
    run = Evolution((1.0, 0.75, 0.5, 0.25), latents, latents)
    return [c.holds for c in study.evolution_claims(run, latents[:1], detail, distance, PROMPTS)]


def test_verdicts_follow_the_numbers():
    assert verdicts(1, -1, 0.2) == [True] * 5
    assert verdicts(-1, 1, 0.8) == [True] + [False] * 4
    assert verdicts(1, -1, 0.2, count=1) == [True] * 3 + [None] * 2


def test_in_the_plane_each_step_lies_on_the_way_to_x0_and_sdi_makes_ddims():
    run = study.plane_trajectory(study.three_blobs(), seed=10)
    torch.testing.assert_close(run.updated, run.x0, rtol=0, atol=1e-9)
    assert (run.x0[-1] - run.x0[0]).norm() > 1
    # The paper's figure: a step to x0(t), and a part of it back.
    ahead, moved = run.x0[:-1] - run.x_bar[:-1], run.x_bar[1:] - run.x_bar[:-1]
    torch.testing.assert_close(
        moved, (moved.norm(dim=1) / ahead.norm(dim=1))[:, None] * ahead, rtol=0, atol=1e-9
    )
    late = run.since(0.5)
    assert len(late.times) == 4
    assert late.times.max() <= 0.5
    torch.testing.assert_close(late.x0, run.x0[-4:])
    with pytest.raises(ValueError, match=r"t=0.01: expected a time of at least"):
        run.since(0.01)


def test_the_density_is_highest_where_a_blob_is_and_knows_x_from_y():
    mixture = study.three_blobs()
    at, density = study.density(mixture, extent=4.0, size=81)
    y, x = divmod(int(density.argmax()), 81)
    peaks = mixture.means.flatten(1)
    assert torch.cdist(torch.stack([at[x], at[y]])[None], peaks).min() < 0.1
    assert density.max() == 1


@pytest.mark.parametrize("columns", [2, 8])
def test_the_figure_has_a_picture_a_variable_and_time_and_one_scale_in_the_plane(
    columns, generator
):
    names = ["x(t)", "scene", "a NeRF", "x0(t)"]
    rows = {name: torch.rand(columns, 3, 8, 8, generator=generator) for name in names}
    curves = {"change": ([0.5, 0.25], {"scene": torch.rand(1, 2, generator=generator)})}
    plane = study.plane_trajectory(study.three_blobs(), seed=10).since(0.7)
    figure = evolution(
        rows, [0.5] * columns, curves, plane, study.density(study.three_blobs(), size=20)
    )
    assert figure.get_size_inches()[0] == WIDTH
    *images, _, drawn = figure.axes
    assert len(images) == 4 * columns
    box = drawn.get_position()
    width, height = figure.get_size_inches()
    across, up = drawn.get_xlim(), drawn.get_ylim()
    scale = (across[1] - across[0]) / (box.width * width)
    assert (up[1] - up[0]) / (box.height * height) == pytest.approx(scale)
    points = torch.cat([plane.x_bar, plane.x0])
    assert bool(((points[:, 0] > across[0]) & (points[:, 0] < across[1])).all())
    assert bool(((points[:, 1] > up[0]) & (points[:, 1] < up[1])).all())
