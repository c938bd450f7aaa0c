import dataclasses
import math
import random  # noqa: TID251  # to see that nothing touches it

import numpy as np
import pytest
import torch

from sdilib.cameras import Camera
from sdilib.checks import NonFiniteError
from sdilib.distillation import Enlarged, Step, distill, distill_step
from sdilib.guidance import ISM, SDI, SDS, Update, View
from sdilib.inversion import Cached, DDIMInversion, FixedNoise, FixedPoint, GradientDescent
from sdilib.oracle import GaussianMixture
from sdilib.sampling import ddim
from sdilib.scenes import ImageScene, Rendering
from sdilib.schedule import NoiseSchedule, TimeSchedule, time_grid
from sdilib.seeds import generator as generator_at
from sdilib.seeds import normal
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.loading import random_pipeline

SCHEDULE = NoiseSchedule.scaled_linear()


def push(gradient: torch.Tensor):
    """A rule of one's own that always answers the same gradient."""

    def rule(x0, t, view, generator):
        noises = {"kappa": torch.zeros_like(x0), "eps": gradient, "schedule": SCHEDULE}
        return Update.from_noises(x0, t, **noises, weight="1", num_forwards=0)

    return rule


def one_step(scene, rule, prompt, *, rate: float = 1.0, **how) -> Step:
    """One step of plain descent at t = 1/2."""
    count = len(prompt)
    each = [generator_at(0, 0, "guidance", item) for item in range(count)]
    how = {"step": 7, "optimizer": torch.optim.SGD(scene.parameters(), lr=rate)} | how
    view = how.pop("view", View(prompt))
    return distill_step(scene, rule, view, torch.full((count,), 0.5).double(), each, **how)


@pytest.fixture
def prompt(oracle: GaussianMixture):
    return oracle.prompt([[0], [1], [2]])


def scene_of(value: float = 0.0) -> ImageScene:
    return ImageScene(torch.full((3, 4, 2, 2), value, dtype=torch.float64))


def test_a_step_is_yielded_after_it_is_complete_and_nothing_runs_ahead(oracle, prompt):
    scene = scene_of()
    run = distill(scene, SDS(oracle, 7.5), prompt=prompt, num_steps=5)
    first = next(run)
    torch.testing.assert_close(scene.values.detach(), first.update.target)
    torch.testing.assert_close(first.x0, torch.zeros_like(first.x0))
    before = scene.values.detach().clone()
    second = next(run)
    torch.testing.assert_close(second.x0, before)
    assert [first.step, second.step] == [0, 1]


def test_a_step_carries_no_graph_and_its_render_is_a_copy_of_now(oracle, prompt):
    scene = scene_of()
    steps = list(distill(scene, SDI(oracle), prompt=prompt, num_steps=3))
    for step in steps:
        held = (step.x0, step.t, step.gradient_norm, step.render())
        assert not any(tensor.requires_grad for tensor in held)
        for field in dataclasses.fields(step.update):
            value = getattr(step.update, field.name)
            assert not (isinstance(value, torch.Tensor) and value.requires_grad)
    image = steps[-1].render()
    image += 1
    torch.testing.assert_close(scene.values.detach() + 1, image)


def test_a_render_of_now_keeps_no_graph_while_it_is_made(oracle, prompt, monkeypatch):
    scene = scene_of()
    (step,) = distill(scene, SDI(oracle), prompt=prompt, num_steps=1)
    render, graphs = scene.render, []
    monkeypatch.setattr(scene, "render", lambda: graphs.append(torch.is_grad_enabled()) or render())
    step.render()
    assert graphs == [False]


def test_gradient_norm_is_a_root_mean_square_an_item(oracle, prompt):
    gradient = torch.ones(3, 4, 2, 2, dtype=torch.float64)
    gradient[1] *= 2
    (step,) = distill(scene_of(), push(gradient), prompt=prompt, num_steps=1)
    torch.testing.assert_close(
        step.gradient_norm, torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    )


def test_any_callable_is_a_rule(oracle, prompt):
    gradient = torch.full((3, 4, 2, 2), 0.25, dtype=torch.float64)
    scene = scene_of(1.0)
    *_, last = distill(scene, push(gradient), prompt=prompt, num_steps=4)
    torch.testing.assert_close(last.render(), torch.zeros_like(gradient))


class Forgetful:
    """A rule that returns the gradient alone."""

    def __call__(self, x0, t, view, generator):
        return x0


def only_noise(x0, t, view, generator):
    return x0


@pytest.mark.parametrize(("rule", "name"), [(Forgetful(), "Forgetful"), (only_noise, "only_noise")])
def test_a_rule_that_returns_no_update_is_named_by_its_name(rule, name, prompt):
    expected = f"^rule='{name}, which returned Tensor': expected one that returns an Update$"
    with pytest.raises(ValueError, match=expected):
        list(distill(scene_of(), rule, prompt=prompt, num_steps=1))


def test_an_update_of_another_shape_is_not_spread_over_the_scene(prompt):
    def narrow(x0, t, view, generator):
        one = torch.ones(1, 1, 1, 1)
        return Update(one, one, one, one, one, torch.ones(1), 0)

    expected = (
        r"whose gradient has shape \(1, 1, 1, 1\)': expected the shape of x0, \(3, 4, 2, 2\)$"
    )
    with pytest.raises(ValueError, match=expected):
        list(distill(scene_of(), narrow, prompt=prompt, num_steps=1))


def test_the_optimizer_given_is_the_one_that_steps(oracle, prompt):
    gradient = torch.full((3, 4, 2, 2), 5.0, dtype=torch.float64)
    scene = scene_of()
    adam = torch.optim.Adam(scene.parameters(), lr=0.1)
    list(distill(scene, push(gradient), prompt=prompt, num_steps=2, optimizer=adam))
    # Adam's first steps have the size of the rate, whatever the gradient's.
    torch.testing.assert_close(scene.values.detach(), torch.full_like(gradient, -0.2))


@pytest.mark.parametrize("num_steps", [3, 20])
def test_times_end_with_the_run(num_steps, oracle, prompt):
    gradient = torch.zeros(3, 4, 2, 2, dtype=torch.float64)
    steps = list(distill(scene_of(), push(gradient), prompt=prompt, num_steps=num_steps))
    expected = [1 - 0.8 * i / num_steps for i in range(num_steps)]
    assert [float(step.t[0]) for step in steps] == pytest.approx(expected)


def test_random_times_are_drawn_for_each_item(oracle, prompt):
    (step,) = distill(scene_of(), SDS(oracle), prompt=prompt, num_steps=1, t_schedule="random")
    assert len(set(step.t.tolist())) == 3


def test_an_items_run_is_the_one_it_would_have_alone(oracle, prompt):
    scene = scene_of()
    rule = SDI(oracle, kappa=DDIMInversion(tau_max=1 / 30, entropy=0.3))
    settings = {"num_steps": 4, "t_schedule": "random"}
    list(distill(scene, rule, prompt=prompt, seeds=[5, 6, 7], **settings))
    for i in range(3):
        one = torch.tensor([i])
        alone = ImageScene(torch.zeros(1, 4, 2, 2, dtype=torch.float64))
        list(distill(alone, rule, prompt=prompt.select(one), seeds=5 + i, **settings))
        # float64: sums in another order, carried on over four steps at gamma = 7.5.
        torch.testing.assert_close(scene.values[one], alone.values, rtol=1e-7, atol=1e-7)


def test_each_step_and_item_draws_from_its_own_address(oracle, prompt):
    steps = list(distill(scene_of(), SDS(oracle), prompt=prompt, num_steps=3, seeds=[5, 6, 7]))
    for step in steps:
        expected = normal(step.x0, [generator_at(s, step.step, "guidance") for s in (5, 6, 7)])
        assert torch.equal(step.update.kappa, expected)
    assert not torch.equal(steps[0].update.kappa, steps[1].update.kappa)


def test_one_seed_counts_up_over_the_items(oracle, prompt):
    one, two = scene_of(), scene_of()
    list(distill(one, SDS(oracle), prompt=prompt, num_steps=2, seeds=5))
    list(distill(two, SDS(oracle), prompt=prompt, num_steps=2, seeds=[5, 6, 7]))
    assert torch.equal(one.values, two.values)


STATES = {"random": None, "fixed": FixedNoise, "cached": Cached, "inversion": DDIMInversion}


@pytest.mark.parametrize("kappa", STATES.values(), ids=STATES)
def test_a_resumed_run_has_the_bits_of_the_unbroken_one(kappa, oracle, prompt):
    def make():
        scene = scene_of()
        rule = SDI(oracle, kappa=kappa()) if kappa else SDS(oracle)
        return scene, rule, torch.optim.Adam(scene.parameters(), lr=0.05)

    settings = {"prompt": prompt, "num_steps": 8, "t_schedule": "random", "seeds": 3}
    whole, rule, optimizer = make()
    list(distill(whole, rule, optimizer=optimizer, **settings))

    broken, rule, optimizer = make()
    for step in distill(broken, rule, optimizer=optimizer, **settings):
        if step.step == 4:
            break
    saved = (broken.state_dict(), optimizer.state_dict(), kappa and rule.state_dict())

    resumed, rule, optimizer = make()
    resumed.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    if kappa:
        rule.load_state_dict(saved[2])
    list(distill(resumed, rule, optimizer=optimizer, first_step=5, **settings))
    assert torch.equal(resumed.values, whole.values)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tiny, two):
    def run(seed: int) -> torch.Tensor:
        scene = ImageScene(torch.zeros(2, *tiny.latent_shape))
        list(distill(scene, SDI(tiny), prompt=two, num_steps=2, seeds=seed, t_schedule="random"))
        return scene.values.detach()

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(10))


def test_looking_at_a_run_does_not_change_it(tiny, two):
    # In the published code validation draws from the streams that training draws from.
    def run(look: bool) -> torch.Tensor:
        scene = ImageScene(torch.zeros(2, *tiny.latent_shape))
        for step in distill(scene, SDS(tiny), prompt=two, num_steps=3):
            if look:
                tiny.encode(tiny.decode(step.render()).detach())
                random_pipeline("tiny", seed=5)
        return scene.values.detach()

    assert torch.equal(run(False), run(True))


def globals_now() -> tuple:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return (kind, keys.tolist(), *rest), torch.get_rng_state().tolist()


def test_nothing_touches_the_global_generators(oracle, prompt, tmp_path, monkeypatch):
    # Python's is watched by its functions, since beartype picks the items it checks by its state.
    def refuse(*arguments, **keywords):
        raise AssertionError("drew from Python's global generator")

    for name in random.__all__:
        if getattr(getattr(random, name), "__self__", None) is random._inst:
            monkeypatch.setattr(random, name, refuse)
    before = globals_now()
    model = StableDiffusion(random_pipeline("tiny"))
    embedded = model.embed(["a red mug"])
    TimeSchedule("random").at(0, 5, generator=generator_at(0, 0, "time"))
    x_t = torch.zeros(1, *model.latent_shape)
    list(ddim(x_t, model.guided(embedded, 7.5), times=time_grid(2)))
    kappas = (Cached(), FixedNoise(), FixedPoint(2), GradientDescent(2), DDIMInversion(entropy=0.3))
    rules = [SDS(model), ISM(model), *(SDI(model, kappa=kappa) for kappa in kappas)]
    for rule in rules:
        scene = ImageScene(torch.full((1, 3, 16, 16), 0.5), space="pixels")
        run = distill(scene, rule, prompt=embedded, num_steps=1, codec=model, t_schedule="random")
        next(run).render()
    random_pipeline("tiny").save_pretrained(tmp_path / "model")
    StableDiffusion.from_pretrained(str(tmp_path / "model"))
    oracle.sample(torch.tensor([0]), 1.0, torch.zeros(1, 2, 4, 2, 2))
    assert globals_now() == before


def test_pixels_are_pushed_by_the_gradient_through_the_encoder(tiny64, generator):
    # Against central differences of <encode(pixels), gradient> along a random direction, float64.
    pixels = torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=generator)
    gradient = torch.randn(1, 4, 8, 8, dtype=torch.float64, generator=generator)
    direction = torch.randn(1, 3, 16, 16, dtype=torch.float64, generator=generator)
    scene = ImageScene(pixels, space="pixels")
    prompt = tiny64.embed(["a red mug"])
    list(distill(scene, push(gradient), prompt=prompt, num_steps=1, codec=tiny64))
    moved = ((pixels - scene.values.detach()) * direction).sum()

    def along(step: float) -> torch.Tensor:
        with torch.no_grad():
            return (tiny64.encode(pixels + step * direction) * gradient).sum()

    h = 1e-5
    torch.testing.assert_close(moved, (along(h) - along(-h)) / (2 * h), rtol=1e-6, atol=1e-9)


def pixels_and_gradient(generator):
    pixels = torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=generator)
    return pixels, torch.randn(1, 4, 8, 8, dtype=torch.float64, generator=generator)


def test_pixels_are_regressed_onto_the_decoded_target(tiny64, generator):
    pixels, gradient = pixels_and_gradient(generator)
    scene, prompt = ImageScene(pixels, space="pixels"), tiny64.embed(["a red mug"])
    step = one_step(scene, push(gradient), prompt, codec=tiny64, through="decoder")
    with torch.no_grad():
        latents = tiny64.encode(pixels)
        target = tiny64.decode(latents - gradient).clamp(0, 1)
    torch.testing.assert_close(scene.values.detach(), target)
    torch.testing.assert_close(step.x0, latents)
    # The norm is that of what was pushed, which lies in pixels here.
    norm = (pixels - target).square().mean().sqrt()
    torch.testing.assert_close(step.gradient_norm, norm[None])


@pytest.mark.parametrize("updates", [1, 2, 3])
@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_updates_go_on_to_one_target_and_ask_the_rule_once(through, updates, tiny64, generator):
    pixels, gradient = pixels_and_gradient(generator)
    scene, prompt, asked = ImageScene(pixels, space="pixels"), tiny64.embed(["a red mug"]), []

    def rule(x0, t, view, generator):
        asked.append(x0)
        return push(gradient)(x0, t, view, generator)

    how = {"codec": tiny64, "through": through, "updates": updates}
    one_step(scene, rule, prompt, rate=0.25, **how)
    assert len(asked) == 1
    # The same, each update a step of its own towards the first one's target.
    values, target = pixels.clone().requires_grad_(), (tiny64.encode(pixels) - gradient).detach()
    for _ in range(updates):
        if through == "encoder":
            distance = (tiny64.encode(values) - target).square().sum() / 2
        else:
            wanted = tiny64.decode(target).clamp(0, 1).detach()
            distance = (values - wanted).square().sum() / 2
        (slope,) = torch.autograd.grad(distance, values)
        values = (values - 0.25 * slope).detach().requires_grad_()
    torch.testing.assert_close(scene.values, values)


@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_a_rules_gradient_in_the_image_is_added_to_that_of_its_latents(through, tiny64, generator):
    # As HiFA's image loss wants it (2305.18766).
    pixels, gradient = pixels_and_gradient(generator)
    image_gradient = torch.randn(1, 3, 16, 16, dtype=torch.float64, generator=generator)
    moved, prompt = [], tiny64.embed(["a red mug"])
    for more in (None, image_gradient):
        scene = ImageScene(pixels, space="pixels")

        def rule(x0, t, view, generator, more=more):
            update = push(gradient)(x0, t, view, generator)
            return dataclasses.replace(update, image_gradient=more)

        one_step(scene, rule, prompt, rate=0.5, codec=tiny64, through=through)
        moved.append(scene.values.detach())
    torch.testing.assert_close(moved[0] - moved[1], 0.5 * image_gradient)


@pytest.mark.parametrize("updates", [1, 3])
@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_a_second_loss_pulls_the_render_to_the_decoded_target(through, updates, tiny64, generator):
    # Half the squared distance between the image and the decoded target, which is not clamped, for every rule.
    pixels, gradient = pixels_and_gradient(generator)
    scene, prompt = ImageScene(pixels, space="pixels"), tiny64.embed(["a red mug"])
    how = {"codec": tiny64, "through": through, "updates": updates, "image_weight": 0.3}
    one_step(scene, push(3 * gradient), prompt, rate=0.25, **how)
    values, target = (
        pixels.clone().requires_grad_(),
        (tiny64.encode(pixels) - 3 * gradient).detach(),
    )
    decoded = tiny64.decode(target).detach()
    assert not torch.equal(decoded, decoded.clamp(0, 1))
    for _ in range(updates):
        if through == "encoder":
            distance = (tiny64.encode(values) - target).square().sum() / 2
        else:
            distance = (values - decoded.clamp(0, 1)).square().sum() / 2
        distance = distance + 0.3 * (values - decoded).square().sum() / 2
        (slope,) = torch.autograd.grad(distance, values)
        values = (values - 0.25 * slope).detach().requires_grad_()
    torch.testing.assert_close(scene.values, values)


def test_a_second_loss_has_the_scale_of_its_weight(tiny64, generator):
    pixels, gradient = pixels_and_gradient(generator)
    moved = []
    for image_weight in (0.0, 0.1, 0.2):
        scene, prompt = ImageScene(pixels, space="pixels"), tiny64.embed(["a red mug"])
        step = one_step(scene, push(gradient), prompt, codec=tiny64, image_weight=image_weight)
        moved.append(scene.values.detach())
        decoded = tiny64.decode(step.update.target)
        loss = step.measured.get("image_loss", torch.zeros((), dtype=torch.float64))
        torch.testing.assert_close(loss, image_weight * (pixels - decoded).square().mean() / 2)
    torch.testing.assert_close(moved[2] - moved[0], 2 * (moved[1] - moved[0]))
    assert float((moved[1] - moved[0]).abs().max()) > 0.01


def test_several_updates_descend_to_the_images_target_and_not_past_it(tiny64, generator):
    pixels, _ = pixels_and_gradient(generator)
    scene, prompt = ImageScene(pixels, space="pixels"), tiny64.embed(["a red mug"])

    def rule(x0, t, view, generator):
        still = push(torch.zeros_like(x0))(x0, t, view, generator)
        return dataclasses.replace(still, image_gradient=view.image - 0.5)

    step = one_step(scene, rule, prompt, codec=Constant(), updates=3, rate=0.5)
    torch.testing.assert_close(step.measured["image_loss"], (pixels - 0.5).square().mean() / 2)
    torch.testing.assert_close(scene.values.detach(), 0.5 + (pixels - 0.5) / 8)
    assert float(step.gradient_norm) == 0


class Constant:
    """A codec whose latents say nothing of the image."""

    def encode(self, images):
        return (0 * images).sum((1, 2, 3), keepdim=True).expand(-1, 4, 8, 8)

    def decode(self, latents):
        raise AssertionError("nothing is decoded on the encoder's way")


class Seen(ImageScene):
    """Pixels at a depth, with a penalty and what it measured."""

    def render(self):
        depth = torch.full((1, 16, 16), 2.0, dtype=torch.float64)
        penalty = self.values.square().mean() / 2
        return Rendering(self.values, penalty, depth, {"penalty": penalty, "opacity": depth.mean()})


def test_a_view_carries_the_image_the_depth_and_the_camera(tiny64, generator):
    pixels, gradient = pixels_and_gradient(generator)
    asked, camera = [], Camera.around([30])

    def rule(x0, t, view, generator):
        asked.append(view)
        return push(gradient)(x0, t, view, generator)

    given = View(tiny64.embed(["a red mug"]), camera=camera)
    scene = Seen(pixels, space="pixels")
    step = one_step(scene, rule, given.prompt, view=given, codec=tiny64, rate=0.0)
    (view,) = asked
    assert torch.equal(view.image, pixels)
    assert not view.image.requires_grad
    assert view.depth.shape == (1, 16, 16)
    assert view.prompt is given.prompt
    assert view.camera is step.camera is camera


def test_a_latent_scene_has_no_image_to_show(oracle, prompt):
    def rule(x0, t, view, generator):
        assert (view.image, view.depth, view.camera) == (None, None, None)
        return push(torch.zeros_like(x0))(x0, t, view, generator)

    assert one_step(scene_of(), rule, prompt).camera is None


def test_a_step_carries_what_the_scene_measured_of_its_last_render(tiny64, generator):
    pixels, gradient = pixels_and_gradient(generator)
    scene, prompt = Seen(pixels, space="pixels"), tiny64.embed(["a red mug"])
    step = one_step(scene, push(gradient), prompt, codec=tiny64, updates=2, rate=1e-3)
    assert set(step.measured) == {"penalty", "opacity"}
    assert not any(value.requires_grad for value in step.measured.values())
    # Of the render that the second update began with.
    again = Seen(pixels, space="pixels")
    one_step(again, push(gradient), prompt, codec=tiny64, rate=1e-3)
    torch.testing.assert_close(step.measured["penalty"], again.render().penalty.detach())


def test_a_penalty_is_weighed_against_the_mean_squared_distance(tiny64, generator):
    pixels, gradient = pixels_and_gradient(generator)
    scene, plain = (kind(pixels, space="pixels") for kind in (Seen, ImageScene))
    for each in (scene, plain):
        one_step(each, push(gradient), tiny64.embed(["a red mug"]), codec=tiny64)
    # 256 latents: the penalty's own slope is values / 768 pixels.
    moved = plain.values.detach() - scene.values.detach()
    torch.testing.assert_close(moved, 256 * pixels / 768)


def broken_at(*steps, num_steps=8, value=math.inf):
    """A rule whose gradient is 1 everywhere, but for one number at some steps of a run from t = 1 to 0.2."""
    times = {round(1 - 0.8 * step / num_steps, 9) for step in steps}

    def rule(x0, t, view, generator):
        gradient = torch.ones_like(x0)
        if round(float(t[0]), 9) in times:
            gradient[1, 0, 0, 0] = value
        return push(gradient)(x0, t, view, generator)

    return rule


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_step_that_is_not_finite_is_skipped_counted_and_said(value, prompt, caplog):
    def run(rule, first_step=0):
        scene = scene_of()
        optimizer = torch.optim.Adam(scene.parameters(), lr=0.1)
        how = {"prompt": prompt, "num_steps": 8, "optimizer": optimizer, "first_step": first_step}
        return list(distill(scene, rule, **how)), scene.values.detach(), optimizer

    steps, values, optimizer = run(broken_at(2, 5, 6, value=value))
    assert [step.step for step in steps] == list(range(8))
    assert [step.skipped for step in steps] == [0, 0, 1, 0, 0, 1, 2, 0]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert "gradient=1 of 48 values not finite at step 2 (t = 0.8 … 0.8): exp" in messages[0]
    # The scene and the optimiser's moments are those of the five other steps.
    fewer, alone, other = run(broken_at(), first_step=3)
    assert [step.skipped for step in fewer] == [0] * 5
    assert torch.equal(values, alone)
    one, two = (each.state_dict()["state"][0] for each in (optimizer, other))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_stops_at_the_fifth_step_in_a_row_that_is_not_finite(prompt):
    scene, seen = scene_of(), []
    run = distill(scene, broken_at(2, 3, 4, 5, 6), prompt=prompt, num_steps=8)
    expected = (
        r"^gradient=1 of 48 values not finite at step 6 \(t = 0\.4 … 0\.4\), 5 steps in a row: exp"
    )
    with pytest.raises(NonFiniteError, match=expected):
        seen.extend(step.skipped for step in run)
    assert scene.values.detach().max() == -2  # what the first two steps made


def test_a_resumed_run_goes_on_counting_what_was_skipped(prompt):
    for first_step in (3, 5, 6):
        run = {"prompt": prompt, "num_steps": 8, "first_step": first_step}
        with pytest.raises(NonFiniteError, match=r"at step 6 .*, 5 steps in a row"):
            list(distill(scene_of(), broken_at(2, 3, 4, 5, 6), skipped=first_step - 2, **run))


def test_a_gradient_of_the_parameters_that_is_not_finite_is_not_taken(prompt, caplog):
    class Cliff(ImageScene):
        def render(self):  # where the render is 0, its slope is infinite
            return Rendering(self.values.sqrt())

    scene = Cliff(torch.ones(3, 4, 2, 2, dtype=torch.float64))
    with torch.no_grad():
        scene.values[0, 0, 0, 0] = 0
    before = scene.values.detach().clone()
    step = one_step(scene, push(torch.ones_like(before)), prompt)
    assert step.skipped == 1
    assert torch.equal(scene.values.detach(), before)
    assert "parameter_gradients=1 of 48 values not finite at step 7 (t = 0.5" in caplog.text


def test_a_finished_run_has_no_step_left_and_none_begins_after_the_end(oracle, prompt):
    run = {"prompt": prompt, "num_steps": 4}
    assert list(distill(scene_of(), SDS(oracle), first_step=4, **run)) == []
    with pytest.raises(ValueError, match=r"^first_step=5: .*num_steps=4"):
        list(distill(scene_of(), SDS(oracle), first_step=5, **run))


def test_latents_and_predictions_that_are_not_finite_are_named_with_their_step(
    scripted, rows, prompt, oracle
):
    scene = ImageScene(torch.full((3, 4, 2, 2), math.nan))
    with pytest.raises(NonFiniteError, match=r"^x0=48 of 48 values not finite at step 0 "):
        list(distill(scene, SDS(oracle), prompt=prompt, num_steps=4))
    broken = scripted(lambda x_t, t, condition: x_t * math.nan)
    run = distill(ImageScene(torch.zeros(1, 4, 2, 2)), SDS(broken), prompt=rows(1), num_steps=9)
    with pytest.raises(NonFiniteError, match=r"^gradient=16 of 16 values not finite at step 4 "):
        list(run)


@pytest.mark.parametrize("last", [False, True])
def test_a_step_into_what_is_not_finite_is_found_before_the_next_or_at_the_end(last, prompt):
    scene = ImageScene(torch.zeros(3, 4, 2, 2))
    optimizer = torch.optim.SGD(scene.parameters(), lr=1e20)
    run = distill(
        scene,
        push(torch.full((3, 4, 2, 2), 1e30)),
        prompt=prompt,
        num_steps=1 if last else 4,
        optimizer=optimizer,
    )
    assert next(run).step == 0
    where = "after step 0: " if last else r"at step 1 \(t = 0.8 … 0.8\): "
    name = "parameters" if last else "x0"
    with pytest.raises(NonFiniteError, match=f"^{name}=48 of 48 values not finite {where}"):
        next(run)


@pytest.mark.parametrize("through", ["encoder", "decoder"])
def test_a_gradient_in_the_image_that_is_not_finite_is_not_taken(through, tiny64, generator):
    pixels, gradient = pixels_and_gradient(generator)
    scene, prompt = ImageScene(pixels, space="pixels"), tiny64.embed(["a red mug"])

    def rule(x0, t, view, generator):
        update = push(gradient)(x0, t, view, generator)
        return dataclasses.replace(update, image_gradient=view.image * math.inf)

    assert one_step(scene, rule, prompt, codec=tiny64, through=through).skipped == 1
    with pytest.raises(NonFiniteError, match=r"^gradient=768 of \d+ values not finite at step 7 "):
        one_step(scene, rule, prompt, codec=tiny64, through=through, skipped=4)
    assert torch.equal(scene.values, pixels)


def test_a_decoded_target_that_is_not_finite_is_not_taken(tiny64, generator):
    pixels, gradient = pixels_and_gradient(generator)
    scene, prompt = ImageScene(pixels, space="pixels"), tiny64.embed(["a red mug"])
    gradient[0, 0, 0, 0] = math.nan
    with pytest.raises(NonFiniteError, match=r"^gradient=\d+ of 768 values not finite at step 7 "):
        one_step(scene, push(gradient), prompt, codec=tiny64, through="decoder", skipped=4)
    assert torch.equal(scene.values, pixels)


def test_renders_are_enlarged_for_the_model_and_its_images_shrunk(generator):
    images = torch.rand(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    small = Enlarged(Same(), 8, 4)
    seen = small.encode(images)
    assert seen.shape == (2, 3, 8, 8)
    # Bilinear: a pixel that lies between two has a quarter of one and three quarters of the other.
    torch.testing.assert_close(
        seen[:, :, 0, 1:3],
        images[:, :, 0, :2] @ torch.tensor([[0.75, 0.25], [0.25, 0.75]]).double(),
    )
    shrunk = small.decode(seen)
    torch.testing.assert_close(shrunk, seen.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)))


class Same:
    """A codec whose latents are the images."""

    def encode(self, images):
        return images

    def decode(self, latents):
        return latents


def test_a_rule_is_told_how_much_of_the_run_is_done(oracle):
    seen, sds = [], SDS(oracle)
    spy = lambda x0, t, view, draws: (seen.append(view.done), sds(x0, t, view, draws))[1]  # noqa: E731
    scene = ImageScene(torch.zeros(1, 4, 2, 2))
    list(distill(scene, spy, prompt=oracle.prompt([[0]]), num_steps=4, first_step=1))
    assert seen == [0.25, 0.5, 0.75]
