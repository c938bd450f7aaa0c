"""A figure to save, of a notebook that lies beside it."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from sdilib.lab.claims import Claim
from sdilib.lab.notebooks.records import save_figure
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

    def _save(figure=None, name="fig01_teaser", **changes):
        settings = {
            "numbers": {"a": np.arange(2.0), "b": torch.ones(1), "c": (1, "x", None)},
            "config": resolve("fig01_teaser", "laptop", model="random"),
            "seed": 0,
            "claims": [_claim(True), _claim(False), _claim(None)],
            "notebook_source": notebooks / "fig01_teaser.py",
            "model_hash": "0",
            "seconds": 1.0,
        }
        return save_figure(figure or _figure(), name, tmp_path / "laptop", **settings | changes)

    _save.folder, _save.notebooks = tmp_path / "laptop", notebooks
    return _save
