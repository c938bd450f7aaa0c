"""Section 4's argument in the plane: errors and ends that are known, and claims that follow them."""

import torch
from made_up import held

from sdilib.lab.experiments import start_here
from sdilib.lab.experiments.shared.plane import follow, ring


def test_the_errors_are_those_of_one_update_so_the_cached_one_is_zero():
    errors = start_here.update_errors(ring(), num_points=6, num_steps=8)
    assert errors["SDS, random κ"].shape == (6, 7)
    assert errors["SDI, cached κ"].max() < 1e-12
    assert errors["SDS, random κ"].mean() > errors["SDI, inversion"].mean() > 1e-3


def test_sds_averages_two_modes():
    mixture = ring(2)
    ends = start_here.practised_sds(mixture, num_points=4, num_steps=60)
    away = start_here.distance_to_mode(mixture, ends)
    assert away.min() > 0.5  # the modes lie at distance 1 of the middle


def plane(num_points: int, num_steps: int, sds_steps: int, t_from: float) -> tuple:
    """What the notebook computes: paths, late ones, SDS's ends, errors."""
    mixture, sizes = ring(), {"num_points": num_points, "num_steps": num_steps}
    paths, late = follow(mixture, **sizes), follow(mixture, t_from=t_from, **sizes)
    practised = start_here.practised_sds(mixture, num_points=num_points, num_steps=sds_steps)
    return paths, late, practised, start_here.update_errors(mixture, **sizes)


def test_the_plane_holds_all_but_inversion_from_the_average():
    numbers = start_here.measures(ring(), *plane(16, 30, 200, 0.2))
    assert held(start_here.PLANE_CLAIMS, numbers) == [True, True, True, False, True]


def test_the_plane_has_six_panels():
    found = plane(5, 4, 4, 0.5)
    figure = start_here.draw(*found)
    titles = [axes.get_title(loc="left")[0] for axes in figure.axes]
    assert titles == list("abcdef")
    paths, cached = found[0], figure.axes[0]
    assert [text.get_text() for text in cached.get_legend().texts] == ["DDIM", "SDI, cached κ"]
    drawn = torch.as_tensor(cached.lines[0].get_xydata())
    torch.testing.assert_close(drawn, paths.x0["DDIM"][:, 0])
