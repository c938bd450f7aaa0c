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
# A prompt, a rule, a noise κ and their numbers; the image, or the 3D object, as it comes; and the code
# that makes it again. Every run of a seed begins at the same place, so that two of them differ by their
# settings alone. Runs that you save lie in [results](results.ipynb).
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
explorer.start(pause_after=page.config["demo_steps"])
snapshot = explorer.wait()
explorer

# %% [markdown]
# - **Start** begins a run with what the controls say and ends the one before it. Pause and stop act
#   after the step under way; the scrubber goes back through the steps. What a setting means is said
#   where the pointer rests on it.
# - **x(t)** is the image noised by κ, **x̂0** what the network makes of it in a single step (eq. 5). In
#   2D the whole step of eq. 10 makes that the next image.
# - The curves: the residual of eq. 8, σ(t) times the root mean square of ε − κ; the update that the rule
#   asks for, in latents (in 3D by regression, in pixels); and t.
# - **Keep as A** lays the next run beside this one. **Copy as code** gives the Python that makes the same
#   image, to the bit, on this machine.

# %% [markdown]
# The same as a figure, of the steps made when this cell was run:

# %%
figure = explorer.figure()
numbers = {"steps": snapshot.log, "num_forwards": snapshot.num_forwards}
page.save(figure, numbers | {"prompt": snapshot.config.prompt})
figure

# %% [markdown]
# ## Try
#
# - κ random, then fixed, then cached, with the same seed: the noise is all that differs.
# - SDS with t random and Adam at 0.1, at the γ it begins with and at thirteen times that: blur, and burnt colours.
# - SDI at γ of inversion 0 and γ in place of -γ: watch the residual.
# - A 3D object by SDI; then keep it as A and make it by SDS.
# - A rule of your own: `Explorer(page.model, rule="my_rule.py")`.
