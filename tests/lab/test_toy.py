"""The plane: paths of x0(t) on a mixture, and what its figure claims."""

import pytest
import torch

from sdilib.lab.studies.toy import distance_to_mode, practised_sds, ring, toy_paths, update_errors


def test_cached_paths_lie_on_ddims_and_random_ones_do_not():
    paths = toy_paths(ring(), num_points=8, num_steps=12)
    torch.testing.assert_close(paths.x0["SDI, cached κ"], paths.x0["DDIM"], atol=1e-12, rtol=0)
    assert paths.distances("SDS, random κ").mean() > 0.1


def test_all_paths_leave_ddims_at_the_same_point():
    late = toy_paths(ring(), num_points=4, num_steps=10, t_from=0.3)
    assert float(late.times[0]) == pytest.approx(0.3)
    for x0 in late.x0.values():
        assert x0.shape == (3, 4, 2)
        torch.testing.assert_close(x0[0], late.x0["DDIM"][0])


def test_the_errors_are_those_of_one_update_so_the_cached_one_is_zero():
    times, errors = update_errors(ring(), num_points=6, num_steps=8)
    assert times.shape == (7,)
    assert errors["SDI, cached κ"].max() < 1e-12
    assert errors["SDS, random κ"].mean() > errors["SDI, inversion"].mean() > 1e-3


def test_a_path_does_not_depend_on_how_many_others_there_are():
    many, few = (toy_paths(ring(), num_points=n, num_steps=6) for n in (7, 5))
    for name in many.x0:
        torch.testing.assert_close(many.x0[name][:, :5], few.x0[name], atol=1e-12, rtol=0)


def test_sds_averages_two_modes():
    mixture = ring(2)
    ends = practised_sds(mixture, num_points=4, num_steps=60)
    assert distance_to_mode(mixture, ends).min() > 0.5  # the modes lie at distance 1 of the middle


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="num_steps=2: expected an integer of at least 3"):
        toy_paths(ring(), num_points=1, num_steps=2)
