"""From ISM to SDI: the two ends are the library's rules, and the claims follow the numbers."""

from functools import partial

import pytest
import torch
from made_up import PROMPTS, generated, held

from sdilib.guidance import ISM, SDI, View
from sdilib.inversion import DDIMInversion, invert
from sdilib.lab.experiments.figa14_from_ism import CLAIMS, WALK, draw, measures, squeezed
from sdilib.lab.images import Generated, distilled_images
from sdilib.seeds import generator as generator_at

TIMES = torch.tensor([1.0, 0.52, 0.13], dtype=torch.float64)
NAMES = ["DDIM", *WALK]


@pytest.fixture
def x0(generator) -> torch.Tensor:
    return torch.randn(3, 4, 2, 2, dtype=torch.float64, generator=generator)


@pytest.fixture
def view(oracle) -> View:
    return View(oracle.prompt([[0], [1], [2]]))


def test_the_fourth_variant_is_one_term_away_from_sdi(oracle, x0, view, generator):
    rules = ISM(oracle, inversion_guidance_scale=-7.5), SDI(oracle)
    mine, sdi = (rule(x0, TIMES, view, generator) for rule in rules)
    assert torch.equal(mine.eps, sdi.eps)
    sigma = oracle.schedule.sigma(TIMES).reshape(-1, 1, 1, 1)
    assert torch.equal(mine.kappa, sdi.kappa)
    subtracted = mine.eps - mine.gradient / sigma
    for i in range(3):
        one = torch.tensor([i])
        inverse = oracle.guided(view.prompt.select(one), -7.5)
        *_, last = invert(x0[one], inverse, t=TIMES[one])
        torch.testing.assert_close(subtracted[one], last.eps)
    assert mine.num_forwards == sdi.num_forwards


def test_a_range_squeezes_t_and_nothing_else(oracle, x0, view):
    draws = [[generator_at(i, 0, "guidance") for i in range(3)] for _ in range(2)]
    rule = SDI(oracle, kappa=DDIMInversion(entropy=0.3))
    narrow = squeezed(rule, 0.1, 0.98)(x0, TIMES, view, draws[0])
    direct = rule(x0, 0.1 + 0.88 * TIMES, view, draws[1])
    assert torch.equal(narrow.gradient, direct.gradient)
    draws = [[generator_at(i, 0, "guidance") for i in range(3)] for _ in range(2)]
    whole, itself = squeezed(rule, 0.0, 1.0), rule
    one, other = (each(x0, TIMES, view, d) for each, d in zip((whole, itself), draws, strict=True))
    assert torch.equal(one.gradient, other.gradient)


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.5), (0.2, 1.1), (0.5, 0.2), (0.0, 0.0)])
def test_a_range_that_is_none_is_refused(oracle, low, high):
    with pytest.raises(ValueError, match=r"t_(low|high)=.*: expected a number in"):
        squeezed(SDI(oracle), low, high)


def test_the_walks_last_row_over_the_whole_range_is_sdi(tiny):
    def made(rule):
        return distilled_images(
            tiny, ["a red mug"], [0], rule=rule, num_steps=4, learning_rate=0.2
        ).latents

    ours = made(lambda m, _: squeezed(SDI(m), 0.0, 1.0))
    assert torch.equal(ours, made(lambda m, _: SDI(m)))
    ism = partial(ISM, inversion_guidance_scale=-7.5)
    assert not torch.equal(ours, made(lambda m, _: squeezed(ism(m), 0.0, 1.0)))


def pictures(off: float, generator: torch.Generator) -> Generated:
    """Eight images at some distance from `off` = 0: a checkerboard fades, and colour is added."""
    board = (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
    tint = torch.tensor([0.3 + off, 0.0, 0.0])[:, None, None]
    jitter = 0.01 * torch.rand(8, 1, 1, 1, generator=generator)
    return generated((0.4 + (0.2 - off / 3) * board + tint + jitter).clamp(0, 1))


def walk(offs: list[float], generator: torch.Generator) -> dict[str, Generated]:
    return {n: pictures(off, generator) for n, off in zip(NAMES, [0.0, *offs], strict=True)}


def test_a_walk_that_nears_ddim_holds_all_claims_and_one_that_leaves_it_none(generator):
    offs = [0.25, 0.2, 0.15, 0.1, 0.05]
    there, back = (measures(walk(each, generator)) for each in (offs, offs[::-1]))
    assert held(CLAIMS, there, PROMPTS) == [True] * 7
    assert held(CLAIMS, back, PROMPTS) == [False] * 7


def test_one_change_too_many_fails_alone(generator):
    made = walk([0.25, 0.2, 0.15, 0.05, 0.1], generator)  # the last one leads away again
    assert held(CLAIMS, measures(made), PROMPTS) == [True, True, True, False, True, True, True]


def test_one_prompt_decides_nothing(generator):
    offs = [0.25, 0.2, 0.15, 0.1, 0.05]
    assert held(CLAIMS, measures(walk(offs, generator)), ["the same"] * 8) == [None] * 7


def test_ddim_has_no_distance_from_itself_and_its_line_stays_empty(generator):
    made = walk([0.25, 0.2, 0.15, 0.1, 0.05], generator)
    numbers = measures(made)
    closeness = numbers["PSNR to DDIM's image (dB)"]
    assert list(closeness) == NAMES[1:]
    *images, _, _, last = draw(made, PROMPTS, numbers).axes
    assert len(images) == 6 * 8
    dots = {
        line.get_ydata()[0]: line.get_xdata()[0] for line in last.lines if line.get_marker() == "o"
    }
    assert dots == pytest.approx({i: float(closeness[NAMES[i]].mean()) for i in range(1, 6)})
