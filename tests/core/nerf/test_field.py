"""The field, deferred backpropagation, and the scene that the loop optimises."""

import weakref
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from sdilib.cameras import Camera, sample_cameras
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import WorldCamera, WorldScene
from sdilib.nerf.deferred import in_patches
from sdilib.nerf.field import BACKGROUNDS, Environment, Field, NeRF
from sdilib.nerf.hash_grid import HashGrid
from sdilib.nerf.regularisers import (
    Penalties,
    convexity,
    emptiness,
    opaqueness,
    orientation,
    sparsity,
    z_variance,
)
from sdilib.nerf.scene import NeRFScene
from sdilib.scenes import Scene
from sdilib.seeds import generator as generator_at
from sdilib.storage import load_tensors, save_tensors


def small(**changed):
    draw = generator_at(0, 0, "nerf")
    grid = HashGrid(num_levels=4, log2_table_size=9, finest_resolution=24, generator=draw)
    return NeRF(grid=grid, hidden=16, generator=draw, **changed)


def scene(nerf=None, **changed):
    camera = Camera.around([0, 120])
    settings = {"height": 16, "width": 16, "num_samples": 24} | changed
    return NeRFScene(nerf or small(), camera, **settings)


def test_it_starts_as_a_soft_ball_and_grey():
    nerf = small()
    assert isinstance(nerf, Field)
    middle, edge = torch.zeros(1, 3), torch.tensor([[1.2, 0.0, 0.0]])
    assert float(nerf.density(middle).detach()) == pytest.approx(10, abs=0.05)
    assert float(nerf.density(edge).detach()) < 1e-3
    half = torch.tensor([[0.0, 0.61, 0.0]])  # the blob's radius: softplus(0)
    assert float(nerf.density(half).detach()) == pytest.approx(0.693, abs=0.01)
    torch.testing.assert_close(
        nerf.density_and_colour(middle)[1].detach(), torch.full((1, 3), 0.5), atol=0.01, rtol=0
    )


def test_rules_see_a_depth_where_there_is_a_surface_and_0_elsewhere():
    seen = scene(small(blob_height=20.0))
    depth, whole = seen.render().depth, seen.render_all()
    solid = whole.opacity > 0.5
    assert 0.1 < float(solid.float().mean()) < 0.9
    assert torch.equal(depth[solid], whole.depth[solid].detach())
    assert float(depth[~solid].abs().max()) == 0 < float(whole.depth[~solid].detach().max())


def test_the_truncated_exponential_stays_finite():
    nerf = small(activation="exp", blob_height=40.0)
    density = nerf.density(torch.zeros(1, 3))
    density.sum().backward()
    assert float(density.detach()) == pytest.approx(2.35e17, rel=0.1)  # e^40
    # Its own derivative, but no more than e^15.
    slopes = [w.grad.abs().max() for w in nerf.network.parameters()]
    assert 0 < float(max(slopes)) < 3.3e6


def test_backgrounds():
    drawn = torch.rand(2, 3, generator=generator_at(0, 0, "background"))
    away = Camera.around([0, 120]).rays(4, 5).directions
    seen = {kind: small(background=kind).background_colour(drawn, away) for kind in BACKGROUNDS}
    assert all(colour.shape == (2, 4, 5, 3) for colour in seen.values())
    assert torch.equal(seen["fixed"], torch.full((2, 4, 5, 3), 0.92))
    assert torch.equal(seen["random"], drawn[:, None, None].expand(2, 4, 5, 3))
    pale = small(background="random", background_saturation=0.3).background_colour(drawn, away)
    grey = drawn.mean(-1, keepdim=True)
    torch.testing.assert_close(pale[:, 0, 0], grey + 0.3 * (drawn - grey))
    # Soft, around grey, and another colour in another direction, whatever view looks there.
    soft = seen["environment"].detach()
    assert 0.3 < float(soft.min()) < float(soft.max()) < 0.7
    assert float(soft.flatten(0, 2).std(0).min()) > 1e-3
    again = small(background="environment").background_colour(drawn[:1], away[:1])
    torch.testing.assert_close(again.detach(), soft[:1])


def test_an_environment_learns_the_sky():
    around = torch.randn(400, 3, generator=generator_at(0, 0, "directions"))
    around = torch.nn.functional.normalize(around, dim=-1)
    sky = 0.5 + 0.4 * around[:, 1:2] * torch.tensor([1.0, 0.5, -1.0])
    behind = Environment(generator_at(0, 0, "environment"))
    optimizer = torch.optim.Adam(behind.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        (behind(around) - sky).square().mean().backward()
        optimizer.step()
    assert float((behind(around) - sky).detach().abs().max()) < 0.05


def test_the_blob_has_its_radius_in_the_worlds_unit_whatever_the_ball():
    point = torch.tensor([[0.0, 0.5, 0.0]])
    for radius in (1.22, 2.0):
        nerf = small(radius=radius, blob_radius=0.5)
        assert float(nerf.density(point).detach()) == pytest.approx(0.693, abs=0.01)


@pytest.mark.parametrize("rays_per_patch", [512, 100, 7])
def test_deferred_gradients_are_the_plain_ones(rays_per_patch):
    gradients, images = [], []
    for patch in (None, rays_per_patch):
        penalties = Penalties(orientation=1.0, emptiness=1.0)  # so that all is measured
        seen = scene(small(background="environment"), penalties=penalties, rays_per_patch=patch)
        seen.look(Camera.around([20, 140]), generator_at(0, 0, "look"))
        everything = seen.render_all()
        weights = torch.randn(everything.image.shape, generator=generator_at(0, 0, "weights"))
        losses = (sparsity, opaqueness, orientation, z_variance, convexity, emptiness)
        loss = (weights * everything.image).sum() + sum(f(everything) for f in losses)
        gradients.append(torch.autograd.grad(loss, list(seen.parameters())))
        images.append(everything.image.detach())
    torch.testing.assert_close(images[1], images[0], atol=1e-6, rtol=0)
    for deferred, plain in zip(*reversed(gradients), strict=True):
        scale = float(plain.abs().max())
        assert scale > 0
        torch.testing.assert_close(deferred, plain, atol=1e-5 * scale, rtol=1e-4)


def lit_scene(**changed):
    seen = scene(shading=1.0, **changed)
    seen.look(Camera.around([20, 140]), generator_at(0, 0, "look"))
    return seen


def test_deferred_gradients_of_a_lit_render_are_the_plain_ones():
    whole, part = lit_scene(), lit_scene(rays_per_patch=100)
    gradients = [
        torch.autograd.grad(seen.render().image[:, 0].sum(), list(seen.parameters()))
        for seen in (whole, part)
    ]
    torch.testing.assert_close(part.render().image, whole.render().image, atol=1e-6, rtol=0)
    for deferred, plain in zip(*reversed(gradients), strict=True):
        torch.testing.assert_close(deferred, plain, atol=1e-5 * float(plain.abs().max()), rtol=1e-4)


def test_a_light_is_drawn_with_the_views_and_goes_with_them():
    seen, dark = lit_scene(), scene()
    dark.look(seen.camera, generator_at(0, 0, "look"))
    assert not torch.equal(seen.render().image, dark.render().image)
    assert torch.equal(seen.render().image, lit_scene().render().image)
    for each in (seen, dark):
        each.look(each.camera)
    assert torch.equal(seen.render().image, dark.render().image)


def test_the_light_comes_from_where_the_camera_is():
    seen, cosines = scene(occupancy_resolution=2, shading=1.0), []
    for step in range(100):
        seen.look(seen.camera, generator_at(0, step, "camera"))
        light = torch.nn.functional.normalize(seen._looking.light, dim=-1)
        cosines.append((light * seen.camera.axes[:, 2]).sum(-1))
    assert float(torch.stack(cosines).mean()) > 0.3


def test_a_random_background_is_drawn_for_each_view_and_step():
    seen, corner = scene(small(background="random", blob_height=-50.0)), []
    for step in range(2):
        seen.look(seen.camera, generator_at(0, step, "camera"))
        corner.append(seen.render().image.detach()[:, :, 0, 0])
    assert not torch.equal(corner[0], corner[1])
    assert not torch.equal(corner[0][0], corner[0][1])


@pytest.mark.parametrize("name", ["emptiness", "orientation"])
def test_a_penalty_that_needs_a_measure_of_rays_gets_it(name):
    measured = scene(penalties=Penalties(**{name: 1.0})).render().measured
    assert float(measured[name]) > 0


def test_so_many_steps_are_lit_and_so_many_of_those_are_white():
    seen = scene(occupancy_resolution=2, shading=0.75, textureless=0.5)
    drawn = []
    for step in range(400):
        seen.look(seen.camera, generator_at(0, step, "camera"))
        looking = seen._looking
        drawn.append(looking.marcher.shading)
        if looking.light is not None:
            distance = looking.light.norm(dim=-1) / seen.camera.distance
            assert bool(((distance > 0.639) & (distance < 1.201)).all())
    share = {name: drawn.count(name) / 400 for name in ("albedo", "diffuse", "textureless")}
    expected = {"albedo": 0.25, "diffuse": 0.375, "textureless": 0.375}
    assert share == pytest.approx(expected, abs=0.08)


def test_a_deferred_render_keeps_no_graph_of_the_field(monkeypatch):
    nerf, with_graph = small(), []
    ask = nerf.density_and_colour

    def asked(points):
        answer = ask(points)
        with_graph.append(answer[0].requires_grad and len(points))
        return answer

    monkeypatch.setattr(nerf, "density_and_colour", asked)
    scene(nerf, rays_per_patch=64).render().image.sum().backward()
    # Two views of four patches, each rendered twice, in three stretches along the rays; nothing is in the fourth.
    assert len(with_graph) == 16 * 3
    assert max(with_graph) <= 64 * 8


@dataclass
class Pair:
    used: torch.Tensor
    unused: torch.Tensor


def test_a_patch_frees_what_an_output_outside_the_loss_kept():
    weight, kept, alive = torch.ones((), requires_grad=True), [], []

    def render_rays(rays):
        alive.append(sum(array() is not None for array in kept))
        factor = np.ones(len(rays), np.float32)
        kept.append(weakref.ref(factor))
        return Pair(rays * weight, rays * weight * torch.from_numpy(factor))

    whole = in_patches(render_rays, torch.ones(40), rays_per_patch=4)
    whole.used.sum().backward()
    assert len(alive) == 20
    assert max(alive) <= 1
    assert float(weight.grad) == 40


def pictures(camera, size):
    """The world's pictures of a mug from the batch's cameras."""
    poses = zip(camera.azimuth_degrees.tolist(), camera.elevation_degrees.tolist(), strict=True)
    scenes = [
        WorldScene("mug", "red", "plain", WorldCamera(*pose, float(d), float(f)))
        for pose, d, f in zip(poses, camera.distance, camera.fov_degrees, strict=True)
    ]
    return torch.from_numpy(render_batch(scenes, height=size, width=size)[0]).movedim(-1, 1)


def test_it_is_a_scene_that_learns_an_object_from_its_views():
    seen = scene(small(blob_height=5.0))
    assert isinstance(seen, Scene)
    assert seen.render().image.shape == (2, 3, 16, 16)
    optimizer = torch.optim.Adam(seen.parameters(), lr=0.02)
    for step in range(60):
        draw = generator_at(0, step, "camera")
        seen.look(sample_cameras(4, draw), draw)
        loss = (seen.render().image - pictures(seen.camera, 16)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen = Camera.around([77, -133], elevation_degrees=22)
    seen.look(unseen)
    error = (seen.render().image.detach() - pictures(unseen, 16)).square().mean()
    assert -10 * float(error.log10()) > 20  # a blank picture: 11 dB


def test_a_step_is_repeatable_and_its_samples_are_its_own():
    seen = scene()
    images = []
    for purpose in ("a", "a", "b"):
        seen.load_state_dict(scene().state_dict())
        seen.look(Camera.around([10]), generator_at(0, 0, purpose))
        images.append(seen.render().image.detach())
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_state_is_a_copy_that_lies_on_disk_and_restores_in_place(tmp_path):
    seen = scene()
    seen.look(Camera.around([10]), generator_at(0, 0, "look"))
    before = seen.render().image.detach()
    save_tensors(tmp_path / "scene.safetensors", seen.state_dict())
    with torch.no_grad():
        for parameter in seen.parameters():
            parameter.add_(0.1)
    assert not torch.equal(seen.render().image.detach(), before)
    first = next(seen.parameters())
    seen.load_state_dict(load_tensors(tmp_path / "scene.safetensors"))
    assert next(seen.parameters()) is first
    assert torch.equal(seen.render().image.detach(), before)
