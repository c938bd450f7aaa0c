"""A page resolves its preset, loads what is asked for, and leaves its figure with its record."""

import pytest
import torch
from matplotlib.figure import Figure

from sdilib.guidance import SDI
from sdilib.inversion import Cached
from sdilib.lab.claims import Exact, verdicts
from sdilib.lab.notebooks.page import Page, begin
from sdilib.storage import read_json


@pytest.fixture
def page(tmp_path, monkeypatch):
    (tmp_path / "fig01_teaser.py").write_text("# %% [markdown]\n# # A title\n# %%\nx = 1\n")
    monkeypatch.chdir(tmp_path)
    return begin("fig01_teaser", "smoke", model="tiny", folder=str(tmp_path / "out"), seed=3)


def test_items_are_the_models_prompts_with_seeds(page):
    assert page.items == (list(page.prompts), [3])
    assert len(page.prompts) == page.config["num_prompts"] == 1


def test_what_is_saved_names_settings_and_claims(page):
    claims = verdicts([Exact("it is", "error", "a", at_most=1.0)], {"error": {"a": [0.5]}})
    shown = page.save(Figure(), {"error": 0.5}, claims)
    record = read_json(page.folder / "fig01_teaser.json")
    assert "| **yes** | it is |" in shown.data
    assert record["config"] == page.config
    assert record["seed"] == 3
    assert record["claims"][0]["holds"] is True


def test_only_a_model_that_was_loaded_is_named(page):
    page.save(Figure(), {}, name="before")
    page.model  # noqa: B018
    page.save(Figure(), {}, name="after")
    hashes = [read_json(page.folder / f"{n}.json")["model_hash"] for n in ("before", "after")]
    assert hashes == ["", page.model.hash]


def test_a_judge_is_optional(tmp_path):
    def judge(name: str):
        return Page("any", {"evaluator": name}, tmp_path, 0, 0.0).evaluator

    assert judge("none") is None
    with pytest.raises(ValueError, match="evaluator='nowhere'"):
        judge("nowhere")


def test_an_unknown_parameter_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"parameter='num_promts'.*did you mean num_prompts"):
        begin("fig01_teaser", "smoke", num_promts=3)


def test_items_are_sampled_and_distilled_in_the_pages_steps_unless_told_otherwise(page):
    sampled, few = page.sample(), page.sample(num_steps=2)
    made = page.distill(lambda m, eps: SDI(m, page.gamma, Cached(eps)))
    torch.testing.assert_close(made.latents, sampled.latents, rtol=1e-3, atol=1e-3)
    assert sampled.num_forwards == 2 * page.config["num_steps"]
    assert few.num_forwards == 4
