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
# # Explore: one distillation, by hand
#
# Choose a prompt, a rule, a noise κ and their settings; watch the image or the 3D object as it forms; and copy
# the code that makes it again. All runs of a seed begin at the same place, so two of them differ only by their
# settings. Runs that you save appear in [results](results.ipynb).

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_steps: int = 0  # that the explorer begins with, 2 or more
demo_steps: int = 0  # made at once, so that there is something to see; 1 or more
seed: int = 0  # that the explorer begins with

# %%
from sdilib.lab.explorer import Explorer
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_steps": num_steps, "demo_steps": demo_steps}
page = begin("explore", preset, model=model, folder=folder, seed=seed, **sizes)
explorer = Explorer(page.model, num_steps=page.config["num_steps"], seed=seed)
explorer.start(pause_after=page.config["demo_steps"])
snapshot = explorer.wait()
explorer

# %% [markdown]
# - **Start** begins a run with the current controls and ends the previous one. Pause and stop take effect after
#   the current step; the scrubber goes back through the steps. Rest the pointer on a setting to read what it
#   means.
# - **x(t)** is the image noised by κ, and **x̂0** is what the network makes of it in a single step (eq. 5). In 2D
#   the whole step of eq. 10 makes that the next image.
# - The curves show the residual of eq. 8, σ(t) times the root mean square of ε − κ; the update that the rule asks
#   for, in latents (in 3D by regression, in pixels); and t.
# - **Keep as A** puts the next run beside this one. **Copy as code** gives the Python that makes the same image,
#   to the bit, on this machine.

# %% [markdown]
# The same as a figure, with the steps made when this cell was run ([one of a
# whole run](../paper_figures/full/explore.png)):

# %%
figure = explorer.figure()
numbers = {"steps": snapshot.log, "num_forwards": snapshot.num_forwards}
page.save(figure, numbers | {"prompt": snapshot.config.prompt})
figure

# %% [markdown]
# ## Try
#
# - κ random, then fixed, then cached, with the same seed: only the noise differs.
# - SDS with t random and Adam at 0.1, at the γ it begins with and at thirteen times that: blur, then burnt
#   colours.
# - SDI with the inversion's γ at 0, and at γ in place of -γ: watch the residual.
# - SDI **inverted from t** = 0, as in the paper, instead of 0.1: on images of the bundled model blotches grow on
#   the background, and the colours burn ([figure 1](fig01_teaser.ipynb)).
# - A 3D object by SDI; then keep it as A and make it by SDS.
# - A rule of your own: `Explorer(page.model, rule="my_rule.py")`.
