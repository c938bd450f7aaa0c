"""The plane: paths of x0(t) on a mixture, of which the cached kappa's is DDIM's own."""

import pytest
import torch

from sdilib.lab.experiments.shared.plane import density_map, follow, ring, three_blobs


def test_cached_paths_lie_on_ddims_and_random_ones_do_not():
    paths = follow(ring(), num_points=8, num_steps=12)
    torch.testing.assert_close(paths.x0["SDI, cached κ"], paths.x0["DDIM"], atol=1e-12, rtol=0)
    assert paths.distances("SDS, random κ").mean() > 0.1


def test_all_paths_leave_ddims_at_the_same_point():
    late = follow(ring(), num_points=4, num_steps=10, t_from=0.3)
    assert float(late.times[0]) == pytest.approx(0.3)
    for x0 in late.x0.values():
        assert x0.shape == (3, 4, 2)
        torch.testing.assert_close(x0[0], late.x0["DDIM"][0])


def test_a_path_does_not_depend_on_how_many_others_there_are():
    many, few = (follow(ring(), num_points=n, num_steps=6) for n in (7, 5))
    for name in many.x0:
        torch.testing.assert_close(many.x0[name][:, :5], few.x0[name], atol=1e-12, rtol=0)


def test_the_noisy_point_is_the_denoised_one_plus_sigma_times_the_prediction():
    mixture = three_blobs()
    paths = follow(mixture, num_points=1, num_steps=9, seed=10)
    assert paths.times[0] == 1
    # Eq. 5 in x_bar: between two steps eq. 2 moves it along the line through x0(t).
    for k in range(8):
        before, after = (float(mixture.schedule.sigma(float(t))) for t in paths.times[k : k + 2])
        eps = (paths.x_bar[k] - paths.x0["DDIM"][k]) / before
        torch.testing.assert_close(paths.x_bar[k + 1], paths.x_bar[k] + (after - before) * eps)


def test_a_part_of_a_path_begins_at_the_time_asked_for():
    paths = follow(three_blobs(), num_points=2, num_steps=9)
    late = paths.since(0.5)
    assert late.times[0] <= 0.5
    assert torch.equal(late.x_bar, paths.x_bar[-len(late.times) :])
    assert torch.equal(late.x0["DDIM"], paths.x0["DDIM"][-len(late.times) :])


def test_the_density_is_highest_where_a_blob_is_and_knows_x_from_y():
    mixture = three_blobs()
    at, found = density_map(mixture, size=81)
    y, x = divmod(int(found.argmax()), 81)
    peak = torch.stack([at[x], at[y]])
    assert torch.cdist(peak[None], mixture.means.flatten(1)).min() < 0.1


@pytest.mark.parametrize("t_from", [0.0, 1.03, float("nan")])
def test_rules_take_over_within_the_run_or_it_is_refused(t_from):
    with pytest.raises(ValueError, match=r"t_from=.*: expected a (finite )?number"):
        follow(ring(), num_points=1, num_steps=10, t_from=t_from)


def test_a_ring_has_at_least_one_component():
    with pytest.raises(ValueError, match="num_components=0: expected an integer of at least 1"):
        ring(0)
