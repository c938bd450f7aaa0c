"""A mesh as a single HTML page, which turns by mouse, touch and keys without kernel, network or library.

A page of our own, because each saved notebook and export keeps one: ours is six kilobytes and the mesh. That of viser 1.1
is almost 3 MB, and its server listens on all of a machine's addresses unless told otherwise; that of trimesh 5.2, which
holds three.js, is 0.7 MB.
"""

import base64
import html
from pathlib import Path
from string import Template

import numpy as np

from sdilib.lab.world.mesh import Mesh

_TEMPLATE = Path(__file__).with_suffix(".html")


def mesh_page(mesh: Mesh, *, title: str, poster: bytes = b"") -> str:
    """Return the page: a few kilobytes of code, and the mesh with 16 bits per coordinate.

    Args:
        mesh: with colours at its vertices.
        title: of the page.
        poster: PNG for a browser without WebGL 2.
    """
    scale = float(np.abs(mesh.vertices).max())
    texts = {
        "corners": (mesh.vertices / scale * 32767).round().astype("<i2"),
        "colours": (mesh.colours.clip(0, 1) * 255).round().astype("u1"),
        "triangles": mesh.faces.astype("<u4"),
    }
    encoded = {name: base64.b64encode(each.tobytes()).decode() for name, each in texts.items()}
    named = {"title": html.escape(title), "scale": f"{scale:.6g}"}
    named["poster"] = base64.b64encode(poster).decode()
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(encoded | named)


def mesh_frame(page: str, *, height: int = 420) -> str:
    """Return a page as an element of another one: a notebook, or a saved copy of it.

    Args:
        page: from `mesh_page`.
        height: in pixels.
    """
    look = f"width: 100%; height: {height}px; border: 0; border-radius: 8px"
    return f'<iframe style="{look}" srcdoc="{html.escape(page)}"></iframe>'
