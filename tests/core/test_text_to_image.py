"""One image's run, its settings, and the noise it starts from."""

import json
from dataclasses import replace

import pytest
import torch

from sdilib.guidance import SDI, SDS, Update, View
from sdilib.inversion import Cached
from sdilib.lab.images import distilled_images
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


def test_latents_are_encoded_but_where_kappa_is_cached(tiny):
    assert isinstance(RUNS["sds"].build(tiny).rule, Encoded)
    assert isinstance(RUNS["sdi"].build(tiny).rule, Encoded)
    assert isinstance(RUNS["cached"].build(tiny).rule, SDI)
    given = replace(RUNS["cached"], latents="encoded")
    assert isinstance(given.build(tiny).rule, Encoded)
    make = {"rule": lambda m, eps: SDI(m), "num_steps": 3}
    default, encoded, free = (
        distilled_images(tiny, [RUN.prompt], [0], **make, **latents).latents
        for latents in ({}, {"latents": "encoded"}, {"latents": "free"})
    )
    assert torch.equal(default, encoded)
    assert not torch.allclose(encoded, free)
