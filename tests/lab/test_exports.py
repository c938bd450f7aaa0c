"""Exports are files that stock programs open, and show the scene."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from sdilib.cameras import Camera
from sdilib.lab import exports
from sdilib.lab.exports import nerf_mesh, turntable, write_mesh, write_strip
from sdilib.lab.world.mesh import Mesh
from sdilib.nerf.field import RADIUS, NeRF
from sdilib.nerf.hash_grid import HashGrid
from sdilib.nerf.scene import NeRFScene
from sdilib.scenes import Rendering
from sdilib.storage import remove_partial

DENSITY, HEIGHT, SHARE = 2.0, 10.0, 0.5


@pytest.fixture
def blob():
    """A field that is its blob almost exactly, as the grid begins near zero."""
    grid = HashGrid(num_levels=2, base_resolution=4, finest_resolution=8)
    return NeRF(grid=grid, blob_height=HEIGHT, blob_radius=SHARE * RADIUS)


@pytest.fixture
def scene(blob):
    torch.nn.init.normal_(blob.grid.table, generator=torch.Generator().manual_seed(0))
    return NeRFScene(blob, Camera.around([0]), height=16, width=16, num_samples=32)


def test_the_mesh_of_a_blob_is_the_sphere_where_its_density_is_that(blob):
    mesh = nerf_mesh(blob, density=DENSITY, resolution=48)
    raw = np.log(np.expm1(DENSITY))  # softplus of it is the density
    radius = blob.radius * SHARE * (1 - raw / HEIGHT)
    distances = np.linalg.norm(mesh.vertices, axis=1)
    assert np.abs(distances - radius).max() < 0.02
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)  # outward, too


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
def test_a_mesh_is_read_back_with_its_colours(blob, kind, tmp_path):
    mesh = nerf_mesh(blob, density=DENSITY, resolution=16)
    path = write_mesh(mesh, tmp_path / f"blob.{kind}")
    (read,) = trimesh.load(path, force="scene", process=False).geometry.values()
    assert len(read.faces) == len(mesh.faces)
    assert np.allclose(
        np.sort(read.bounds, 0), [mesh.vertices.min(0), mesh.vertices.max(0)], atol=1e-4
    )
    visual = read.visual.vertex_attributes["color"] if kind == "glb" else read.visual.vertex_colors
    colours = np.asarray(visual)[:, :3] / 255
    shown = screen(colours) if kind == "glb" else colours
    assert np.allclose(shown.mean(0), mesh.colours.mean(0), atol=0.01)


def screen(linear):
    """Linear light as a screen's numbers (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_a_glb_says_linear_colours_and_a_material_that_is_not_metal(tmp_path):
    yellow = np.tile([0.65, 0.56, 0.26], (3, 1))
    path = write_mesh(Mesh(np.eye(3), np.array([[0, 1, 2]]), yellow), tmp_path / "a.glb")
    content = path.read_bytes()  # read by hand: header, then a chunk of JSON and one of numbers
    size = int.from_bytes(content[12:16], "little")
    tree = json.loads(content[20 : 20 + size])
    (primitive,) = tree["meshes"][0]["primitives"]
    accessor = tree["accessors"][primitive["attributes"]["COLOR_0"]]
    start = 28 + size + tree["bufferViews"][accessor["bufferView"]].get("byteOffset", 0)
    assert accessor["componentType"] == 5121  # unsigned bytes
    colour = np.frombuffer(content[start : start + 3], np.uint8) / 255
    assert colour == pytest.approx([0.38, 0.274, 0.055], abs=0.004)
    assert tree["materials"][primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0


def read_by_hand(path):
    """Triangles and colours of a file as its format's description says, by no library."""
    lines = path.read_bytes()
    if path.suffix == ".obj":
        words = [line.split() for line in lines.decode().splitlines()]
        rows = np.array([[float(x) for x in w[1:]] for w in words if w and w[0] == "v"])
        faces = [[int(x.split("/")[0]) - 1 for x in w[1:]] for w in words if w and w[0] == "f"]
        return rows[:, :3], np.array(faces), rows[:, 3:6]
    if path.suffix == ".ply":
        head, _, body = lines.partition(b"end_header\n")
        count = int(head.split(b"element vertex ")[1].split()[0])
        kind = np.dtype([("at", "<f4", 3), ("colour", "u1", 4)])
        rows = np.frombuffer(body, kind, count)
        faces = np.frombuffer(body[rows.nbytes :], np.dtype([("n", "u1"), ("of", "<i4", 3)]))
        return rows["at"], faces["of"], rows["colour"][:, :3] / 255
    size = int.from_bytes(lines[12:16], "little")
    tree = json.loads(lines[20 : 20 + size])
    types = {5121: "<u1", 5125: "<u4", 5126: "<f4"}

    def numbers(which, width):
        accessor = tree["accessors"][which]
        view = tree["bufferViews"][accessor["bufferView"]]
        start = 28 + size + view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        found = np.frombuffer(
            lines, types[accessor["componentType"]], accessor["count"] * width, start
        )
        return found.reshape(-1, width)

    (primitive,) = tree["meshes"][0]["primitives"]
    named = primitive["attributes"]
    colours = screen(numbers(named["COLOR_0"], 4)[:, :3] / 255)
    return numbers(named["POSITION"], 3), numbers(primitive["indices"], 1).reshape(-1, 3), colours


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
def test_a_mesh_says_what_it_is_to_a_reader_of_its_format(kind, tmp_path):
    painted = np.array([[0.65, 0.56, 0.26], [1.0, 0.0, 0.5], [0.02, 0.2, 0.9], [0.3, 0.3, 0.3]])
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    sides = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    path = write_mesh(Mesh(corners, sides, painted), tmp_path / f"a.{kind}")
    vertices, faces, colours = read_by_hand(path)
    assert np.allclose(vertices, corners)  # y stays up, z the front
    assert np.array_equal(faces, sides)
    assert np.abs(colours - painted).max() < 0.03  # bytes of linear light are coarse in the dark


def two_parts(share):
    """A tetrahedron, and beside it one whose sides are so much shorter."""
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    sides = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    return np.concatenate([corners * share + 2, corners]), np.concatenate([sides, sides + 4])


@pytest.mark.parametrize(("share", "kept"), [(0.2, 4), (0.25, 8), (1.0, 8)])
def test_a_part_is_a_crumb_where_its_area_is_under_a_twentieth(share, kept):
    vertices, faces = exports._without_crumbs(*two_parts(share))
    assert len(vertices) == kept
    assert np.array_equal(np.unique(faces), np.arange(kept))
    if kept == 4:
        assert vertices.max() == 1.0


def test_crumbs_are_dropped_unless_they_are_asked_for(blob, monkeypatch):
    monkeypatch.setattr(exports, "surface", lambda *_: two_parts(0.2))
    assert len(nerf_mesh(blob, density=DENSITY, resolution=8).faces) == 4
    assert len(nerf_mesh(blob, density=DENSITY, resolution=8, crumbs=True).faces) == 8


def test_a_mesh_is_scaled_to_the_size_asked_for(blob):
    plain, sized = (nerf_mesh(blob, density=DENSITY, resolution=16, size=s) for s in (0.0, 3.0))
    assert np.ptp(sized.vertices, axis=0).max() == pytest.approx(3.0)
    ratio = 3.0 / np.ptp(plain.vertices, axis=0).max()
    assert np.allclose(sized.vertices, plain.vertices * ratio)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"resolution": 7}, "resolution=7: expected an integer of at least 8"),
        ({"resolution": 4000}, r"resolution=4000: expected a number in \[8, 1024\]"),
        ({"size": -1.0}, r"size=-1\.0: expected a number in \[0, "),
        ({"density": 0.0}, r"density=0\.0: expected a number in \(0, "),
    ],
)
def test_a_setting_of_a_mesh_out_of_range_is_refused(blob, setting, sentence):
    with pytest.raises(ValueError, match=sentence):
        nerf_mesh(blob, **setting)


def test_a_density_that_is_nowhere_is_refused(blob):
    with pytest.raises(ValueError, match=r"density=1000000\.0: expected a number between"):
        nerf_mesh(blob, density=1e6, resolution=8)


def test_the_turntable_is_a_gif_and_an_mp4_of_all_frames(scene, tmp_path):
    with Image.open(turntable(scene, tmp_path / "turn.gif", num_frames=5)) as gif:
        assert gif.n_frames == 5
        assert gif.size == (256, 256)
    film = turntable(scene, tmp_path / "turn.mp4", num_frames=5)
    from imageio_ffmpeg import count_frames_and_secs

    assert count_frames_and_secs(str(film))[0] == 5
    assert {path.name for path in tmp_path.iterdir()} == {"turn.gif", "turn.mp4"}


@pytest.mark.parametrize(("side", "drawn"), [(64, 256), (100, 200), (512, 512)])
def test_a_turntable_is_enlarged_if_it_is_small_and_held_a_frame_at_a_time(
    side, drawn, scene, tmp_path, monkeypatch
):
    asked = []

    def grey(camera):
        asked.append(len(camera))
        return Rendering(torch.full((len(camera), 3, side, side), 0.5))

    monkeypatch.setattr(scene, "views", grey)
    with Image.open(turntable(scene, tmp_path / "turn.gif", num_frames=3)) as gif:
        assert gif.size == (drawn, drawn)
    assert asked == [1, 1, 1]


def test_a_film_that_is_not_finished_has_a_name_that_is_removed(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(ZeroDivisionError):
        turntable(scene, tmp_path / "turn.mp4", num_frames=2)
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1
    remove_partial(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_strip_holds_the_views_side_by_side(scene, tmp_path):
    with Image.open(write_strip(scene, tmp_path / "strip.png", azimuths=(0, 90))) as image:
        drawn = np.asarray(image)
    seen = scene.views(Camera.around([0, 90])).image.permute(0, 2, 3, 1).numpy()
    assert drawn.shape == (16, 32, 3)
    assert np.abs(drawn[:, 16:] / 255 - seen[1]).max() < 0.003


@pytest.mark.parametrize("seed", [None, 0])
def test_views_leave_the_scene_looking_where_it_did(blob, seed):
    blob = NeRF(grid=blob.grid, blob_height=HEIGHT, blob_radius=SHARE * RADIUS, background="random")
    size = {"height": 16, "width": 16, "num_samples": 32}
    scene = NeRFScene(blob, Camera.around([0]), **size, shading=1.0)
    if seed is not None:
        random = torch.Generator().manual_seed(seed)
        scene.look(Camera.around([5]), generator=random, done=1.0)
    before = scene.render().image
    many = scene.views(Camera.around([10, 20, 30]), batch=2).image
    assert many.shape == (3, 3, 16, 16)
    assert torch.equal(scene.render().image, before)


@pytest.mark.parametrize("call", [turntable, write_strip])
def test_nothing_is_left_of_what_cannot_be_written(scene, tmp_path, call):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        call(scene, tmp_path / "file" / "a.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_another_ending_is_refused(scene, blob, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.gif or \.mp4"):
        turntable(scene, tmp_path / "turn.avi")
    with pytest.raises(ValueError, match=r"ends in \.glb, \.obj or \.ply"):
        write_mesh(nerf_mesh(blob, density=DENSITY, resolution=8), tmp_path / "a.stl")
