"""Numbers measured stand in the records: words about the results, which nobody types again, hold none."""

import csv
import json
import re
from fnmatch import fnmatchcase
from itertools import chain, dropwhile, takewhile
from pathlib import Path

import pytest

from sdilib.lab.notebooks.sources import paragraphs

ROOT = Path(__file__).parents[2]
SAID = ("**What differs", "**What it says")
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
FINDINGS = " ".join(README.split("What that gallery shows")[1].split("\n## ")[0].split())

_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)"
_COUNT = r"(?:\d+|none|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|sixteen)"

SETTINGS = re.compile(
    r"`[^`]*`"  # code
    r"|\$[^$]*\$"  # mathematics
    rf"|[γtτηn] (?:[=≥≤<>]|up to|of|from|between|above|below) {_NUMBER}(?: (?:and|to) {_NUMBER})?"
    rf"|\({_NUMBER}, {_NUMBER}\)"  # a pair of guidance scales
    r"|(?:equal|on par).{0,25}? to \d+ %"  # the width of a claim
    r"|\b\d{4}\.\d{4,5}\b"  # arXiv
    r"|\b(?:SD|Stable Diffusion|version) \d(?:\.\d)?"
    r"|\b(?:eqs?|figs?)\. \d+|\bpanels? \w"
)
"""What is chosen, not measured."""

MEASURED = re.compile(
    r"\d*\.\d+"  # a decimal
    r"|\d+ ?(?:%|dB)"
    r"|\bp [=<]"
    rf"|\b{_COUNT}(?: \w+)? of {_COUNT}\b",
    re.IGNORECASE,
)


def typed(text: str) -> list[str]:
    """The measurements in a text."""
    return MEASURED.findall(SETTINGS.sub("", " ".join(text.split())))


def differs(source: Path) -> str:
    """What a notebook says of its results."""
    rest = dropwhile(lambda p: not p.startswith(SAID), chain(*paragraphs(source)))
    return "\n\n".join(takewhile(lambda part: not part.startswith("#"), rest))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_differs_is_said_in_words(source):
    assert typed(differs(source)) == []


def test_the_readmes_findings_are_said_in_words():
    assert typed(FINDINGS) == []


with Path(__file__).with_name("findings.csv").open(encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["readme"])
def test_a_finding_of_the_readme_is_what_its_claims_say(row):
    assert row["readme"] in FINDINGS
    record = json.loads((ROOT / f"paper_figures/full/{row['figure']}.json").read_text())
    claims = [each for each in record["claims"] if fnmatchcase(each["claim"], row["claim"])]
    assert {each["holds"] for each in claims} == {row["verdict"] == "shown"}
    if row["verdict"] == "opposite":  # the whole interval of the difference is on the other side
        assert all(each["measured"]["from"] > 0 for each in claims)


def test_every_not_of_the_readmes_findings_has_a_claim():
    said = re.findall(r"\*\*(?:not|higher)\*\*|the opposite", FINDINGS)
    held = re.findall(r"\*\*(?:not|higher)\*\*|the opposite", " ".join(r["readme"] for r in ROWS))
    assert sorted(held) == sorted(said)


@pytest.mark.parametrize(
    "text",
    [
        "nearer on 7 of 8 prompts",
        "on seven prompts of eight",
        "None of 72 runs diverged",
        "worse (0.84 against 0.79)",
        "ahead (p < .001)",
        "by 18 dB",
        "off by 15 %",
    ],
)
def test_measurements_are_seen(text):
    assert typed(text)


@pytest.mark.parametrize(
    "text",
    [
        "SDS at γ = 7.5, from t = 0.9 on, is blurred",
        "with τ up to 0.1 and n = 10",
        "(-7.5, 7.5) is the best of the three",
        "as `learning_rate=0.1` and $t = 0.3$ say",
        "DreamFusion (2209.14988) on SD 2.1 by eq. 10, all of them",
        "at γ between 3 and 7.5",
        "(-7.5, 7.5) is on par with (0, 7.5) to 20 %",
    ],
)
def test_settings_are_not(text):
    assert typed(text) == []
