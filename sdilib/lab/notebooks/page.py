"""What each notebook begins and ends with: its settings, model and judge; its figure on disk and its claims.

`begin` resolves the preset, `Page` loads what is asked for when it is first asked for, `Page.save` writes the figure.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from sdilib.lab import presets
from sdilib.lab.claims import Claim, claims_table
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.images import Generated, ddim_images, distilled_images, items
from sdilib.lab.notebooks.freshness import figure_folder, made_from
from sdilib.lab.notebooks.records import write_figure
from sdilib.lab.notebooks.sources import paragraphs
from sdilib.lab.practice import HIGH
from sdilib.lab.prompts import example_prompts
from sdilib.lab.provenance import versions
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.names import check_name
from sdilib.text_to_image import RuleFrom


@dataclass
class Page:
    """A notebook at work.

    Attributes:
        notebook: its name.
        config: its settings: what was given, and the preset's values for the rest.
        folder: where its figures go.
        seed: the first of all seeds.
        began: when, by the clock of `time.perf_counter`.
    """

    notebook: str
    config: dict[str, Any]
    folder: Path
    seed: int
    began: float

    @cached_property
    def model(self) -> StableDiffusion:
        """The denoiser."""
        return StableDiffusion.from_pretrained(self.config["model"])

    @cached_property
    def evaluator(self) -> Evaluator | None:
        """The judge; None for a model of another world, whose prompts it would not understand."""
        name = self.config.get("evaluator", "none")
        return None if name == "none" else Evaluator.from_pretrained(name)

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """The first `num_prompts` examples of the model, or all."""
        return example_prompts(self.model.draws_world)[: self.config.get("num_prompts")]

    @cached_property
    def items(self) -> tuple[list[str], list[int]]:
        """Every prompt with seeds of its own, prompt by prompt: two lists of equal length."""
        return items(self.prompts, self.config.get("num_seeds", 1), first_seed=self.seed)

    @property
    def gamma(self) -> float:
        """What the model is sampled with."""
        return self.config["guidance_scale"]

    @property
    def high_gamma(self) -> float:
        """As much higher as DreamFusion's 100 is for Stable Diffusion."""
        return HIGH * self.gamma

    def sample(self, **settings: Any) -> Generated:
        """Sample the items by DDIM, at the page's gamma and in its `num_steps` if no others are given.

        Args:
            **settings: of `ddim_images`.
        """
        own = {"num_steps": self.config["num_steps"], "guidance_scale": self.gamma}
        settings = own | settings
        return ddim_images(self.model, *self.items, **settings)

    def distill(self, rule: RuleFrom, **settings: Any) -> Generated:
        """Distill the items by a rule, from the image predicted at the page's gamma, in its `num_steps` if no others are given.

        Args:
            rule: makes the rule of a batch, from the model and the noise predicted at t = 1.
            **settings: of `distilled_images`.
        """
        own = {"num_steps": self.config["num_steps"], "start_guidance_scale": self.gamma}
        settings = own | settings
        return distilled_images(self.model, *self.items, rule=rule, **settings)

    @cached_property
    def run(self) -> dict[str, Any]:
        """The settings of a 3D run: from the preset that `quality` names, and the notebook's own."""
        run = presets.resolve("run3d", self.config["quality"], model=self.config["model"])
        return run | {name: self.config[name] for name in presets.OF_RUNS if name in self.config}

    def save(
        self,
        figure: Figure,
        numbers: Mapping[str, Any],
        claims: Sequence[Claim] = (),
        *,
        name: str = "",
        seconds: float | None = None,
        film: Float[Tensor, "frames 3 height width"] | None = None,
    ) -> Any:
        """Write the figure with its record, and return its claims to be shown, as IPython's `Markdown`.

        Args:
            figure: what is drawn.
            numbers: what is plotted, by name; arrays and tensors become lists.
            claims: what the figure says about the paper, checked.
            name: of the files; the notebook's, in lower case, if it has one figure only.
            seconds: what it took, if not the time since the page began or last saved: that of runs found on disk.
            film: frames in [0, 1].

        Raises:
            ValueError: a name that is not a safe file name, or nan or infinity among the numbers.
            FileNotFoundError: the working directory is not that of the notebooks.
        """
        from IPython.display import Markdown  # only installed for notebooks

        now, source = time.perf_counter(), f"{self.notebook}.py"
        config = self.config | ({"run": self.run} if "quality" in self.config else {})
        record = {
            "title": _title(source) or self.notebook,
            "notebook": self.notebook,
            "config": config,
            **made_from(source, config, self.model.hash if "model" in self.__dict__ else ""),
            "seed": self.seed,
            "seconds": round(now - self.began if seconds is None else seconds, 1),
            "versions": versions(),
            "claims": [asdict(claim) for claim in claims],
            "numbers": numbers,
        }
        write_figure(self.folder, name or self.notebook.lower(), figure, record, film)
        self.began = now
        return Markdown(claims_table(claims))


def _title(source: str) -> str:
    parts = chain(*paragraphs(source))
    return next((part[2:] for part in parts if part.startswith("# ")), "")


def begin(
    notebook: str, preset: str, *, model: str = "", folder: str = "", seed: int = 0, **given: Any
) -> Page:
    """Begin a notebook.

    Args:
        notebook: its name, e.g. "fig01_teaser".
        preset: smoke, laptop, full or gpu.
        model: name, folder or hub id; "" is the preset's.
        folder: where its figures go; "" is `paper_figures/<preset>`.
        seed: the first of all seeds.
        **given: its other parameters that the presets know; 0 and "" stand for the preset's.

    Raises:
        FileNotFoundError: the working directory is not that of the notebooks.
        ValueError: an unknown notebook, preset or parameter, or a value out of range.
        TypeError: a value of another type than the preset's.
    """
    config = presets.resolve(notebook, preset, model=model, **given)
    check_name(config["model"])
    # The library as it is now, should it change before the figure is saved.
    made_from(f"{notebook}.py", config, "")
    return Page(notebook, config, figure_folder(preset, folder), seed, time.perf_counter())
