"""Methods on the same items: runs made once, scored, given equal cost, searched, and drawn."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up import SMALL

from sdilib.lab.benchmark.comparing import Benchmark, Results
from sdilib.lab.benchmark.scored import Scored
from sdilib.lab.benchmark.table import Column, Ranking
from sdilib.lab.encoders import Encoder
from sdilib.lab.methods import Method, known_methods
from sdilib.lab.runs import Finished
from sdilib.stable_diffusion import StableDiffusion

METHODS = {
    "SDS": Method("sds", {"guidance_scale": 7.5, "t_schedule": "random"}),
    "SDI": Method("sdi"),
}


class Brightness:
    """Texts lie along their length, images along their brightness."""

    name, knows_photos = "brightness", True

    def features(self, images):
        return images.flatten(2).mean(2)

    def image_embeddings(self, images):
        return torch.nn.functional.normalize(self.features(images), dim=1)

    def text_embeddings(self, texts):
        rows = torch.tensor([[1.0, len(text) / 10, 1.0] for text in texts])
        return torch.nn.functional.normalize(rows, dim=1)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    assert isinstance(Brightness(), Encoder)
    model = StableDiffusion.from_pretrained("tiny")
    run, root = {"model": "tiny", "steps": 3}, tmp_path_factory.mktemp("runs")
    prompts = ["a red mug", "a blue car"]
    return Benchmark("image", run, prompts, range(2), model, Brightness(), None, root)


@pytest.fixture(scope="module")
def results(bench):
    return bench.results(METHODS, search="yes")


def test_runs_are_on_disk_and_made_once(bench, results):
    spent = bench.model.num_forwards
    again = bench.results(METHODS, search="yes")
    assert (
        bench.model.num_forwards - spent < 300
    )  # each run that is found costs its first prediction
    assert again.record["tables"].keys() == results.record["tables"].keys()
    first, second = (next(iter(r.scored.values())) for r in (results, again))
    assert [run.folder for run in first.runs["SDI"]] == [run.folder for run in second.runs["SDI"]]


def test_equal_cost_gives_cheap_methods_more_steps(results):
    steps, forwards = (
        results.scored[f"authors' settings, equal {what}"]
        for what in ("optimiser steps", "sample-forwards")
    )
    count = lambda scored, name: scored.runs[name][0].config.steps  # noqa: E731
    assert count(steps, "SDS") == count(steps, "SDI") == count(forwards, "SDI") == 3
    assert count(forwards, "SDS") > 3
    spent = {n: float(v.mean()) for n, v in forwards.numbers["sample-forwards"].items()}
    assert spent["SDS"] == pytest.approx(spent["SDI"], rel=0.2)  # three steps are few


def test_cost_is_the_mean_of_whole_runs(bench):
    def made(rule, num_forwards, diverged=""):
        config = bench.config({"rule": rule}, "a red mug", 0)
        log = tuple({"step": number} for number in range(1 if diverged else config.steps))
        return Finished(Path(), config, None, diverged, 0.0, num_forwards, log)

    runs = {
        "SDI": [made("sdi", 30), made("sdi", 30)],
        "ISM": [made("ism", 10), made("ism", 20)],
        "SDS": [made("sds", 2, "NonFiniteError"), made("sds", 6)],
        "SJC": [made("sjc", 2, "NonFiniteError"), made("sjc", 2, "NonFiniteError")],
    }
    scored = Scored("image", bench.model, bench.encoder, None, ["a red mug"] * 2, runs)
    variants = {name: {"rule": each[0].config.rule} for name, each in runs.items()}
    steps = {name: of["steps"] for name, of in bench.equal_cost(variants, scored).items()}
    assert steps == {"SDI": 3, "ISM": 6, "SDS": 15, "SJC": 15}


def test_a_run_in_two_tables_took_its_time_once(results):
    table = next(iter(results.scored.values()))
    assert Results({"one": table}).seconds > 0
    assert Results({"one": table, "two": table}).seconds == Results({"one": table}).seconds


def test_time_and_memory_are_shown_but_not_ranked(results):
    shown = {column.measure: column.better for column in results.rankings[0].measured}
    assert shown["seconds"] == shown["peak memory (GiB)"] == 0 > shown["sample-forwards"]
    assert "so not ranked." in results.rankings[0].table.markdown()


def test_the_search_is_the_same_for_all_and_on_other_prompts(bench, results):
    search = results.search
    assert not set(search["prompts"]) & set(bench.prompts)
    for name, method in METHODS.items():
        tried = search["tried"][name]
        assert len(tried) == 7
        assert tried[0]["settings"] == method.settings("image")
        best = max((x for x in tried if not x["diverged"]), key=lambda each: each["CLIP Score"])
        chosen = results.scored["searched settings, equal optimiser steps"].runs[name][0].config
        assert chosen.settings().items() >= best["settings"].items()


def test_no_two_prompts_share_a_seed_nor_does_the_search(results):
    table = next(iter(results.scored.values()))
    for runs in table.runs.values():
        assert [run.config.seed for run in runs] == [0, 1, 100, 101]
    assert results.search["seeds"] == [10_000, 10_001]


def test_every_number_has_an_item_and_the_table_names_its_encoder(results):
    for scored in results.scored.values():
        for of in scored.numbers.values():
            assert {name: len(values) for name, values in of.items()} == {"SDS": 4, "SDI": 4}
    ranking = results.rankings[0]
    assert ranking.title == "Authors' settings, equal optimiser steps"
    shown = [column.measure for column in ranking.measured]
    assert shown[:5] == ["CLIP Score", "R-precision", "quality", "sharpness", "real"]
    assert {"diversity", "diverged", "seconds", "peak memory (GiB)"} <= set(shown)
    assert "Encoder: brightness" in ranking.table.markdown()
    assert [claim.holds for claim in results.claims()] == [None] * 3  # of two prompts


@pytest.mark.parametrize(("more", "holds"), [(1.0, True), (-1.0, False)])
def test_the_papers_claim_holds_where_sdi_scores_higher(more, holds):
    scores, prompts = np.linspace(30, 31, 10), [f"prompt {k}" for k in range(10)]
    numbers = {"CLIP Score": {"SDI": scores + more, "SDS": scores}}
    made = Results({})
    made.__dict__["rankings"] = [Ranking("Title", [Column("CLIP Score")], numbers, prompts)]
    assert [claim.holds for claim in made.claims()] == [holds]


def test_settings_with_a_diverged_run_lose_the_search(bench, monkeypatch):
    best = SimpleNamespace(
        runs={"0": [SimpleNamespace(diverged="")], "1": [SimpleNamespace(diverged="it did")]},
        clip={"0": {"CLIP Score": [1.0]}, "1": {"CLIP Score": [2.0]}},
    )
    tried = [{"rule": "sds"}, {"rule": "sds", "guidance_scale": 3.0}]
    monkeypatch.setattr(Benchmark, "compared", lambda self, variants: best)
    monkeypatch.setattr("sdilib.lab.benchmark.comparing.candidates", lambda *_: iter(tried))
    assert bench.searched({"SDS": METHODS["SDS"]})[0] == {"SDS": tried[0]}


def test_diversity_is_a_prompts_own(results):
    (values,) = {tuple(v.tolist()) for v in [results.rankings[0].numbers["diversity"]["SDS"]]}
    assert values[0] == values[1] != values[2] == values[3]


def test_a_run_that_diverged_counts_and_says_why(bench):
    huge = {"SDS": {"rule": "sds", "guidance_scale": 1e30, "t_schedule": "random"}}
    scored = replace(bench, prompts=["a red mug"], seeds=[0]).compared(huge)
    assert scored.numbers["diverged"]["SDS"].tolist() == [1.0]
    assert (
        "counted as an empty picture: SDS: NonFiniteError" in scored.ranking("One").table.markdown()
    )


def test_what_was_made_is_drawn(results):
    results.draw().draw_without_rendering()


def test_objects_are_compared_from_all_sides(bench, tmp_path):
    apart = replace(
        bench,
        scene="nerf",
        run=SMALL | {"steps": 2},
        prompts=["a red mug"],
        seeds=[0],
        root=tmp_path,
    )
    made = apart.results({"SDI": Method("sdi")}, budgets="steps")
    (scored,) = made.scored.values()
    assert scored.views["SDI"][0].shape == (16, 3, 16, 16)
    assert len(scored.numbers["CLIP Score"]["SDI"]) == 1
    assert isinstance(made, Results)
    made.draw().draw_without_rendering()


def test_further_tables_of_objects_have_one_seed(bench):
    assert list(bench.fewer.seeds) == list(bench.seeds) == [0, 1]
    assert list(replace(bench, scene="nerf").fewer.seeds) == [0]


def test_settings_and_names_that_cannot_be_are_refused_before_any_run(bench):
    spent = bench.model.num_forwards
    with pytest.raises(ValueError, match="setting='gamma': expected one"):
        bench.compared({"SDI": {"rule": "sdi"}, "SDS": {"rule": "sds", "gamma": 3.0}})
    with pytest.raises(ValueError, match="budgets='step': expected one of steps, forwards, both"):
        bench.results(METHODS, budgets="step")
    with pytest.raises(ValueError, match="search='perhaps': expected one of yes, no"):
        bench.results(METHODS, search="perhaps")
    with pytest.raises(ValueError, match="methods='SDX': expected paper, all, or some of SDS"):
        known_methods("SDI,SDX")
    assert bench.model.num_forwards == spent
