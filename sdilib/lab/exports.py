"""Exports of a run: a turntable, a strip of views, a mesh with vertex colours."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sdilib.cameras import Camera
from sdilib.checks import in_range, positive_int, reject
from sdilib.lab.world.mesh import Mesh, surface
from sdilib.nerf.field import NeRF
from sdilib.scenes import Scene3D
from sdilib.storage import atomic_write, partial_path

Around = Callable[[Sequence[int | float]], Camera]

MESH_KINDS = ("glb", "obj", "ply")

_CRUMB = 1 / 20  # of the largest part's area
_RATE = 16  # frames of a turntable per second
_SIDE = 256  # pixels per side that small renders are enlarged to there


def write_strip(
    scene: Scene3D,
    path: str | Path,
    *,
    azimuths: Sequence[int | float] = (0, 45, 90, 135, 180, 225, 270, 315),
    around: Around = Camera.around,
) -> Path:
    """Write views side by side as PNG.

    Args:
        scene: what is seen.
        path: of the file.
        azimuths: in degrees.
        around: the cameras at some azimuths, such as a run's `Text3D.around`.
    """
    return atomic_write(path, png_bytes(_images(scene, around(azimuths))))


def png_bytes(images: Float[torch.Tensor, "n 3 height width"]) -> bytes:
    """Return images side by side, as a PNG.

    Args:
        images: clamped to [0, 1].
    """
    drawn = io.BytesIO()
    Image.fromarray(np.concatenate(list(_bytes(images)), axis=1)).save(drawn, format="PNG")
    return drawn.getvalue()


def turntable(
    scene: Scene3D, path: str | Path, *, num_frames: int = 48, around: Around = Camera.around
) -> Path:
    """Write one turn around the object, as GIF or MP4 according to the path's suffix.

    Args:
        scene: what is seen.
        path: ends in .gif or .mp4.
        num_frames: of the turn.
        around: as in `write_strip`.

    Raises:
        ValueError: another suffix, or a number below 1.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".gif", ".mp4"):
        reject("path", str(path), "a file that ends in .gif or .mp4")
    frames = _turn(scene, positive_int("num_frames", num_frames), around)
    path.parent.mkdir(parents=True, exist_ok=True)
    return _write_mp4(frames, path) if kind == ".mp4" else atomic_write(path, _gif(frames, _RATE))


def _turn(
    scene: Scene3D, num_frames: int, around: Around
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """One frame at a time: at the size of a GPU's run, all together take gigabytes."""
    for k in range(num_frames):
        seen = _images(scene, around([360 * k / num_frames]))
        zoom = max(1, _SIDE // seen.shape[-1])
        yield _bytes(torch.nn.functional.interpolate(seen, scale_factor=zoom, mode="bicubic"))[0]


def gif_bytes(
    frames: Float[torch.Tensor, "frames 3 height width"], *, frames_per_second: int = 8
) -> bytes:
    """Return a film as a GIF that repeats forever.

    Args:
        frames: clamped to [0, 1].
        frames_per_second: at which it plays, at most 50; a GIF counts in hundredths of a second, so others than 50, 25,
            20, 10 … are rounded.

    Raises:
        ValueError: a number outside its range.
    """
    positive_int("frames_per_second", frames_per_second, at_most=50)
    return _gif(_bytes(frames), frames_per_second)


def _gif(frames: Iterable[UInt8[np.ndarray, "height width 3"]], rate: int) -> bytes:
    images = map(Image.fromarray, frames)
    drawn, shown = io.BytesIO(), {"duration": round(1000 / rate), "loop": 0}
    next(images).save(drawn, "GIF", save_all=True, append_images=images, **shown)
    return drawn.getvalue()


def _write_mp4(frames: Iterator[UInt8[np.ndarray, "height width 3"]], path: Path) -> Path:
    from imageio_ffmpeg import write_frames

    first, beside = next(frames), partial_path(path)
    how: Any = {"fps": _RATE, "macro_block_size": 1, "ffmpeg_log_level": "error"}
    how["output_params"] = ["-f", "mp4"]  # which the name does not say
    writer = write_frames(str(beside), first.shape[1::-1], **how)
    try:
        writer.send(None)
        for frame in chain([first], frames):
            writer.send(np.ascontiguousarray(frame))
        writer.close()
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def check_mesh(*, density: float = 15.0, resolution: int = 96, size: float = 0.0) -> None:
    """Check the arguments of `nerf_mesh` before there is a field.

    Args:
        density: see `nerf_mesh`.
        resolution: see `nerf_mesh`.
        size: see `nerf_mesh`.

    Raises:
        ValueError: a number out of range.
    """
    in_range("density", density, 0, 1e9, open_low=True)
    in_range("resolution", positive_int("resolution", resolution, at_least=8), 8, 1024)
    in_range("size", size, 0, 1e9)


@torch.no_grad()
def nerf_mesh(
    nerf: NeRF,
    *,
    density: float = 15.0,
    resolution: int = 96,
    size: float = 0.0,
    crumbs: bool = False,
) -> Mesh:
    """Return the surface of equal density, with the field's colours at its vertices; +Y is up, +Z the front.

    Args:
        nerf: the field.
        density: absorption per unit length at the surface, above 0.
        resolution: cells along each side of the cube that holds the field, 8 to 1024; memory grows with its cube.
        size: 0, or the length of the mesh's longest side, to which it is scaled.
        crumbs: whether to keep loose parts with less than a twentieth of the largest part's area.

    Raises:
        ValueError: a number out of range, or a field that is nowhere or everywhere that dense.
    """
    check_mesh(density=density, resolution=resolution, size=size)
    device = next(nerf.parameters()).device
    axis = torch.linspace(-nerf.radius, nerf.radius, resolution + 1)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    values = torch.cat([nerf.density(part.to(device)).cpu() for part in points.split(65_536)])
    values[points.norm(dim=-1) > nerf.radius] = 0.0  # the field ends at its ball
    grid = values.reshape(resolution + 1, resolution + 1, resolution + 1).numpy()
    if not grid.min() < density < grid.max():
        reject("density", density, f"a number between {grid.min():.3g} and {grid.max():.3g}")

    # In logarithms, the surface between two vertices lies where an exponential density would put it.
    vertices, faces = surface(np.log(density + 1e-3) - np.log(grid + 1e-3), nerf.radius)
    if not crumbs:
        vertices, faces = _without_crumbs(vertices, faces)
    at = torch.tensor(vertices, dtype=torch.float32, device=device)
    colours = nerf.density_and_colour(at)[1].cpu().double().numpy()
    scale = size / np.ptp(vertices, axis=0).max() if size else 1.0
    return Mesh(vertices * scale, faces, colours)


def _without_crumbs(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "kept 3"], Int[np.ndarray, "left 3"]]:
    """The parts of a surface that are not tiny compared with the largest."""
    ends = np.concatenate([faces[:, :2], faces[:, 1:]])
    links = coo_array((np.ones(len(ends)), tuple(ends.T)), shape=(len(vertices),) * 2)
    part = connected_components(links, directed=False)[1][faces[:, 0]]
    a, b, c = vertices[faces].transpose(1, 0, 2)
    areas = np.bincount(part, np.linalg.norm(np.cross(b - a, c - a), axis=1))
    kept = faces[areas[part] >= _CRUMB * areas.max()]
    used, renamed = np.unique(kept, return_inverse=True)
    return vertices[used], renamed.reshape(-1, 3)


def write_mesh(mesh: Mesh, path: str | Path) -> Path:
    """Write a mesh with vertex colours, as GLB, OBJ or PLY.

    Args:
        mesh: see `nerf_mesh`, or `sdilib.lab.world.mesh`.
        path: ends in .glb, .obj or .ply.

    Raises:
        ValueError: another suffix.
    """
    import trimesh  # only this needs it
    from trimesh.exchange.gltf import export_glb

    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in MESH_KINDS:
        reject("path", str(path), "a file that ends in .glb, .obj or .ply")
    colours = mesh.colours.clip(0, 1)
    if kind == "glb":  # glTF's vertex colours are linear; OBJ's and PLY's are as screens show them
        colours = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    bytes_of = (255 * np.c_[colours, np.ones(len(colours))]).round().astype(np.uint8)
    triangles = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=bytes_of, process=False)
    if kind == "glb":
        written = export_glb(trimesh.Scene(triangles), tree_postprocessor=_matt)  # pyright: ignore[reportArgumentType] # annotated as a dict
    else:
        written = triangles.export(file_type=kind)
    assert isinstance(written, bytes | str)  # other kinds give a dictionary
    return atomic_write(path, written)


def _matt(tree: dict[str, Any]) -> None:
    """Give a glTF's meshes a material: without one, they look like polished metal."""
    tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}]
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["material"] = 0


def _images(scene: Scene3D, camera: Camera) -> Float[torch.Tensor, "views 3 height width"]:
    return scene.views(camera).image.clamp(0, 1)


def _bytes(
    images: Float[torch.Tensor, "n 3 height width"],
) -> UInt8[np.ndarray, "n height width 3"]:
    return (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
