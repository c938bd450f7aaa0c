"""The notebook's rule between DDIM and SDS, as the notebook itself has it; and verdicts that follow numbers."""

from pathlib import Path

import pytest
import torch
from made_up import PROMPTS, generated, held

from sdilib.distillation import distill
from sdilib.guidance import SDI, SDS, View
from sdilib.guidance.base import Rule, StatefulRule, Update
from sdilib.inversion import Cached
from sdilib.lab.experiments.your_own_rule import CLAIMS, draw, means, measures
from sdilib.lab.images import Generated, ddim_images, distilled_images
from sdilib.lab.notebooks.sources import cells
from sdilib.scenes import ImageScene
from sdilib.schedule import NoiseSchedule
from sdilib.seeds import generator, normal

NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "your_own_rule.py"


@pytest.fixture(scope="module")
def written() -> dict:
    """The notebook's cells that define something."""
    names = {"Update": Update, "normal": normal}
    for cell in cells(NOTEBOOK, "code"):
        if cell.startswith("class "):
            exec(cell, names)
    return names


class Guided:
    """The oracle with the model's way to name a guided denoiser."""

    def __init__(self, oracle):
        self.schedule, self.guided = oracle.schedule, oracle.guided


@pytest.fixture
def at(oracle):
    """A point, its noise, and what a rule is called with besides."""
    x0, eps = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, generator=generator(0, 0, "x"))
    t = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)
    return x0, eps, t, View(oracle.prompt([[0], [1], [2]]))


def draws() -> list[torch.Generator]:
    return [generator(i, 0, "guidance") for i in range(3)]


def test_without_fresh_noise_it_is_the_cached_kappa_and_with_nothing_else_sds(oracle, at, written):
    x0, eps, t, view = at
    for eta, known in ((0.0, SDI(oracle, kappa=Cached(eps))), (1.0, SDS(oracle, 7.5))):
        rule = written["MyRule"](Guided(oracle), eps, eta)
        assert isinstance(rule, Rule)
        mine, theirs = rule(x0, t, view, draws()), known(x0, t, view, draws())
        for name in ("gradient", "target", "denoised", "kappa", "eps", "residual", "num_forwards"):
            torch.testing.assert_close(getattr(mine, name), getattr(theirs, name))
    half = written["MyRule"](Guided(oracle), eps, 0.5)(x0, t, view, draws())
    assert not torch.allclose(half.kappa, mine.kappa)


def test_its_noise_has_unit_variance_if_both_parts_have(at, written):
    x0 = torch.zeros(1, 4, 64, 64, dtype=torch.float64)
    noise = normal(x0, generator(1, 0, "last"))
    rule = written["MyRule"](Guided(Wide()), noise, 0.6)
    update = rule(x0, torch.ones(1, dtype=torch.float64), at[3], [generator(2, 0, "x")])
    assert float(update.kappa.std()) == pytest.approx(1, abs=0.05)
    assert float((update.kappa * noise).mean()) == pytest.approx(0.8, abs=0.05)


class Wide:
    """Predicts nothing, for any shape."""

    def __init__(self):
        self.schedule = NoiseSchedule.scaled_linear()

    def guided(self, prompt, gamma):
        return lambda x_t, t: torch.zeros_like(x_t)


def test_with_its_state_a_resumed_run_is_the_unbroken_one(oracle, at, written):
    x0, eps, _, view = at
    make = lambda: written["MyResumableRule"](Guided(oracle), eps, 0.5)  # noqa: E731
    settings = {"prompt": view.prompt, "num_steps": 6}

    unbroken = ImageScene(x0)
    list(distill(unbroken, make(), **settings))

    first, scene = make(), ImageScene(x0)
    assert isinstance(first, StatefulRule)
    steps = distill(scene, first, **settings)
    for _ in range(3):
        next(steps)
    again, resumed = make(), ImageScene(x0)
    resumed.load_state_dict(scene.state_dict())
    forgot, without = make(), ImageScene(resumed.values)
    again.load_state_dict(first.state_dict())
    list(distill(resumed, again, first_step=3, **settings))
    list(distill(without, forgot, first_step=3, **settings))
    assert torch.equal(resumed.values, unbroken.values)
    assert not torch.allclose(without.values, unbroken.values)


def test_at_eta_zero_it_makes_ddims_images_at_ddims_cost(tiny, written):
    work = (["a red mug", "a blue rocket"], [0, 1])
    sampled = ddim_images(tiny, *work, num_steps=5)
    for eta, holds in ((0.0, True), (0.5, False)):
        made = distilled_images(
            tiny,
            *work,
            rule=lambda m, eps, eta=eta: written["MyResumableRule"](m, eps, eta),
            num_steps=5,
            latents="free",
        )
        assert held(CLAIMS, measures({"DDIM": sampled, "η = 0": made}))[0] is holds
        assert made.num_forwards == sampled.num_forwards == 10


def made_up(distances: dict[str, float]) -> dict[str, Generated]:
    """Images at given distances from DDIM's, half a grey."""
    costs = {"latents": torch.zeros(8, 4, 2, 2), "num_forwards": 12.0, "seconds": 0.5}
    images = {n: torch.full((8, 3, 4, 4), 0.5 + off) for n, off in distances.items()}
    return {name: generated(each, **costs) for name, each in images.items()}


@pytest.mark.parametrize(("own", "holds"), [(0.02, True), (0.3, False)])
def test_the_verdict_follows_the_images(own, holds):
    numbers = measures(made_up({"DDIM": 0.0, "SDS": 0.1, "SDI": 0.05, "my rule": own}))
    assert held(CLAIMS, numbers, PROMPTS)[1] is holds
    assert held(CLAIMS, numbers, ["one prompt"] * 8)[1] is None


def test_the_table_has_a_row_per_method_with_its_cost():
    made = made_up({"DDIM": 0.0, "SDS": 0.25, "my rule": 0.125})
    lines = means(made, measures(made)).data.splitlines()
    assert lines[0] == (
        "| method | fine detail | saturation | PSNR to DDIM's image (dB) | sample-forwards | seconds |"
    )
    assert lines[2:] == [
        "| DDIM | 0 | 0 |  | 12 | 0.5 |",
        "| SDS | 0 | 0 | 12 | 12 | 0.5 |",
        "| my rule | 0 | 0 | 18.1 | 12 | 0.5 |",
    ]


def test_the_special_case_is_measured_and_not_drawn():
    made = made_up({"DDIM": 0.0, "SDS": 0.1, "SDI": 0.05, "my rule": 0.02, "η = 0": 0.0})
    figure = draw(made, PROMPTS, measures(made))
    assert sum(bool(axes.images) for axes in figure.axes) == 4 * 8
    names = [text.get_text() for text in figure.axes[-3].get_yticklabels()]
    assert names == ["DDIM", "SDS", "SDI", "my rule"]
    figure.draw_without_rendering()
