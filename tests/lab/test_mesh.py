"""Meshes: closed, turned outwards, and of the silhouette that the renderer draws."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import render_world

from sdilib.lab.world.mesh import mesh
from sdilib.lab.world.objects import signed_distance
from sdilib.lab.world.scene import WorldCamera, WorldScene

TURTLE = WorldScene("turtle", "red", "plain")


def drawn(made, camera, size):
    """A picture's pixels whose centres lie in the projection of some triangle."""
    a, e = np.radians(camera.azimuth_degrees), np.radians(camera.elevation_degrees)
    back = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    right = np.array([np.cos(a), 0.0, -np.sin(a)])
    seen = made.vertices @ np.stack([right, np.cross(back, right), back], axis=1)
    scale = 0.5 * size / np.tan(np.radians(camera.fov_degrees) / 2) / (camera.distance - seen[:, 2])
    corners = np.stack([0.5 * size + scale * seen[:, 0], 0.5 * size - scale * seen[:, 1]], axis=1)
    covered = np.zeros((size, size), bool)
    for (ax, ay), (bx, by), (cx, cy) in corners[made.faces]:
        columns = np.arange(int(min(ax, bx, cx)), int(max(ax, bx, cx)) + 1) + 0.5
        rows = (np.arange(int(min(ay, by, cy)), int(max(ay, by, cy)) + 1) + 0.5)[:, None]
        turns = [
            (qx - px) * (rows - py) - (qy - py) * (columns - px)
            for px, py, qx, qy in ((ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay))
        ]
        inside = np.all([t >= 0 for t in turns], axis=0) | np.all([t <= 0 for t in turns], axis=0)
        block = np.ix_((rows[:, 0]).astype(int), columns.astype(int))
        covered[block] |= inside
    return covered


@pytest.mark.parametrize("name", ["mug", "cat", "boat"])
def test_a_mesh_has_the_silhouette_of_the_picture(name):
    camera = WorldCamera(35.0, 20.0)
    scene = WorldScene.drawn(name, "red", "plain", np.random.default_rng(0))
    scene = replace(scene, camera=camera, stretch=1.1)
    picture = render_world(scene, height=96, width=96)
    ours = drawn(mesh(scene), camera, 96)
    theirs = np.isfinite(picture.depth)
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.98


def test_a_mesh_is_closed_and_turned_outwards():
    made = mesh(TURTLE, resolution=80)
    edges = np.concatenate([made.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    forth = {tuple(edge) for edge in edges.tolist()}
    assert len(forth) == len(edges)
    assert {edge[::-1] for edge in forth} == forth
    a, b, c = (made.vertices[made.faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1)
    outwards = ((a + b + c) / 3 + 0.02 * normals / lengths.clip(1e-12)[:, None])[lengths > 1e-6]
    assert (signed_distance(TURTLE, outwards) > 0).mean() > 0.99


def test_vertices_lie_on_the_surface_and_wear_its_paint():
    scene = WorldScene("mushroom", "blue", "plain")
    made = mesh(scene, resolution=48)
    assert np.abs(signed_distance(scene, made.vertices)).max() < 0.03
    blue = made.colours[:, 2] > 1.3 * made.colours[:, 0]
    assert blue[made.vertices[:, 1] > 0.3].all()


def test_a_grid_too_coarse_is_refused():
    with pytest.raises(ValueError, match="resolution=4: expected an integer of at least 8"):
        mesh(TURTLE, resolution=4)
