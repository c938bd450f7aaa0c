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
# A prompt, a rule, a noise $\kappa$ and their numbers; the image as it comes, and the code that makes
# it again. Everything is in 2D, where the image is its own scene, $g(\psi, c) = \psi$, and every run
# of a seed begins at the same $x_0(1)$.
#
# ![One run](../paper_figures/full/explore.png)

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

# %% [markdown]
# **Start** begins a run with what the controls say and ends the one before it; **Pause** and **Stop**
# act after the step under way. Under the rule stand the settings that it reads. The left picture is
# the image that the last step began with, the right one what the network makes of it in a single
# step; when the run is over, the left one is its result.
#
# The curves: the residual of eq. 8, $\sigma(t)$ times the root mean square of $\epsilon - \kappa$,
# and what the step changed in the latents. By the whole step of eq. 10 the two are one.

# %%
explorer.start(pause_after=page.config["demo_steps"])
snapshot = explorer.wait()
explorer

# %% [markdown]
# The same as a figure, of the steps made so far:

# %%
figure = explorer.figure()
numbers = {"t": snapshot.t, "residual": snapshot.residuals, "update": snapshot.updates}
numbers |= {"num_forwards": snapshot.num_forwards, "prompt": snapshot.config.prompt}
page.save(figure, numbers)
figure

# %% [markdown]
# ## Try
#
# - κ random, then fixed, then cached, with the same seed: the noise is all that differs.
# - SDS with t random and Adam at 0.1, at γ = 7.5 and at γ = 100: blur, and burnt colours.
# - SDI at γ of inversion 0 and 7.5 in place of -7.5: watch the residual.
# - A rule of your own: `Explorer(page.model, rule="my_rule.py")`.
