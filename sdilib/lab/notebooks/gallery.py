"""The gallery: a page over a folder of figures, with the claims that hold and the notebooks' own words."""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, dropwhile, takewhile
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from sdilib.lab.claims import markdown_row, verdict
from sdilib.lab.notebooks.freshness import read_records
from sdilib.lab.notebooks.sources import paragraphs
from sdilib.lab.notebooks.which_rule import which_rule
from sdilib.storage import atomic_write

_TEMPLATE = Path(__file__).with_suffix(".md")
_SAID = ("**What differs", "**What it says")


def statements() -> list[dict[str, str]]:
    """Return the paper's main statements: "paper", the "figure" that tests one, and its "claim", or how several begin."""
    with Path(__file__).with_name("statements.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def gallery(folder: str | Path, *, notebooks: str | Path = "notebooks") -> Path:
    """Write the `README.md` of a folder of figures: the claims that hold in a table, then each figure with its own.

    Beside it `which_rule.md`, if there is a figure that compares rules. The pages depend on the records, the notebooks'
    words and the folder's `NOTE.md`, if there is one, which stands at the top; equal ones give equal pages.

    Args:
        folder: where the figures are.
        notebooks: folder of the notebooks' `.py` files, whose words stand beside the figures.

    Returns:
        Path of the page.

    Raises:
        ValueError: no such folder.
    """
    folder = Path(folder)
    records = sorted(read_records(folder), key=lambda each: not each["figure"].startswith("start"))
    note, advice = folder / "NOTE.md", which_rule(records)
    if advice:
        atomic_write(folder / "which_rule.md", advice)
    titles = Counter(record["title"] for record in records)
    filler = Environment(trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)
    page = filler.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        preset=folder.name,
        note=note.read_text(encoding="utf-8") if note.is_file() else "",
        advice=bool(advice),
        statements=_stated({record["figure"]: record["claims"] for record in records}),
        counted=_counted([claim for record in records for claim in record["claims"]]),
        figures=[_figure(each, titles[each["title"]] > 1, Path(notebooks)) for each in records],
    )
    return atomic_write(folder / "README.md", page)


def _figure(record: Mapping[str, Any], shared: bool, notebooks: Path) -> dict[str, Any]:
    """A record, and what the page says of it; a title that several figures share is told by their names."""
    title, claims, config = record["title"], record["claims"], record["config"]
    heading = f"{title} ({record['figure']})" if shared else title
    claimed, differs = _told(notebooks / f"{record['notebook']}.py")
    run = config.get("run")
    if isinstance(run, Mapping) and run.get("preset") == "gpu":
        config = config | {"run": "with [the paper's settings](../settings.md)"}
    return {
        **record,
        "heading": heading,
        "anchor": _anchor(heading),
        "share": _share(claims),
        "claimed": claimed,
        "differs": differs,
        "rows": [_row(claim) for claim in claims],
        "tests": "; ".join(dict.fromkeys(claim["test"] for claim in claims)),
        "settings": ", ".join(f"{k} {_setting(v)}" for k, v in config.items()),
    }


def _stated(claims: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A row for each of the paper's main statements whose figure was made; it holds as its claims do."""
    rows = []
    for each in statements():
        figure, begins = each["figure"], each["claim"]
        known = claims.get(figure, ())
        found = [of for of in known if of["claim"] == begins]
        found = found or [of for of in known if of["claim"].startswith(begins)]
        if found:
            given = {_verdict(of) for of in found}
            said = given.pop() if len(given) == 1 else f"in part: {_share(found)}"
            rows.append(markdown_row([each["paper"], said, f"[{figure}]({figure}.png)"]))
    return rows


def _verdict(claim: Mapping[str, Any]) -> str:
    said = verdict(claim["holds"], claim["note"])
    return "**no**" if said == "no" else said


def _counted(claims: Sequence[Mapping[str, Any]]) -> str:
    count = Counter(map(_verdict, claims))
    kinds = ("yes", "not shown", "**no**", "not tested")
    said = ", ".join(f"{count[of]} {of}" for of in kinds if count[of]) or "none"
    return f"Claims: {len(claims)} ({said})."


def _share(claims: Sequence[Mapping[str, Any]]) -> str:
    count = Counter(map(_verdict, claims))
    tested = len(claims) - count["not tested"]
    parts = [f"{count['yes']} of {tested}"] if tested else []
    others = [f"{count[of]} {of}" for of in ("**no**", "not tested") if count[of]]
    return ", ".join(parts + others)


def _anchor(title: str) -> str:
    """The fragment that GitHub gives to a heading."""
    kept = (c for c in title.lower() if c.isalnum() or c in " -_")
    return "".join(kept).replace(" ", "-")


def _told(source: Path) -> tuple[str, str]:
    """What a notebook says is claimed, before its first picture, and what it says of the results."""
    texts = paragraphs(source) if source.is_file() else [[]]
    claimed = takewhile(lambda part: not part.startswith("!["), texts[0][1:])
    rest = dropwhile(lambda part: not part.startswith(_SAID), chain(*texts))
    differs = takewhile(lambda part: not part.startswith("#"), rest)
    # Notebooks link to each other by name alone.
    claim, other = (
        re.sub(r"\]\((\w+\.ipynb)\)", r"](../../notebooks/\1)", "\n\n".join(parts))
        for parts in (claimed, differs)
    )
    return claim, other


def _row(claim: Mapping[str, Any]) -> str:
    note = f". *{claim['note']}*" if claim["note"] else ""
    cells = [_verdict(claim), claim["claim"] + note, _measured(claim["measured"]), str(claim["n"])]
    return markdown_row(cells)


def _measured(values: Mapping[str, Any]) -> str:
    """Numbers by name; the ends of an interval in brackets behind what they are of."""
    texts = [f"{k} {_setting(v)}" for k, v in values.items() if k not in ("from", "to")]
    if "from" in values:
        of = list(values).index("from") - 1
        texts[of] += f" [{_setting(values['from'])}, {_setting(values['to'])}]"
    return ", ".join(texts)


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return f"({', '.join(f'{k} {_setting(v)}' for k, v in value.items())})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
