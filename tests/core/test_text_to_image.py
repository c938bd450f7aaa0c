"""One image's run, its settings, and the noise it starts from."""

import json
from dataclasses import replace

import pytest
import torch

from sdilib.guidance import SDI, SDS, Update, View
from sdilib.inversion import Cached
from sdilib.lab.images import distilled_images
from sdilib.sampling import ddim
from sdilib.schedule import time_grid
from sdilib.text_to_image import Encoded, Text2D, noisy_start

RUN = Text2D("a red mug", model="tiny", rule_settings={"num_inversion_steps": 2}, steps=5, seed=3)
RUNS = {
    "sdi": RUN,
    "cached": replace(RUN, rule_settings={"kappa": "cached"}),
    "fixed, Adam": replace(RUN, rule_settings={"kappa": "fixed"}, learning_rate=0.05),
    "sds": Text2D.of(
        prompt="a red mug",
        model="tiny",
        rule="sds",
        t_schedule="random",
        t_end=0.02,
        learning_rate=0.05,
        steps=4,
        seed=3,
    ),
}


def test_every_method_starts_from_a_zero_latent_with_the_seeds_own_noise(tiny):
    both, alone = noisy_start(tiny, [3, 4]), noisy_start(tiny, [4])
    assert torch.equal(both[1:], alone)
    assert not torch.equal(both[0], both[1])
    # sqrt(1 - alpha) of unit noise at t = 1.
    deviation = float((1 - tiny.schedule.alpha_cumprod(1.0)).sqrt())
    many = noisy_start(tiny, range(40))
    assert float(many.std()) == pytest.approx(deviation, abs=0.03)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_settings_come_back_from_json(run):
    settings = json.loads(json.dumps(run.settings()))
    assert "rule_settings" not in settings
    assert Text2D.of(**settings) == run
    assert hash(Text2D.of(**settings)) == hash(run)
    assert run.rule_settings["guidance_scale"] == 7.5  # the defaults are there, whole


def latents(built, first_step=0):
    return [step.render() for step in built.steps(first_step)]


def test_a_runs_image_is_that_of_distilled_images(tiny):
    made = distilled_images(
        tiny,
        [RUN.prompt],
        [RUN.seed],
        rule=lambda m, eps: SDI(m, kappa=Cached(eps)),
        num_steps=RUN.steps,
    )
    *_, last = latents(RUNS["cached"].build(tiny))
    assert torch.equal(last, made.latents)
    assert torch.equal(tiny.decode(last).detach().clamp(0, 1), made.images)
    practised = RUNS["sds"]
    made = distilled_images(
        tiny,
        [practised.prompt],
        [practised.seed],
        rule=lambda m, eps: SDS(m, 7.5),
        num_steps=practised.steps,
        t_schedule="random",
        t_end=0.02,
        learning_rate=0.05,
    )
    *_, last = latents(practised.build(tiny))
    assert torch.equal(last, made.latents)


def test_an_annealed_run_counts_the_first_denoising_as_a_step(tiny):
    assert [step.step for step in RUN.build(tiny).steps()] == [1, 2, 3, 4]
    assert [step.step for step in RUNS["sds"].build(tiny).steps()] == [0, 1, 2, 3]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_resumed_run_has_the_bits_of_the_unbroken_one(run, tiny):
    *_, whole = latents(run.build(tiny))
    broken = run.build(tiny)
    for step in broken.steps():
        if step.step == 2:
            break
    resumed = run.build(tiny)
    resumed.scene.load_state_dict(broken.scene.state_dict())
    resumed.optimizer.load_state_dict(broken.optimizer.state_dict())
    if run.rule == "sdi":
        resumed.rule.load_state_dict(broken.rule.state_dict())
    *_, last = latents(resumed, 3)
    assert torch.equal(last, whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": " "}, "prompt=' '"),
        ({"rule": "sdx"}, "rule='sdx'"),
        ({"rule_settings": {"kappa": "noise"}}, "kappa='noise'"),
        ({"steps": 1}, "steps=1: expected an integer of at least 2"),
        ({"seed": -1}, "seed=-1"),
        ({"learning_rate": -0.1}, "learning_rate=-0.1"),
        ({"t_schedule": "lin"}, "t_schedule='lin'"),
        ({"t_end": 1.5}, "t_end=1.5"),
        ({"latents": "held"}, "latents='held': expected one of encoded, free"),
    ],
)
def test_bad_settings_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(RUN, **change)


class Coarse:
    """A codec that shows values to one decimal; images are latents moved up by a half."""

    def decode(self, latents):
        return latents + 0.5

    def encode(self, images):
        return (10 * images).round() / 10 - 0.5


def test_a_rule_sees_the_clamped_images_latents_and_its_step_goes_from_there(generator, rows):
    x0 = torch.randn(2, 3, 2, 2, generator=generator)
    shown = (10 * (x0 + 0.5).clamp(0, 1)).round() / 10 - 0.5
    asked = []

    def rule(latents, t, view, draws):
        asked.append(latents)
        sizes = torch.zeros(2)
        return Update(latents / 4, 3 * latents / 4, *[latents] * 3, sizes, 7)

    update = Encoded(rule, Coarse())(x0, torch.ones(2), View(rows(2)), generator)
    torch.testing.assert_close(asked[0], shown)
    torch.testing.assert_close(x0 - update.gradient, 3 * shown / 4)
    torch.testing.assert_close(update.target, 3 * shown / 4)
    assert update.num_forwards == 7


def test_a_rule_that_is_assigned_sees_what_one_given_by_name_sees(tiny):
    by_name, assigned = (RUNS["fixed, Adam"].build(tiny) for _ in range(2))
    assigned.rule = replace(by_name.rule)
    assert torch.equal(latents(by_name)[-1], latents(assigned)[-1])


def test_sdi_with_the_cached_kappa_is_ddim_at_every_gamma(tiny):
    run = Text2D.of(prompt="a red mug", model="tiny", kappa="cached", guidance_scale=3.0, steps=5)
    denoise = tiny.guided(tiny.embed(["a red mug"]), 3.0)
    *_, last = ddim(noisy_start(tiny, [0]), denoise, times=time_grid(5))
    torch.testing.assert_close(latents(run.build(tiny))[-1], last.x_next, atol=1e-4, rtol=1e-4)


def test_other_methods_start_where_they_are_told(tiny):
    first, second = (
        replace(RUN, start_guidance_scale=gamma).build(tiny).scene.values for gamma in (7.5, 3.0)
    )
    assert not torch.allclose(first, second)


def test_a_run_says_the_precision_that_it_has(tiny, monkeypatch):
    monkeypatch.setattr("sdilib.stable_diffusion.precision._has_bfloat16", lambda device: False)
    assert replace(RUN, precision="bfloat16").build(tiny).config.precision == "auto"


def test_a_model_of_another_precision_is_refused(tiny):
    with pytest.raises(ValueError, match="precision='float16': expected float32, as the model"):
        replace(RUN, precision="float16").build(tiny)


def test_latents_are_encoded_but_where_kappa_is_cached(tiny):
    def first(run):
        return latents(run.build(tiny))[0]

    for name in ("sds", "sdi"):
        assert not torch.equal(first(RUNS[name]), first(replace(RUNS[name], latents="free")))
        assert torch.equal(first(RUNS[name]), first(replace(RUNS[name], latents="encoded")))
    cached = RUNS["cached"]
    assert torch.equal(first(cached), first(replace(cached, latents="free")))
    assert not torch.equal(first(cached), first(replace(cached, latents="encoded")))
    make = {"rule": lambda m, eps: SDI(m), "num_steps": 3}
    default, encoded, free = (
        distilled_images(tiny, [RUN.prompt], [0], **make, **latents).latents
        for latents in ({}, {"latents": "encoded"}, {"latents": "free"})
    )
    assert torch.equal(default, encoded)
    assert not torch.allclose(encoded, free)
