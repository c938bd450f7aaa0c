"""A figure on disk: PNG, PDF and a JSON record that says what made it, and the gallery page over a folder of them.

The three files of a figure are written together. The record holds the hashes of the other two, so that a figure of which a
killed process renamed only a part is told from a whole one.
"""

import hashlib
import io
import math
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, dropwhile, takewhile
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sdilib import __version__
from sdilib.checks import reject
from sdilib.lab.claims import Claim, markdown_row
from sdilib.lab.notebooks.percent import cells, code_hash
from sdilib.lab.presets import MODELS, NOTEBOOKS, resolve
from sdilib.storage import atomic_write, hash_files, read_json, slug, write_json

__all__ = ["Problem", "Savable", "check", "figure_folder", "gallery", "save_figure", "versions"]

_LIBRARIES = ("diffusers", "matplotlib", "numpy", "scipy", "torch", "transformers")


@runtime_checkable
class Savable(Protocol):
    """What can be written as an image: `matplotlib.figure.Figure` is one."""

    def savefig(self, fname: Any, *, format: str, dpi: int, metadata: dict[str, Any]) -> None:
        """Write the image in the given format ("png" or "pdf") into an open binary file."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a figure on disk.

    Attributes:
        figure: its name.
        reason: in words.
        repair: the command that makes it anew.
    """

    figure: str
    reason: str
    repair: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.figure}: {self.reason}; repair: {self.repair}"


def figure_folder(preset: str, folder: str | Path = "") -> Path:
    """Return the folder that a notebook's figures go to.

    Args:
        preset: the preset they are made at.
        folder: if given, it is returned. Otherwise it is `paper_figures/<preset>` of the repository that the working
            directory lies in, or of the working directory itself.
    """
    if str(folder):
        return Path(folder)
    here = Path.cwd()
    root = next((p for p in [here, *here.parents] if (p / "paper_figures").is_dir()), here)
    return root / "paper_figures" / preset


def save_figure(
    figure: Savable,
    name: str,
    folder: str | Path,
    *,
    numbers: Mapping[str, Any],
    config: Mapping[str, Any],
    seed: int,
    claims: Sequence[Claim],
    notebook_source: str | Path,
    model_hash: str,
    seconds: float,
    dpi: int = 150,
    film: Float[Tensor, "frames 3 height width"] | None = None,
) -> Path:
    """Write a figure as PNG, PDF and JSON, together or not at all; with a film a GIF, too.

    Args:
        figure: a matplotlib figure.
        name: file name without an ending, e.g. "fig01_teaser".
        folder: where; made if missing (see `figure_folder`).
        numbers: what is plotted, by name; arrays and tensors become lists.
        config: the settings it was made with (see `presets.resolve`).
        seed: the seed all of it was drawn from.
        claims: what the figure says about the paper, checked.
        notebook_source: the notebook's `.py` file; a relative path is taken from the working directory.
        model_hash: names the model's weights (see `StableDiffusion.hash`); "" if none were used.
        seconds: time it took to compute.
        dpi: of the PNG.
        film: frames in [0, 1].

    Returns:
        Path of the JSON file.

    Raises:
        ValueError: a name that is not a safe file name, or nan or infinity among the numbers.
        FileNotFoundError: no such notebook.
    """
    if slug(name, 200).replace("-", "_") != name:
        reject("name", name, "lower-case letters, digits and _")
    record = {
        "figure": name,
        "title": _title(notebook_source),
        "notebook": Path(notebook_source).stem,
        "code": code_hash(notebook_source),
        "config": _plain("config", config),
        "model_hash": model_hash,
        "evaluator_hash": _judge(config),
        "seed": seed,
        "seconds": round(seconds, 1),
        "versions": versions(),
        "claims": _plain("claims", [claim.to_json() for claim in claims]),
        "numbers": _plain("numbers", numbers),
    }
    images = {kind: _render(figure, kind, dpi) for kind in ("png", "pdf")}
    if film is not None:
        # Few figures have one, and this imports the NeRF with its compiled kernels.
        from sdilib.lab.exports import gif_bytes

        images["gif"] = gif_bytes(film)
    record["files"] = {kind: _digest(image) for kind, image in images.items()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
    try:
        for kind, image in images.items():
            atomic_write(staging / f"{name}.{kind}", image)
        write_json(staging / f"{name}.json", record)
        for kind in (*images, "json"):  # the record last: it vouches for the others
            (staging / f"{name}.{kind}").replace(folder / f"{name}.{kind}")
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder / f"{name}.json"


def _render(figure: Savable, kind: str, dpi: int) -> bytes:
    buffer = io.BytesIO()
    # No dates: the same numbers give the same bytes.
    undated = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=dpi, metadata=undated)
    return _fewer_levels(buffer) if kind == "png" else buffer.getvalue()


def _fewer_levels(png: io.BytesIO) -> bytes:
    """Return the picture with 65 levels a channel: two thirds of the bytes, and not to be told from it by eye."""
    levels = [min(4 * round(level / 4), 255) for level in range(256)]
    rounded = Image.open(png).convert("RGB").point(levels * 3)
    smaller = io.BytesIO()
    rounded.save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _plain(path: str, value: Any) -> Any:
    """Return a value as JSON can hold it; arrays, tensors and numpy's scalars have `tolist`."""
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{path}.{key}", item) for key, item in value.items()}
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else reject(path, value, "a finite number")
    if hasattr(value, "tolist"):
        return _plain(path, value.tolist())
    if isinstance(value, Sequence):
        return [_plain(f"{path}[{i}]", item) for i, item in enumerate(value)]
    return str(value)


def _paragraphs(notebook_source: str | Path) -> list[list[str]]:
    """Return the paragraphs of a notebook's text, by cell."""
    texts = []
    for cell in cells(notebook_source):
        if cell.kind == "markdown":
            lines = (line.removeprefix("#").removeprefix(" ") for line in cell.source.splitlines())
            texts.append([part.strip() for part in "\n".join(lines).split("\n\n") if part.strip()])
    return texts


def _title(notebook_source: str | Path) -> str:
    parts = chain(*_paragraphs(notebook_source))
    headings = (part[2:] for part in parts if part.startswith("# "))
    return next(headings, Path(notebook_source).stem)


def _told(notebook_source: Path) -> tuple[list[str], list[str]]:
    """Return what a notebook says is claimed, before its first picture, and what differs from that."""
    texts = _paragraphs(notebook_source) if notebook_source.is_file() else [[]]
    claimed = takewhile(lambda part: not part.startswith("!["), texts[0][1:])
    rest = dropwhile(lambda part: not part.startswith("**What differs"), chain(*texts))
    return list(claimed), list(takewhile(lambda part: not part.startswith("#"), rest))


def versions() -> dict[str, str]:
    """Return the versions of Python, of this library and of those it computes with, and the number of threads."""
    found = {"python": platform.python_version(), "sdilib": __version__}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found | {"threads": os.environ.get("OMP_NUM_THREADS", "")}


def _records(folder: Path) -> list[dict[str, Any]]:
    if not folder.is_dir():
        reject("folder", str(folder), "a folder of figures")
    return [read_json(path) for path in sorted(folder.glob("*.json"))]


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _measured(values: Mapping[str, Any]) -> str:
    """Numbers by name; the ends of an interval in brackets behind what they are of."""
    texts = [f"{k} {_number(v)}" for k, v in values.items() if k not in ("from", "to")]
    if "from" in values:
        of = list(values).index("from") - 1
        texts[of] += f" [{_number(values['from'])}, {_number(values['to'])}]"
    return ", ".join(texts)


def _row(claim: Mapping[str, Any]) -> str:
    verdict = {True: "yes", False: "**no**", None: "not tested"}[claim["holds"]]
    said = f"{claim['claim']}{'. *' + claim['note'] + '*' if claim['note'] else ''}"
    fields = [verdict, said, _measured(claim["measured"]), str(claim["n"])]
    return markdown_row(fields)


def _verdicts(claims: Sequence[Mapping[str, Any]]) -> str:
    holds = [claim["holds"] for claim in claims]
    return f"{len(claims)} claims: {holds.count(True)} hold, {holds.count(False)} do not, {holds.count(None)} not tested."


def _section(
    heading: str, record: Mapping[str, Any], told: tuple[list[str], list[str]]
) -> list[str]:
    """A figure between its notebook's words, its claims with the numbers, how they were tested, and what made it."""
    name, claims = record["figure"], record["claims"]
    claimed, differs = ("\n\n".join(parts).splitlines() for parts in told)
    lines = [f"## {heading}", "", *claimed, "", f"![{record['title']}]({name}.png)", ""]
    if "gif" in record["files"]:
        lines += [f"![{record['title']}: the film]({name}.gif)", ""]
    if claims:
        lines += ["| Holds | Claim | Measured | n |", "|---|---|---|---|"]
        lines += [_row(claim) for claim in claims]
        tests = list(dict.fromkeys(claim["test"] for claim in claims))
        lines += ["", f"Tested by: {'; '.join(tests)}.", ""]
    lines += [*differs, ""] if differs else []
    settings = ", ".join(f"{k} {_setting(v)}" for k, v in record["config"].items())
    return [
        *lines,
        f"[Notebook](../../notebooks/{record['notebook']}.ipynb) · [numbers]({name}.json) · [PDF]({name}.pdf) · "
        f"{record['seconds']:,.0f} s, seed {record['seed']}, {settings}.",
        "",
    ]


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return f"({', '.join(f'{k} {_number(v)}' for k, v in value.items())})"
    return _number(value)


def _anchor(title: str) -> str:
    """The fragment that GitHub gives to a heading."""
    kept = (c for c in title.lower() if c.isalnum() or c in " -_")
    return "".join(kept).replace(" ", "-")


def gallery(folder: str | Path, *, notebooks: str | Path = "notebooks") -> Path:
    """Write the `README.md` of a folder of figures: the claims that hold in a table, then each figure with its own.

    The page depends on the records and the notebooks' words alone, so that equal ones give an equal page; it is written
    only if it changes.

    Args:
        folder: where the figures are.
        notebooks: folder of the notebooks' `.py` files, whose words stand beside the figures.

    Returns:
        Path of the page.

    Raises:
        ValueError: no such folder.
    """
    folder = Path(folder)
    records = sorted(_records(folder), key=lambda record: not record["figure"].startswith("start"))
    lines = [
        f"# Figures at preset `{folder.name}`",
        "",
        "Generated by `python -m sdilib gallery`; nothing here is written by hand. A claim is checked each time its",
        'figure is made: "no" means that the numbers measured here do not show it, "not tested" that there were too',
        "few of them to say. A bound holds where the whole interval, in brackets (95 %), lies within it. n counts",
        'independent observations, mostly prompts; "agree" is the share of them that differ in the direction claimed.',
        '"Fine detail" is the energy of high spatial frequencies; "kernel distance" compares features of the views with',
        "those of real renders (KID; lower is better); residuals are r(t) of the paper's eq. 8.",
        "",
        _verdicts([claim for record in records for claim in record["claims"]]),
        "",
        "| Figure | Claims that hold |",
        "|---|---|",
    ]
    titles = [record["title"] for record in records]
    headings = [  # a notebook of two figures has one title
        title if titles.count(title) == 1 else f"{title} ({record['figure']})"
        for title, record in zip(titles, records, strict=True)
    ]
    for heading, record in zip(headings, records, strict=True):
        holds = [claim["holds"] for claim in record["claims"]]
        share = f"{holds.count(True)} of {len(holds)}" if holds else ""
        lines += [f"| [{heading}](#{_anchor(heading)}) | {share} |"]
    lines += [""]
    for heading, record in zip(headings, records, strict=True):
        lines += _section(heading, record, _told(Path(notebooks) / f"{record['notebook']}.py"))
    text, page = "\n".join(lines), folder / "README.md"
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        atomic_write(page, text)
    return page


def check(folder: str | Path, *, notebooks: str | Path = "notebooks") -> list[Problem]:
    """Return what is wrong with the figures of a folder: not whole, made by another notebook, settings, weights or evaluator, or by `smoke`.

    Args:
        folder: where the figures are.
        notebooks: folder of the notebooks' `.py` files.

    Returns:
        One problem for each figure that is not what the present code would make; empty is good.

    Raises:
        ValueError: no such folder.
    """
    problems = []
    for record in _records(Path(folder)):
        reason = _staleness(record, Path(folder), Path(notebooks))
        if reason:
            key = record["notebook"].split("_")[0].removeprefix("fig")
            preset = record["config"].get("preset", "laptop")
            preset = "laptop" if preset == "smoke" else preset
            repair = f"make figures FIG={key} PRESET={preset}{_other_model(record)} AGAIN=1"
            problems.append(Problem(record["figure"], reason, repair))
    return problems


def _other_model(record: Mapping[str, Any]) -> str:
    """What makes the same figure of a model that is not the preset's."""
    preset, model = (str(record["config"].get(name, "")) for name in ("preset", "model"))
    if not model or model == MODELS.get(preset):
        return ""
    path = Path(model)
    near = path.is_absolute() and path.is_relative_to(Path.cwd())
    return f" MODEL={path.relative_to(Path.cwd()) if near else model}"


def _staleness(record: Mapping[str, Any], folder: Path, notebooks: Path) -> str:
    name, notebook, config = record["figure"], record["notebook"], record["config"]
    for kind, digest in record["files"].items():
        image = folder / f"{name}.{kind}"
        if not image.is_file() or _digest(image.read_bytes()) != digest:
            return f"{image.name} is missing or is not the file that the record belongs to"
    source = notebooks / f"{notebook}.py"
    if not source.is_file():
        return f"its notebook {source} is gone"
    if code_hash(source) != record["code"]:
        return f"the code of {source} has changed since"
    if config.get("preset") == "smoke":
        return "it is a smoke run, which proves that the notebook runs and nothing else"
    run = config.get("run", {})
    for of, used in ((notebook, config), ("run3d", run if isinstance(run, Mapping) else {})):
        if of not in NOTEBOOKS or "preset" not in used:
            continue
        expected = resolve(of, used["preset"])
        changed = [
            key for key in expected if key != "model" and key in used and used[key] != expected[key]
        ]
        if changed:
            return f"the preset {used['preset']} has another {', '.join(changed)} now"
    # A figure of formulas alone records no weights, and none make it stale.
    weights = _weights(str(config.get("model", ""))) if record["model_hash"] else ""
    if weights and weights != record["model_hash"]:
        return f"the weights of {config['model']} have changed since"
    if record.get("evaluator_hash", "") not in ("", _judge(config)):
        return f"the evaluator {config['evaluator']} has changed since"
    return ""


def _judge(config: Mapping[str, Any]) -> str:
    """Return the hash of the evaluator's files, or "" where nothing is judged."""
    name = str(config.get("evaluator", ""))
    if name in ("", "none"):
        return ""
    from sdilib.lab.evaluator import evaluator_hash  # transformers takes seconds to import

    return evaluator_hash(name)


def _weights(model: str) -> str:
    """Return the hash of a model's files, or "" for one that has none here: random weights, a hub id."""
    from sdilib.stable_diffusion.loading import model_folder  # diffusers takes seconds to import

    folder = model_folder(model) if model else None
    return hash_files(folder) if folder is not None else ""
