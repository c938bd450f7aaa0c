"""Figure 4 in 3D reads the frames of runs, without those that diverged."""

import pytest
import torch
from made_up import PROMPTS, of_runs

from sdilib.lab.experiments.fig04_evolution_3d import claims, draw, films, measures
from sdilib.lab.runs import Finished


@pytest.fixture
def made(monkeypatch):
    """Runs whose frames sharpen towards a chequered board; the last one diverged after two."""
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float().expand(3, 8, 8)
    whole = {t: 0.5 + (1 - t) * (board - 0.5) for t in (0.9, 0.5, 0.1)}
    made = of_runs(PROMPTS, looked={"SDI": []})
    runs = made.runs["SDI"]
    frames = {id(run): whole for run in runs} | {id(runs[-1]): dict(list(whole.items())[:2])}
    monkeypatch.setattr(Finished, "frames", property(lambda run: frames[id(run)]))
    return made


def test_a_run_that_diverged_is_left_out(made):
    times, shown = films(made)
    assert times == [0.9, 0.5, 0.1]
    assert list(shown) == PROMPTS[:7]
    assert shown[PROMPTS[0]].shape == (3, 3, 8, 8)


def test_detail_rises_and_the_distance_to_the_end_falls(made):
    times, shown = films(made)
    numbers = measures(shown)
    assert (numbers["fine detail"].diff(dim=1) > 0).all()
    torch.testing.assert_close(numbers["distance to the end"][0], torch.tensor([0.4, 0.2, 0.0]))
    first, half, most = claims(numbers, list(shown))
    assert (first.n, first.holds, first.measured["agree"]) == (7, None, 1.0)
    assert half.measured["half-way (mean)"] == pytest.approx(0.2)
    assert half.measured["first (mean)"] == pytest.approx(0.4)
    assert most.measured["most fine detail (mean)"] == pytest.approx(1.0)
    noise = numbers | {"fine detail": numbers["fine detail"].flip(1)}
    assert claims(noise, list(shown))[2].measured["most fine detail (mean)"] > 2
    titles = [axes.get_title() for axes in draw(times, shown).axes]
    assert (len(titles), titles[:3]) == (12, ["t = 0.90", "t = 0.50", "t = 0.10"])
