"""Figure 17: with the right kappa x0(t) comes back, and each noise stands over its own image."""

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
    assert len(axes.images) == 2 * 2 * len(experiment.CHOICES)
    sizes = [f"{float(each):.2f}" for each in numbers["deviations"]["random"]]
    assert [text.get_text() for text in axes.texts][1:3] == sizes
