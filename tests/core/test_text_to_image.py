"""Images in 2D: DDIM and distillation from the same noise; one image's run and its settings."""

import json
from dataclasses import replace

import pytest
import torch

from sdilib.guidance import SDI, SDS
from sdilib.inversion import Cached
from sdilib.text_to_image import Text2D, ddim_images, distilled_images, items, noisy_start

PROMPTS, SEEDS = ["a red mug", "a blue rocket", "a red mug"], [0, 0, 1]


def cached(tiny, prompts=PROMPTS, seeds=SEEDS, **more):
    return distilled_images(
        tiny, prompts, seeds, rule=lambda m, eps: SDI(m, kappa=Cached(eps)), num_steps=6, **more
    )


def test_distilling_with_the_cached_kappa_makes_the_image_that_ddim_makes(tiny):
    sampled, distilled = ddim_images(tiny, PROMPTS, SEEDS, num_steps=6), cached(tiny)
    scale = sampled.latents.abs().max()
    torch.testing.assert_close(
        distilled.latents / scale, sampled.latents / scale, atol=1e-5, rtol=0
    )


def test_each_image_is_what_it_would_be_alone_whatever_the_batch(tiny):
    together, apart = cached(tiny), cached(tiny, batch_size=2)
    torch.testing.assert_close(together.latents, apart.latents, atol=1e-4, rtol=1e-4)
    alone = cached(tiny, PROMPTS[2:], SEEDS[2:])
    torch.testing.assert_close(together.latents[2:], alone.latents, atol=1e-4, rtol=1e-4)


def test_cost_counts_two_sample_forwards_an_image_and_step(tiny):
    assert ddim_images(tiny, PROMPTS, SEEDS, num_steps=6).num_forwards == 12
    run = distilled_images(
        tiny,
        PROMPTS,
        SEEDS,
        rule=lambda m, _: SDS(m, 7.5),
        num_steps=4,
        t_schedule="random",
        learning_rate=0.1,
    )
    assert run.num_forwards == 2 + 8  # the start, and four updates
    assert run.residuals.shape == run.gradient_norms.shape == (3, 4)


def test_seeds_differ_and_repeat(tiny):
    first, again = cached(tiny), cached(tiny)
    assert torch.equal(first.images, again.images)
    assert not torch.allclose(first.latents[0], first.latents[2])
    assert 0 <= float(first.images.min()) <= float(first.images.max()) <= 1


def test_items_pair_every_prompt_with_every_seed_and_refuse_none():
    assert items(["a", "b"], 2, first_seed=3) == (["a", "a", "b", "b"], [3, 4, 3, 4])
    with pytest.raises(ValueError, match="num_seeds=0: expected an integer of at least 1"):
        items(["a"], 0)
    with pytest.raises(ValueError, match=r"prompts=\[\]: expected at least one prompt"):
        items([], 1)


def test_a_wrong_number_of_seeds_is_refused(tiny):
    with pytest.raises(ValueError, match="expected one for each of the 3 prompts"):
        ddim_images(tiny, PROMPTS, [0], num_steps=4)


def test_every_method_starts_from_a_zero_latent_with_the_seeds_own_noise(tiny):
    both, alone = noisy_start(tiny, [3, 4]), noisy_start(tiny, [4])
    assert torch.equal(both[1:], alone)
    assert not torch.equal(both[0], both[1])
    # sqrt(1 - alpha) of unit noise at t = 1.
    deviation = float((1 - tiny.schedule.alpha_cumprod(1.0)).sqrt())
    many = noisy_start(tiny, range(40))
    assert float(many.std()) == pytest.approx(deviation, abs=0.03)


RUN = Text2D(
    "a red mug",
    model="tiny",
    rule_settings={"num_inversion_steps": 2},
    steps=5,
    seed=3,
)
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
    ],
)
def test_bad_settings_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(RUN, **change)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda m: SDI(m), "rule=.*: expected what makes a rule, such as lambda model, eps"),
        (lambda m, eps: SDI, "rule=.*SDI.*: expected a rule: an object that is called as"),
        (
            lambda m, eps: lambda *args: eps,
            "which returned Tensor.*: expected one that returns an Update",
        ),
    ],
)
def test_what_makes_no_rule_is_refused_in_a_sentence(tiny, rule, message):
    with pytest.raises(ValueError, match=message) as refused:
        distilled_images(tiny, PROMPTS[:1], [0], rule=rule, num_steps=2)
    assert len(str(refused.value)) < 300
