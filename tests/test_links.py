"""Pictures and pages that a text points to are there."""

import re
from pathlib import Path

import pytest

from sdilib.lab.train.__main__ import Options

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "paper_figures/full/README.md",
    "paper_figures/full/which_rule.md",
    "paper_figures/settings.md",
    "sdilib/lab/sweeps.md",
    "sdilib/models/mini/README.md",
    "notebooks/exercises/README.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "notebooks").glob("*.py"))),
    *(p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "notebooks/exercises").glob("*.py"))),
]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    local = [link for link in links if "://" not in link]
    missing = [link for link in local if not ((ROOT / page).parent / link).exists()]
    assert not missing


def test_contributing_has_every_module_of_the_laboratory():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = {path.stem for path in (ROOT / "sdilib/lab").glob("[a-z]*.py")}
    folders = {f"{path.parent.name}/" for path in (ROOT / "sdilib/lab").glob("*/__init__.py")}
    assert [name for name in sorted(files | folders) if f"`{name}`" not in text] == []


def test_options_of_training_in_the_texts_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"--((?:vae|unet|evaluator)\.[\w.-]+)", text)
    assert named
    for name in named:
        setting = Options("vae")
        for part in name.replace("-", "_").split("."):
            setting = getattr(setting, part)
