"""The page holds the mesh, to 16 bits a coordinate, and asks nobody for anything."""

import base64
import re

import numpy as np
import pytest

from sdilib.lab.mesh_page import _TEMPLATE, mesh_frame, mesh_page
from sdilib.lab.world.mesh import Mesh, mesh
from sdilib.lab.world.scene import WorldScene


@pytest.fixture(scope="module")
def mug() -> Mesh:
    return mesh(WorldScene("mug", "red", "plain"), resolution=24)


def test_the_page_holds_the_mesh(mug):
    page = mesh_page(mug, title="a mug")

    def read(name: str, kind: str) -> np.ndarray:
        (text,) = re.findall(rf'{name} = bytes\("(.*?)"', page)
        return np.frombuffer(base64.b64decode(text), kind).reshape(-1, 3)

    (scale,) = re.findall(r"scale = (\S+) / 32767", page)
    corners = read("corners", "<i2") * (float(scale) / 32767)
    np.testing.assert_allclose(corners, mug.vertices, atol=float(scale) / 32767)
    np.testing.assert_array_equal(read("triangles", "<u4"), mug.faces)
    np.testing.assert_allclose(read("colours", "u1") / 255, mug.colours, atol=0.002)


def test_the_page_asks_nobody_and_is_small(mug):
    page = mesh_page(mug, title="a mug")
    assert "://" not in page
    assert _TEMPLATE.stat().st_size < 8_000


def test_titles_and_frames_are_escaped(mug):
    page = mesh_page(mug, title='a "<b>" mug')
    assert "<b>" not in page
    frame = mesh_frame(page)
    assert frame.count('"') == 4  # of the frame's own two attributes
