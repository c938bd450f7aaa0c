"""The march that CUDA takes, its kernels mocked in plain torch: the same image as the CPU's table."""

import types

import nerfacc
import pytest
import torch
from filelock import FileLock, Timeout
from torch.utils import cpp_extension

from sdilib.cameras import Camera
from sdilib.nerf import render as rendering
from sdilib.nerf.field import NeRF
from sdilib.nerf.hash_grid import HashGrid
from sdilib.nerf.occupancy import OccupancyGrid
from sdilib.nerf.render import Marcher, has_kernels, render
from sdilib.seeds import generator as generator_at

RADIUS = 1.22


def share(occupancy):
    """Of its cells, how many are looked into."""
    return float(occupancy._estimator.get_buffer("binaries").float().mean())


def mock_sampling(occupancy):
    """nerfacc's `sampling`, as its kernel's source has it; boxes that rays miss are left out."""

    def sampling(
        origins,
        directions,
        *,
        sigma_fn,
        t_min,
        t_max,
        render_step_size,
        early_stop_eps,
        near_plane=0.0,
    ):
        t_min = t_min.clamp_min(near_plane)
        count = int(float((t_max - t_min).max()) / render_step_size) + 2
        edges = t_min[:, None] + render_step_size * torch.arange(count + 1)
        middle = 0.5 * (edges[:, :-1] + edges[:, 1:])
        points = origins[:, None] + middle[..., None] * directions[:, None]
        inside = (t_min < t_max)[:, None] & (middle < t_max[:, None])
        kept = inside & occupancy.occupied(points)
        ray, start, end = kept.nonzero()[:, 0], edges[:, :-1][kept], edges[:, 1:][kept]
        taken = sigma_fn(start, end, ray) * (end - start)
        seen = torch.exp(-exclusive(taken, ray)) >= early_stop_eps
        return ray[seen], start[seen], end[seen]

    return sampling


def exclusive(values, ray):
    """Sum of those before, along each ray."""
    before = torch.cat([values.new_zeros(1), values.cumsum(0)])[:-1]
    first = torch.searchsorted(ray, ray)  # rays are sorted
    return before - before[first]


def mock_weights(start, end, density, *, ray_indices, n_rays):
    taken = density * (end - start)
    weights = torch.exp(-exclusive(taken, ray_indices)) * (1 - torch.exp(-taken))
    return weights, None, None


@pytest.fixture
def mock_kernels(monkeypatch):
    dense = nerfacc.render_weight_from_density

    def either(*samples, **rays):
        return mock_weights(*samples, **rays) if rays else dense(*samples)

    monkeypatch.setattr(nerfacc, "render_weight_from_density", either)
    monkeypatch.setattr(OccupancyGrid, "sampling", property(mock_sampling))


class Fog:
    """One density and a colour that varies, up to the ball's very surface."""

    def density(self, points):
        return 0.8 + 0 * points[:, 0]

    def density_and_colour(self, points):
        return self.density(points), 0.5 + 0.4 * points.sin()


def both(field, occupancy, *, distance=3.6, **settings):
    camera = Camera.around([20, 200], elevation_degrees=30, distance=distance)
    draw = torch.rand(2, 24, 24, generator=generator_at(0, 0, "jitter"), dtype=torch.float64)
    grey = torch.full((2, 1, 1, 3), 0.5, dtype=torch.float64)
    for packed in (False, True):
        marcher = Marcher(occupancy, num_samples=40, packed=packed)
        yield render(
            field, camera, marcher, height=24, width=24, background=grey, jitter=draw, **settings
        )


@pytest.mark.parametrize("distance", [3.6, 0.9 * RADIUS])
@pytest.mark.parametrize("rays_per_patch", [None, 50])
def test_a_fog_is_cut_at_the_ball_as_on_the_cpu(mock_kernels, rays_per_patch, distance):
    settings = {"rays_per_patch": rays_per_patch, "distance": distance}
    dense, packed = both(Fog(), OccupancyGrid(RADIUS), **settings)
    torch.testing.assert_close(packed.image, dense.image, atol=1e-9, rtol=0)
    torch.testing.assert_close(packed.depth, dense.depth, atol=1e-9, rtol=0)
    torch.testing.assert_close(packed.variance, dense.variance, atol=1e-9, rtol=0)


def test_images_and_gradients_agree_with_empty_patches_among_them(mock_kernels):
    draw = generator_at(0, 0, "nerf")
    grid = HashGrid(num_levels=3, finest_resolution=16, generator=draw, backend="torch")
    nerf = NeRF(grid=grid, hidden=8, generator=draw, blob_height=20.0).double()
    with torch.no_grad():
        nerf.grid.table.mul_(1e4)
    occupancy = OccupancyGrid(RADIUS)
    occupancy.update(nerf)
    assert share(occupancy) < 0.7
    images, gradients = [], []
    for seen in both(nerf, occupancy, rays_per_patch=24):
        (gradient,) = torch.autograd.grad(seen.image.square().sum(), nerf.grid.table)
        images.append(seen.image.detach())
        gradients.append(gradient)
    # What hardly any light reaches is left out.
    torch.testing.assert_close(images[1], images[0], atol=2e-4, rtol=0)
    scale = float(gradients[0].abs().max())
    torch.testing.assert_close(gradients[1], gradients[0], atol=2e-3 * scale, rtol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is so without a CUDA device")
def test_without_cuda_there_are_no_kernels():
    assert not has_kernels()


def build(folder, monkeypatch, load):
    """Look for kernels as on a CUDA device with nvcc, where loading nerfacc's is what `load` does."""
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(folder))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(rendering.shutil, "which", lambda name: name)
    monkeypatch.setattr(rendering.importlib, "import_module", lambda _: load())
    return has_kernels.__wrapped__()


def test_one_process_at_a_time_builds_the_kernels(tmp_path, monkeypatch):
    def load():
        folder = cpp_extension._get_build_directory("nerfacc_cuda", verbose=False)
        with pytest.raises(Timeout):
            FileLock(f"{folder}.lock").acquire(blocking=False)
        return types.SimpleNamespace(_C=object())

    assert build(tmp_path, monkeypatch, load)


def test_kernels_that_cannot_be_had_are_said(tmp_path, monkeypatch, caplog):
    def load():
        raise RuntimeError("Ninja is required")

    assert not build(tmp_path, monkeypatch, load)
    assert not build(tmp_path, monkeypatch, lambda: types.SimpleNamespace(_C=None))
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == [
        "Ninja is required",
        "no nvcc to build them",
    ]
