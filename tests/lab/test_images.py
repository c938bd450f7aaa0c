"""Many images at once: DDIM and distillation from the same noise, in batches."""

import pytest
import torch

from sdilib.guidance import SDI, SDS
from sdilib.inversion import Cached
from sdilib.lab.images import ddim_images, distilled_images, items

PROMPTS, SEEDS = ["a red mug", "a blue rocket", "a red mug"], [0, 0, 1]


def cached(tiny, prompts=PROMPTS, seeds=SEEDS):
    return distilled_images(
        tiny, prompts, seeds, rule=lambda m, eps: SDI(m, kappa=Cached(eps)), num_steps=6
    )


def test_distilling_with_the_cached_kappa_makes_the_image_that_ddim_makes(tiny):
    sampled, distilled = ddim_images(tiny, PROMPTS, SEEDS, num_steps=6), cached(tiny)
    scale = sampled.latents.abs().max()
    torch.testing.assert_close(
        distilled.latents / scale, sampled.latents / scale, atol=1e-5, rtol=0
    )


def test_each_image_is_what_it_would_be_alone_whatever_the_batch(tiny, monkeypatch):
    together = cached(tiny)
    monkeypatch.setattr("sdilib.lab.images.BATCH", 2)
    apart = cached(tiny)
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


def test_seeds_differ_and_repeat(tiny):
    first, again = cached(tiny), cached(tiny)
    assert torch.equal(first.images, again.images)
    assert not torch.allclose(first.latents[0], first.latents[2])
    assert 0 <= float(first.images.min()) <= float(first.images.max()) <= 1


def test_no_two_items_share_a_seed():
    assert items(["a", "b"], 2, first_seed=3) == (["a", "a", "b", "b"], [3, 4, 5, 6])


def test_a_wrong_number_of_seeds_is_refused(tiny):
    with pytest.raises(ValueError, match="expected one for each of the 3 prompts"):
        ddim_images(tiny, PROMPTS, [0], num_steps=4)


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
