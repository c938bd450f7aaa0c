"""A run's settings become a NeRF that follows the rule's targets, seen by the cameras of the step."""

import json
from dataclasses import replace

import pytest
import torch

from sdilib.cameras import Camera, sample_cameras
from sdilib.distill import distill
from sdilib.guidance import Update
from sdilib.seeds import generator
from sdilib.text_to_3d import EmptySceneError, Text3D, build

SMALL = Text3D(
    "a red mug",
    model="tiny",
    steps=4,
    cameras=2,
    size=16,
    num_samples=16,
    num_inversion_steps=2,
    levels=4,
    finest_resolution=16,
)


@pytest.fixture(scope="module")
def tiny():
    return build(SMALL).model


def pull_to(latents):
    """A rule whose target is the same for every view."""

    def rule(x0, t, view, generator):
        one = torch.ones(len(x0), 1, 1, 1)
        target = latents.expand_as(x0)
        noise = torch.zeros_like(x0)
        return Update.from_noises(
            x0, kappa=noise, eps=x0 - target, sigma=one, weight=one, num_forwards=0
        )

    return rule


@pytest.mark.parametrize("rule", ["sdi", "sds", "ism"])
@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_every_rule_runs_and_changes_the_scene(tiny, rule, through):
    built = build(replace(SMALL, rule=rule, through=through, steps=2), tiny)
    before = built.scene.state_dict()
    steps = list(built.distilled())
    assert [step.step for step in steps] == [0, 1]
    after = built.scene.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kappa", ["random", "fixed", "fixed point", "gradient descent"])
def test_every_choice_of_kappa_runs(tiny, kappa):
    *_, last = build(replace(SMALL, kappa=kappa, steps=2), tiny).distilled()
    assert last.update.residual.isfinite().all()


def test_ism_inverts_in_as_many_steps_as_the_settings_say(tiny):
    costs = []
    for n in (2, 4):
        config = replace(SMALL, rule="ism", num_inversion_steps=n)
        costs.append(next(build(config, tiny).distilled()).update.num_forwards)
    assert costs[0] < costs[1]


@pytest.mark.parametrize("change", [{"entropy": 0.3}, {"tau_max": 1 / 30}, {"unit": True}])
def test_the_inversion_takes_its_settings_and_the_same_seed_the_same_noise(tiny, change):
    plain = next(build(SMALL, tiny).distilled())
    one, two = (next(build(replace(SMALL, **change), tiny).distilled()) for _ in "ab")
    assert torch.equal(one.update.kappa, two.update.kappa)
    assert torch.equal(one.x0, plain.x0)
    assert not torch.equal(one.update.kappa, plain.update.kappa)


def test_each_step_has_its_own_views_and_the_same_seed_the_same_ones(tiny):
    one, two = ([s.camera.azimuth_degrees for s in build(SMALL, tiny).distilled()] for _ in "ab")
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], one[1])
    other = [s.camera.azimuth_degrees for s in build(replace(SMALL, seed=1), tiny).distilled()]
    assert not torch.equal(one[0], other[0])


def test_cameras_lie_in_the_ranges_given(tiny):
    ranges = {
        "azimuth_degrees": (10.0, 20.0),
        "elevation_degrees": (50.0, 55.0),
        "distance": (5.0, 6.0),
        "fov_degrees": (20.0, 25.0),
    }
    built = build(replace(SMALL, cameras=64, overhead_share=0.0, **ranges), tiny)
    seen = built.cameras(generator(0, 0, "camera"))
    for name, (low, high) in ranges.items():
        drawn = getattr(seen, name)
        assert low <= drawn.min() < drawn.max() <= high
    above = build(replace(SMALL, overhead_share=1.0), tiny).cameras(generator(0, 0, "camera"))
    assert above.views == ("overhead", "overhead")


def test_a_run_draws_the_worlds_cameras_unless_told_otherwise(tiny):
    built = build(SMALL, tiny)
    one = built.cameras(generator(0, 0, "camera"))
    two = sample_cameras(2, generator(0, 0, "camera"))
    for name in ("azimuth_degrees", "elevation_degrees", "distance", "fov_degrees"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    (step, *_) = build(replace(SMALL, azimuth_degrees=(7.0, 7.0)), tiny).distilled()
    assert step.camera.azimuth_degrees.tolist() == [7.0, 7.0]


def test_settings_come_back_from_json():
    config = replace(SMALL, elevation_degrees=(0, 45), overhead_share=0.0)
    back = Text3D(**json.loads(json.dumps(config.settings())))
    assert back == config == Text3D(**config.settings())
    assert back.elevation_degrees == (0.0, 45.0)
    assert hash(back) == hash(config)


def test_levels_come_one_after_the_other_and_all_are_there_at_the_end(tiny):
    config = replace(SMALL, levels=7, steps=6, progressive_share=0.6)
    built = build(config, tiny)
    grid = built.scene.nerf.grid
    start = grid.table.detach().clone()
    active = []
    for _ in built.distilled():
        active.append(grid.active_levels)
        if len(active) == 1:  # no level that was not active has moved
            moved = (grid.table != start).any(1)
            first = int(grid.get_buffer("_offsets")[4])
            assert moved[:first].any()
            assert not moved[first:].any()
    assert active == [4, 4, 5, 6, 7, 7]
    assert grid.active_levels == 7
    assert [config.active_levels(step) for step in range(7)] == [*active, 7]


def test_a_resumed_run_sees_the_levels_of_its_step(tiny):
    built = build(replace(SMALL, levels=6, progressive_share=1.0), tiny)
    next(built.distilled(first_step=3))
    assert built.scene.nerf.grid.active_levels == 5
    assert build(replace(SMALL, levels=6), tiny).config.active_levels(0) == 6


def test_light_comes_on_after_a_tenth_of_the_run(tiny):
    config = replace(SMALL, rule="sds", steps=11, updates=1)
    dark = [step.render() for step in build(config, tiny).distilled()]
    for change in ({"shading": 1.0}, {"shading": 1.0, "textureless": 1.0}):
        built = build(replace(config, **change), tiny)
        lit = [step.render() for step in built.distilled()]
        same = [torch.equal(one, two) for one, two in zip(lit, dark, strict=True)]
        assert same == [True, True] + [False] * 9
        # White under a white light before a grey background: no colour is left.
        grey = bool((lit[-1].std(1) < 0.01).all())
        assert grey == ("textureless" in change)
        built.scene.look(Camera.around([0, 90]))
        assert not bool((built.scene.render().std(1) < 0.01).all())


def test_the_prompt_says_the_view(tiny):
    built = build(SMALL, tiny)
    camera = Camera.around([0, 180])
    asked = built.prompt_of(camera).conditional
    said = tiny.embed(["a red mug, front view", "a red mug, back view"]).conditional
    assert torch.equal(asked, said)


def test_the_prompt_may_leave_the_view_out(tiny):
    asked = build(replace(SMALL, view_words=False), tiny).prompt_of(Camera.around([0, 180]))
    assert torch.equal(asked.conditional, tiny.embed(["a red mug"] * 2).conditional)


def test_the_other_views_are_negatives(tiny):
    asked = build(replace(SMALL, perp_neg=0.7), tiny).prompt_of(Camera.around([0, 180]))
    plain = build(SMALL, tiny).prompt_of(Camera.around([0, 180]))
    assert torch.equal(asked.conditional, plain.conditional)
    assert asked.negative_weights == (0.7, 0.7, 0.7)
    for item, views in enumerate([("side", "back", "overhead"), ("front", "side", "overhead")]):
        said = tiny.embed([f"a red mug, {view} view" for view in views]).conditional
        assert torch.equal(torch.stack([row[item] for row in asked.negatives]), said)


@pytest.mark.parametrize("rule", ["sdi", "sds", "ism"])
def test_negatives_cost_three_forwards_an_item_and_change_the_prediction(tiny, rule):
    config = replace(SMALL, rule=rule)
    plain, pushed = (
        next(build(replace(config, perp_neg=weight), tiny).distilled()) for weight in (0.0, 1.0)
    )
    assert pushed.update.num_forwards == plain.update.num_forwards + 3 * SMALL.cameras
    assert torch.equal(pushed.update.kappa, plain.update.kappa)
    assert not torch.equal(pushed.update.eps, plain.update.eps)


def test_renders_come_to_a_target_and_more_updates_come_closer(tiny):
    built = build(replace(SMALL, sparsity=0.0, opaqueness=0.0), tiny)
    goal = tiny.encode(torch.full((1, 3, 16, 16), 0.3)).detach()

    def distance(updates):
        built = build(replace(SMALL, sparsity=0.0, opaqueness=0.0), tiny)
        *_, last = distill(
            built.scene,
            pull_to(goal),
            prompt=built.prompt_of,
            num_steps=8,
            cameras=lambda draw: sample_cameras(2, draw),
            updates=updates,
            optimizer=built.optimizer,
            codec=tiny,
        )
        return float((last.x0 - goal).square().mean())

    first = float((tiny.encode(built.scene.render()).detach() - goal).square().mean())
    once, thrice = distance(1), distance(3)
    assert once < first
    assert thrice < once


def test_a_step_may_go_a_share_of_the_way(tiny):
    whole, part = (
        next(build(replace(SMALL, update_fraction=share), tiny).distilled()) for share in (1.0, 0.1)
    )
    torch.testing.assert_close(part.update.target - part.x0, 0.1 * (whole.update.target - whole.x0))


def test_the_penalty_empties_a_scene_and_the_run_says_so(tiny):
    built = build(replace(SMALL, steps=60, rule="sds", sparsity=1e6, learning_rate=0.5), tiny)
    with pytest.raises(EmptySceneError, match="the volume is empty"):
        list(built.distilled())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": " "}, "prompt"),
        ({"rule": "sdx"}, "rule='sdx'"),
        ({"kappa": "noise"}, "kappa='noise'"),
        ({"steps": 0}, "steps=0"),
        ({"t_end": 0.99}, "t_end=0.99"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"sparsity": -1.0}, "sparsity=-1.0"),
        ({"render_size": 16}, "render_size=16: expected 0, or a size below 16"),
        ({"render_size": -1}, "render_size=-1"),
        ({"update_fraction": 0.0}, "update_fraction=0.0"),
        ({"azimuth_degrees": (0.0, 1e5)}, r"azimuth_degrees=\(0.0, 100000.0\)"),
        (
            {"elevation_degrees": (45.0, 0.0)},
            r"elevation_degrees=\(45.0, 0.0\): expected two numbers in \[-89, 89\], the lower first",
        ),
        ({"elevation_degrees": (0.0, 90.0)}, r"elevation_degrees=\(0.0, 90.0\)"),
        (
            {"distance": (1.22, 3.0)},
            r"distance=\(1.22, 3.0\): expected two numbers in \(1.22, 1000\], the lower first",
        ),
        ({"fov_degrees": (0.0, 40.0)}, r"fov_degrees=\(0.0, 40.0\): expected .* in \(0, 120\]"),
        ({"fov_degrees": (40.0, 121.0)}, "fov_degrees="),
        ({"fov_degrees": (40.0,)}, "fov_degrees="),
        ({"overhead_share": 1.5}, "overhead_share=1.5"),
        ({"entropy": -0.3}, "entropy=-0.3: expected a number of at least 0"),
        ({"tau_max": 2.0}, r"tau_max=2.0: expected a number in \[0, 1\]"),
        ({"perp_neg": -1.0}, "perp_neg=-1.0: expected a number in"),
        (
            {"perp_neg": 1.0, "view_words": False},
            "perp_neg=1.0: expected 0 where view_words is False",
        ),
        ({"progressive_share": 1.5}, "progressive_share=1.5"),
        ({"shading": 1.5}, "shading=1.5"),
        ({"textureless": -0.5}, "textureless=-0.5"),
        ({"guidance_scale": float("nan")}, "guidance_scale=nan"),
        ({"finest_resolution": 4}, "finest_resolution=4"),
    ],
)
def test_bad_settings_are_refused_by_name(tiny, change, message):
    with pytest.raises(ValueError, match=message):
        build(replace(SMALL, **change), tiny)


@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_the_model_sees_small_renders_enlarged(tiny, through):
    built = build(replace(SMALL, render_size=8, through=through, steps=2), tiny)
    before = built.scene.render().detach()
    *_, last = built.distilled()
    assert last.render().shape == before.shape == (2, 3, 8, 8)
    assert last.x0.shape[-2:] == (8, 8)  # 16 pixels, two a latent
    assert not torch.equal(built.scene.nerf.grid.table, build(SMALL, tiny).scene.nerf.grid.table)


def test_a_size_the_autoencoder_cannot_divide_is_refused(tiny):
    with pytest.raises(ValueError, match="size=17: expected a multiple of"):
        build(replace(SMALL, size=17), tiny)


def test_cameras_need_a_prompt_for_each_view(tiny):
    built = build(SMALL, tiny)
    prompt = tiny.embed(["a red mug"] * 2)
    with pytest.raises(ValueError, match="prompt="):
        next(
            distill(
                built.scene,
                built.rule,
                prompt=prompt,
                num_steps=1,
                cameras=lambda draw: sample_cameras(2, draw),
                codec=tiny,
            )
        )
