"""There and back along eq. 1: where it must return, and a verdict that follows numbers."""

import pytest
import torch
from made_up import held

from sdilib.lab.experiments import figa18_whole_inversion as experiment
from sdilib.lab.experiments.figa18_whole_inversion import regenerated, there_and_back
from sdilib.lab.experiments.shared.scales import STRATEGIES
from sdilib.lab.images import ddim_images
from sdilib.seeds import generator


def error(oracle, gammas: tuple[float, float], num_steps: int) -> float:
    """Root mean square distance between samples of the mixture and their regenerations."""
    prompt = oracle.prompt([[0], [1], [2]])
    noise = torch.randn(3, 2, 4, 2, 2, dtype=torch.float64, generator=generator(0, 0, "x"))
    x0 = oracle.sample(torch.arange(3), 0.0, noise)
    inverse, forward = (oracle.guided(prompt, gamma) for gamma in gammas)
    again = there_and_back(x0, inverse, forward, num_steps=num_steps)
    return float((again - x0).square().mean().sqrt())


def test_without_guidance_the_image_returns_as_steps_grow(oracle):
    # Both ways are Euler's, of first order: eight times the steps, about an eighth of the error.
    coarse, fine = error(oracle, (1.0, 1.0), 40), error(oracle, (1.0, 1.0), 320)
    assert fine < coarse / 3
    assert fine < 0.1


def test_with_another_gamma_on_the_way_back_it_does_not(oracle):
    assert error(oracle, (-7.5, 7.5), 320) > 10 * error(oracle, (1.0, 1.0), 320)


def test_one_step_each_way_goes_up_by_the_inverse_and_down_by_the_forward_denoiser(oracle):
    inverse, forward = (oracle.guided(oracle.prompt([[0]]), gamma) for gamma in (-2.0, 3.0))
    x0 = torch.randn(1, 4, 2, 2, dtype=torch.float64, generator=generator(0, 0, "x"))
    kappa = inverse(x0, 0.0)
    x_1 = oracle.schedule.add_noise(x0, kappa, 1.0)
    expected = oracle.schedule.denoised(x_1, forward(x_1, 1.0), 1.0)
    torch.testing.assert_close(there_and_back(x0, inverse, forward, num_steps=1), expected)


def test_images_are_compared_with_their_originals_and_forwards_counted(tiny, monkeypatch):
    prompts, seeds = ["a red mug", "a blue rocket", "a red mug"], [0, 1, 2]
    original = ddim_images(tiny, prompts, seeds, num_steps=3)
    monkeypatch.setattr("sdilib.lab.experiments.shared.path.BATCH", 2)
    made, numbers = regenerated(tiny, prompts, original.latents, num_steps=3)
    images = made["(0, γ)"]
    assert images.shape == original.images.shape
    assert numbers["cost"]["(0, γ)"] == 3 * (1 + 2)
    alone, _ = regenerated(tiny, prompts[1:2], original.latents[1:2], num_steps=3)
    torch.testing.assert_close(images[1:2], alone["(0, γ)"], rtol=1e-3, atol=1e-3)
    inverse, forward = (tiny.guided(tiny.embed(prompts), gamma) for gamma in (0.0, 7.5))
    latents = there_and_back(original.latents, inverse, forward, num_steps=3)
    expected = tiny.decode(latents).detach().clamp(0, 1)
    torch.testing.assert_close(images, expected, rtol=1e-3, atol=1e-3)
    error = (images - original.images).flatten(1).square().mean(1)
    torch.testing.assert_close(numbers["psnr"]["(0, γ)"], -10 * error.log10())


def decided(best: float, rest: float, count: int = 8) -> list[bool | None]:
    ramp = torch.linspace(0, 1, count)
    psnr = {name: (best if name == "(0, 0)" else rest) + ramp for name in STRATEGIES}
    return held(experiment.CLAIMS, {"psnr": psnr}, [f"prompt {i}" for i in range(count)])


def test_the_verdict_follows_the_distances():
    assert decided(30.0, 20.0) == [True] * 3
    assert decided(10.0, 20.0) == [False] * 3
    assert decided(30.0, 20.0, count=1) == [None] * 3


@pytest.mark.parametrize("count", [1, 8])
def test_the_figure_shows_the_first_image_of_each_prompt(count):
    images = torch.rand(2 * count, 3, 8, 8)
    made, psnr = (dict.fromkeys(STRATEGIES, x) for x in (images, 20 + torch.rand(2 * count)))
    figure = experiment.draw(images, made, psnr, [f"prompt {i}" for i in range(count)])
    figure.draw_without_rendering()
    *drawn, items = figure.axes
    assert len(drawn) == 5 * count
    last = images[2 * count - 2].permute(1, 2, 0).numpy()
    assert (drawn[count - 1].images[0].get_array() == last).all()
    assert [label.get_text() for label in items.get_yticklabels()] == list(STRATEGIES)


def test_it_needs_a_step(oracle):
    with pytest.raises(ValueError, match="num_inversion_steps=0"):
        error(oracle, (1.0, 1.0), 0)
