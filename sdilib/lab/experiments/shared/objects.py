"""3D runs compared: loaded or computed, rendered from 16 sides, measured and drawn.

A figure's *variants* are the changes that each of its methods makes to SDI's settings, which are the preset's. Figures
share runs with equal settings. Each number belongs to one run; a run that diverged is not left out but counts as an
empty picture.
"""

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate
from tqdm.auto import tqdm

from sdilib.cameras import Camera
from sdilib.denoiser import with_view
from sdilib.lab.claims import Claim, Less, Numbers, Row, verdicts
from sdilib.lab.evaluator import Evaluator, asked, meant
from sdilib.lab.experiments.shared import drawing
from sdilib.lab.metrics import (
    back_faces,
    high_frequency_energy,
    kernel_distance,
    saturation,
)
from sdilib.lab.prompts import SEEDS
from sdilib.lab.runs import Finished, distilled
from sdilib.lab.world.nearest import nearest_shape, rendered
from sdilib.lab.world.render import pictures
from sdilib.lab.world.scene import BACKGROUND, Background, WorldCamera, WorldScene
from sdilib.lab.world.views import MARGIN_DEGREES, has_front, view_margin
from sdilib.stable_diffusion import StableDiffusion
from sdilib.text_to_3d import Text3D

Settings = Mapping[str, Any]

AZIMUTHS = tuple(22.5 * k for k in range(16))
"""Directions from which an object is judged, in degrees."""

ELEVATION = 15.0
"""Elevation of those views, in degrees."""

CAMERAS = tuple(WorldCamera(azimuth, ELEVATION) for azimuth in AZIMUTHS)
"""What those views are seen by in the world."""

BEHIND = [
    k
    for k, camera in enumerate(CAMERAS)
    if camera.view == "back" and view_margin(camera) >= MARGIN_DEGREES
]
"""Which of them are from behind, not near a border between two words."""

_SCALES = tuple(1.08**k for k in range(-4, 5))
_COVERED = 0.5  # opacity from which a pixel belongs to the object
_FITTED, _FIT_SIZE = 4, 32  # views that a shape is fitted to, and their pixels
_FAMILY = 128

PLAIN = {"saturation": saturation, "fine detail": high_frequency_energy}
"""Measures of images that need no judge."""

COST = "sample-forwards"

WORLD = "the world"
"""Name of objects that the world itself draws, among methods."""

PANELS = ("object", "colour", "IoU", "kernel distance"), ("view", *PLAIN, COST)
"""Measures drawn, in two rows of panels."""

_OTHERS = ("#762a83", "#b08bc0", "#e08214", "#4393c3", "#b2182b", "#8c510a", "#666666")


@runtime_checkable
class Page(Protocol):
    """The part of a notebook's page that runs need; see `lab.notebooks.page`.

    Attributes:
        model: the denoiser.
        evaluator: the judge; None for a model of another world.
        prompts: without view words.
        run: SDI's settings.
        config: may hold "num_seeds", the number of seeds per prompt.
        seed: the first seed.
    """

    model: StableDiffusion
    evaluator: Evaluator | None
    prompts: Sequence[str]
    run: Settings
    config: Settings
    seed: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Looked:
    """Views of one object from `AZIMUTHS`.

    Attributes:
        images: in [0, 1].
        opacity: share of light that the object blocks, in [0, 1].
    """

    images: Float[Tensor, "views 3 height width"]
    opacity: Float[Tensor, "views height width"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of several methods, one per method, prompt and seed.

    Attributes:
        prompts: the prompt of each run of a method, in order.
        runs: by method.
        evaluator: their judge; None for a model of another world.
    """

    prompts: Sequence[str]
    runs: Mapping[str, Sequence[Finished]]
    evaluator: Evaluator | None

    @property
    def judge(self) -> Evaluator | None:
        """The evaluator; None if it does not know what a prompt asks for."""
        known = all(asked(prompt)["object"] for prompt in self.prompts)
        return self.evaluator if known else None

    @cached_property
    def looked(self) -> dict[str, list[Looked]]:
        """The 16 views of each run, by method."""
        return {name: [looked_at(run) for run in runs] for name, runs in self.runs.items()}

    @cached_property
    def numbers(self) -> dict[str, dict[str, Float[Tensor, " runs"]]]:
        """Numbers by measure, then method: from `measured`, what each run cost, and whether it diverged."""
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for name, runs in self.runs.items():
            for run, looked, prompt in zip(runs, self.looked[name], self.prompts, strict=True):
                for measure, value in (
                    measured(looked, prompt, self.evaluator) | spent(run)
                ).items():
                    found[measure][name].append(value)
        return {
            measure: {n: torch.tensor(each, dtype=torch.float64) for n, each in values.items()}
            for measure, values in found.items()
        }

    @property
    def record(self) -> dict[str, Any]:
        """The numbers, with the reason why each run diverged; "" if it did not."""
        reasons = {name: [run.diverged for run in runs] for name, runs in self.runs.items()}
        return {**self.numbers, "diverged": reasons}

    @property
    def seconds(self) -> float:
        """Total time that the runs took when they were computed."""
        return float(sum(run.seconds for runs in self.runs.values() for run in runs))

    def check(self, rows: Sequence[Row], derived: Numbers | None = None) -> list[Claim]:
        """Check a figure's claims.

        Args:
            rows: the table; "{by}" in a sentence becomes the name of the quantity that "distance" stands for.
            derived: further numbers that the figure computes, by measure, then method.
        """
        judged = "kernel distance" in self.numbers
        by = "kernel distance to real renders" if judged else "fine detail"
        claims = verdicts(rows, {**self.numbers, **(derived or {})}, groups=self.prompts)
        return [replace(claim, claim=claim.claim.format(by=by)) for claim in claims]

    def draw(
        self,
        ours: str = "",
        *,
        panels: Sequence[Sequence[str]] = PANELS,
        derived: Numbers | None = None,
        beside: Mapping[str, Sequence[Looked]] | None = None,
        colours: Mapping[str, str] | None = None,
    ) -> drawing.Figure:
        """Draw each method's views, and below them rows of panels with a tick per run and a dot for the mean.

        The eight views show the first object from eight sides, or the first two from four each.

        Args:
            ours: the method drawn in SDI's colour.
            panels: measures by row; those that were not measured are left out.
            derived: as in `check`.
            beside: views of further objects, by name, for rows below the methods'.
            colours: by method, in place of `ours`.
        """
        shown = min(2, len(self.prompts))
        views = list(range(1, len(AZIMUTHS), 2 * shown))
        columns = [f"{AZIMUTHS[k]:.0f}°" for k in views] * shown
        columns[:: len(views)] = [f"{prompt}: {columns[0]}" for prompt in self.prompts[:shown]]
        rows = {
            name: torch.cat([each.images[views] for each in looked[:shown]])
            for name, looked in {**self.looked, **(beside or {})}.items()
        }
        known: Mapping[str, Any] = {**self.numbers, **(derived or {})}
        lines = [{name: known[name] for name in line if name in known} for line in panels]
        lines = [line for line in lines if line]
        others, green = cycle(_OTHERS), drawing.COLOURS["SDI"]
        colours = colours or {n: green if n == ours else next(others) for n in rows}
        figure = drawing.images_and_items(rows, columns, *lines, colour=colours.__getitem__)
        for axes in figure.axes[len(columns) * len(rows) :]:
            axes.locator_params(axis="x", nbins=3)  # of four panels, whose numbers would touch
        return figure


def nearer(said: str, this: str, other: str) -> Less:
    """Return the claim that one method's views are nearer to real renders than another's.

    Args:
        said: the statement; the name of the deciding measure is appended.
        this: the method claimed to be nearer.
        other: the method claimed to be farther.
    """
    return Less(f"{said} ({{by}})", "distance", this, other)


def run_of(settings: Settings, prompt: str, **changes: Any) -> Text3D:
    """Return the settings of one run.

    Args:
        settings: those of SDI, as `presets.resolve("run3d", ...)` returns them.
        prompt: without view words.
        **changes: of the settings.

    Raises:
        ValueError: an invalid setting.
    """
    common = {name: value for name, value in settings.items() if name != "preset"}
    return Text3D.of(prompt=prompt, **common | changes)


def compared(
    page: Page,
    variants: Mapping[str, Settings],
    *,
    root: str | Path = "",
    seeds_apart: bool = False,
) -> Comparison:
    """Load the runs of a figure, or compute those that do not exist; all prompts of a seed together.

    Args:
        page: the notebook's.
        variants: the changes that each method makes to SDI's settings.
        root: folder of all runs; see `runs.runs_folder`.
        seeds_apart: whether each prompt has seeds of its own. If not, prompts share theirs, and with them noise and
            cameras, so that they are not quite independent.

    Raises:
        ValueError: an invalid setting; before the first run.
        Interrupted: Ctrl-C; finished runs are kept, and the same call continues with the rest.
    """
    num_seeds = page.config.get("num_seeds", 1)
    places = [SEEDS * k if seeds_apart else 0 for k in range(len(page.prompts))]
    configs = [
        (name, run_of(page.run, prompt, **{"seed": page.seed + number + place} | dict(changes)))
        for name, changes in variants.items()
        for number in range(num_seeds)
        for place, prompt in zip(places, page.prompts, strict=True)
    ]
    runs: dict[str, list[Finished]] = {name: [] for name in variants}
    for name, config in tqdm(configs, desc="runs", unit="run"):
        runs[name].append(distilled(config, root=root, model=page.model, progress=False))
    return Comparison([*page.prompts] * num_seeds, runs, page.evaluator)


def halfway(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return SDI stopped half-way: the first half of its steps, with the same times and penalties.

    Exact for an even number of steps, except for convexity and shading (where they are on) and whatever else takes more
    than half of the run: these follow the share of the run done and so fall on other steps.

    Args:
        settings: those of SDI.
    """
    run = run_of(settings, "any")
    names = ("growth_share", "sparsity_share", "progressive_start", "progressive_share")
    twice = {name: 2 * getattr(run, name) for name in names}
    shares = {name: min(share, 1.0) for name, share in twice.items()}
    grown = max(twice["growth_share"], 1.0)
    weights = {name: getattr(run, name) / grown for name in ("opaqueness", "z_variance")}
    times = {"steps": max(1, run.steps // 2), "t_end": (run.t_start + run.t_end) / 2}
    return {"SDI": times | shares | weights}


def looked_at(run: Finished) -> Looked:
    """Return the 16 views of a run's object; empty ones if the run diverged.

    They are seen as `Text3D.around` says: for runs in the world, as its own objects are.

    Args:
        run: rendered at its own size.
    """
    if run.scene is None:
        opacity = torch.zeros(len(AZIMUTHS), run.config.size, run.config.size)
        return Looked(torch.full_like(opacity, BACKGROUND)[:, None].expand(-1, 3, -1, -1), opacity)
    seen = run.scene.views(run.config.around(AZIMUTHS))
    return Looked(seen.image.clamp(0, 1), seen.opacity)


def spent(run: Finished) -> dict[str, float]:
    """Return what a run cost, and 1 if it diverged, by measure.

    Args:
        run: of any scene.
    """
    memory, diverged = run.peak_bytes / 2**30, float(bool(run.diverged))
    cost = {"seconds": run.seconds, COST: run.num_forwards}
    return cost | {"peak memory (GiB)": memory, "diverged": diverged}


def measured(looked: Looked, prompt: str, evaluator: Evaluator | None) -> dict[str, float]:
    """Return the numbers of one object, by measure.

    With an evaluator, "object", "colour" and "pattern" are the shares of the 16 views in which it sees what the prompt
    asks for; "view" is the share in which it names the side facing the camera (of the views at least 15 degrees from a
    border; 1 for an object without a front); "Janus" is 1 if the front is seen from behind (see `metrics.back_faces`);
    "IoU" is that of `nearest_member`. "saturation" and "fine detail" are ratios to those of the world's renders of what the prompt
    could mean (see `family_views`), and their "deviation" is the distance of that ratio from 1; "kernel distance" is the
    distance to the same renders. Without an evaluator, only saturation and fine detail are measured, as absolute numbers.
    "distance" is the kernel distance, or minus the fine detail if there is none.

    Args:
        looked: from `looked_at`.
        prompt: without view words.
        evaluator: None for a model of another world.
    """
    plain = {name: measure(looked.images).mean() for name, measure in PLAIN.items()}
    if evaluator is None or asked(prompt)["object"] is None:
        found = {name: float(value) for name, value in plain.items()}
        return found | {"distance": -found["fine detail"]}
    size = looked.images.shape[-1]
    truth = family_views(prompt, size).images
    ratios = {name: float(plain[name] / of(truth).mean()) for name, of in PLAIN.items()}
    right = evaluator.accuracy(looked.images, [with_view(prompt, each.view) for each in CAMERAS])
    clear = torch.tensor([view_margin(camera) >= MARGIN_DEGREES for camera in CAMERAS])
    right["view"] = right["view"][clear]
    faces = 0.0
    if has_front(asked(prompt)["object"] or ""):
        words = evaluator.attributes(looked.images[BEHIND]).words("view")
        faces = back_faces(words, ["back"] * len(BEHIND))
    shares = {name: float(values.nan_to_num(1.0).mean()) for name, values in right.items()}
    mine = evaluator.features(looked.images)
    distance = kernel_distance(mine, family_features(evaluator, prompt, size))
    off = {f"deviation of {name}": abs(ratio - 1) for name, ratio in ratios.items()}
    _, iou = nearest_member(looked, prompt)
    shares["Janus"] = float(faces > 0.5)
    return shares | ratios | off | {"IoU": iou, "kernel distance": distance, "distance": distance}


_members: WeakKeyDictionary[Looked, dict[str, tuple[WorldScene, float]]] = WeakKeyDictionary()
"""What was found, for as long as the views are there: a fit takes about a second, and IoU, Chamfer distance and shape ask for it."""


def nearest_member(looked: Looked, prompt: str) -> tuple[WorldScene, float]:
    """Return the object nearest to another's silhouettes among all that the prompt could mean, and their overlap.

    A prompt leaves the object's front, size and proportions open: the best turn (in steps of 22.5 degrees) and scale of
    the plainest object are found first, then the shape is fitted to `_FITTED` of the views. The plainest object is kept
    where the fit is not nearer, and for an empty object.

    Args:
        looked: from `looked_at`.
        prompt: names an object of the world.

    Returns:
        The object, whose camera does not matter, and the intersection over union, in [0, 1], the mean over the 16 views.
    """
    known = _members.setdefault(looked, {})
    if prompt not in known:
        known[prompt] = _nearest_member(looked, prompt)
    return known[prompt]


def _nearest_member(looked: Looked, prompt: str) -> tuple[WorldScene, float]:
    size, plain = looked.opacity.shape[-1], meant(prompt)
    mine = (looked.opacity > _COVERED).flatten(1).double()
    numbers = torch.arange(len(AZIMUTHS))
    turned = (numbers[:, None] - numbers) % len(AZIMUTHS)  # view i, turned by k
    best, turn, scale = 0.0, 0, 1.0
    for tried in _SCALES:
        overlap = _overlap(mine, true_views(prompt, size, scale=tried).opacity)
        found, k = overlap.gather(1, turned).mean(0).max(0)
        if found > best:
            best, turn, scale = float(found), int(k), tried
    if not best:
        return plain, 0.0
    cameras = [WorldCamera(azimuth - AZIMUTHS[turn], ELEVATION) for azimuth in AZIMUTHS]
    rough = interpolate(looked.opacity[:, None], (_FIT_SIZE, _FIT_SIZE), mode="area")[:, 0]
    few = slice(None, None, len(AZIMUTHS) // _FITTED)
    covers = rough[few].double().numpy()
    fit, enlarged = nearest_shape(covers, cameras[few], plain, size=scale, starts=1)
    seen = rendered(fit, cameras, size=enlarged, pixels=size)[1]
    fitted = float(_overlap(mine, torch.from_numpy(seen)).diagonal().mean())
    return (fit, fitted) if fitted > best else (plain, best)


def _overlap(mine: Tensor, opacity: Tensor) -> Float[Tensor, "mine true"]:
    """Intersection over union of each silhouette in `mine`, a row of 0 and 1, with each true one."""
    truth = (opacity > _COVERED).flatten(1).double()
    both = mine @ truth.T
    return both / (mine.sum(1, keepdim=True) + truth.sum(1) - both).clamp_min(1)


def own_object(prompt: str, number: int, size: int) -> Looked:
    """Return the views of an object that the world draws for a prompt, over the background that objects are judged on.

    Args:
        prompt: names an object of the world.
        number: of the draw; another one is another object.
        size: of the views, in pixels.
    """
    scene = meant(prompt)
    random = np.random.default_rng([16, number, *scene.numbers])
    one = WorldScene.drawn(scene.name, scene.colour, scene.pattern, random)
    scenes = [replace(one, camera=camera, background=Background()) for camera in CAMERAS]
    return Looked(*pictures(scenes, size))


def sides(
    looked: Sequence[Looked], prompts: Sequence[str]
) -> tuple[Float[Tensor, "items 3 height width"], list[str]]:
    """Return four views of each object in turn, and for each view the prompt with its view word.

    Args:
        looked: one per prompt.
        prompts: without view words.
    """
    images = torch.cat([each.images[1::4] for each in looked])
    words = Camera.around(AZIMUTHS[1::4], elevation_degrees=ELEVATION).views
    return images, [with_view(prompt, word) for prompt in prompts for word in words]


def turns(
    rows: Mapping[str, Float[Tensor, "columns 3 height width"]], columns: Sequence[str]
) -> drawing.Figure:
    """Draw one object per row, over its sides or over the steps of its run.

    Args:
        rows: views in [0, 1], by prompt.
        columns: their titles, of one line each.
    """
    # Labels are broken at commas.
    wrapped = [", ".join(textwrap.wrap(name, 13, break_long_words=False)) for name in rows]
    shown = dict(zip(wrapped, rows.values(), strict=True))
    return drawing.image_rows(shown, columns, titles=drawing.ONE_LINE)


@lru_cache(maxsize=256)
def true_views(prompt: str, size: int, *, scale: float = 1.0) -> Looked:
    """Return views of the plainest object in the world that fits a prompt, red if the prompt names no colour.

    Args:
        prompt: names an object of the world.
        size: of the views, in pixels.
        scale: of the object; a camera that is nearer by this factor sees exactly the same.
    """
    scene = meant(prompt)
    cameras = [WorldCamera(azimuth, ELEVATION, 3.6 / scale) for azimuth in AZIMUTHS]
    return Looked(*pictures([replace(scene, camera=camera) for camera in cameras], size))


@lru_cache(maxsize=256)
def family_features(
    evaluator: Evaluator, prompt: str, size: int, *, placed: bool = True
) -> Float[Tensor, "views width"]:
    """Return an evaluator's features of `family_views`, cached for all objects compared with them.

    Args:
        evaluator: the judge.
        prompt: see `family_views`.
        size: of the views, in pixels.
        placed: see `family_views`.
    """
    return evaluator.features(family_views(prompt, size, placed=placed).images)


@lru_cache(maxsize=256)
def family_views(prompt: str, size: int, *, placed: bool = True) -> Looked:
    """Return views of `_FAMILY` objects that the prompt could mean, each with its own camera and light.

    Args:
        prompt: names an object of the world.
        size: of the views, in pixels.
        placed: show all sides equally often, on the fixed background of a 3D object; otherwise cameras and backgrounds
            are drawn too, as for a picture.
    """
    scene = meant(prompt)
    looks = scene.name, scene.colour, scene.pattern
    random = np.random.default_rng([5, *scene.numbers])
    scenes = [WorldScene.drawn(*looks, random) for _ in range(_FAMILY)]
    if placed:
        fixed = Background()
        scenes = [
            replace(each, camera=camera, background=fixed)
            for each, camera in zip(scenes, cycle(CAMERAS), strict=False)
        ]
    return Looked(*pictures(scenes, size))
