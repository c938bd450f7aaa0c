# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Results: all runs, side by side
#
# This page lists every run that the command line, the figures and the [explorer](explore.ipynb) left on disk.
# Filter by words of the prompt, by rule, state or setting (`mug sdi seed=1`); tick up to six runs and compare
# them: their turntables turn together, and their logs are drawn as curves. Drag a mesh with the mouse to turn it,
# here or in the `mesh.html` saved beside its run.

# %% tags=["parameters"]
root: str = ""  # folder of all runs; "" is the repository's runs/
asked: str = ""  # the filter to begin with

# %%
from sdilib.lab.explorer import Results

# %%
Results(root, asked=asked)
