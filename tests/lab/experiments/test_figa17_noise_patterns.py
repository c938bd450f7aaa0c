"""Figure 17: with the right kappa x0(t) comes back, and each noise stands over its own image."""

from dataclasses import replace

import torch

from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import figa17_noise_patterns as experiment
from sdilib.lab.experiments.shared.path import ddim_path


def test_only_the_cached_noise_brings_x0_back_and_all_are_drawn(tiny):
    path = ddim_path(tiny, ["a red mug"], [0], num_steps=4).at([0.75, 0.5])
    found = experiment.patterns(path)
    numbers = experiment.measures(path, found)
    (claim,) = verdicts(experiment.CLAIMS, numbers)
    assert claim.holds
    assert claim.n == 2
    other = {"relative deviation": {"cached": numbers["relative deviation"]["random"]}}
    assert not verdicts(experiment.CLAIMS, other)[0].holds
    assert (numbers["deviations"]["random"] - 1).abs().max() < 0.2
    (axes,) = experiment.draw(tiny, path, found).axes
    assert len(axes.images) == 2 * 2 * len(experiment.choices(7.5))
    sizes = [f"{float(each):.2f}" for each in numbers["deviations"]["random"]]
    assert [text.get_text() for text in axes.texts][1:3] == sizes


def test_the_amplitude_beside_an_image_is_that_of_x0_as_a_share_of_the_samples(tiny):
    path = ddim_path(tiny, ["a red mug"], [0], num_steps=4).at([0.75, 0.5])
    doubled = replace(path, x0=torch.cat([2 * path.samples[:, None], path.samples[:, None]], 1))
    amplitudes = experiment.amplitudes(doubled)
    torch.testing.assert_close(amplitudes, torch.tensor([[2.0, 1.0]]))
    (axes,) = experiment.draw(tiny, doubled, experiment.patterns(doubled)).axes
    said = [text.get_text() for text in axes.texts if "denoised" in text.get_text()]
    assert said == ["denoised\nx0(t): ×2.00", "denoised\nx0(t): ×1.00"]
