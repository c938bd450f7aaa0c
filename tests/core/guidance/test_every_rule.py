"""What holds for each rule of the library, by its name."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from made_up import draws

from sdilib.cameras import Camera
from sdilib.denoiser import Denoiser
from sdilib.distillation import distill_step
from sdilib.guidance import Rule, StatefulRule, View, WeightedRule
from sdilib.guidance.base import WEIGHTS
from sdilib.guidance.named import RULES, cost, make_rule, rule_settings
from sdilib.inversion import residual
from sdilib.scenes import ImageScene
from sdilib.seeds import generator as generator_at
from sdilib.stable_diffusion import StableDiffusion

VARIANTS: dict[str, dict[str, Any]] = {name: {} for name in RULES} | {
    "sdi, random": {"kappa": "random"},
    "sdi, fixed point": {"kappa": "fixed point", "guidance_scale": 1.0},
    "sdi, descent": {"kappa": "gradient descent", "guidance_scale": 1.0},
    "sdi, tau and entropy": {"tau_max": 1 / 30, "entropy": 0.3},
    "sdi, published": {"tau_max": 1 / 30, "renoise": False},
}
"""Settings by what they make; the name begins with the rule's."""

COSTS: list[tuple[str, dict[str, Any], int]] = [
    ("sds", {}, 2),
    ("sds", {"guidance_scale": 100.0}, 2),
    ("sds", {"guidance_scale": 1.0}, 1),
    ("sjc", {}, 2),
    ("nfsd", {}, 2),
    ("csd", {}, 2),
    ("stablesd", {}, 2),
    ("sdi", {}, 5 * 2 + 2),
    ("sdi", {"kappa": "random"}, 2),
    ("sdi", {"kappa": "cached"}, 2),
    ("sdi", {"kappa": "fixed point"}, 10 * 2 + 2),
    ("sdi", {"kappa": "gradient descent"}, 10 * 2 + 2),
    ("sdi", {"inversion_guidance_scale": 0.0}, 5 + 2),
    ("sdi", {"num_inversion_steps": 30}, 15 * 2 + 2),
    ("ism", {}, 5 + 2),
    ("mv-sdi", {}, 5 * 2 + 2),
    ("pfd", {}, 5 * 2 + 5 * 2),
    ("hifa", {}, 2 * 2),
    ("hifa-one-step", {}, 2),
    ("vsd", {}, 2 + 1 + 1),
    ("esd", {}, 2 + 2 + 1),
    ("steindreamer", {}, 2),
    ("asd", {}, 3),
    ("sds-bridge", {}, 2),
    ("cfd", {}, 2),
]
"""UNet sample-forwards per item at t = 0.5, without a negative prompt."""

every = pytest.mark.parametrize("variant", VARIANTS)


def rule_of(variant: str, denoiser: Denoiser, **more: Any) -> Rule:
    return make_rule(variant.partition(",")[0], denoiser, VARIANTS[variant] | more)


def alike(one, other):
    # float64: the same sums in another order, times sigma(1) = 14.6.
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@every
def test_it_fits_the_protocol_and_its_update_has_no_graph(variant, oracle, x0, times, view, each):
    rule = rule_of(variant, oracle)
    assert isinstance(rule, Rule)
    assert isinstance(rule, WeightedRule)
    update = rule(x0, times, view, each)
    for part in ("gradient", "target", "denoised", "kappa", "eps", "residual"):
        assert not getattr(update, part).requires_grad
        assert bool(getattr(update, part).isfinite().all())
    assert float(update.gradient.abs().max()) > 0.01
    assert isinstance(rule, StatefulRule) is hasattr(rule, "state_dict")


@every
def test_w_multiplies_the_gradient_and_nothing_else(variant, oracle, x0, times, view):
    made = {w: rule_of(variant, oracle, weight=w)(x0, times, view, draws()) for w in WEIGHTS}
    one = made["1"]
    alpha = oracle.schedule.alpha_cumprod(times).reshape(-1, 1, 1, 1)
    expected = {"sigma": ((1 - alpha) / alpha).sqrt(), "1-alpha": 1 - alpha, "1": 1.0}
    for weight, update in made.items():
        alike(update.gradient, expected[weight] * one.gradient)
        alike(update.target, x0 - update.gradient)
        for part in ("denoised", "kappa", "eps", "residual"):
            torch.testing.assert_close(getattr(update, part), getattr(one, part))


@every
def test_eps_is_found_at_kappa_and_denoised_and_residual_are_those(
    variant, oracle, x0, times, view, each
):
    rule = rule_of(variant, oracle)
    update = rule(x0, times, view, each)
    denoise = oracle.guided(view.prompt, rule.guidance_scale)
    x_t = oracle.schedule.add_noise(x0, update.kappa, times)
    alike(update.eps, denoise(x_t, times))
    alike(update.denoised, oracle.schedule.denoised(x_t, update.eps, times))
    alike(update.residual, residual(x0, update.kappa, t=times, denoise=denoise))


@every
def test_an_item_gets_what_it_would_get_alone(variant, oracle, x0, times, view, each):
    # The published code fails for a batch: it takes the last item's time for all.
    together = rule_of(variant, oracle)(x0, times, view, each)
    forwards = 0
    for i in range(3):
        one = torch.tensor([i])
        of_one = replace(view, prompt=view.prompt.select(one))
        alone = rule_of(variant, oracle)(x0[one], times[one], of_one, draws()[i : i + 1])
        for part in ("gradient", "denoised", "kappa", "eps", "residual"):
            alike(getattr(together, part)[one], getattr(alone, part))
        forwards += alone.num_forwards
    assert together.num_forwards <= forwards


@pytest.mark.parametrize(("name", "given", "expected"), COSTS)
def test_what_an_item_costs(name, given, expected, oracle, x0, view, each):
    t = torch.full((3,), 0.5, dtype=torch.float64)
    assert make_rule(name, oracle, given)(x0, t, view, each).num_forwards == 3 * expected
    assert cost(name, rule_settings(name, given), 0.5) == expected


def test_costs_are_listed_for_every_rule():
    assert {name for name, *_ in COSTS} == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_plain_step_moves_latents_by_the_gradient(name, oracle, x0, times, view, each):
    scene = ImageScene(x0)
    optimizer = torch.optim.SGD(list(scene.parameters()), lr=0.5)
    rule = make_rule(name, oracle, {})
    step = distill_step(scene, rule, view, times, each, step=0, optimizer=optimizer)
    torch.testing.assert_close(scene.values.detach(), x0 - 0.5 * step.update.gradient)


@pytest.mark.parametrize("name", RULES)
def test_the_gradient_reaches_pixels_through_the_encoder(name, tiny64, generator):
    image = torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=generator)
    scene = ImageScene(image, space="pixels")
    optimizer = torch.optim.SGD(list(scene.parameters()), lr=1.0)
    view = View(tiny64.embed(["a red mug", "a blue rocket"]), camera=Camera.around([0, 90]))
    t = torch.tensor([0.6, 0.3], dtype=torch.float64)
    rule, each = make_rule(name, tiny64, {}), [generator_at(0, 0, "x", i) for i in range(2)]
    step = distill_step(scene, rule, view, t, each, step=0, optimizer=optimizer, codec=tiny64)
    pixels = image.clone().requires_grad_()
    (pulled,) = torch.autograd.grad(tiny64.encode(pixels), pixels, step.update.gradient)
    if step.update.image_gradient is not None:
        pulled = pulled + step.update.image_gradient
    alike(scene.values.detach(), image - pulled)


@pytest.mark.parametrize("name", RULES)
def test_single_precision_stays(name, oracle, x0, times, view, each):
    update = make_rule(name, oracle, {})(x0.float(), times, view, each)
    for part in ("gradient", "target", "denoised", "kappa", "eps", "residual"):
        assert getattr(update, part).dtype == torch.float32
        assert bool(getattr(update, part).isfinite().all())


@pytest.fixture(scope="module")
def half() -> StableDiffusion:
    return StableDiffusion.from_pretrained("tiny", dtype=torch.float16)


@every
def test_a_model_in_half_precision_gives_nearly_the_same_update(variant, tiny, half, generator):
    x0 = torch.randn(2, 4, 8, 8, generator=generator)
    depth = 3 + torch.rand(2, 16, 16, generator=generator)
    t = torch.tensor([0.6, 0.3], dtype=torch.float64)

    def made(model):
        prompt = model.embed(["a red mug", "a blue rocket"])
        view = View(prompt, depth=depth, camera=Camera.around([0, 90]))
        each = [generator_at(0, 0, "half", item) for item in range(2)]
        return rule_of(variant, model)(x0, t, view, each).gradient

    expected, found = made(tiny), made(half)
    assert found.dtype == torch.float32
    assert float((found - expected).norm()) < 0.05 * float(expected.norm())


@pytest.mark.parametrize("name", RULES)
def test_settings_that_no_rule_can_have_are_refused(name, oracle):
    with pytest.raises(ValueError, match=r"^guidance_scale=nan: expected a finite number$"):
        make_rule(name, oracle, {"guidance_scale": float("nan")})
    with pytest.raises(ValueError, match=r"^weight='sgima': .*did you mean sigma\?$"):
        make_rule(name, oracle, {"weight": "sgima"})
