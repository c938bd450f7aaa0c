"""A mesh in a page: it turns by mouse, wheel and keys, from a file, with no kernel and no network."""

import pytest
from browser.steps import drag

from sdilib.lab.mesh_page import mesh_frame, mesh_page
from sdilib.lab.world.mesh import mesh
from sdilib.lab.world.scene import WorldScene


@pytest.fixture(scope="module")
def mug() -> str:
    return mesh_page(mesh(WorldScene("mug", "red", "spotted")), title="a red <mug>")


def test_it_turns_and_zooms(mug, page, shoot, tmp_path):
    path = tmp_path / "mesh.html"
    path.write_text(mug, encoding="utf-8")
    page.goto(path.as_uri())
    page.locator("canvas").wait_for()
    page.wait_for_timeout(300)
    seen = [shoot("mesh")]
    drag(page, at=(600, 400), by=(200, -100))
    page.wait_for_timeout(300)
    seen.append(shoot("mesh-turned"))
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(300)
    seen.append(page.screenshot())
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    seen.append(page.screenshot())
    assert len(set(seen)) == len(seen)
    page.locator("canvas").dblclick()
    page.wait_for_timeout(300)
    assert page.screenshot() not in seen[1:]
    page.locator("input").fill("180")
    page.wait_for_timeout(300)
    assert page.screenshot() not in seen


def test_it_is_an_element_of_another_page(mug, page, tmp_path):
    path = tmp_path / "saved.html"
    path.write_text(f"<h1>saved</h1>{mesh_frame(mug)}", encoding="utf-8")
    page.goto(path.as_uri())
    page.frame_locator("iframe").locator("canvas").wait_for()
    assert page.frames[1].title() == "a red <mug>"
    page.wait_for_timeout(300)
    before = page.screenshot()
    drag(page, at=(600, 250), by=(100, 0))
    page.wait_for_timeout(300)
    assert page.screenshot() != before


def test_without_webgl_there_is_the_picture(page, tmp_path):
    made = mesh_page(
        mesh(WorldScene("mug", "red", "plain"), resolution=16), title="a mug", poster=b"\x89PNG"
    )
    path = tmp_path / "mesh.html"
    path.write_text(made.replace('getContext("webgl2"', 'getContext("none"'), encoding="utf-8")
    page.goto(path.as_uri())
    assert page.locator("img").get_attribute("src") == "data:image/png;base64,iVBORw=="
    assert "needs scripts and WebGL 2" in page.locator("p").inner_text()
    assert not page.locator("canvas").is_visible()
    assert not page.locator("input").is_visible()
