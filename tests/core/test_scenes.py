import torch

from sdilib.scenes import ImageScene, Scene


def test_an_image_renders_itself_with_a_graph_and_copies_its_start():
    start = torch.ones(2, 3, 4, 4)
    scene = ImageScene(start, space="pixels")
    scene.render().image.sum().backward()
    (parameter,) = scene.parameters()
    torch.testing.assert_close(parameter.grad, torch.ones(2, 3, 4, 4))
    start.zero_()
    assert float(scene.render().image.detach().min()) == 1
    assert isinstance(scene, Scene)
    assert ImageScene(start).space == "latents"


def test_an_image_has_no_penalty_no_depth_and_nothing_measured():
    seen = ImageScene(torch.zeros(1, 4, 2, 2)).render()
    assert (seen.penalty, seen.depth, dict(seen.measured)) == (None, None, {})


def test_state_is_a_copy_and_restores_in_place():
    scene = ImageScene(torch.zeros(1, 4, 2, 2))
    (parameter,) = scene.parameters()
    state = scene.state_dict()
    with torch.no_grad():
        parameter += 1
    assert float(state["values"].abs().max()) == 0
    scene.load_state_dict(state)
    assert next(scene.parameters()) is parameter
    assert float(parameter.detach().abs().max()) == 0
