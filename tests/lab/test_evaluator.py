"""The evaluator: reads prompts, learns from renders alone, and is the same network when loaded again."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from transformers import CLIPModel

import sdilib
from sdilib.cameras import VIEWS
from sdilib.lab.evaluator import ATTRIBUTES, LOOKS, Evaluator, asked, looked_at, normalised
from sdilib.lab.metrics import frechet_distance, kernel_distance, nearest_distance
from sdilib.lab.train.evaluator import (
    HELD_OUT_EVERY,
    EvaluatorConfig,
    dirtied,
    evaluator_accuracy,
    evaluator_loss,
    evaluator_scene,
    make_evaluator,
    save_evaluator,
    train_evaluator,
)
from sdilib.lab.train.loop import CHECKPOINT, LoopConfig
from sdilib.lab.train.tokenizer import write_tokenizer
from sdilib.lab.train.unet import tokenize
from sdilib.lab.train.vae import pictures
from sdilib.lab.world.captions import WORDS, is_held_out, prompt
from sdilib.lab.world.dataset import make_dataset, random_scene, scene_labels
from sdilib.lab.world.kinds import COLOURS, OBJECT_NAMES, PATTERNS
from sdilib.lab.world.scene import WorldCamera
from sdilib.lab.world.views import has_front, scene_of_view, view_margin
from sdilib.storage import load_tensors

BUNDLED = Path(sdilib.__file__).parent / "models" / "evaluator"
LOOP = LoopConfig(steps=4, learning_rate=3e-3, warmup=2, save_seconds=1e9, export_seconds=1e9)
TINY = EvaluatorConfig(
    width=16, layers=1, heads=2, patch=8, embedding=8, batch=8, count=24, test_count=24, loop=LOOP
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluator")
    networks = train_evaluator(TINY, out=out, image_size=16)
    return networks, Evaluator.from_pretrained(str(out / "evaluator")), out


@pytest.fixture
def images(generator):
    return torch.rand(5, 3, 16, 16, generator=generator)


def test_a_prompt_asks_for_what_it_was_made_of():
    for name in OBJECT_NAMES:
        for colour in ("", *COLOURS):
            for pattern in PATTERNS:
                for view in (None, *VIEWS):
                    wanted = {"object": name, "colour": colour or None, "pattern": pattern}
                    wanted["view"] = view if has_front(name) else None
                    text = prompt(name, colour, pattern=pattern, view=view)
                    assert asked(text) == wanted
                    assert asked(f"A Photo of {text}.") == wanted


def test_a_word_within_a_word_is_not_asked_for():
    assert asked("a catalogue of cartoons in redwood")["object"] is None
    assert asked("a cat in a redwood")["colour"] is None


def test_margins_are_degrees_to_the_next_word():
    for azimuth in range(-180, 180, 5):
        camera = WorldCamera(azimuth + 0.25, 10.0)
        margin = view_margin(camera)
        for turn in (-1, 1):
            inside = WorldCamera(camera.azimuth_degrees + turn * (margin - 0.01), 10.0)
            assert inside.view == camera.view
        beyond = {
            WorldCamera(camera.azimuth_degrees + turn * (margin + 0.01), 10.0).view
            for turn in (-1, 1)
        }
        assert beyond != {camera.view}


@pytest.mark.parametrize("view", VIEWS)
def test_a_scene_of_a_view_is_seen_from_there(view):
    for index in range(20):
        scene = scene_of_view("mug", "red", "striped", view, seed=5, index=index)
        looks = (scene.name, scene.colour, scene.pattern, scene.camera.view)
        assert looks == ("mug", "red", "striped", view)
    cameras = {scene_of_view("mug", "red", "plain", view, seed=5, index=i).camera for i in range(9)}
    assert len(cameras) == 9


def test_it_is_trained_on_all_combinations_of_another_seed():
    drawn = [evaluator_scene(1, i)[0] for i in range(600)]
    share = np.mean([is_held_out(s.name, s.colour, s.pattern) for s in drawn])
    assert 0.05 < share < 0.11
    assert {evaluator_scene(1, i)[0] for i in range(50)}.isdisjoint(
        random_scene(0, i)[0] for i in range(5000)
    )


def test_a_look_shows_a_share_of_the_image_moved():
    ramp = torch.linspace(0, 1, 16)
    images = torch.stack([ramp.expand(16, 16), ramp[:, None].expand(16, 16), torch.ones(16, 16)])
    assert torch.equal(looked_at(images[None], (1.0, 0.0, 0.0))[0], images)
    seen = looked_at(images[None], (0.5, 0.25, -0.5))[0]
    pixel = torch.arange(16) + 0.5
    right, down = ((0.5 * (2 * pixel / 16 - 1) + by + 1) * 8 - 0.5 for by in (0.25, -0.5))
    torch.testing.assert_close(seen[0], (right / 15).clamp(0, 1).expand(16, 16))
    torch.testing.assert_close(seen[1], (down / 15).clamp(0, 1)[:, None].expand(16, 16))
    torch.testing.assert_close(seen[2], images[2])


def test_what_is_read_out_is_the_mean_of_the_looks(trained, images):
    networks, evaluator, _ = trained
    assert evaluator.looks == list(LOOKS)
    layer = networks["readouts"]["object"]
    each = [layer(evaluator.features(looked_at(images, look))).softmax(1) for look in LOOKS]
    expected = torch.stack(each).mean(0)
    found = evaluator.attributes(images).probabilities["object"]
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_dirt_keeps_the_picture_recognisable_and_is_the_streams(generator):
    x = torch.full((6, 3, 32, 32), 0.84)
    x[:, 0, 8:24, 8:24] = -0.9
    one, other = (dirtied(x, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one[0], one[1])
    middle, edge = one[..., 13:19, 13:19].mean((2, 3)), one[..., :3, :3].mean((2, 3))
    assert ((middle[:, 0] + 0.9).abs() < 0.3).all()
    assert ((edge - 0.84).abs() < 0.3).all()


def test_dirt_moves_resizes_and_bends_what_is_there():
    x = torch.full((400, 3, 32, 32), 0.84)
    x[..., 8:24, 8:24] = -0.9
    dark = (dirtied(x, torch.Generator().manual_seed(3)).mean(1) < 0).float()
    area, across = dark.sum((1, 2)), torch.arange(32.0) - 15.5
    place = (dark.sum(1) * across).sum(1) / area
    # 16 pixels a side, resized by 1 / 0.85 to 1 / 1.15, moved by up to 1.6 pixels.
    assert 150 < float(area.quantile(0.02)) < 215
    assert 300 < float(area.quantile(0.98)) < 400
    assert 0.5 < float(place.std()) < 1.3
    assert float(place.abs().max()) < 4
    # A square stays no square: rows are not all as wide as each other.
    width = dark[:, 12:20].sum(2)
    assert float(width.std(1).mean()) > 0.3


def test_dirt_covers_a_small_square_of_half_the_pictures():
    x = dirtied(torch.full((400, 3, 32, 32), 0.84), torch.Generator().manual_seed(3)).mean(1)
    covered = (x - x.flatten(1).median(1).values[:, None, None]).abs() > 0.6
    # Those of a colour near the background's, or smaller than a pixel, are not seen.
    assert 0.2 < float(covered.any(2).any(1).float().mean()) < 0.5
    assert float(covered.float().mean((1, 2)).max()) < 0.2**2 * 1.3


def test_the_loss_falls_to_nothing_for_a_perfect_judge():
    """Embeddings that agree for equal captions alone, and read-outs that point at the labels."""
    tokens, labels = (
        torch.tensor([[0, 1], [0, 2], [0, 1]]),
        torch.tensor([[0] * 4, [1] * 4, [0] * 4]),
    )
    basis = 50 * torch.eye(16)[labels[:, 0]]

    class Clip(torch.nn.Module):
        logit_scale = torch.tensor(5.0)
        text_projection = visual_projection = torch.nn.Identity()

        def vision_model(self, pixel_values):
            return type("Output", (), {"pooler_output": pixel_values[:, 0].flatten(1)})

        def text_model(self, input_ids):
            return type("Output", (), {"pooler_output": basis})

    readouts = torch.nn.ModuleDict({name: torch.nn.Identity() for name in ATTRIBUTES})
    networks = torch.nn.ModuleDict({"clip": Clip(), "readouts": readouts})
    numbers = evaluator_loss(networks, basis.view(3, 1, 4, 4).expand(3, 3, 4, 4), tokens, labels)
    # Two captions are equal: each of their images may be matched with either, which costs log 2.
    assert float(numbers["contrast"]) == pytest.approx(2 / 3 * math.log(2), abs=1e-4)
    assert all(float(numbers[name]) < 1e-4 for name in ATTRIBUTES)


def test_it_learns_its_renders(tmp_path):
    config = replace(TINY, width=32, count=32, batch=32, loop=replace(LOOP, learning_rate=1e-2))
    data = make_dataset(tmp_path, count=32, seed=1, image_size=16)
    tokenizer = write_tokenizer(tmp_path / "tokenizer", WORDS)
    networks = make_evaluator(config, tokenizer, image_size=16)
    x = pictures(data, np.arange(32))
    of = (x, tokenize(tokenizer, list(data.captions)), torch.from_numpy(data.labels))
    optimiser, losses = torch.optim.Adam(networks.parameters(), 3e-3), []
    for _ in range(100):
        numbers = evaluator_loss(networks, *of)
        losses.append({name: value.item() for name, value in numbers.items()})
        numbers["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
    for name in ("contrast", *ATTRIBUTES):
        assert losses[-1][name] < 0.6 * losses[0][name], name


def test_its_own_data_is_what_it_says(tmp_path):
    drawn = {"count": 30, "seed": 1, "image_size": 16, "held_out_every": HELD_OUT_EVERY}
    data = make_dataset(tmp_path, **drawn)
    for i in (0, 7, 29):
        scene, text = evaluator_scene(1, i)
        assert data.captions[i] == text
        assert tuple(data.labels[i]) == scene_labels(scene)
    before = (tmp_path / "images.npy").stat().st_mtime_ns
    make_dataset(tmp_path, **drawn)
    assert (tmp_path / "images.npy").stat().st_mtime_ns == before


def test_a_run_that_was_stopped_resumes_to_the_same_bits(trained, tmp_path):
    train_evaluator(replace(TINY, loop=replace(LOOP, steps=2)), out=tmp_path, image_size=16)
    train_evaluator(TINY, out=tmp_path, image_size=16)
    whole, parts = (load_tensors(folder / CHECKPOINT) for folder in (trained[2], tmp_path))
    assert int(whole["step"]) == TINY.loop.steps
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_what_is_loaded_is_what_was_trained(trained, images):
    networks, evaluator, _ = trained
    with torch.no_grad():
        pooled = networks["clip"].vision_model(pixel_values=2 * images - 1).pooler_output
        torch.testing.assert_close(evaluator.features(images), pooled, atol=0.02, rtol=0.02)


def test_its_score_is_that_of_the_stock_clip(trained, images):
    _, evaluator, out = trained
    prompts = ["a red mug", "a blue rocket", "a cat", "a green boat", "a red mug, back view"]
    stock = CLIPModel.from_pretrained(str(out / "evaluator"), dtype=torch.float32).eval()
    tokens = tokenize(write_tokenizer(out / "again", WORDS), prompts)
    with torch.no_grad():
        output = stock(input_ids=tokens, pixel_values=2 * images - 1)
    cosines = (output.image_embeds * output.text_embeds).sum(1)
    torch.testing.assert_close(evaluator.score(images, prompts), cosines, atol=1e-5, rtol=1e-4)


def test_images_of_any_size_are_taken(trained, images):
    _, evaluator, _ = trained
    large = images.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert evaluator.features(large).shape == evaluator.features(images).shape
    flat = torch.full((1, 3, 100, 60), 0.25)
    assert torch.allclose(normalised(flat, 16), torch.full((1, 3, 16, 16), -0.5))
    assert normalised(2 * torch.ones(1, 3, 16, 16), 16).max() == 1


def test_accuracy_is_one_for_what_it_sees_and_nan_for_what_is_not_asked(trained, images):
    _, evaluator, _ = trained
    seen = evaluator.attributes(images)
    assert seen.probabilities["view"].sum(1) == pytest.approx([1.0] * 5)
    rows = zip(*(seen.words(name) for name in ("object", "colour", "pattern", "view")), strict=True)
    right = [prompt(name, c, pattern=p, view=v) for name, c, p, v in rows]
    found = evaluator.accuracy(images, right)
    assert found["object"].tolist() == found["colour"].tolist() == found["pattern"].tolist()
    assert found["object"].tolist() == [1.0] * 5
    other = next(name for name in OBJECT_NAMES if name not in seen.words("object"))
    found = evaluator.accuracy(images, [f"a {other}"] * 5)
    assert found["object"].tolist() == [0.0] * 5
    assert found["colour"].isnan().all()
    assert found["view"].isnan().all()
    with pytest.raises(ValueError, match="5 images"):
        evaluator.accuracy(images, ["a mug"])


def test_a_prompt_too_long_is_refused(trained, images):
    _, evaluator, _ = trained
    with pytest.raises(ValueError, match="at most 14"):
        evaluator.score(images[:1], ["a red mug" * 20])


def test_a_folder_that_lacks_a_part_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"evaluator=.*expected a folder of an evaluator"):
        Evaluator.from_pretrained(str(tmp_path))


def test_its_accuracy_is_measured_where_views_are_clear(trained):
    _, evaluator, out = trained
    card = json.loads((out / "evaluator" / "evaluator.json").read_text())
    assert card["accuracy"] == evaluator_accuracy(evaluator, count=24, image_size=16)

    class Oracle(Evaluator):
        """Sees what is there, but errs in the view wherever it is unclear."""

        def __init__(self):
            self.start = 0

        def attributes(self, images):
            scenes = [evaluator_scene(2, self.start + i)[0] for i in range(len(images))]
            self.start += len(images)
            labels = np.array([scene_labels(scene) for scene in scenes])
            unclear = [not has_front(s.name) or view_margin(s.camera) < 15 for s in scenes]
            labels[unclear, 3] = (labels[unclear, 3] + 1) % 4
            columns = dict(zip(ATTRIBUTES, torch.from_numpy(labels).T, strict=True))
            return type("Seen", (), {"numbers": lambda _, name: columns[name]})()

    found = evaluator_accuracy(Oracle(), count=300, image_size=8)
    assert found["object"] == found["colour"] == found["pattern"] == found["view"] == 1.0
    assert 0.3 < found["view, everywhere"] < 0.8
    assert "view" not in found["by object"]["strawberry"]


def test_frechet_distance_of_gaussians_is_that_of_their_parameters(generator):
    a = torch.randn(20000, 3, generator=generator, dtype=torch.float64)
    b = a * torch.tensor([2.0, 1.0, 0.5]) + torch.tensor([1.0, 0.0, 0.0])
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(1 + 1 + 0.25, rel=0.05)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b))


def test_frechet_distance_where_covariances_do_not_commute(generator):
    one = torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.3]])
    other = torch.tensor([[0.5, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    a, b = (torch.randn(4000, 3, generator=generator) @ mixed for mixed in (one, other))
    a, b = a.double(), b.double()
    s, t = (each.T.cov().numpy() for each in (a, b))
    shift = float((a.mean(0) - b.mean(0)).square().sum())
    expected = shift + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_of_points_is_the_kernels_sum():
    # (x · y / 2 + 1)^3 is 27 among the twos, and 1 elsewhere.
    twos = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    assert kernel_distance(twos, torch.zeros(2, 2)) == pytest.approx(27 + 1 - 2)


def test_kernel_distance_is_unbiased_and_sees_a_shift(generator):
    draws = [
        kernel_distance(*torch.randn(2, 20, 4, generator=generator).unbind()) for _ in range(200)
    ]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / math.sqrt(200)
    a, b = torch.randn(2, 300, 4, generator=generator).unbind()
    assert kernel_distance(a, b + 1) > 10 * abs(kernel_distance(a, b))
    with pytest.raises(ValueError, match="two items or more"):
        kernel_distance(a[:1], b)


def test_nearest_distance_is_to_the_nearest():
    a, b = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 1.0], [3.0, 4.0]])
    assert nearest_distance(a, b).tolist() == pytest.approx([1.0, 0.0], abs=1e-5)


@pytest.mark.skipif(not BUNDLED.is_dir(), reason="no evaluator is shipped yet")
def test_the_bundled_evaluator_is_small_and_as_good_as_its_card_says():
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < 6e6
    evaluator = Evaluator.from_pretrained()
    found = evaluator_accuracy(evaluator, count=256, seed=7)
    for name in ATTRIBUTES:
        assert found[name] > evaluator.card["accuracy"][name] - 0.05, name


def test_a_saved_evaluator_holds_no_path(trained, tmp_path):
    networks, _, _ = trained
    save_evaluator(tmp_path / "x", networks, TINY, image_size=16)
    for path in (tmp_path / "x").rglob("*.json"):
        assert str(tmp_path) not in path.read_text(), path


def test_loading_it_says_nothing(capfd):
    Evaluator.from_pretrained()
    assert capfd.readouterr() == ("", "")
