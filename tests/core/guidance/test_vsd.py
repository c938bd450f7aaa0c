"""VSD and ESD: fresh, perfect, learning, before and after, resumed; on an oracle and with LoRA."""

from dataclasses import replace

import pytest
import torch
from made_up import draws

from sdilib.cameras import Camera
from sdilib.distillation import distill
from sdilib.guidance import CSD, ESD, SDS, VSD, View
from sdilib.guidance.learned import Learner, poses
from sdilib.oracle import GaussianMixture
from sdilib.scenes import ImageScene
from sdilib.seeds import generator as generator_at
from sdilib.storage import load_tensors, save_tensors
from sdilib.text_to_image import Text2D


class Perfect:
    """An adapter that knows the only object there is, and so the noise; nothing is left to learn."""

    def __init__(self, schedule, x0):
        self.schedule, self.x0 = schedule, x0
        self.learned = {"nothing": torch.nn.Parameter(torch.zeros(1, dtype=x0.dtype))}

    def __call__(self, x_t, t, condition, pose):
        alpha = self.schedule.alpha_cumprod(t).reshape(-1, 1, 1, 1)
        noise = (x_t - alpha.sqrt() * self.x0) / (1 - alpha).sqrt()
        return noise + 0 * self.learned["nothing"]


@pytest.fixture
def cameras() -> Camera:
    return Camera.around([0, 90, 180])


@pytest.mark.parametrize("weight", ["1", "1-alpha", "sigma"])
@pytest.mark.parametrize("rule", [VSD, ESD])
def test_fresh_it_is_the_guidance_alone(rule, weight, oracle, x0, times, view):
    vsd = rule(oracle, 7.5, weight=weight)(x0, times, view, draws())
    csd = CSD(oracle, 6.5, weight=weight)(x0, times, view, draws())
    torch.testing.assert_close(vsd.gradient, csd.gradient)


def test_fresh_lora_is_the_frozen_model_whatever_the_pose(tiny64, generator, cameras):
    x0 = torch.randn(3, *tiny64.latent_shape, dtype=torch.float64, generator=generator)
    t = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)
    view = View(tiny64.embed(["a mug", "a rocket", "a cactus"]), camera=cameras)
    vsd = VSD(tiny64, 7.5, adapter_steps=0)(x0, t, view, draws())
    csd = CSD(tiny64, 6.5)(x0, t, view, draws())
    torch.testing.assert_close(vsd.gradient, csd.gradient, rtol=1e-8, atol=1e-8)
    assert vsd.num_forwards == 3 * 3


def test_a_perfect_adapter_makes_it_sds(oracle, x0, times, view):
    oracle.adapter = lambda rank: Perfect(oracle.schedule, x0)
    for rule in (VSD(oracle, 7.5), ESD(oracle, 7.5)):
        vsd = rule(x0, times, view, draws())
        sds = SDS(oracle, 7.5, weight="1-alpha")(x0, times, view, draws())
        torch.testing.assert_close(vsd.gradient, sds.gradient)


def test_esds_lambda_goes_from_vsd_to_no_camera(tiny64, generator, cameras):
    x0 = torch.randn(3, *tiny64.latent_shape, dtype=torch.float64, generator=generator)
    t = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)
    view = View(tiny64.embed(["a mug", "a rocket", "a cactus"]), camera=cameras)
    how = {"adapter_rate": 0.05, "camera_dropout": 0.0}
    rules = {share: ESD(tiny64, 7.5, entropy_share=share, **how) for share in (0.0, 0.25, 1.0)}
    rules["vsd"] = VSD(tiny64, 7.5, **how)
    first = {name: rule(x0, t, view, draws()) for name, rule in rules.items()}  # all learn the same
    update = {name: rule(x0, t, view, draws()).gradient for name, rule in rules.items()}
    assert torch.equal(update[0.0], update["vsd"])
    assert float((update[1.0] - update[0.0]).abs().max()) > 1e-4  # phi looks at the camera
    torch.testing.assert_close(update[0.25], 0.25 * update[1.0] + 0.75 * update[0.0])
    assert first["vsd"].num_forwards == first[1.0].num_forwards == 3 * 4
    assert first[0.25].num_forwards == 3 * 5


def test_phi_learns_the_noise_in_what_the_scene_shows(planar):
    # A scene that stands still, away from every mode: phi comes to find its noise, which e_y does not.
    x0 = torch.tensor([[0.2, 0.4]], dtype=torch.float64).repeat(64, 1)
    view = View(planar.prompt([[0, 1, 2]] * 64))
    rule = VSD(planar, 1.0, adapter_rate=0.01, adapter_steps=300)
    noise = torch.randn(64, 2, dtype=torch.float64, generator=generator_at(0, 0, "x"))
    t = torch.full((64,), 0.5, dtype=torch.float64)
    x_t, pose = planar.schedule.add_noise(x0, noise, t), poses(None, x0)

    def missed() -> float:
        return float((rule.learned(x_t, t, view, pose) - noise).square().mean())

    before = missed()
    rule(x0, t, view, generator_at(0, 0, "guidance"))
    assert missed() < 0.5 * before


class Spy:
    """An adapter that predicts nothing and notes what it is trained on."""

    def __init__(self, x0):
        self.learned, self.seen = {"nothing": torch.nn.Parameter(x0.new_zeros(1))}, []

    def __call__(self, x_t, t, condition, pose):
        if torch.is_grad_enabled():
            self.seen.append((x_t.detach(), t, condition, pose))
        return 0 * x_t + self.learned["nothing"]


def test_phi_learns_at_its_own_times_and_noises_and_mostly_with_the_pose(
    oracle, x0, times, view, cameras
):
    spy = Spy(x0)
    oracle.adapter = lambda rank: spy
    update = VSD(oracle, 7.5, adapter_steps=400)(x0, times, replace(view, camera=cameras), draws())
    noisy, t, conditions, pose = zip(*spy.seen, strict=True)
    dropped = torch.cat([(each == 0).all(1) for each in pose]).double().mean()
    assert float(dropped) == pytest.approx(0.1, abs=0.04)
    assert float(torch.cat(t).mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.cat(t).unique().numel() == 400 * 3
    assert all(each is view.prompt.conditional for each in conditions)
    alpha = oracle.schedule.alpha_cumprod(t[0]).reshape(-1, 1, 1, 1)
    noise = (noisy[0] - alpha.sqrt() * x0) / (1 - alpha).sqrt()
    assert not torch.allclose(noise, update.kappa)


def test_before_and_after_differ_by_when_phi_learns(oracle, x0, times, view):
    # Without a second update "after" is fresh, and "before" is not.
    fresh = CSD(oracle, 6.5)(x0, times, view, draws())
    after, before = (
        VSD(oracle, 7.5, order=order, adapter_rate=0.05)(x0, times, view, draws())
        for order in ("after", "before")
    )
    torch.testing.assert_close(after.gradient, fresh.gradient)
    assert float((before.gradient - fresh.gradient).abs().max()) > 1e-3
    assert after.num_forwards == before.num_forwards
    assert torch.equal(after.kappa, before.kappa)


def test_the_pose_is_the_cameras_matrix(cameras):
    row = poses(cameras, torch.zeros(3, 1)).reshape(3, 4, 4)
    origins = cameras.rays(1, 1).origins[:, 0, 0]
    torch.testing.assert_close(row[:, :3, 3], origins)
    torch.testing.assert_close(row[:, :3, :3], cameras.axes.transpose(1, 2).float())
    assert not bool(poses(None, torch.zeros(3, 1)).any())


def test_the_model_itself_never_changes(tiny, generator, two):
    x0 = torch.randn(2, *tiny.latent_shape, generator=generator)
    t = torch.tensor([0.9, 0.3], dtype=torch.float64)
    before, names = tiny.hash, list(tiny._unet.state_dict())
    e = tiny.branches(x0, t, [two.conditional])[0]
    rule = VSD(tiny, 7.5, adapter_rate=0.1)
    state = torch.default_generator.get_state()
    for _ in range(2):
        rule(x0, t, View(two), draws(2))
    assert torch.equal(torch.default_generator.get_state(), state)
    assert tiny.hash == before
    assert list(tiny._unet.state_dict()) == names
    assert torch.equal(tiny.branches(x0, t, [two.conditional])[0], e)
    assert not torch.equal(rule.learned(x0, t, View(two), poses(None, x0)), e)


def test_an_oracles_adapter_leaves_the_global_stream_alone(oracle, x0, times, view):
    state = torch.default_generator.get_state()
    VSD(oracle)(x0, times, view, draws())
    assert torch.equal(torch.default_generator.get_state(), state)


def test_lora_is_small_and_in_single_precision(tiny):
    phi = tiny.adapter(4)
    low = [name for name in phi.learned if "lora_" in name]
    assert {name.split(".")[-4] for name in low} == {"to_q", "to_k", "to_v", "0"}  # to_out.0
    for name, value in phi.learned.items():
        assert value.dtype == torch.float32
        assert value.requires_grad
        if "lora_A" in name:
            assert value.shape[0] == 4
        if "lora_B" in name or name.startswith("class_embedding.2"):
            assert not bool(value.any())


def run(denoiser, prompt, shape, order, first=None, stop=6):
    """Scene and rule of a short run, stopped before `stop`, gone on with from `first`."""
    scene = ImageScene(torch.zeros(len(prompt), *shape))
    optimizer = torch.optim.Adam(list(scene.parameters()), 0.05)
    rule, begin = ESD(denoiser, 7.5, adapter_rate=0.02, order=order), 0
    if first is not None:
        begin, state, moments, learned = first
        scene.load_state_dict(state)
        optimizer.load_state_dict(moments)
        rule.load_state_dict(learned)
    for step in distill(
        scene, rule, prompt=prompt, num_steps=6, optimizer=optimizer, first_step=begin
    ):
        if step.step + 1 == stop:
            break
    return scene, optimizer, rule


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("kind", ["oracle", "tiny"])
def test_a_resumed_run_is_the_whole_run_to_the_bit(kind, order, request, tmp_path):
    if kind == "oracle":
        denoiser = GaussianMixture(
            torch.randn(2, 4, 2, 2, generator=generator_at(0, 0, "m")), torch.ones(2), torch.ones(2)
        )
        prompt, shape = denoiser.prompt([[0], [1]]), (4, 2, 2)
    else:
        denoiser = request.getfixturevalue("tiny")
        prompt, shape = denoiser.embed(["a red mug", "a blue rocket"]), denoiser.latent_shape
    whole, _, learned = run(denoiser, prompt, shape, order)
    scene, optimizer, rule = run(denoiser, prompt, shape, order, stop=3)
    saved = load_tensors(save_tensors(tmp_path / "rule.safetensors", rule.state_dict()))
    first = (3, scene.state_dict(), optimizer.state_dict(), saved)
    again, _, relearned = run(denoiser, prompt, shape, order, first)
    assert torch.equal(again.values, whole.values)
    expected = learned.state_dict()
    assert expected.keys() == relearned.state_dict().keys()
    assert expected
    for name, value in relearned.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_state_given_back_before_the_first_update_is_kept(oracle, x0, times, view):
    rule, other = (VSD(oracle, 7.5, adapter_rate=0.05) for _ in range(2))
    rule(x0, times, view, draws())
    state = rule.state_dict()
    other.load_state_dict(state)
    assert other.state_dict().keys() == state.keys()
    # What one learns later is neither the other's nor the state's.
    first, second = (
        [each(x0, times, view, draws()).gradient for _ in range(3)] for each in (rule, other)
    )
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    rule.load_state_dict(state)  # into one that has learned already
    assert torch.equal(rule(x0, times, view, draws()).gradient, first[0])


def test_a_gradient_that_is_not_finite_is_skipped_with_a_warning(oracle, x0, times, view, caplog):
    learner, pose = Learner(oracle, rank=4, rate=0.1), poses(None, x0)
    condition = view.prompt.conditional
    learner(x0, times, condition, pose)
    before = learner.state_dict()
    learner.learn(x0, x0 * float("inf"), times, condition, pose)
    assert "not finite: its step is skipped" in caplog.text
    after = learner.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_run_by_name_has_its_state(tiny):
    config = Text2D("a red mug", model="tiny", rule="vsd", steps=3, learning_rate=0.1)
    built = config.build(tiny)
    list(built.steps())
    assert any(name.startswith("adapter.") for name in built.rule.state_dict())
