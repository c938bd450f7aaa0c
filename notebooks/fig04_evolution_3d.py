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
# # Figure 4 in 3D: a NeRF over the times of its run
#
# **The paper's claim.** Under score distillation a render goes from a blurry cloud to a sharp object, as $x_0(t)$
# does in DDIM, not from noise to an image, as $x(t)$ does.
#
# **This notebook** shows one view of each NeRF while SDI optimises it, in the runs of figure 1. Read a row from
# left to right, as t falls: is the view ever noisy?
#
# ![Figure 4 in 3D](../paper_figures/full/fig04_evolution_3d.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
root: str = ""  # folder of all 3D runs; "" is runs/ of the repository
quality: str = ""  # preset of each run's own settings
num_prompts: int = 0  # 1 to 16; the first four are shown
seed: int = 0  # the first; each prompt has one of its own

# %%
from sdilib.lab.experiments import fig04_evolution_3d as study
from sdilib.lab.experiments.shared.objects import compared
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "quality": quality}
page = begin("fig04_evolution_3d", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# Two numbers are checked: the render's fine detail, first against last and at its most, and its distance from the
# end of the run, first against half-way. That a run gets nearer to its end is no surprise; that it is never noisy
# might be one.

# %%
made = compared(page, study.VARIANTS, root=root, seeds_apart=True)
times, films = study.films(made)
figure = study.draw(times, films)
figure

# %%
measures = study.measures(films)
claims = study.claims(measures, list(films))
page.save(figure, {"times": times, **measures}, claims, seconds=made.seconds)

# %% [markdown]
# **What differs from the paper.** The run begins at the soft blob that the NeRF is initialised with, not at
# $x_0(1)$, and at t = 0.6, the paper's at almost 1 (figure 1 in 3D). From there views go from blurry to sharp as
# the paper says, and none shown is noisy. But not every detail comes last: the mushroom has its spots early and
# loses them again.
#
# ## Try
#
# - `{"SDI": {"rule": "sds", "t_schedule": "random"}}` in `compared`: a run by SDS, whose t does not fall.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
