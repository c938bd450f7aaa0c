"""Regularisers on cases whose value is known, and on an empty volume."""

import math

import pytest
import torch

from sdilib.nerf.regularisers import convexity, opaqueness, orientation, sparsity, z_variance
from sdilib.nerf.render import Render

SIZE = 32


def rendered(opacity, *, variance=None, normal=None, backfacing=None):
    opacity = torch.as_tensor(opacity, dtype=torch.float64).expand(1, SIZE, SIZE)
    nothing = torch.zeros_like(opacity)
    return Render(
        image=nothing[:, None].expand(1, 3, SIZE, SIZE),
        opacity=opacity,
        depth=nothing,
        variance=nothing if variance is None else variance,
        normal=nothing[:, None].expand(1, 3, SIZE, SIZE) if normal is None else normal,
        backfacing=nothing if backfacing is None else backfacing,
    )


def plane():
    """Coordinates of the pixels, x to the right and y up, in (-1, 1)."""
    line = (torch.arange(SIZE, dtype=torch.float64) + 0.5) / SIZE * 2 - 1
    return torch.meshgrid(-line, line, indexing="ij")[::-1]


def surface(x_slope, y_slope):
    """Normals of a height map over the image, from its slopes."""
    normal = torch.stack([-x_slope, -y_slope, torch.ones_like(x_slope)])
    return (normal / normal.norm(dim=0)).expand(1, 3, SIZE, SIZE)


def test_sparsity_and_opaqueness_of_constants():
    assert float(sparsity(rendered(0.0))) == pytest.approx(0.1)
    assert float(sparsity(rendered(1.0))) == pytest.approx(math.sqrt(1.01))
    assert float(opaqueness(rendered(0.5))) == pytest.approx(math.log(2))
    for sure in (0.0, 1.0):
        assert float(opaqueness(rendered(sure))) < 0.01


def test_opaqueness_pushes_to_the_nearer_end():
    opacity = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    opaqueness(rendered(opacity)).backward()
    assert float(opacity.grad) == pytest.approx(math.log(0.7 / 0.3))  # downhill is towards 0


def test_z_variance_is_that_of_the_objects_pixels():
    x, _ = plane()
    opacity = (x > 0).double()[None]
    variance = torch.where(opacity > 0, 0.25, 7.0)
    assert float(z_variance(rendered(opacity, variance=variance))) == pytest.approx(0.25)


def test_orientation_is_the_mean_over_what_is_seen():
    x, _ = plane()
    opacity = (x > 0).double()[None]
    penalty = 0.36 * opacity  # weight 1, cosine 0.6
    assert float(orientation(rendered(opacity, backfacing=penalty))) == pytest.approx(0.36)


@pytest.mark.parametrize("axis", ["x", "y", "both"])
def test_a_bulge_is_free_and_a_hollow_costs_the_sine(axis):
    x, y = plane()
    x, y = (x if axis != "y" else 0 * x), (y if axis != "x" else 0 * y)
    bulge = surface(-x, -y)  # slopes of z = -(x^2 + y^2) / 2
    hollow = surface(x, y)
    assert float(convexity(rendered(1.0, normal=bulge))) == 0
    cost = float(convexity(rendered(1.0, normal=hollow)))
    if axis == "both":
        assert cost > 0.1
        return
    # Pooled normals lie at the angles atan of the cells' centres, to second order in a cell.
    centres = (torch.arange(8, dtype=torch.float64) + 0.5) / 4 - 1
    sines = torch.sin(torch.atan(centres[1:]) - torch.atan(centres[:-1]))
    assert cost == pytest.approx(float(sines.mean()) / 2, rel=2e-2)


def test_a_pair_counts_as_much_as_it_is_covered():
    x, y = plane()
    hollow = surface(x, y)
    full = float(convexity(rendered(1.0, normal=hollow)))
    half = float(convexity(rendered(0.5, normal=0.5 * hollow)))
    assert half == pytest.approx(full / 4, rel=1e-2)


@pytest.mark.parametrize("loss", [sparsity, opaqueness, orientation, z_variance, convexity])
def test_an_empty_volume_gives_finite_values_and_gradients(loss):
    empty = torch.zeros(1, SIZE, SIZE, dtype=torch.float64, requires_grad=True)
    value = loss(
        rendered(
            empty,
            variance=0 * empty,
            normal=empty[:, None].expand(1, 3, SIZE, SIZE) * 1.0,
            backfacing=0 * empty,
        )
    )
    value.backward()
    assert math.isfinite(float(value.detach()))
    assert bool(empty.grad.isfinite().all())
