"""Whether a figure on disk is what the present code would make: one answer, for make and for `check-figures`.

A record names what its figure was made from: the code of the notebook and of the library's modules that it imports, the
model, the judge and the settings. Code is hashed without comments and docstrings, so that words may change; and code that is
known to make the same numbers (see `same_numbers`) is as good.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from sdilib import PUBLIC
from sdilib.checks import reject
from sdilib.lab.notebooks.sources import code
from sdilib.lab.presets import MODELS, NOTEBOOKS, resolve
from sdilib.lab.provenance import evaluator_hash, repository
from sdilib.stable_diffusion.names import BUNDLED, model_folder, model_hash
from sdilib.storage import hash_json, read_json

_PACKAGE = Path(__file__).parents[2]

_BOOKKEEPING = (
    "sdilib.lab.notebooks",
    "sdilib.lab.presets",
    "sdilib.lab.provenance",
    "sdilib.lab.sweeps",
)
"""Modules that no number comes from: they hand runs out or write results down, and the presets' values are compared."""

_DATA = (".csv", ".txt")
"""Files beside a module that count with it, if it names them."""

TABLE = "same_numbers.json"
"""Beside the folders of figures: by notebook, pairs of an earlier and a later version with the same numbers."""

Pairs = Mapping[str, list[list[str]]]

_OF_A_FIGURE = {"notebook"}


def figure_folder(preset: str, folder: str | Path = "") -> Path:
    """Return the folder that a notebook's figures go to.

    Args:
        preset: the preset they are made at.
        folder: if given, it is returned. Otherwise it is `paper_figures/<preset>` of the repository that the working
            directory lies in, or of the working directory itself.
    """
    return Path(folder) if str(folder) else repository() / "paper_figures" / preset


def absolute(model: str) -> str:
    """Return a model's folder as seen from anywhere (a kernel works in the notebook's folder); other names as they are.

    Args:
        model: name, folder or hub id.
    """
    folder = model_folder(model) if model and model not in BUNDLED else None
    return str(folder.resolve()) if folder else model


def read_records(folder: str | Path) -> list[dict[str, Any]]:
    """Return the records of a folder's figures.

    Args:
        folder: where the figures are.

    Raises:
        ValueError: no such folder, or a JSON file in it that is no figure's.
    """
    if not Path(folder).is_dir():
        reject("folder", str(folder), "a folder of figures")
    records = {path: read_json(path) for path in sorted(Path(folder).glob("*.json"))}
    for path, record in records.items():
        if not (isinstance(record, dict) and record.keys() >= _OF_A_FIGURE):
            reject("folder", str(folder), f"a folder of figures; {path.name} is not one's record")
    return list(records.values())


def digest(content: bytes | ast.Module) -> str:
    """Return 16 hexadecimal digits that name some bytes, or code but for its comments and docstrings.

    Args:
        content: bytes, or parsed code, which loses its docstrings.
    """
    if isinstance(content, ast.Module):
        for node in ast.walk(content):
            if isinstance(body := getattr(node, "body", None), list):
                body[:] = [each for each in body if not _is_text(each)]
        content = ast.unparse(content).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:  # a magic command or a mistake: then the text itself counts
        return ast.parse(f"_ = {text!r}")


def _is_text(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(ast.Constant(str())):
            return True
    return False


def made_from(source: str | Path, config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return what a record says of a figure's origin, beside its settings.

    Args:
        source: the notebook's `.py` file.
        config: the figure's settings, of which `evaluator` names the judge.
        model: hash of the model; "" if none was used.
    """
    parsed, judge = _parsed(code(source)), str(config.get("evaluator", "none"))
    return {
        "library": _modules(parsed),
        "code": digest(parsed),
        "model_hash": model,
        "evaluator_hash": "" if judge in ("", "none") else evaluator_hash(judge),
    }


def _modules(code: ast.Module) -> dict[str, str]:
    """The digests of the library's modules that a code imports, directly or not, by name."""
    found: dict[str, str] = {}
    waiting = set(_imports(code))
    while waiting:
        name = waiting.pop()
        stem = _PACKAGE.joinpath(*name.split(".")[1:])
        path = next(
            (p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None
        )
        if path and _counts(name) and name not in found:
            parts, more = _module(name, path)
            found |= parts
            waiting |= more
    return dict(sorted(found.items()))


def _counts(module: str) -> bool:
    return module == "sdilib.lab.notebooks.page" or not module.startswith(_BOOKKEEPING)


@cache  # modules are shared by all notebooks, and a process goes on with those it has imported
def _module(name: str, path: Path) -> tuple[dict[str, str], frozenset[str]]:
    """The digests of a module and of the data that it names, and what it imports."""
    code = _parsed(path.read_text(encoding="utf-8"))
    texts = (each.value for each in ast.walk(code) if isinstance(each, ast.Constant))
    data = {
        f"{name}: {text}": digest((path.parent / text).read_bytes())
        for text in texts
        if isinstance(text, str) and text.endswith(_DATA) and (path.parent / text).is_file()
    }
    return {name: digest(code)} | data, _imports(code)


def _imports(code: ast.Module) -> frozenset[str]:
    """The dotted names under sdilib that a code imports anywhere, with the packages around them."""
    names: set[str] = set()
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # The package itself is a face: a public name stands for the module that is its home.
            homes = PUBLIC if node.module == "sdilib" else {}
            names |= {f"{node.module}.{homes.get(a.name, a.name)}" for a in node.names}
    ours = (name.split(".") for name in names if name.split(".")[0] == "sdilib")
    return frozenset(part for name in ours for part in accumulate(name, "{}.{}".format))


def version(record: Mapping[str, Any]) -> str:
    """Return the name of the code that a record was made by: the notebook's and the library's.

    Args:
        record: of a figure, or what `made_from` says of the present code.
    """
    return hash_json({name: record[name] for name in ("code", "library")})


def known_pairs(folder: Path) -> Pairs:
    """Return the table for a folder of figures; empty if there is none beside it.

    Args:
        folder: such as paper_figures/full.
    """
    table = folder.resolve().parent / TABLE
    return read_json(table) if table.is_file() else {}


def stands_for(pairs: Pairs, notebook: str, earlier: str, later: str) -> bool:
    """Return whether one version leads to another, pair by pair.

    Args:
        pairs: from `known_pairs`.
        notebook: of the figure.
        earlier: version that the figure was made by.
        later: the present one.
    """
    reached, waiting = set(), {earlier}
    while waiting:
        reached |= waiting
        ends = {after for before, after in pairs.get(notebook, ()) if before in waiting}
        waiting = ends - reached
    return later in reached


def check(folder: str | Path, *, notebooks: str | Path = "notebooks") -> list[str]:
    """Return what is wrong with the figures of a folder: what the present code would not make so, and smoke runs.

    Args:
        folder: where the figures are.
        notebooks: folder of the notebooks' `.py` files.

    Returns:
        A line for each such figure: its name, the reason, and the command that makes it again.

    Raises:
        ValueError: no such folder.
    """
    problems = []
    for record in read_records(folder):
        preset, model = (str(record["config"].get(name, "")) for name in ("preset", "model"))
        reason = _changed(record, Path(folder), Path(notebooks))
        if not reason and preset == "smoke":
            reason = "it is a smoke run, which proves that the notebook runs and nothing else"
        if reason:
            preset = "laptop" if preset in ("", "smoke") else preset
            number = re.match(r"fig([A-Z]?\d+)_|(\d+)_", record["notebook"])
            key = next(filter(None, number.groups())) if number else record["notebook"]
            near = model.removeprefix(f"{Path.cwd()}/")
            other = "" if model in ("", MODELS.get(preset)) else f" MODEL={near}"
            repair = f"make figures FIG={key} PRESET={preset}{other}"
            problems.append(f"{record['figure']}: {reason}; repair: {repair}")
    return problems


def stale(
    sources: Iterable[Path], folder: str | Path, *, preset: str, model: str = ""
) -> list[Path]:
    """Return the notebooks whose figures are missing, or are not what the present code would make.

    Args:
        sources: the notebooks' `.py` files.
        folder: where their figures go; need not exist.
        preset: smoke, laptop, full or gpu.
        model: name, folder or hub id; "" is the preset's.
    """
    folder, model = Path(folder), absolute(model) or MODELS[preset]
    records = read_records(folder) if folder.is_dir() else []

    def fresh(record: Mapping[str, Any], source: Path) -> bool:
        asked = (record["config"].get("preset"), record["config"].get("model", model))
        return asked == (preset, model) and not _changed(record, folder, source.parent)

    made = {s: [fresh(each, s) for each in records if each["notebook"] == s.stem] for s in sources}
    return [source for source, each in made.items() if not each or not all(each)]


def _changed(record: Mapping[str, Any], folder: Path, notebooks: Path) -> str:
    """Why the present code would not make a figure as it is; "" if it would."""
    name, notebook, config = record["figure"], record["notebook"], record["config"]
    for kind, made in record["files"].items():
        image = folder / f"{name}.{kind}"
        if not image.is_file() or digest(image.read_bytes()) != made:
            return f"{image.name} is missing or is not the file that the record belongs to"
    for other in record.get("figures", ()):
        if not (folder / f"{other}.json").is_file():
            return f"{other}, made with it, is missing"
    if "library" not in record:
        return "it was made by an older version"
    source = notebooks / f"{notebook}.py"
    if not source.is_file():
        return f"its notebook {source} is gone"
    now = made_from(source, config, model_hash(str(config.get("model", ""))))
    if reason := _other_code(record, now, source):
        if not stands_for(known_pairs(folder), notebook, version(record), version(now)):
            return reason
    if given := record.get("given"):
        return "it was made with " + ", ".join(f"{k}={v}" for k, v in given.items())
    run = config.get("run", {})
    for of, used in ((notebook, config), ("run3d", run if isinstance(run, Mapping) else {})):
        expected = resolve(of, used["preset"]) if of in NOTEBOOKS and "preset" in used else {}
        if other := [k for k, v in expected.items() if k != "model" and used.get(k) != v]:
            return f"the preset {used['preset']} has another {', '.join(other)} now"
    # A figure of formulas alone records no weights, and random ones have no files: neither goes stale.
    if (
        "" not in (record["model_hash"], now["model_hash"])
        and now["model_hash"] != record["model_hash"]
    ):
        return f"the model {config['model']} has changed since"
    if now["evaluator_hash"] != record["evaluator_hash"]:
        return f"the evaluator {config['evaluator']} has changed since"
    return ""


def _other_code(record: Mapping[str, Any], now: Mapping[str, Any], source: Path) -> str:
    """What is different in the code since a figure was made; "" if nothing is."""
    if now["code"] != record["code"]:
        return f"the code of {source} has changed since"
    was, library = record["library"], now["library"]
    named = filter(_counts, sorted(was | library))  # one that an older version counted, too
    changed = [module for module in named if was.get(module) != library.get(module)]
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{changed[0]}{more} changed since" if changed else ""
