"""A run's settings become a NeRF that follows the rule's targets, seen by the cameras of the step."""

import json
import re
from copy import deepcopy
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from made_up import small_3d

from sdilib.cameras import Camera, sample_cameras
from sdilib.denoiser import PromptEmbeddings, azimuth_weights
from sdilib.distillation import distill_step
from sdilib.guidance import Update, View
from sdilib.guidance.named import RULES
from sdilib.inversion import DDIMInversion
from sdilib.nerf.field import NeRF
from sdilib.nerf.hash_grid import HashGrid
from sdilib.nerf.regularisers import Penalties
from sdilib.nerf.scene import NeRFScene
from sdilib.seeds import generator, normal
from sdilib.text_to_3d import EmptySceneError, Text3D
from sdilib.text_to_image import Text2D

SMALL = small_3d(steps=4, num_inversion_steps=2)


@pytest.fixture(scope="module")
def tiny():
    return SMALL.build().model


def changed(**settings):
    """The small run with other settings, those of its rule among them."""
    return Text3D.of(**SMALL.settings() | settings)


def changed_rule(rule, **settings):
    """The small run with another rule and its defaults."""
    return replace(SMALL, rule=rule, rule_settings={}, **settings)


def pull_to(latents, schedule):
    """A rule whose target is the same for every view."""

    def rule(x0, t, view, generator):
        noises = {"kappa": torch.zeros_like(x0), "eps": x0 - latents, "schedule": schedule}
        return Update.from_noises(x0, t, **noises, weight="1", num_forwards=0)

    return rule


def test_an_object_is_looked_at_from_the_middle_of_the_runs_distances():
    camera = replace(SMALL, distance=(1.5, 2.0), fov_degrees=(40, 70)).around([0, 90])
    assert (camera.distance.tolist(), camera.fov_degrees.tolist()) == ([1.75] * 2, [55.0] * 2)
    assert Text3D("a mug").around([0]).distance.tolist() == [3.6]


def test_another_size_than_the_models_is_announced(tiny, caplog):
    native = tiny.factor * tiny.latent_shape[-1]
    replace(SMALL, size=native).build(tiny)
    assert not caplog.messages
    replace(SMALL, size=2 * native).build(tiny)
    (said,) = caplog.messages
    assert said == f"size={2 * native}: the model is meant for {native} pixels"


@pytest.mark.parametrize("kappa", ["random", "fixed", "fixed point", "gradient descent"])
def test_every_choice_of_kappa_runs(tiny, kappa):
    settings = {"rule_settings": {"kappa": kappa}, "steps": 2}
    *_, last = replace(SMALL, **settings).build(tiny).steps()
    assert last.update.residual.isfinite().all()


def test_ism_inverts_in_as_many_steps_as_the_settings_say(tiny):
    costs = []
    for n in (2, 4):
        config = replace(SMALL, rule="ism", rule_settings={"num_inversion_steps": n})
        costs.append(next(config.build(tiny).steps()).update.num_forwards)
    assert costs[0] < costs[1]


def test_the_inversion_is_the_papers_unless_the_settings_say_otherwise():
    paper = {"entropy": 0.3, "tau_max": 1 / 30}
    assert Text3D.INVERSION == paper
    assert Text3D("a red mug").rule_settings.items() >= paper.items()
    assert Text3D.of(prompt="a red mug", entropy=0.0).rule_settings["entropy"] == 0
    assert Text3D.of(prompt="a red mug", entropy=0.0).rule_settings["tau_max"] == 1 / 30
    # No other rule or noise has them, and in 2D they are off.
    for other in ({"kappa": "random"}, {"rule": "sds"}, {"rule": "ism"}):
        assert not paper.keys() & Text3D.of(prompt="a red mug", **other).rule_settings.keys()
    assert Text2D("a red mug").rule_settings.items() >= {"entropy": 0.0, "tau_max": 0.0}.items()


def test_each_view_of_a_step_has_its_own_tau_and_entropy(tiny):
    # As the same views would have them alone: from the run's seed, the step and the number of the view.
    step = next(SMALL.build(tiny).steps())
    views = SMALL.build(tiny).prompt_of(step.camera)
    choice = DDIMInversion(num_inversion_steps=2, **Text3D.INVERSION)
    for item in range(2):
        one = torch.tensor([item])
        draw = [generator(0, 0, "guidance", item)]
        alone = choice(step.x0[one], step.t[one], tiny.guided(views.select(one)), draw)
        torch.testing.assert_close(step.update.kappa[one], alone.noise, rtol=1e-3, atol=1e-4)
        assert 0 < float(alone.t - step.t[item]) < 1 / 30


@pytest.mark.parametrize(
    "change",
    [{"entropy": 0.2}, {"tau_max": 0.0}, {"unit": True}, {"inversion_guidance_scale": 0.0}],
)
def test_the_inversion_takes_its_settings_and_the_same_seed_the_same_noise(tiny, change):
    plain = next(SMALL.build(tiny).steps())
    one, two = (next(changed(**change).build(tiny).steps()) for _ in "ab")
    assert torch.equal(one.update.kappa, two.update.kappa)
    assert torch.equal(one.x0, plain.x0)
    assert not torch.equal(one.update.kappa, plain.update.kappa)


def test_each_step_has_its_own_views_and_the_same_seed_the_same_ones(tiny):
    one, two = ([s.camera.azimuth_degrees for s in SMALL.build(tiny).steps()] for _ in "ab")
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], one[1])
    other = [s.camera.azimuth_degrees for s in changed(seed=1).build(tiny).steps()]
    assert not torch.equal(one[0], other[0])


def test_cameras_lie_in_the_ranges_given(tiny):
    ranges = {
        "azimuth_degrees": (10.0, 20.0),
        "elevation_degrees": (50.0, 55.0),
        "distance": (5.0, 6.0),
        "fov_degrees": (20.0, 25.0),
    }
    config = changed_rule("sds", cameras=64, overhead_share=0.0, updates=1, **ranges)
    seen = next(config.build(tiny).steps()).camera
    for name, (low, high) in ranges.items():
        drawn = getattr(seen, name)
        assert low <= drawn.min() < drawn.max() <= high
    above = next(changed(overhead_share=1.0).build(tiny).steps()).camera
    assert above.views == ("overhead", "overhead")


def test_a_run_draws_the_worlds_cameras_unless_told_otherwise(tiny):
    one = next(SMALL.build(tiny).steps()).camera
    two = sample_cameras(2, generator(0, 0, "camera"))
    for name in ("azimuth_degrees", "elevation_degrees", "distance", "fov_degrees"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    (step, *_) = changed(azimuth_degrees=(7.0, 7.0)).build(tiny).steps()
    assert step.camera.azimuth_degrees.tolist() == [7.0, 7.0]


def test_mv_sdi_by_name_looks_from_opposite_sides(tiny):
    (first, *_) = changed_rule("mv-sdi").build(tiny).steps()
    turned = first.camera.azimuth_degrees.diff()
    assert turned.tolist() == pytest.approx([180.0])
    with pytest.raises(ValueError, match=r"^kappa='cached': expected another one in 3D"):
        replace(SMALL, rule="mv-sdi", rule_settings={"kappa": "cached"})


@pytest.mark.parametrize(
    ("name", "through"),
    [*product(RULES, ["encoder"]), *product(("sdi", "sds", "ism"), ["decoder"])],
)
def test_every_rule_moves_a_3d_scene(name, through, tiny):
    alone = {"sparsity": 0.0, "opaqueness": 0.0}  # which would move it without a rule
    built = changed_rule(name, steps=2, updates=1, through=through, **alone).build(tiny)
    before = built.scene.nerf.grid.table.detach().clone()
    steps = list(built.steps())
    assert [step.step for step in steps] == [0, 1]
    assert all(bool(step.update.gradient.isfinite().all()) for step in steps)
    assert not torch.equal(built.scene.nerf.grid.table, before)


def test_a_runs_draws_have_their_addresses(tiny):
    config = changed_rule("sds", t_schedule="random", seed=5)
    for step in config.build(tiny).steps():
        time, guidance = (
            [generator(5, step.step, purpose, item) for item in range(2)]
            for purpose in ("time", "guidance")
        )
        assert torch.equal(step.update.kappa, normal(step.x0, guidance))
        drawn = config.times.at(step.step, config.steps, generator=time, batch=2)
        assert torch.equal(step.t, drawn)
        assert drawn[0] != drawn[1]
    one, other = (changed(seed=seed).build(tiny).scene.nerf.grid.table for seed in (0, 5))
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"blob_height": 2.0}),
        ({}, {"finest_resolution": 12}),
        ({}, {"num_samples": 8}),
        ({}, {"background_saturation": 0.0}),
        ({"levels": 6, "progressive_share": 1.0}, {"first_levels": 2}),
        ({"levels": 6, "progressive_share": 1.0}, {"progressive_start": 0.9}),
    ],
)
def test_each_setting_reaches_the_scene(base, change, tiny):
    def end(settings):
        *_, last = changed_rule("sds", **settings).build(tiny).steps()
        return last.x0

    assert not torch.equal(end(base), end(base | change))


def test_patches_reach_the_scene(tiny):
    assert changed(rays_per_patch=64).build(tiny).scene._rays_per_patch == 64


def test_a_rule_is_told_how_much_of_the_run_is_done(tiny):
    seen = []
    built = changed_rule("sds", steps=4).build(tiny)
    rule = built.rule
    built.rule = lambda x0, t, view, draws: (seen.append(view.done), rule(x0, t, view, draws))[1]
    list(built.steps())
    assert seen == [0.0, 0.25, 0.5, 0.75]


def test_settings_come_back_from_json():
    config = changed(elevation_degrees=(0, 45), overhead_share=0.0, tau_max=0.1)
    settings = json.loads(json.dumps(config.settings()))
    assert "rule_settings" not in settings
    assert settings["tau_max"] == 0.1
    back = Text3D.of(**settings)
    assert back == config == Text3D.of(**config.settings())
    assert back.elevation_degrees == (0.0, 45.0)
    assert hash(back) == hash(config)
    # Whatever was left to the defaults is there, so that it names the run.
    assert config.rule_settings["guidance_scale"] == 7.5
    assert Text3D("a red mug") == Text3D("a red mug", rule_settings={"kappa": "inversion"})


def test_a_step_measures_what_the_scene_shows(tiny):
    step = next(SMALL.build(tiny).steps())
    # Opaqueness grows from nothing.
    assert set(step.measured) == {"opacity", "penalty", "sparsity"}
    assert 0 < float(step.measured["opacity"]) < 1
    *_, last = SMALL.build(tiny).steps()
    terms = [last.measured[name] for name in ("sparsity", "opaqueness")]
    assert torch.equal(torch.stack(terms).sum(), last.measured["penalty"])
    unweighted = changed(sparsity=0.0, opaqueness=0.0)
    assert set(next(unweighted.build(tiny).steps()).measured) == {"opacity"}


def small_scene(**settings):
    draw = generator(0, 0, "nerf")
    grid = HashGrid(num_levels=7, finest_resolution=16, generator=draw)
    with torch.no_grad():
        grid.table.mul_(1e3)  # so that each level shows
    nerf = NeRF(grid=grid, generator=draw)
    return NeRFScene(nerf, Camera.around([0]), height=8, width=8, num_samples=16, **settings)


SHOWN = {
    "levels": {"progressive_share": 0.6},
    "shading": {"shading": 0.7, "textureless": 0.5},
    "penalties": {"penalties": Penalties(sparsity=1.0, opaqueness=1.0, convexity=1.0)},
}


@pytest.mark.parametrize("settings", SHOWN.values(), ids=SHOWN)
def test_a_scene_told_how_much_is_done_renders_the_same_whatever_came_before(settings):
    used, camera = small_scene(**settings), Camera.around([30])
    used.look(Camera.around([90]), generator(0, 0, "warm"), done=0.0)
    state = used.state_dict()
    for before, done in ((0.9, 0.1), (0.0, 0.5), (0.5, 0.0), (0.2, 1.0)):
        used.look(camera, generator(0, 1, "before"), done=before)
        used.render()
        used.load_state_dict(state)
        fresh = small_scene(**settings)
        fresh.load_state_dict(state)
        seen = []
        for scene in (used, fresh):
            scene.look(camera, generator(0, 2, "look"), done=done)
            seen.append(scene.render())
        assert torch.equal(seen[0].image, seen[1].image)
        assert seen[0].measured.keys() == seen[1].measured.keys()
        assert all(torch.equal(seen[0].measured[k], seen[1].measured[k]) for k in seen[0].measured)


def test_levels_shading_and_penalties_go_by_what_is_done():
    scene = small_scene(**SHOWN["levels"] | {"shading": 1.0} | SHOWN["penalties"])
    levels, lit, penalties = [], [], []
    for done in (0.0, 0.1, 0.3, 0.4, 0.6, 1.0):
        scene.look(scene.camera, generator(0, 0, "look"), done=done)
        levels.append(scene.nerf.grid.active_levels)
        lit.append(scene._looking.marcher.shading)
        seen = scene.render()
        penalties.append(float(seen.penalty.detach() - seen.measured["sparsity"]))
    assert levels == [4, 4, 5, 6, 7, 7]
    assert lit == ["albedo"] + ["diffuse"] * 5
    assert penalties[0] < penalties[-1]  # opaqueness grows from nothing
    # With no share given all is done, and views do not change what the scene was told.
    scene.look(scene.camera, done=0.0)
    scene.views(Camera.around([0, 90]))
    assert scene.nerf.grid.active_levels == 4
    scene.look(scene.camera)
    assert scene.nerf.grid.active_levels == 7


@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_every_rule_may_have_the_second_loss(tiny, through):
    ends = []
    for image_weight in (0.0, 0.1):
        built = changed_rule("sds", through=through, image_weight=image_weight, steps=2).build(tiny)
        *_, last = built.steps()
        ends.append(last.render())
    assert not torch.equal(*ends)


def test_a_run_may_have_a_precision_of_its_own(tiny, monkeypatch):
    monkeypatch.setattr("sdilib.stable_diffusion.precision._has_bfloat16", lambda device: True)
    built = changed(precision="bfloat16", steps=1).build()
    assert built.model.precision == built.config.precision == "bfloat16"
    short, plain = (next(each.steps()) for each in (built, changed(steps=1).build(tiny)))
    assert not torch.equal(short.x0, plain.x0)
    torch.testing.assert_close(short.x0, plain.x0, rtol=0.05, atol=0.05)
    with pytest.raises(
        ValueError, match="precision='bfloat16': expected float32, as the model was"
    ):
        changed(precision="bfloat16").build(tiny)
    monkeypatch.setattr("sdilib.stable_diffusion.precision._has_bfloat16", lambda device: False)
    assert (
        changed(precision="bfloat16").build(tiny).config.precision == "auto"
    )  # what names the run


@pytest.mark.parametrize("first_step", [0, 2])
def test_a_run_goes_on_after_a_step_that_is_not_finite_to_the_same_bits(tiny, first_step):
    def broken(rule):
        def once(x0, t, view, generators):
            update = rule(x0, t, view, generators)
            bad = float(t[0]) == float(SMALL.times.at(1, SMALL.steps))
            lost = update.gradient * float("nan")
            return replace(update, gradient=lost, target=lost) if bad else update

        return once

    whole, resumed = SMALL.build(tiny), SMALL.build(tiny)
    whole.rule, resumed.rule = broken(whole.rule), broken(resumed.rule)
    skipped = []
    for step in whole.steps():
        skipped.append(step.skipped)
        if step.step == first_step - 1:
            resumed.scene.load_state_dict(whole.scene.state_dict())
            # A copy: the moments go on in place.
            resumed.optimizer.load_state_dict(deepcopy(whole.optimizer.state_dict()))
    assert skipped == [0, 1, 0, 0]
    list(resumed.steps(first_step, skipped[first_step - 1] if first_step else 0))
    expected, found = whole.scene.state_dict(), resumed.scene.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_levels_come_one_after_the_other_and_all_are_there_at_the_end(tiny):
    built = changed(levels=7, steps=6, progressive_share=0.6).build(tiny)
    grid = built.scene.nerf.grid
    start = grid.table.detach().clone()
    active = []
    for _ in built.steps():
        active.append(grid.active_levels)
        if len(active) == 1:  # no level that was not active has moved
            moved = (grid.table != start).any(1)
            first = int(grid.get_buffer("_offsets")[4])
            assert moved[:first].any()
            assert not moved[first:].any()
    assert active == [4, 4, 5, 6, 7, 7]
    assert grid.active_levels == 7


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.6, [8, 8, 8, 9, 15, 16, 16]), (0.2, [8, 8, 16, 16, 16, 16, 16])],
    ids=["the paper's", "all at once"],
)
def test_levels_begin_with_some_and_wait_for_their_time(share, expected):
    """The paper's: from 8 on, one more per 500 of 10,000 steps after the 2,000th."""
    grid = HashGrid(num_levels=16, log2_table_size=6, finest_resolution=64)
    nerf, camera = NeRF(grid=grid), Camera.around([0])
    how = {"first_levels": 8, "progressive_start": 0.2, "progressive_share": share}
    seen = NeRFScene(nerf, camera, height=2, width=2, num_samples=2, **how)
    found = []
    for step in (0, 1999, 2499, 2500, 5999, 6000, 9999):
        seen.look(camera, done=step / 10_000)
        found.append(grid.active_levels)
    assert found == expected


def test_an_environment_has_its_own_learning_rate_and_moves(tiny):
    built = changed(background="environment", background_learning_rate=0.002).build(tiny)
    rates = [group["lr"] for group in built.optimizer.param_groups]
    assert rates == [0.05, 0.01, 0.002]
    behind = built.scene.nerf.environment
    before = [each.detach().clone() for each in behind.parameters()]
    known = {id(each) for group in built.optimizer.param_groups for each in group["params"]}
    assert known == {id(each) for each in built.scene.parameters()}
    next(built.steps())
    assert all(bool((a != b).any()) for a, b in zip(before, behind.parameters(), strict=True))
    assert len(SMALL.build(tiny).optimizer.param_groups) == 2


def test_the_fields_shape_is_the_settings(tiny):
    shape = {"radius": 2.0, "blob_radius": 0.5, "hidden": 8, "log2_table_size": 6}
    nerf = changed(**shape, base_resolution=4, distance=(1.5, 2.0)).build(tiny).scene.nerf
    assert nerf.radius == 2.0
    assert nerf.network[0].weight.shape == (8, 8)
    assert nerf.grid.resolutions[0] == 4
    assert nerf.grid.table.shape == (4 * 64, 2)
    # At the blob's edge, where the cone is 0: exp of next to nothing.
    edge = nerf.density(torch.tensor([[0.5, 0.0, 0.0]]))
    assert float(edge.detach()) == pytest.approx(1.0, abs=0.01)


def test_a_camera_may_stand_within_the_volume(tiny):
    """As the paper's do; what is behind it is not seen."""
    within = {"radius": 2.0, "blob_radius": 0.5, "distance": (1.5, 1.5)}
    built = changed(**within, steps=1).build(tiny)
    (step,) = built.steps()
    assert step.render().isfinite().all()
    scene = built.scene
    near, far = (scene.views(Camera.around([0], distance=d)) for d in (1.5, 3.6))
    assert 0 < float(near.depth[0, 7:9, 7:9].mean()) < 1.5
    assert float(far.depth[0, 7:9, 7:9].mean()) > 2.0
    assert float(near.opacity.mean()) > float(far.opacity.mean())


def test_a_resumed_run_sees_the_levels_of_its_step(tiny):
    built = changed(levels=6, progressive_share=1.0).build(tiny)
    next(built.steps(first_step=3))
    assert built.scene.nerf.grid.active_levels == 5
    whole = changed(levels=6).build(tiny)
    next(whole.steps())
    assert whole.scene.nerf.grid.active_levels == 6


def test_a_resumed_run_has_the_bits_of_the_unbroken_one(tiny):
    config = changed(
        levels=6, progressive_share=1.0, shading=0.7, background="environment", orientation=0.1
    )
    whole, broken, resumed = (config.build(tiny) for _ in "abc")
    list(whole.steps())
    for step in broken.steps():
        if step.step == 1:
            break
    resumed.scene.load_state_dict(broken.scene.state_dict())
    resumed.optimizer.load_state_dict(broken.optimizer.state_dict())
    list(resumed.steps(2))
    expected, found = whole.scene.state_dict(), resumed.scene.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_light_comes_on_after_a_tenth_of_the_run(tiny):
    config = changed_rule("sds", steps=11, background="fixed")
    dark = [step.render() for step in config.build(tiny).steps()]
    for change in ({"shading": 1.0}, {"shading": 1.0, "textureless": 1.0}):
        built = replace(config, **change).build(tiny)
        lit = [step.render() for step in built.steps()]
        same = [torch.equal(one, two) for one, two in zip(lit, dark, strict=True)]
        assert same == [True, True] + [False] * 9
        # White under a white light before a grey background: no colour is left.
        grey = bool((lit[-1].std(1) < 0.01).all())
        assert grey == ("textureless" in change)
        built.scene.look(Camera.around([0, 90]))
        assert not bool((built.scene.render().image.std(1) < 0.01).all())


def test_the_prompt_says_the_view(tiny):
    built = SMALL.build(tiny)
    camera = Camera.around([0, 180])
    asked = built.prompt_of(camera).conditional
    said = tiny.embed(["a red mug, front view", "a red mug, back view"]).conditional
    assert torch.equal(asked, said)


def test_the_prompt_may_leave_the_view_out(tiny):
    asked = changed(view_words=False).build(tiny).prompt_of(Camera.around([0, 180]))
    assert torch.equal(asked.conditional, tiny.embed(["a red mug"] * 2).conditional)


def test_the_other_views_are_negatives(tiny):
    asked = changed(perp_neg=0.7).build(tiny).prompt_of(Camera.around([0, 180]))
    plain = SMALL.build(tiny).prompt_of(Camera.around([0, 180]))
    assert torch.equal(asked.conditional, plain.conditional)
    assert asked.negative_weights == (0.7, 0.7, 0.7)
    for item, views in enumerate([("side", "back", "overhead"), ("front", "side", "overhead")]):
        said = tiny.embed([f"a red mug, {view} view" for view in views]).conditional
        assert torch.equal(torch.stack([row[item] for row in asked.negatives]), said)


def test_negatives_by_azimuth_are_front_and_side_each_with_its_views_weight(tiny):
    camera = Camera.around([0, 120])
    asked = changed(perp_neg=0.5, perp_neg_by="azimuth").build(tiny).prompt_of(camera)
    for view, rows in zip(("front", "side"), asked.negatives, strict=True):
        assert torch.equal(rows, tiny.embed([f"a red mug, {view} view"] * 2).conditional)
    expected = [0.5 * each for each in azimuth_weights(camera.view_shares)]
    assert torch.equal(torch.stack(asked.negative_weights), torch.stack(expected))
    plain, pushed = (
        next(changed(**settings).build(tiny).steps())
        for settings in ({}, {"perp_neg": 1.0, "perp_neg_by": "azimuth"})
    )
    assert pushed.update.num_forwards == plain.update.num_forwards + 2 * SMALL.cameras
    assert not torch.equal(pushed.update.eps, plain.update.eps)


def test_embeddings_of_views_may_be_blended_by_the_azimuth(tiny):
    built = changed(view_embeddings="blended").build(tiny)
    camera = Camera.around([0, -45, 150, 180])
    asked = built.prompt_of(camera).conditional
    front, side, back = tiny.embed(
        [f"a red mug, {view} view" for view in ("front", "side", "back")]
    ).conditional
    expected = [front, (front + side) / 2, side / 3 + 2 * back / 3, back]
    torch.testing.assert_close(asked, torch.stack(expected))
    above = Camera.around([45], elevation_degrees=70)
    said = SMALL.build(tiny).prompt_of(above)
    torch.testing.assert_close(built.prompt_of(above).conditional, said.conditional)


def test_blending_takes_a_condition_of_several_tensors(tiny):
    def several(texts, negative_prompt=""):
        one = tiny.embed(texts, negative_prompt)
        both = ({"text": of, "pooled": of[:, 0]} for of in (one.conditional, one.unconditional))
        return PromptEmbeddings(*both, texts=one.texts)

    built = changed(view_embeddings="blended", perp_neg=1.0).build(tiny)
    camera = Camera.around([0, -45, 150])
    expected = built.prompt_of(camera).conditional
    built.model = SimpleNamespace(embed=several)
    asked = built.prompt_of(camera).conditional
    assert torch.equal(asked["text"], expected)
    torch.testing.assert_close(asked["pooled"], expected[:, 0])


@pytest.mark.parametrize("rule", ["sdi", "sds", "ism"])
def test_negatives_cost_three_forwards_an_item_and_change_the_prediction(tiny, rule):
    plain, pushed = (
        next(changed_rule(rule, perp_neg=weight).build(tiny).steps()) for weight in (0.0, 1.0)
    )
    assert pushed.update.num_forwards == plain.update.num_forwards + 3 * SMALL.cameras
    assert torch.equal(pushed.update.kappa, plain.update.kappa)
    assert not torch.equal(pushed.update.eps, plain.update.eps)


def test_renders_come_to_a_target_and_more_updates_come_closer(tiny):
    goal = tiny.encode(torch.full((1, 3, 16, 16), 0.3)).detach()

    def distance(updates):
        built = changed(sparsity=0.0, opaqueness=0.0, updates=updates, steps=8).build(tiny)
        built.rule = pull_to(goal, tiny.schedule)
        *_, last = built.steps()
        return float((last.x0 - goal).square().mean())

    shown = SMALL.build(tiny).scene.render().image
    first = float((tiny.encode(shown).detach() - goal).square().mean())
    once, thrice = distance(1), distance(3)
    assert once < first
    assert thrice < once


def test_the_penalty_empties_a_scene_and_the_run_says_so(tiny):
    built = changed_rule("sds", steps=60, sparsity=1e6, learning_rate=0.5).build(tiny)
    with pytest.raises(EmptySceneError, match="the volume is empty"):
        list(built.steps())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"prompt": " "}, ""),
        ({"rule": "sdx"}, ""),
        ({"kappa": "noise"}, ""),
        ({"steps": 0}, ""),
        ({"t_end": 0.99}, ""),
        ({"learning_rate": 0.0}, ""),
        ({"sparsity": -1.0}, ""),
        ({"render_size": 16}, "expected 0, or a size below 16"),
        ({"render_size": -1}, ""),
        ({"azimuth_degrees": (0.0, 1e5)}, ""),
        ({"elevation_degrees": (45.0, 0.0)}, "expected two numbers in [-89, 89], the lower first"),
        ({"elevation_degrees": (0.0, 90.0)}, ""),
        ({"distance": (0.61, 3.0)}, "expected two numbers in (0.61, 1000], the lower first"),
        ({"fov_degrees": (0.0, 40.0)}, "expected two numbers in (0, 120], the lower first"),
        ({"fov_degrees": (40.0, 121.0)}, ""),
        ({"fov_degrees": (40.0,)}, ""),
        ({"overhead_share": 1.5}, ""),
        ({"entropy": -0.3}, "expected a number of at least 0"),
        ({"tau_max": 2.0}, "expected a number in [0, 1]"),
        ({"perp_neg": -1.0}, "expected a number in"),
        ({"perp_neg": 1.0, "view_words": False}, "expected 0 where view_words is False"),
        ({"precision": "half"}, "expected one of auto, float32, float16, bfloat16"),
        ({"perp_neg_by": "view"}, "expected one of constant, azimuth"),
        ({"view_embeddings": "mixed"}, "expected one of word, blended"),
        (
            {"view_embeddings": "blended", "view_words": False},
            "expected 'word' where view_words is False",
        ),
        ({"image_weight": -0.1}, "expected a number in"),
        ({"inversion_start": 2.0}, "expected a number in [0, 1]"),
        ({"progressive_share": 1.5}, ""),
        ({"progressive_start": 0.5, "progressive_share": 0.4}, "expected a number in [0, 0.4]"),
        ({"first_levels": 0}, "expected an integer of at least 1"),
        ({"radius": 0.0}, "expected a number in (0, 1000]"),
        ({"blob_radius": 1.3}, "expected a number in (0, 1.22]"),
        ({"log2_table_size": 25}, "expected an integer of at least 1 and at most 24"),
        ({"log2_table_size": 0}, "expected an integer of at least 1"),
        ({"base_resolution": 0}, "expected an integer of at least 1"),
        ({"hidden": 0}, "expected an integer of at least 1"),
        ({"background_learning_rate": 0.0}, "expected a number in (0, 10]"),
        ({"sparsity_share": 1.5}, "expected a number in [0, 1]"),
        ({"growth_share": -0.1}, "expected a number in [0, 1]"),
        ({"background": "learned"}, "expected one of fixed, random, env"),
        ({"shading": 1.5}, ""),
        ({"textureless": -0.5}, ""),
        ({"guidance_scale": float("nan")}, ""),
        ({"finest_resolution": 7}, "expected an integer of at least 8"),
        ({"size": 17}, "expected a multiple of"),
    ],
)
def test_bad_settings_are_refused_by_name(tiny, change, expected):
    name, value = next(iter(change.items()))
    with pytest.raises(ValueError, match=re.escape(f"{name}={value!r}: {expected}")):
        changed(**change).build(tiny)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match=r"setting='step': expected one of .*; did you mean steps"):
        changed(step=4)


def test_hifas_loss_in_the_image_counts_once():
    message = "image_weight=0.1: expected 0, or the rule's own rgb_weight=0.1 at 0"
    with pytest.raises(ValueError, match=message):
        changed_rule("hifa", image_weight=0.1)
    assert changed_rule("hifa", image_weight=0.0).rule_settings["rgb_weight"] == 0.1


@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_the_model_sees_small_renders_enlarged(tiny, through):
    built = changed(render_size=8, through=through, steps=2).build(tiny)
    before = built.scene.render().image.detach()
    *_, last = built.steps()
    assert last.render().shape == before.shape == (2, 3, 8, 8)
    assert last.x0.shape[-2:] == (8, 8)  # 16 pixels, two a latent
    assert not torch.equal(built.scene.nerf.grid.table, SMALL.build(tiny).scene.nerf.grid.table)


def test_cameras_need_a_prompt_for_each_view(tiny):
    built = SMALL.build(tiny)
    view, t = View(tiny.embed(["a red mug"])), torch.ones(1, dtype=torch.float64)
    how = {"step": 0, "optimizer": built.optimizer, "codec": tiny}
    with pytest.raises(
        ValueError, match=r"prompt='1 prompts': expected one for each of .* 2 images"
    ):
        distill_step(built.scene, built.rule, view, t, generator(0, 0, "guidance"), **how)
