"""Files that a finished run exports to its folder: pictures of any run, and meshes if its scene is a radiance field."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sdilib.checks import reject
from sdilib.lab.exports import (
    MESH_KINDS,
    check_mesh,
    nerf_mesh,
    png_bytes,
    turntable,
    write_mesh,
    write_strip,
)
from sdilib.lab.mesh_page import mesh_page
from sdilib.lab.runs.folders import CONFIG, SCENE, config_of
from sdilib.lab.runs.making import Finished
from sdilib.lab.world.mesh import Mesh
from sdilib.scenes import ImageScene
from sdilib.stable_diffusion import StableDiffusion
from sdilib.storage import atomic_write, load_tensors, read_json

MESH_PAGE = "mesh.html"
"""Page in the folder of a 3D run that shows its surface, turned with the mouse."""


def reopened(
    folder: Path, load: Callable[[str], StableDiffusion] = StableDiffusion.from_pretrained
) -> tuple[Finished[Any], StableDiffusion]:
    """Return a finished run from its files, even if the code of its rule has changed since, and its model.

    Args:
        folder: of the run.
        load: loads a model by its name.

    Raises:
        ValueError: settings of another version; an image whose model, which decodes it, has other weights by now; or a
            field whose hash grid's library is not here.
    """
    settings = read_json(folder / CONFIG)
    config = config_of(settings)
    model = load(config.model)
    built = config.build(model)
    if settings["scene"] == "image" and settings["model_hash"] != model.hash:
        reject("model", config.model, "the weights that the run was made with, to decode its image")
    if getattr(built.config, "backend", "") != settings.get("backend", ""):
        expected = "the package tinycudann and a CUDA device here, as where the run was made"
        reject("backend", settings["backend"], expected)
    built.restore(load_tensors(folder / SCENE))
    return Finished(folder, built.config, built.scene, "", 0.0, 0, ()), model


def pictures(run: Finished[Any], model: StableDiffusion) -> Iterator[Path]:
    """Write the pictures of a run that do not exist yet; yields the files of all pictures.

    Args:
        run: not diverged.
        model: of the run.
    """
    for name, write in _pictures(run, model).items():
        path = run.folder / name
        yield path if path.exists() else write(path)


def export(
    run: Finished[Any], model: StableDiffusion, *, mesh: Mapping[str, Any] | None = None
) -> Iterator[Path]:
    """Write all exports of a run; yields the files, a mesh last.

    Args:
        run: not diverged.
        model: of the run.
        mesh: arguments of `nerf_mesh`.

    Raises:
        ValueError: a number out of range; or, after the rest is written, a field that is nowhere dense enough.
    """
    check_mesh(**{name: value for name, value in (mesh or {}).items() if name != "crumbs"})
    writers = _pictures(run, model)
    if turns := writers.get("turntable.gif"):
        writers["turntable.mp4"] = turns
    for name, write in writers.items():
        yield write(run.folder / name)
    if (field := getattr(run.scene, "field", None)) is not None:
        surface = nerf_mesh(field, **mesh or {})
        for kind in MESH_KINDS:
            yield write_mesh(surface, run.folder / f"mesh.{kind}")
        yield write_mesh_page(run, surface)


def write_mesh_page(run: Finished[Any], surface: Mesh) -> Path:
    """Write the surface of a 3D run as a web page, with a picture for browsers that cannot turn it.

    Args:
        run: whose scene is a field.
        surface: of the field.
    """
    poster = png_bytes(run.scene.views(run.config.around([22.5])).image)
    page = mesh_page(surface, title=run.config.prompt, poster=poster)
    return atomic_write(run.folder / MESH_PAGE, page)


@torch.no_grad()
def _pictures(run: Finished[Any], model: StableDiffusion) -> dict[str, Callable[[Path], Path]]:
    if isinstance(run.scene, ImageScene):
        drawn = png_bytes(model.decode(run.scene.values).float())
        return {"image.png": partial(atomic_write, content=drawn)}
    return {
        "views.png": partial(write_strip, run.scene, around=run.config.around),
        "turntable.gif": partial(turntable, run.scene, around=run.config.around),
    }
