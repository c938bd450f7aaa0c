"""Methods on the same prompts, seeds and budget: their runs loaded or computed, and ranked.

A *variant* is a method's settings, including its rule. It is run on every *item*: each prompt with each of its seeds, prompt
by prompt. No two prompts share a seed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from sdilib.checks import one_of
from sdilib.lab.benchmark.scored import SCORE, Scored
from sdilib.lab.benchmark.table import Ranking
from sdilib.lab.claims import Claim, Less, verdicts
from sdilib.lab.encoders import Encoder, encoder
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.methods import PAPERS, Method, candidates, search_prompts, table_prompts
from sdilib.lab.notebooks.page import Page
from sdilib.lab.practice import SAMPLED
from sdilib.lab.presets import fitting, resolve
from sdilib.lab.prompts import SEEDS
from sdilib.lab.runs import Finished, distilled
from sdilib.lab.runs.folders import SCENES
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

Variants = Mapping[str, Mapping[str, Any]]

_NOTEBOOKS = {"image": "table1_2d", "nerf": "table1_3d"}

BUDGETS = ("steps", "forwards")
"""What is equal for all methods: optimiser steps, or UNet sample-forwards."""

_TITLES = {"steps": "equal optimiser steps", "forwards": "equal sample-forwards"}
_OURS = "SDI"

_BEFORE_SEARCH = 100  # prompts whose seeds are left to tables


@dataclass(frozen=True, slots=True, eq=False)
class Benchmark:
    """What all methods of a comparison share.

    Attributes:
        scene: "image" or "nerf".
        run: settings of a run by SDI; a variant changes them.
        prompts: without view words.
        seeds: of the first prompt; the k-th after it has `SEEDS` k more.
        model: frozen.
        encoder: computes the scores.
        evaluator: judge of the world's objects; None for a model of another world.
        root: folder of all runs; see `runs.runs_folder`.
        workers: number of processes that compute runs; 1 is this one.
    """

    scene: str
    run: Mapping[str, Any]
    prompts: Sequence[str]
    seeds: Sequence[int]
    model: StableDiffusion
    encoder: Encoder
    evaluator: Evaluator | None
    root: str | Path = ""
    workers: int = 1

    @classmethod
    def of(cls, page: Page, scene: str, *, root: str | Path = "", workers: int = 1) -> "Benchmark":
        """Return the benchmark of a notebook's page.

        Args:
            page: its configuration has "num_prompts" and, unless it is the evaluator, "encoder".
            scene: "image" or "nerf".
            root: see the class.
            workers: see the class.
        """
        config = page.config
        in_2d = {"model": config["model"], "steps": config.get("num_steps")}
        sampled = config.get("guidance_scale", SAMPLED)
        in_2d |= {"guidance_scale": sampled, "start_guidance_scale": sampled}
        return cls(
            scene,
            page.run if scene == "nerf" else in_2d,
            table_prompts(page.model.draws_world)[: config["num_prompts"]],
            range(page.seed, page.seed + config.get("num_seeds", 1)),
            page.model,
            encoder(config.get("encoder", "evaluator")),
            page.evaluator,
            root,
            workers,
        )

    def config(self, settings: Mapping[str, Any], prompt: str, seed: int) -> Text2D | Text3D:
        """Return the settings of one run.

        Args:
            settings: of a variant.
            prompt: without view words.
            seed: of everything drawn.

        Raises:
            ValueError: an invalid setting.
        """
        common = {name: value for name, value in self.run.items() if name != "preset"}
        common = fitting(common, settings.get("rule", "sdi"))
        return SCENES[self.scene].of(**{**common, **settings, "prompt": prompt, "seed": seed})

    def compared(self, variants: Variants) -> Scored:
        """Load the runs of some variants, or compute those that do not exist.

        Args:
            variants: by name.

        Raises:
            ValueError: an invalid setting; before the first run.
            Interrupted: Ctrl-C; finished runs are kept, and the same call continues with the rest.
        """
        numbered = list(enumerate(self.prompts))
        items = [(prompt, seed + SEEDS * k) for k, prompt in numbered for seed in self.seeds]
        configs = {n: [self.config(of, *item) for item in items] for n, of in variants.items()}
        every = [config for each in configs.values() for config in each]
        if self.workers > 1:
            from sdilib.lab.sweeps import sweep  # an extra

            for _ in sweep(every, root=self.root, workers=self.workers):
                pass
        with tqdm(total=len(every), desc="runs", unit="run", leave=False) as bar:
            runs: dict[str, list[Finished]] = defaultdict(list)
            for name, each in configs.items():
                for config in each:
                    made = distilled(config, root=self.root, model=self.model, progress=False)
                    runs[name].append(made)
                    bar.update()
        judges = (self.scene, self.model, self.encoder, self.evaluator)
        return Scored(*judges, [prompt for prompt, _ in items], dict(runs))

    @property
    def fewer(self) -> "Benchmark":
        """The same with one seed per prompt, if it makes objects; all but the first table are made by it."""
        return replace(self, seeds=self.seeds[:1]) if self.scene == "nerf" else self

    @property
    def sampled(self) -> float:
        """gamma that the model is sampled with."""
        return float(self.run.get("guidance_scale", SAMPLED))

    def authors(self, methods: Mapping[str, Method]) -> dict[str, dict[str, Any]]:
        """Return the methods' variants at their authors' settings.

        Args:
            methods: by name.
        """
        fit = (self.scene, self.sampled, self.run["steps"])
        return {name: of.settings(*fit) for name, of in methods.items()}

    def equal_cost(self, variants: Variants, scored: Scored) -> dict[str, dict[str, Any]]:
        """Return the variants with their steps scaled so that each costs as much as SDI, or, without SDI, as the dearest.

        A variant's cost is the mean of its runs': where t is drawn and noise is inverted, runs differ.

        Args:
            variants: by name.
            scored: their runs at equal steps.
        """
        spent = {name: _mean_forwards(runs) for name, runs in scored.runs.items()}
        budget = spent.get(_OURS, max(spent.values()))
        steps = {n: round(self.run["steps"] * budget / max(1, spent[n])) for n in variants}
        return {name: {**of, "steps": max(2, steps[name])} for name, of in variants.items()}

    def searched(
        self, methods: Mapping[str, Method]
    ) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Search the same few settings for every method, on prompts that are not in the table, at equal steps.

        Objects are made with one seed, images with all.

        Args:
            methods: by name.

        Returns:
            The settings with the highest mean CLIP Score, by method; and the record of all that were tried. Settings with
            a diverged run lose to those without.
        """
        prompts = search_prompts(self.model.draws_world)
        seeds = [seed + SEEDS * _BEFORE_SEARCH for seed in self.fewer.seeds]
        apart = replace(self, prompts=prompts, seeds=seeds)
        best, record = {}, {}
        for name, method in methods.items():
            tried = list(candidates(method, self.scene, self.sampled, self.run["steps"]))
            scored = apart.compared({str(k): each for k, each in enumerate(tried)})
            diverged = [any(run.diverged for run in runs) for runs in scored.runs.values()]
            scores = [float(torch.tensor(each[SCORE]).mean()) for each in scored.clip.values()]
            order = sorted(range(len(tried)), key=lambda k: (diverged[k], -scores[k]))
            best[name] = tried[order[0]]
            rows = zip(tried, scores, diverged, strict=True)
            record[name] = [{"settings": s, SCORE: x, "diverged": d} for s, x, d in rows]
        return best, {"prompts": prompts, "seeds": seeds, "measure": SCORE, "tried": record}

    def results(
        self, methods: Mapping[str, Method], *, budgets: str = "both", search: str = "no"
    ) -> "Results":
        """Rank methods, at their authors' settings and, at equal steps, after the search.

        Args:
            methods: by name.
            budgets: one of `BUDGETS`, or "both".
            search: "yes" or "no": whether to search settings, too.

        Raises:
            ValueError: an invalid setting, or an unknown budget.
        """
        one_of("budgets", budgets, (*BUDGETS, "both"))
        one_of("search", search, ("yes", "no"))
        own, scored = self.authors(methods), {}
        steps = self.compared(own)
        if budgets in ("steps", "both"):
            scored[f"authors' settings, {_TITLES['steps']}"] = steps
        if budgets in ("forwards", "both"):
            fair = self.fewer.compared(self.equal_cost(own, steps))
            scored[f"authors' settings, {_TITLES['forwards']}"] = fair
        record: dict[str, Any] = {}
        if search == "yes":
            best, record = self.searched(methods)
            scored[f"searched settings, {_TITLES['steps']}"] = self.fewer.compared(best)
        return Results(scored, record)


@dataclass(frozen=True, eq=False)
class Results:
    """Tables of the same methods.

    Attributes:
        scored: by title.
        search: what was tried; empty without a search.
    """

    scored: Mapping[str, Scored]
    search: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def rankings(self) -> list[Ranking]:
        """One ranking per title."""
        tried = max((len(each) for each in self.search.get("tried", {}).values()), default=0)
        size, seeds = (len(self.search.get(name, ())) for name in ("prompts", "seeds"))
        note = (
            f"Search: {tried} settings at most per method, at equal steps, on {size} other prompts "
            f"× {seeds} {'seed' if seeds == 1 else 'seeds'}, by {SCORE}."
        )
        return [
            scored.ranking(title.capitalize(), [note] if title.startswith("searched") else [])
            for title, scored in self.scored.items()
        ]

    @property
    def record(self) -> dict[str, Any]:
        """What the figure's JSON keeps."""
        tables = {each.title: each.record for each in self.rankings}
        reasons = {title: scored.reasons for title, scored in self.scored.items()}
        settings = {
            title: {n: runs[0].config.settings() for n, runs in scored.runs.items()}
            for title, scored in self.scored.items()
        }
        found = {"tables": tables, "diverged": reasons, "settings": settings, "search": self.search}
        return found | {"the paper's own": PAPERS}

    @property
    def seconds(self) -> float:
        """Total time that the tables' runs took when they were computed; one in several tables counts once."""
        every = [runs for scored in self.scored.values() for runs in scored.runs.values()]
        return float(sum({run.folder: run.seconds for runs in every for run in runs}.values()))

    def claims(self) -> list[Claim]:
        """Check what the paper says of its table: SDI's score is the highest."""
        found = []
        for ranking in self.rankings:
            rivals = [name for name in ranking.numbers[SCORE] if name != _OURS]
            said = "SDI's CLIP Score is higher than {}'s; {}"
            rows = [Less(said.format(n, ranking.title.lower()), SCORE, n, _OURS) for n in rivals]
            found += verdicts(rows, ranking.numbers, ranking.groups)
        return found

    def draw(self) -> drawing.Figure:
        """Draw the first table's runs; see `Scored.draw`."""
        return next(iter(self.scored.values())).draw()

    def _repr_markdown_(self) -> str:
        return "\n\n".join(ranking.table.markdown() for ranking in self.rankings)


def _mean_forwards(runs: Sequence[Finished]) -> float:
    """Mean sample-forwards of the runs that did not diverge; if all did, at the rate of the steps they took."""
    whole = [run.num_forwards for run in runs if not run.diverged]
    cut = [run.num_forwards * run.config.steps / max(1, len(run.log)) for run in runs]
    return float(np.mean(whole or cut))


def benchmark_at(
    preset: str,
    scene: str,
    *,
    model: str = "",
    root: str | Path = "",
    workers: int = 1,
    sizes: Mapping[str, int] | None = None,
) -> Benchmark:
    """Return the benchmark of a preset, as in the table's notebook.

    Args:
        preset: smoke, laptop, full or gpu.
        scene: "image" or "nerf".
        model: name, folder or hub id; "" is the preset's.
        root: folder of all runs.
        workers: number of processes.
        sizes: "num_prompts" and "num_seeds", in place of the preset's.

    Raises:
        ValueError: an unknown preset or model, or a size out of range.
    """
    notebook = _NOTEBOOKS[one_of("scene", scene, _NOTEBOOKS)]
    config = resolve(notebook, preset, model=model, **(sizes or {}))
    return Benchmark.of(Page(notebook, config, Path(), 0, 0.0), scene, root=root, workers=workers)
