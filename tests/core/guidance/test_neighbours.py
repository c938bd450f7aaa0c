"""ASD, SDS-Bridge and CFD, each against its formula and the rules it reduces to."""

from dataclasses import replace

import pytest
import torch
from made_up import draws

from sdilib.cameras import Camera
from sdilib.guidance import ASD, CFD, CSD, SDI, SDS, SDSBridge, View
from sdilib.guidance.neighbours import surface_noise
from sdilib.inversion import FixedNoise


def test_asd_without_a_shift_is_the_guidance_alone(oracle, x0, times, view):
    asd = ASD(oracle, 7.5, shift=0.0)(x0, times, view, draws())
    torch.testing.assert_close(asd.gradient, CSD(oracle, 6.5)(x0, times, view, draws()).gradient)


def test_asd_subtracts_the_prompts_prediction_at_a_later_time_of_the_same_noise(
    oracle, x0, view, drawn
):
    t = torch.tensor([0.98, 0.5, 0.01], dtype=torch.float64)
    update = ASD(oracle, 7.5, shift=0.6)(x0, t, view, draws())
    streams = draws()
    for each in streams:
        torch.randn(4, 2, 2, dtype=torch.float64, generator=each)
    u = torch.cat([torch.rand(1, dtype=torch.float64, generator=each) for each in streams])
    later = torch.tensor(
        [min(1.0, 0.98 + 0.6 * float(u[0]) * 0.96), 0.5 + 0.6 * float(u[1]) * 0.48, 0.01]
    )
    add, schedule = oracle.schedule.add_noise, oracle.schedule
    eps = oracle.guided(view.prompt, 7.5)(add(x0, drawn, t), t)
    e_y = oracle.guided(view.prompt, 1.0)(add(x0, drawn, later), later)
    w = (1 - schedule.alpha_cumprod(t)).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(update.gradient, w * (eps - e_y))


def test_the_bridges_first_stage_is_sds_and_its_second_the_guidance(oracle, x0, times, view):
    sds = SDS(oracle, 7.5, weight="1-alpha")(x0, times, view, draws())
    csd = CSD(oracle, 7.5)(x0, times, view, draws())
    for done, expected in ((0.0, sds), (0.49, sds), (0.5, csd), (0.99, csd)):
        update = SDSBridge(oracle, 7.5)(x0, times, replace(view, done=done), draws())
        torch.testing.assert_close(update.gradient, expected.gradient)
        torch.testing.assert_close(update.eps, csd.eps)
    whole = SDSBridge(oracle, 7.5, first_share=1.0)
    late = whole(x0, times, replace(view, done=0.99), draws())
    torch.testing.assert_close(late.gradient, sds.gradient)


def test_the_bridges_words_follow_the_prompt(reader, x0, times, drawn):
    # The reader's comma is a space, its words are components.
    class Spaced(type(reader)):
        def embed(self, prompts):
            return super().embed([text.replace(",", "") for text in prompts])

    model = Spaced(reader.means, reader.stds, reader.weights)
    view = View(model.embed(["0", "1", "2"]), done=0.9)
    update = SDSBridge(model, 4.0, wanted="1", faults="2 0")(x0, times, view, draws())
    wanted = model.embed(["0 1", "1 1", "2 1"]).conditional
    faults = model.embed(["0 2 0", "1 2 0", "2 2 0"]).conditional
    x_t = model.schedule.add_noise(x0, drawn, times)
    e_wanted, e_there = model.branches(x_t, times, [wanted, faults])
    w = (1 - model.schedule.alpha_cumprod(times)).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(update.gradient, w * 4 * (e_wanted - e_there))
    with pytest.raises(ValueError, match=r"^wanted='1': expected '' for a prompt that was never"):
        SDSBridge(model, wanted="1", faults="")(
            x0, times, View(model.prompt([[0], [1], [2]]), done=0.9), draws()
        )


def test_in_2d_cfds_noise_is_kept_as_sdis_fixed_one(oracle, x0, times, view):
    cfd, sdi = CFD(oracle, 7.5), SDI(oracle, 7.5, kappa=FixedNoise())
    for step in range(3):
        one, two = (rule(x0, times, view, draws(step=step)) for rule in (cfd, sdi))
        assert torch.equal(one.gradient, two.gradient)
        assert torch.equal(one.kappa, cfd.state_dict()["noise"])


@pytest.fixture
def plane() -> tuple[Camera, torch.Tensor]:
    """A wall just before the origin, square to the view: seen from in front, twice, and from behind."""
    camera = Camera.around([0, 0, 180], elevation_degrees=0, distance=3.6, fov_degrees=40)
    return camera, torch.tensor([3.55, 3.55, 3.65])[:, None, None].expand(3, 16, 16)


def carried(oracle, x0, times, view, camera, depth, rule=None, step=0):
    seen = replace(view, camera=camera, depth=depth)
    return (rule or CFD(oracle, 7.5))(x0, times, seen, draws(step=step)).kappa


def test_one_place_has_one_noise_from_wherever_it_is_seen(oracle, x0, times, view, plane):
    camera, depth = plane
    large = torch.zeros(3, 4, 8, 8, dtype=torch.float64)
    kappa = carried(oracle_like(oracle), large, times, view, camera, depth)
    assert torch.equal(kappa[0], kappa[1])
    # From behind, the same cells stand mirrored.
    assert torch.equal(kappa[2], kappa[0].flip(-1))
    assert len(kappa[0].unique()) == kappa[0].numel()


def oracle_like(oracle):
    """A denoiser of any shape, which finds no noise."""
    oracle.branches = lambda x_t, t, conditions: tuple(0 * x_t for _ in conditions)
    return oracle


def test_the_noise_stays_over_updates_and_a_resumed_run(oracle, x0, times, view, plane):
    camera, depth = plane
    rule, other = CFD(oracle_like(oracle), 7.5), CFD(oracle, 7.5)
    first = carried(oracle, x0, times, view, camera, depth, rule)
    nearer = Camera.around([0, 90, 180], elevation_degrees=0, distance=3.3)
    carried(oracle, x0, times, view, nearer, depth, rule, step=1)
    assert torch.equal(carried(oracle, x0, times, view, camera, depth, rule, step=2), first)
    other.load_state_dict(rule.state_dict())
    assert torch.equal(carried(oracle, x0, times, view, camera, depth, other, step=3), first)
    fresh = carried(oracle, x0, times, view, camera, depth, step=3)
    assert not torch.equal(fresh, first)  # another seed


def test_behind_the_object_the_noise_is_that_of_the_direction(oracle, times, view, plane):
    camera, depth = plane
    large = torch.zeros(3, 4, 8, 8, dtype=torch.float64)
    empty = carried(oracle_like(oracle), large, times, view, camera, 0 * depth)
    assert torch.equal(empty[0], empty[1])
    assert not torch.equal(empty[2], empty[0].flip(-1))
    assert len(empty[0].unique()) > 0.7 * empty[0].numel()


def test_the_carried_noise_is_standard_normal_and_white():
    grid = torch.stack(torch.meshgrid(*[torch.arange(-16, 16)] * 3, indexing="ij"), -1)
    noise = surface_noise(grid, 4, seed=7)
    count = noise.numel()
    assert abs(float(noise.mean())) < 4 / count**0.5
    assert abs(float(noise.var()) - 1) < 4 * (2 / count) ** 0.5
    assert abs(float((noise**4).mean()) - 3) < 4 * (96 / count) ** 0.5
    for axis in range(4):
        near = (noise * noise.roll(1, axis)).mean()
        assert abs(float(near)) < 4 / count**0.5
    assert not torch.equal(noise, surface_noise(grid, 4, seed=8))
