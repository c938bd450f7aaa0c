"""3D runs side by side: made once, measured against the world's own objects, and drawn."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up import SMALL

from sdilib.cameras import Camera
from sdilib.lab import presets
from sdilib.lab.claims import Less, Rare
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.experiments.shared.objects import (
    AZIMUTHS,
    ELEVATION,
    Comparison,
    Looked,
    compared,
    halfway,
    looked_at,
    measured,
    nearest_member,
    run_of,
    sides,
)
from sdilib.lab.runs import Finished
from sdilib.lab.world.nearest import rendered
from sdilib.lab.world.render import render_batch
from sdilib.lab.world.scene import WorldCamera, WorldScene
from sdilib.nerf.field import NeRF
from sdilib.nerf.scene import NeRFScene
from sdilib.stable_diffusion import StableDiffusion

PROMPT = "a red spotted mushroom"
SETTINGS = presets.resolve("run3d", "laptop")


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator.from_pretrained()


@pytest.fixture(scope="module")
def page():
    model = StableDiffusion.from_pretrained("tiny")
    return SimpleNamespace(
        model=model,
        evaluator=None,
        prompts=["a red mug"],
        run=SETTINGS | SMALL | {"steps": 1},
        config={},
        seed=0,
    )


def truth(name="mushroom", *, turn=0.0, distance=3.6, colour="red", pattern="spotted"):
    scenes = [
        WorldScene(name, colour, pattern, WorldCamera(azimuth + turn, ELEVATION, distance))
        for azimuth in AZIMUTHS
    ]
    images, silhouettes, _ = render_batch(scenes)
    return Looked(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(silhouettes))


def finished(scene=None, diverged=""):
    return Finished(Path(), run_of(SETTINGS, PROMPT), scene, diverged, 2.0, 3, ())


def seen(prompts, evaluator=None, **looked):
    """Runs of which only the views matter."""
    runs = {name: [finished()] * len(each) for name, each in looked.items()}
    made = Comparison(prompts, runs, evaluator)
    made.__dict__["looked"] = looked
    return made


def test_a_method_changes_the_settings():
    run = run_of(SETTINGS, "a red mug", kappa="random")
    assert (run.rule_settings["kappa"], run.steps) == ("random", SETTINGS["steps"])
    with pytest.raises(ValueError, match="steps=0"):
        run_of(SETTINGS, "a red mug", steps=0)


def test_half_a_run_has_the_times_and_penalties_of_the_whole_ones_first_half():
    settings = SETTINGS | {"z_variance": 0.1}
    whole = run_of(settings, "a red mug")
    half = run_of(settings, "a red mug", **halfway(settings)["SDI"])
    assert 2 * half.steps == whole.steps
    for name in ("opaqueness", "z_variance"):  # they grow from 0 to this
        assert getattr(half, name) / half.steps == getattr(whole, name) / whole.steps > 0
    assert half.growth_share == whole.growth_share == 1.0
    fall = [(run.t_start - run.t_end) / run.steps for run in (half, whole)]
    assert fall[0] == pytest.approx(fall[1])


def test_half_a_run_of_the_papers_has_its_shares_of_the_whole():
    settings = presets.resolve("run3d", "gpu", model="tiny")
    whole = run_of(settings, "a red mug")
    half = run_of(settings, "a red mug", **halfway(settings)["SDI"])
    for run, doubled in ((whole, 1), (half, 2)):
        assert run.sparsity_share == pytest.approx(doubled * 0.3)
        assert run.progressive_start == pytest.approx(doubled * 0.2)
        assert (run.opaqueness, run.z_variance, run.growth_share) == (0.1, 1.0, 0.0)
    assert half.progressive_share == 1.0  # half-way only some of the levels are there


def test_runs_are_made_once_and_measured(page, tmp_path):
    variants = {"SDI": {}, "again": {}, "random": {"kappa": "random"}}
    made = compared(page, variants, root=tmp_path)
    assert made.runs["SDI"][0].folder == made.runs["again"][0].folder
    assert len(list(tmp_path.iterdir())) == 2
    assert torch.equal(made.looked["SDI"][0].images, made.looked["again"][0].images)
    assert made.seconds == pytest.approx(sum(float(x) for x in made.numbers["seconds"].values()))
    assert made.seconds > 0
    assert made.record["diverged"]["random"] == [""]
    assert float(made.numbers["diverged"]["random"]) == 0.0
    spent = page.model.num_forwards
    compared(page, variants, root=tmp_path)
    assert page.model.num_forwards == spent


def test_each_seed_of_a_page_is_a_run_of_each_prompt(page, tmp_path):
    changes = {"prompts": ["a mug", "a cat"], "config": {"num_seeds": 2}, "seed": 7}
    made = compared(SimpleNamespace(**vars(page) | changes), {"SDI": {}}, root=tmp_path)
    runs = [(run.config.prompt, run.config.seed) for run in made.runs["SDI"]]
    assert runs == [("a mug", 7), ("a cat", 7), ("a mug", 8), ("a cat", 8)]
    assert made.prompts == [prompt for prompt, _ in runs]
    made = compared(
        SimpleNamespace(**vars(page) | changes), {"SDI": {}}, root=tmp_path, seeds_apart=True
    )
    assert [run.config.seed for run in made.runs["SDI"]] == [7, 107, 8, 108]


def test_claims_name_what_stands_in_for_the_kernel_distance():
    made = seen([PROMPT], SDI=[truth()], blank=[looked_at(finished(diverged="why"))])
    rows = [
        Less("Better by {by}", "distance", "SDI", "blank"),
        Less("Nearer", "kernel distance", "SDI", "blank"),
        Less("Own", "gain", "a", "b"),
        Rare("Few diverge", "diverged", "SDI", at_most=0.05),
    ]
    better, nearer, own, few = made.check(rows, {"gain": {"a": [1.0], "b": [2.0]}})
    assert better.claim == "Better by fine detail"
    assert better.measured["difference"] < 0  # more detail is a smaller distance
    assert (nearer.n, nearer.holds) == (0, None)
    assert own.measured["difference"] == -1
    assert few.measured["diverged"] == 0


def test_with_an_evaluator_the_kernel_distance_decides(evaluator):
    made = seen([PROMPT], evaluator, SDI=[truth()])
    assert made.numbers["distance"] == made.numbers["kernel distance"]
    (claim,) = made.check([Less("By {by}", "distance", "SDI", "SDI")])
    assert claim.claim == "By kernel distance to real renders"


def test_the_true_object_has_the_true_numbers(evaluator):
    values = measured(truth(), PROMPT, evaluator)
    assert values["object"] == values["colour"] == 1.0
    assert values["pattern"] > 0.9
    assert values["IoU"] == pytest.approx(1.0)
    # Of what the words leave open this has the middle, and no grain.
    assert values["deviation of saturation"] < 0.1
    assert 0.5 < values["fine detail"] < 1.1
    # Unbiased for independent draws; views of one object are more alike than those.
    assert -0.8 < values["kernel distance"] < 1.5


def test_an_object_of_other_proportions_is_as_right(evaluator):
    drawn = WorldScene.drawn("mug", "red", "spotted", np.random.default_rng(3))
    cameras = [WorldCamera(azimuth, ELEVATION) for azimuth in AZIMUTHS]
    images, covers = rendered(drawn, cameras, pixels=64)
    mine = Looked(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(covers))
    plain = (mine.opacity > 0.5).flatten(1).double()
    other = (truth("mug").opacity > 0.5).flatten(1).double()
    overlap = (plain * other).sum(1) / (plain + other).clamp_max(1).sum(1)
    assert float(overlap.mean()) < 0.9
    assert nearest_member(mine, "a red spotted mug")[1] > 0.94


def test_an_object_whose_front_is_all_around_is_janus(evaluator):
    true = truth("cat", pattern="plain")
    assert measured(true, "a red cat", evaluator)["Janus"] == 0.0
    turned = Looked(true.images.clone(), true.opacity)
    turned.images[6:11] = true.images[:1]  # seen from behind, its front
    assert measured(turned, "a red cat", evaluator)["Janus"] == 1.0


def test_another_object_is_seen_to_be_another(evaluator):
    values = measured(truth("car", colour="blue"), PROMPT, evaluator)
    assert values["object"] == values["colour"] == 0.0
    assert values["IoU"] < 0.75
    assert values["kernel distance"] > 1.0


def test_neither_a_turn_nor_a_scale_lowers_the_overlap():
    for changed in (truth("mug", turn=45.0), truth("mug", distance=3.6 / 1.08**2)):
        assert nearest_member(changed, "mug")[1] > 0.98


def test_the_overlap_is_that_of_one_turn_for_all_views():
    # Half of the views turned the other way: no turn of the whole object explains them.
    mixed = truth("teapot")
    mixed.opacity[::2] = truth("teapot", turn=180.0).opacity[::2]
    assert nearest_member(mixed, "teapot")[1] < 0.96


def test_a_run_that_diverged_counts_as_the_empty_picture(evaluator):
    values = measured(looked_at(finished(diverged="why")), PROMPT, evaluator)
    assert values["IoU"] == 0.0
    assert values["saturation"] < 0.01
    assert np.isfinite(list(values.values())).all()


def test_without_an_evaluator_only_plain_numbers_are_measured():
    values = measured(truth(), "a ninja", None)
    assert set(values) == {"saturation", "fine detail", "distance"}
    assert values["distance"] == -values["fine detail"] < 0


def test_two_objects_are_drawn_from_four_sides_and_one_from_eight():
    first, second = truth(), truth("car")
    for looked, expected in (
        ([first, second], (first.images[5], second.images[1])),
        ([first], (first.images[3], first.images[9])),
    ):
        prompts = [PROMPT, "a red car"][: len(looked)]
        figure = seen(prompts, SDI=looked, SDS=looked).draw("SDI")
        drawn = [axes for axes in figure.axes if axes.images]
        assert len(drawn) == 16
        for axes, image in zip((drawn[1], drawn[4]), expected, strict=True):
            shown = torch.as_tensor(axes.images[0].get_array())
            torch.testing.assert_close(shown, image.permute(1, 2, 0))
        titles = [axes.get_title().replace("\n", " ") for axes in drawn[:8]]
        assert titles[0] == f"{PROMPT}: 22°"
        assert titles[4] == ("a red car: 22°" if len(looked) == 2 else "202°")
        panels = [axes.get_title(loc="left") for axes in figure.axes if not axes.images]
        assert panels == ["saturation", "fine detail", "sample-forwards"]


def test_four_sides_of_an_object_are_named():
    images, prompts = sides([truth()], [PROMPT])
    assert torch.equal(images[2], truth().images[9])
    assert prompts[:2] == [f"{PROMPT}, front view", f"{PROMPT}, side view"]


def test_a_scene_is_looked_at_from_all_around():
    scene = NeRFScene(NeRF(), Camera.around([0]), height=16, width=16, num_samples=16)
    looked = looked_at(finished(scene))
    assert looked.images.shape == (16, 3, 16, 16)
    assert np.isfinite(looked.opacity.numpy()).all()


@pytest.mark.parametrize(
    ("ranges", "pose"),
    [
        ({}, (3.6, 40.0)),
        ({"distance": (1.0, 1.5), "fov_degrees": (40.0, 70.0)}, (1.25, 55.0)),
    ],
)
def test_an_object_is_judged_from_the_middle_of_where_it_was_made(ranges, pose):
    class Scene:
        def views(self, camera):
            self.camera = camera
            return SimpleNamespace(image=torch.zeros(16, 3, 8, 8), opacity=torch.zeros(16, 8, 8))

    scene, config = Scene(), run_of(SETTINGS, PROMPT, blob_radius=0.5, **ranges)
    looked_at(Finished(Path(), config, scene, "", 2.0, 3, ()))
    assert set(scene.camera.distance.tolist()) == {pose[0]}
    assert set(scene.camera.fov_degrees.tolist()) == {pose[1]}
