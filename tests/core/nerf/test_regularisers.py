"""Regularisers on cases whose value is known, and on an empty volume."""

import math
from dataclasses import fields

import pytest
import torch

from sdilib.nerf.regularisers import (
    Penalties,
    convexity,
    emptiness,
    opaqueness,
    orientation,
    sparsity,
    z_variance,
)
from sdilib.nerf.render import Render

SIZE = 32


def rendered(opacity, *, variance=None, normal=None, backfacing=None, empty=None):
    opacity = torch.as_tensor(opacity, dtype=torch.float64).expand(1, SIZE, SIZE)
    nothing = torch.zeros_like(opacity)
    return Render(
        image=nothing[:, None].expand(1, 3, SIZE, SIZE),
        opacity=opacity,
        depth=nothing,
        variance=nothing if variance is None else nothing + variance,
        normal=nothing[:, None].expand(1, 3, SIZE, SIZE) if normal is None else normal,
        backfacing=nothing if backfacing is None else nothing + backfacing,
        emptiness=nothing if empty is None else nothing + empty,
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


PENALTIES = [each.name for each in fields(Penalties) if not each.name.endswith("_share")]
TERMS = (sparsity, opaqueness, orientation, z_variance, convexity, emptiness)


def test_penalties_are_weighted_and_none_has_a_weight_of_0():
    x, y = plane()
    opacity = (0.2 + 0.6 * (x > 0)).double()[None]
    seen = rendered(
        opacity,
        variance=0.25 * opacity,
        normal=surface(x, y),
        backfacing=0.36 * opacity,
        empty=0.5 * opacity,
    )
    assert Penalties()(seen, 1.0) == {}
    alone = {term.__name__: float(term(seen)) for term in TERMS}
    assert min(alone.values()) > 0
    for name, value in alone.items():
        share = 0.2 if name in ("convexity", "emptiness") else 1.0
        weighted = Penalties(**{name: 3.0})(seen, share)
        assert {key: float(term) for key, term in weighted.items()} == pytest.approx(
            {name: 3 * value}
        )
    weights = dict(zip(alone, (1.0, 2.0, 4.0, 8.0, 16.0, 32.0), strict=True))
    expected = {name: weights[name] * value for name, value in alone.items()}
    expected |= {name: 0.3 * expected[name] for name in ("opaqueness", "z_variance")}
    found = {name: float(term) for name, term in Penalties(**weights)(seen, 0.3).items()}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("sparsity", (1, 1, 1, 1, 1)),
        ("opaqueness", (0, 0.2, 0.39, 0.4, 1)),
        ("orientation", (1, 1, 1, 1, 1)),
        ("z_variance", (0, 0.2, 0.39, 0.4, 1)),
        ("convexity", (1, 1, 1, 0, 0)),
        ("emptiness", (1, 1, 1, 1, 20)),
    ],
)
def test_penalties_go_by_the_share_of_the_run_that_is_done(name, shares):
    x, y = plane()
    seen = rendered(
        0.7 + 0 * x, variance=0.25, normal=0.7 * surface(x, y), backfacing=0.1, empty=0.5
    )
    whole = float(dict(zip(PENALTIES, TERMS, strict=True))[name](seen))
    found = [Penalties(**{name: 2.0})(seen, done) for done in (0.0, 0.2, 0.39, 0.4, 1.0)]
    expected = [2 * whole * share for share in shares]
    assert [float(terms.get(name, 0)) for terms in found] == pytest.approx(expected)
    assert [terms == {} for terms in found] == [share == 0 for share in shares]


@pytest.mark.parametrize(
    ("name", "how", "shares"),
    [
        ("sparsity", {"sparsity_share": 0.4}, (1, 0.5, 0.025, 0, 0)),
        ("opaqueness", {"growth_share": 0.4}, (0, 0.5, 0.975, 1, 1)),
        ("opaqueness", {"growth_share": 0.0}, (1, 1, 1, 1, 1)),
        ("z_variance", {"growth_share": 0.0}, (1, 1, 1, 1, 1)),
        ("orientation", {"growth_share": 0.4, "sparsity_share": 0.4}, (1, 1, 1, 1, 1)),
    ],
)
def test_sparsity_falls_and_what_grows_grows_within_their_shares(name, how, shares):
    x, y = plane()
    seen = rendered(0.7 + 0 * x, variance=0.25, normal=0.7 * surface(x, y), backfacing=0.1)
    whole = float(dict(zip(PENALTIES, TERMS, strict=True))[name](seen))
    found = [Penalties(**{name: 2.0}, **how)(seen, done) for done in (0.0, 0.2, 0.39, 0.4, 1.0)]
    expected = [2 * whole * share for share in shares]
    assert [float(terms.get(name, 0)) for terms in found] == pytest.approx(expected)


@pytest.mark.parametrize("share", ["sparsity_share", "growth_share"])
def test_a_share_outside_its_range_is_refused_by_name(share):
    with pytest.raises(ValueError, match=rf"^{share}=1.5: expected a number in \[0, 1\]$"):
        Penalties(**{share: 1.5})


def test_normals_are_asked_for_where_a_penalty_looks_at_them():
    asked = [Penalties(**{name: 1.0}).normals for name in PENALTIES]
    assert dict(zip(PENALTIES, asked, strict=True)) == {
        "sparsity": False,
        "opaqueness": False,
        "orientation": True,
        "z_variance": False,
        "convexity": True,
        "emptiness": False,
    }


@pytest.mark.parametrize("name", PENALTIES)
def test_a_weight_outside_its_range_is_refused_by_name(name):
    for weight in (-1.0, math.nan, 1e7):
        with pytest.raises(ValueError, match=f"^{name}={weight}: expected a number in"):
            Penalties(**{name: weight})


@pytest.mark.parametrize("loss", TERMS)
def test_an_empty_volume_gives_finite_values_and_gradients(loss):
    empty = torch.zeros(1, SIZE, SIZE, dtype=torch.float64, requires_grad=True)
    value = loss(
        rendered(
            empty,
            variance=0 * empty,
            normal=empty[:, None].expand(1, 3, SIZE, SIZE) * 1.0,
            backfacing=0 * empty,
            empty=0 * empty,
        )
    )
    value.backward()
    assert math.isfinite(float(value.detach()))
    assert bool(empty.grad.isfinite().all())
