"""Volume rendering against closed forms, the world's own pictures, and finite differences."""

import numpy as np
import pytest
import torch
from made_up import render_world
from torch import nn

from sdilib.cameras import Camera
from sdilib.lab.world.objects import colour_at, signed_distance
from sdilib.lab.world.scene import BACKGROUND, WorldCamera, WorldScene
from sdilib.nerf.field import NeRF
from sdilib.nerf.hash_grid import HashGrid
from sdilib.nerf.occupancy import OccupancyGrid
from sdilib.nerf.render import Marcher, render
from sdilib.seeds import generator as generator_at

RADIUS = 1.22


def share(occupancy):
    """Of its cells, how many are looked into."""
    return float(occupancy._estimator.get_buffer("binaries").float().mean())


class Ball:
    """A ball of one density and one colour."""

    def __init__(self, density, radius=RADIUS):
        self._density, self.radius = density, radius

    def density(self, points):
        return self._density * (points.norm(dim=-1) < self.radius).to(points)

    def density_and_colour(self, points):
        return self.density(points), points.new_tensor([0.2, 0.4, 0.8]).expand(len(points), 3)


class Shell(Ball):
    """A ball whose density falls smoothly across its surface."""

    def density(self, points):
        return 40 * torch.sigmoid((self.radius - points.norm(dim=-1)) / 0.05)


class Truth:
    """An object of the world as a field: opaque inside, with the colours of its surface."""

    def __init__(self, name, colour, pattern):
        self.scene = WorldScene(name, colour, pattern)

    def density(self, points):
        return torch.from_numpy(signed_distance(self.scene, points.numpy()) < 0) * 1e3

    def density_and_colour(self, points):
        colours = colour_at(self.scene, points.numpy())
        return self.density(points), torch.from_numpy(colours)


def view(
    field, camera, size, *, occupancy=None, dtype=torch.float32, jitter=None, light=None, **settings
):
    occupancy = occupancy or OccupancyGrid(RADIUS)
    grey = torch.full((len(camera), 1, 1, 3), BACKGROUND, dtype=dtype)
    marcher = Marcher(occupancy, **{"num_samples": 32} | settings)
    return render(
        field, camera, marcher, height=size, width=size, background=grey, jitter=jitter, light=light
    )


def chord(camera, size):
    """Length of each ray inside the ball, by the distance of the ray from the origin."""
    rays = camera.rays(size, size, dtype=torch.float64)
    passing = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1)
    return 2 * (RADIUS**2 - passing**2).clamp_min(0).sqrt()


@pytest.mark.parametrize("shifted", [False, True])
def test_a_homogeneous_balls_transmittance_is_exponential_in_the_chord(shifted):
    camera = Camera.around([20, 200], elevation_degrees=30)
    jitter = torch.rand(2, 16, 16, generator=generator_at(0, 0, "jitter"), dtype=torch.float64)
    seen = view(Ball(0.9), camera, 16, dtype=torch.float64, jitter=jitter if shifted else None)
    expected = 1 - torch.exp(-0.9 * chord(camera, 16))
    # float32 densities do not enter; the last light of 1e-4 is left out, nothing else.
    torch.testing.assert_close(seen.opacity, expected, atol=1e-12, rtol=0)
    colour = torch.tensor([0.2, 0.4, 0.8], dtype=torch.float64)[:, None, None]
    mixed = expected[:, None] * colour + (1 - expected[:, None]) * BACKGROUND
    torch.testing.assert_close(seen.image, mixed, atol=1e-12, rtol=0)
    assert bool((expected == 0).any())
    assert float(expected.max()) > 0.8


def test_depth_and_variance_are_those_of_the_exponential():
    # Along one axis: absorption at length s into a half-infinite medium has mean and deviation 1/d.
    camera = Camera.around([0], elevation_degrees=0)
    seen = view(Ball(12.0), camera, 1, dtype=torch.float64, num_samples=2000)
    assert float(seen.depth) == pytest.approx(3.6 - RADIUS + 1 / 12, abs=1e-3)
    assert float(seen.variance) == pytest.approx(1 / 12**2, rel=2e-2)


def test_emptiness_is_the_mean_of_a_logarithm_over_the_samples():
    camera = Camera.around([0], elevation_degrees=0)
    shared = {"dtype": torch.float64, "num_samples": 40}
    seen = view(Ball(0.9), camera, 1, emptiness=True, **shared)
    kept = torch.exp(torch.tensor(-0.9 * 2 * RADIUS / 40, dtype=torch.float64))  # by an interval
    weights = kept ** torch.arange(40) * (1 - kept)
    assert float(seen.emptiness) == pytest.approx(float((1 + 10 * weights).log().mean()), rel=1e-9)
    assert float(view(Ball(0.9), camera, 1, **shared).emptiness) == 0


@pytest.mark.parametrize(
    ("name", "pattern", "azimuth", "elevation"),
    [
        ("mug", "spotted", 40.0, 20.0),
        ("cottage", "plain", -30.0, 5.0),
        ("mushroom", "checkered", 150.0, 70.0),
    ],
)
def test_the_worlds_ground_truth_looks_like_the_worlds_pictures(name, pattern, azimuth, elevation):
    camera = Camera.around([azimuth], elevation_degrees=elevation)
    field = Truth(name, "red", pattern)
    fine = view(field, camera, 96, num_samples=256)
    # The world averages four rays at edges.
    seen = nn.functional.avg_pool2d(torch.cat([fine.image[0], fine.opacity, fine.depth]), 2)
    truth = render_world(
        WorldScene(name, "red", pattern, WorldCamera(azimuth, elevation)), height=48, width=48
    )
    image = seen[:3].movedim(0, -1).numpy()
    psnr = -10 * np.log10(np.square(image - truth.image).mean())
    assert psnr > 25, psnr
    inside = truth.silhouette == 1
    solid = inside & (seen[3].numpy() > 0.99)
    assert solid.sum() > 0.97 * inside.sum()
    error = np.abs(seen[4].numpy() - truth.depth)[solid]
    assert np.median(error) < 2 * RADIUS / 256


def test_occupancy_skips_most_of_space_and_changes_nothing():
    camera = Camera.around([40], elevation_degrees=20)
    field = Truth("mug", "red", "striped")
    occupancy = OccupancyGrid(RADIUS, resolution=48)
    assert share(occupancy) == 1
    everything = view(field, camera, 32, num_samples=96)
    occupancy.update(field)
    assert share(occupancy) < 0.5
    skipped = view(field, camera, 32, num_samples=96, occupancy=occupancy)
    torch.testing.assert_close(skipped.image, everything.image, rtol=0, atol=1e-6)


def test_the_length_of_a_stretch_changes_nothing(monkeypatch):
    camera, field = Camera.around([40], elevation_degrees=20), Truth("mug", "red", "striped")
    short = view(field, camera, 16, num_samples=96)
    monkeypatch.setattr("sdilib.nerf.render._STRETCH", 64)
    long = view(field, camera, 16, num_samples=96)
    for name in ("image", "opacity", "depth", "variance"):
        # Light below a ten-thousandth is left out, where a stretch begins.
        torch.testing.assert_close(getattr(long, name), getattr(short, name), rtol=0, atol=1e-3)


def test_what_no_light_reaches_is_not_looked_into_and_changes_nothing(monkeypatch):
    asked = []

    class Watched(Shell):
        def density_and_colour(self, points):
            asked.append(len(points))
            return super().density_and_colour(points)

    camera = Camera.around([0, 120])
    seen = view(Watched(None, 0.8), camera, 16, num_samples=64)
    with_a_limit = sum(asked)
    asked.clear()
    monkeypatch.setattr("sdilib.nerf.render._VISIBLE", -1.0)
    whole = view(Watched(None, 0.8), camera, 16, num_samples=64)
    assert with_a_limit < 0.8 * sum(asked)
    for name in ("image", "opacity", "depth"):
        torch.testing.assert_close(getattr(seen, name), getattr(whole, name), atol=2e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_compiled_look_finds_what_plain_torch_finds(dtype):
    occupancy, draw = OccupancyGrid(RADIUS, resolution=16), generator_at(0, 0, "rays")
    occupancy.update(Ball(5.0, 0.6))
    origins = 0.5 * torch.randn(200, 3, generator=draw, dtype=dtype)
    directions = nn.functional.normalize(torch.randn(200, 3, generator=draw, dtype=dtype), dim=-1)
    edges = torch.rand(200, 7, generator=draw, dtype=dtype).sort(1).values
    start, end = edges[:, :-1], edges[:, 1:].clone()
    end[::5] = start[::5]  # no intervals at all
    lit = torch.rand(200, generator=draw) < 0.7
    middles = origins[:, None] + (0.5 * (start + end))[..., None] * directions[:, None]
    kept = lit[:, None] & (end > start) & occupancy.occupied(middles)
    places, points = occupancy.looked_into(origins, directions, start, end, lit)
    assert 0.1 < float(kept.float().mean()) < 0.5
    assert places.tolist() == kept.flatten().nonzero()[:, 0].tolist()
    torch.testing.assert_close(points, middles[kept], atol=0, rtol=0)


def test_occupancy_follows_the_field_and_forgets_it():
    occupancy = OccupancyGrid(RADIUS, resolution=24)
    occupancy.update(Ball(5.0, 0.4))
    full = share(occupancy)
    near = occupancy.occupied(torch.tensor([[0.0, 0.0, 0.0], [1.1, 0.0, 0.0]]))
    assert near.tolist() == [True, False]
    for _ in range(200):  # 5 * 0.95^200 = 2e-4
        occupancy.update(Ball(5.0, 0.2))
    assert share(occupancy) < full / 3
    empty = OccupancyGrid(RADIUS, resolution=24)
    empty.update(Ball(0.0))
    assert share(empty) == 0


def tiny_nerf(dtype=torch.float64, **changed):
    draw = generator_at(0, 0, "nerf")
    grid = HashGrid(
        num_levels=3,
        log2_table_size=8,
        base_resolution=3,
        finest_resolution=9,
        generator=draw,
        backend="torch",
    )
    nerf = NeRF(grid=grid, hidden=8, generator=draw, blob_height=3.0, **changed).to(dtype)
    with torch.no_grad():
        nerf.grid.table.mul_(5e3)
    return nerf


def test_gradients_are_finite_differences():
    nerf, camera = tiny_nerf(background="environment"), Camera.around([10], elevation_degrees=20)
    directions = camera.rays(5, 5, dtype=torch.float64).directions
    marcher = Marcher(OccupancyGrid(RADIUS), num_samples=12, normals=True)
    parameters = dict(nerf.named_parameters())
    draw = generator_at(0, 0, "weights")
    loss_weights = torch.randn(1, 3, 5, 5, generator=draw, dtype=torch.float64)

    def loss():
        behind = nerf.background_colour(torch.zeros(1, 3), directions)
        seen = render(nerf, camera, marcher, height=5, width=5, background=behind)
        rest = seen.opacity + seen.depth + seen.variance + seen.normal.sum(1)
        return (loss_weights * seen.image).sum() + (loss_weights[:, 0] * rest).sum()

    gradients = torch.autograd.grad(loss(), list(parameters.values()))
    for (name, values), gradient in zip(parameters.items(), gradients, strict=True):
        along = torch.randn(values.shape, generator=draw, dtype=torch.float64)
        with torch.no_grad():
            sides = []
            for sign in (1, -1):
                values.add_(sign * 1e-6 * along)
                sides.append(float(loss()))
                values.sub_(sign * 1e-6 * along)
        slope = (sides[0] - sides[1]) / 2e-6
        assert float((gradient * along).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-7), name
        assert abs(slope) > 1e-4, name


def test_normals_of_a_ball_point_outwards():
    camera = Camera.around([0, 70], elevation_degrees=25)
    seen = view(Shell(0.0, 0.8), camera, 15, num_samples=64, normals=True)
    normal = seen.normal.movedim(1, -1)
    # In the camera's axes a ball looks the same from everywhere; its middle faces the viewer.
    torch.testing.assert_close(normal[0], normal[1], atol=2e-2, rtol=0)
    torch.testing.assert_close(normal[0, 7, 7], torch.tensor([0.0, 0.0, 1.0]), atol=0.02, rtol=0)
    assert float(normal[0, 7, 10, 0]) > 0.3  # to the right
    assert float(normal[0, 4, 7, 1]) > 0.3  # upwards
    # Only rays that graze the soft edge pass some of it from behind.
    assert float(seen.backfacing.max()) < 0.02


def test_a_surface_seen_from_behind_costs_the_square_of_its_tilt():
    class Tilted:
        # Density rises along the direction, so that the normal is its opposite everywhere.
        along = torch.tensor([0.8, 0.0, 0.6], dtype=torch.float64)
        scale = torch.ones((), dtype=torch.float64, requires_grad=True)

        def density(self, points):
            return 3 * (4 * (points @ self.along)).exp()

        def density_and_colour(self, points):
            return self.scale * self.density(points), torch.zeros_like(points)

    camera = Camera.around([0], elevation_degrees=0)
    behind = Camera.around([180], elevation_degrees=0)
    for pose, cosine in ((camera, 0.6), (behind, 0.0)):
        seen = view(Tilted(), pose, 1, dtype=torch.float64, normals=True)
        expected = cosine**2 * float(seen.opacity.detach())
        assert float(seen.backfacing) == pytest.approx(expected, rel=0.03, abs=1e-3)
        assert not seen.backfacing.requires_grad  # its weights and normals are given


@pytest.mark.parametrize(("shading", "albedo"), [("diffuse", 0.4), ("textureless", 1.0)])
def test_a_lit_ball_is_as_bright_as_it_faces_the_light(shading, albedo):
    camera = Camera.around([0, 0, 0], elevation_degrees=0)
    light = torch.tensor([[0.0, 0, 3], [0, 3, 0], [0, 0, -3]])  # in front, above, behind
    settings = {"num_samples": 128, "normals": True, "shading": shading}
    seen = view(Shell(0.0, 0.8), camera, 15, light=light, **settings)
    green = seen.image[:, 1]
    expected = torch.tensor([1.0, 0.1, 0.1]) * albedo  # at the middle, which faces the camera
    torch.testing.assert_close(green[:, 7, 7], expected, atol=0.02, rtol=0)
    # Half-way up: the surface there, and the way from it to the light, by the ball's geometry.
    rays = camera.rays(15, 15)
    point = (
        rays.origins[0, 4, 7]
        + seen.depth[0, 4, 7] / rays.cosines[0, 4, 7] * (rays.directions[0, 4, 7])
    )
    facing = (point / point.norm()) @ torch.nn.functional.normalize(light - point, dim=-1).T
    expected = albedo * (0.1 + 0.9 * facing.clamp_min(0))
    torch.testing.assert_close(green[:, 4, 7], expected, atol=0.03, rtol=0)
    with pytest.raises(ValueError, match=f"^light=None: expected positions, for .*'{shading}'"):
        view(Shell(0.0, 0.8), camera, 15, **settings)
    plain = view(Shell(0.0, 0.8), camera, 15, normals=True).image
    assert torch.equal(view(Shell(0.0, 0.8), camera, 15, normals=True, light=light).image, plain)


def test_thin_fog_is_as_dark_with_many_samples_as_with_few():
    """Without a slope it has no side that faces the light: what is left is the ambient tenth."""
    camera, light = Camera.around([0], elevation_degrees=0), torch.tensor([[0.0, 3, 0]])
    settings = {"light": light, "normals": True, "shading": "textureless"}
    few, many = (view(Ball(0.2), camera, 1, num_samples=n, **settings) for n in (64, 512))
    opacity = float(many.opacity)
    assert 0.3 < opacity < 0.4
    assert float(many.image[0, 0]) == pytest.approx(
        0.1 * opacity + BACKGROUND * (1 - opacity), abs=0.02
    )
    torch.testing.assert_close(many.image, few.image, atol=0.02, rtol=0)


def test_a_shading_needs_normals():
    with pytest.raises(ValueError, match="normals=False: expected True, for shading='diffuse'"):
        Marcher(OccupancyGrid(RADIUS), shading="diffuse")
    with pytest.raises(ValueError, match="shading='difuse': expected one of albedo"):
        Marcher(OccupancyGrid(RADIUS), normals=True, shading="difuse")


def test_views_of_a_batch_are_those_rendered_alone():
    nerf = tiny_nerf(torch.float32)
    both = view(nerf, Camera.around([10, 120]), 8).image.detach()
    one = view(nerf, Camera.around([120]), 8).image.detach()
    torch.testing.assert_close(both[1], one[0], atol=1e-6, rtol=0)


def test_an_empty_volume_is_the_background_with_finite_gradients():
    nerf = tiny_nerf(torch.float32)
    nerf._blob = (-80.0, 1e9)
    seen = view(nerf, Camera.around([10]), 6, normals=True)
    torch.testing.assert_close(seen.image.detach(), torch.full((1, 3, 6, 6), BACKGROUND))
    total = seen.image.sum() + seen.variance.sum() + seen.depth.sum() + seen.normal.sum()
    total.backward()
    for parameter in nerf.parameters():
        assert bool(parameter.grad.isfinite().all())
