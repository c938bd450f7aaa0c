"""The card's text: `card.md` beside this module, filled from `quality.json` and from the model's folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sdilib.checks import positive_int, reject
from sdilib.lab.evaluator import ATTRIBUTES, Evaluator
from sdilib.lab.model_card.bars import BARS
from sdilib.lab.model_card.quality import JUDGED, measure
from sdilib.lab.provenance import evaluator_hash
from sdilib.lab.train.unet import QUALITY
from sdilib.stable_diffusion import StableDiffusion
from sdilib.stable_diffusion.names import PARTS, model_folder
from sdilib.storage import atomic_write, load_tensors, read_json, write_json


def write_model_card(
    model: str = "mini",
    *,
    out: str | Path = "",
    evaluator: str = "evaluator",
    training: str | Path = "",
    count: int = 1000,
    build: str | Path = "build/model-card",
    again: bool = False,
) -> Path:
    """Measure a model and write `quality.json` and `README.md`.

    What the model's own `quality.json` already holds, of the same weights, evaluator, count and training, is kept.

    Args:
        model: "mini" (bundled), or a folder that `sdilib train unet` wrote.
        out: folder of both; "" is the model's own.
        evaluator: see `Evaluator.from_pretrained`.
        training: folder that the model was trained in; "" takes what an earlier `quality.json` says of it.
        count: number of samples, 8 or more.
        build: folder in which samples are kept.
        again: measure everything.

    Returns:
        Path of the card.

    Raises:
        ValueError: no such model or evaluator, a model that does not use the world's words, or too few samples.
    """
    positive_int("count", count, at_least=8)
    folder = model_folder(model)
    if folder is None or not (folder / "world.json").is_file():
        reject("model", model, "mini, or a folder that was trained on the world (world.json)")
    before = read_json(folder / QUALITY) if (folder / QUALITY).is_file() else {}
    trained = training_cost(training) if str(training) else before.get("training", {})
    loaded, judge = StableDiffusion.from_pretrained(model), evaluator_hash(evaluator)
    same = _made_by(before) == (loaded.hash, judge, count, trained)
    measured = measure(
        loaded,
        Evaluator.from_pretrained(evaluator),
        count=count,
        training=trained,
        image_size=read_json(folder / "world.json")["image_size"],
        build=build,
        known=before if same and not again else {},
        again=again,
    )
    measured["evaluator"] |= {"name": evaluator, "hash": judge}
    written = Path(out or folder)
    write_json(written / QUALITY, measured)
    return atomic_write(written / "README.md", card(folder, measured))


def _made_by(measured: Mapping[str, Any]) -> tuple[Any, ...]:
    judge = measured.get("evaluator", {}).get("hash")
    return measured.get("model_hash"), judge, measured.get("count"), measured.get("training")


def training_cost(folder: str | Path) -> dict[str, Any]:
    """Return what a training folder says of data and training.

    Args:
        folder: with `data`, `vae` and `unet` as `sdilib train` leaves them.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    folder = Path(folder)
    info = read_json(folder / "data" / "info.json")
    parts = {part: _training(folder / part) for part in ("vae", "unet")}
    return {"pictures": info["count"], "seed": info["seed"], **parts}


def _training(folder: Path) -> dict[str, Any]:
    config = read_json(folder / "config.json")
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    logged = [json.loads(line) for line in lines]
    steps, last = max(row["step"] for row in logged), [row["loss"] for row in logged[-10:]]
    return {
        "steps": steps,
        "batch": config["batch"],
        "samples": steps * config["batch"],
        "learning_rate": config["loop"]["learning_rate"],
        "average": config["loop"]["average"],
        "loss": sum(last) / len(last),
    }


def card(folder: str | Path, measured: Mapping[str, Any]) -> str:
    """Return the card's text.

    Args:
        folder: of the model.
        measured: from `measure`.
    """
    folder, root = Path(folder).resolve(), Path(__file__).resolve().parents[3]
    weights = {part: load_tensors(next((folder / part).glob("*.safetensors"))) for part in PARTS}
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return _filled(
        "card.md",
        measured,
        name=folder.name,
        place=folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name,
        world=read_json(folder / "world.json"),
        **{part: read_json(folder / part / "config.json") for part in PARTS},
        scheduler=read_json(folder / "scheduler" / "scheduler_config.json"),
        millions={part: sum(t.numel() for t in weights[part].values()) / 1e6 for part in PARTS},
        megabytes=sum(sizes) / 1e6,
    )


def quality_table(model: str) -> Any:
    """Return a model's measures, or how to measure it, as IPython's `Markdown` for a notebook.

    Args:
        model: as for `StableDiffusion.from_pretrained`.
    """
    from IPython.display import Markdown  # only installed for notebooks

    folder = model_folder(model)
    if folder is None or not (folder / QUALITY).is_file():
        return Markdown(f"*{model} is not measured yet: `sdilib model-card`.*")
    return Markdown(_filled("measured.md", read_json(folder / QUALITY)))


def _filled(template: str, measured: Mapping[str, Any], **of_model: Any) -> str:
    texts = FileSystemLoader(Path(__file__).parent)
    filler = Environment(
        loader=texts, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    filler.filters["to"] = format
    bars = [(bar.what, bar.asked, *bar.row(measured)) for bar in BARS]
    known = {"measured": measured, "attributes": ATTRIBUTES, "bars": bars, "judged": JUDGED}
    return filler.get_template(template).render(known, **of_model).strip() + "\n"
