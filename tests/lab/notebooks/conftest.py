"""A figure to save, of a notebook that lies beside it."""

from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from sdilib.lab.claims import Claim
from sdilib.lab.notebooks.page import Page
from sdilib.lab.presets import resolve

NOTEBOOK = """# %% [markdown]
# # A title
#
# **The paper's claim.** It is
# so.
#
# ![A picture](a.png)
# %%
x = 1
# %% [markdown]
# **What differs from the paper.** It is not.
#
# ## Try
#
# - this
"""


def _figure() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1], [1, 0])
    return figure


def _claim(holds: bool | None) -> Claim:
    return Claim("a | b", {"mean": 0.123456}, 8, "a test", holds, "a note")


@pytest.fixture
def save(tmp_path):
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / "fig01_teaser.py").write_text(NOTEBOOK)

    def _save(
        figure=None,
        name="fig01_teaser",
        *,
        config=None,
        numbers=None,
        claims=None,
        model_hash="0",
        film=None,
    ) -> Path:
        config = config or resolve("fig01_teaser", "laptop", model="random")
        page = Page("fig01_teaser", config, tmp_path / "laptop", seed=0, began=0.0)
        page.__dict__["model"] = SimpleNamespace(hash=model_hash)
        numbers = numbers or {"a": np.arange(2.0), "b": torch.ones(1), "c": (1, "x", None)}
        claims = claims or [_claim(True), _claim(False), _claim(None)]
        with chdir(notebooks):
            page.save(figure or _figure(), numbers, claims, name=name, seconds=1.0, film=film)
        return page.folder / f"{name}.json"

    _save.folder, _save.notebooks = tmp_path / "laptop", notebooks
    return _save
