"""Figure 3: numbers of known images, claims that follow the numbers, and the drawing."""

import torch
from made_up import generated, held

from sdilib.lab.claims import verdicts
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.experiments.fig03_guidance_scale import (
    CLAIMS,
    CLIPPED,
    COLOUR,
    DISTANCE,
    SCALES,
    WORDS,
    clipped,
    draw,
    measures,
    words_shown,
)
from sdilib.lab.model_card import quality

PROMPTS = [f"prompt {i}" for i in range(8) for _ in range(2)]


def levels(**of: dict[str, float]) -> dict[str, dict[str, torch.Tensor]]:
    """Numbers by measure and gamma: a level each, jittered; a distance a prompt."""
    jitter = 1 + 0.02 * torch.arange(16.0) / 16
    known = {WORDS: of.get("words"), COLOUR: of["colour"], DISTANCE: of["distance"]}
    known[CLIPPED] = of["burnt"]
    return {
        name: {
            scale: level * (jitter[::2] if name == DISTANCE else jitter)
            for scale, level in v.items()
        }
        for name, v in known.items()
        if v is not None
    }


AS_SAID = {
    "words": {"1": 0.5, "7.5": 0.9},
    "colour": {"7.5": 0.6, "100": 0.9},
    "distance": {"7.5": 0.1, "1": 0.2},
    "burnt": {"7.5": 0.1, "100": 0.3},
}


def test_verdicts_follow_the_numbers():
    assert held(CLAIMS, levels(**AS_SAID), PROMPTS) == [True] * 4
    opposite = {
        name: dict(zip(of, reversed(of.values()), strict=True)) for name, of in AS_SAID.items()
    }
    assert held(CLAIMS, levels(**opposite), PROMPTS) == [False] * 4


def test_without_an_evaluator_words_are_not_tested():
    known = {name: of for name, of in AS_SAID.items() if name != "words"}
    first, *others = verdicts(CLAIMS, levels(**known), PROMPTS)
    assert first.holds is None
    assert "was not measured" in first.note
    assert [claim.holds for claim in others] == [True] * 3


def test_words_are_shown_by_renders_and_not_by_those_of_other_prompts():
    judge = Evaluator.from_pretrained()
    items = quality.balanced_items(8)
    renders = quality.renders(quality.scenes_of(items, seed=3), image_size=judge.image_size)
    prompts = [item.prompt for item in items]
    shown = words_shown(judge, renders, prompts)
    assert shown.shape == (8,)
    assert float(shown.mean()) > 0.9
    assert float(words_shown(judge, renders.flip(0), prompts).mean()) < 0.6


def test_measures_are_one_per_image_and_one_per_prompt(generator):
    sets = {f"{scale:g}": torch.rand(16, 3, 8, 8, generator=generator) for scale in SCALES}
    made = {name: generated(images) for name, images in sets.items()}
    numbers = measures(made, PROMPTS)
    assert set(numbers) == {COLOUR, CLIPPED, DISTANCE, "cost"}
    assert list(numbers[COLOUR]) == ["1", "2", "4", "7.5", "15", "30", "100"]
    assert len(numbers[COLOUR]["1"]) == 16
    assert len(numbers[DISTANCE]["1"]) == 8
    figure = draw(made, ["a red spotted mushroom"] * 2 + PROMPTS[2:], numbers)
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 4 * len(SCALES)
    assert drawn[0].get_ylabel() == "a red\nspotted\nmushroom"
    assert drawn[3].get_title() == "γ = 7.5"
    shown = torch.as_tensor(drawn[len(SCALES) + 2].images[0].get_array())
    torch.testing.assert_close(shown, made["4"].images[2].permute(1, 2, 0))
    panels = [axes.get_title(loc="left") for axes in figure.axes if not axes.images]
    assert panels == [COLOUR, CLIPPED, DISTANCE]


def test_clipped_values_are_those_at_the_ends():
    images = torch.tensor([0.0, 0.5, 1.0, 0.999]).expand(1, 3, 1, 4)
    torch.testing.assert_close(clipped(images), torch.tensor([0.5]))
