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
# # Figure 11 in 3D: how many steps the inversion needs
#
# **The paper's claim.** With n = 10 steps of DDIM inversion, quality and speed are well balanced (section 6.2). In
# its figure, quality rises up to n = 10 and hardly beyond, while the run time keeps rising.
#
# **This notebook** distils the same prompts at the paper's five n. Compare the kernel distance (lower is better)
# with the sample-forwards: which n is still worth its cost?
#
# ![Figure 11 in 3D](../paper_figures/full/fig11_inversion_steps_3d.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
root: str = ""  # folder of all 3D runs; "" is runs/ of the repository
quality: str = ""  # preset of each run's own settings
evaluator: str = ""  # that judges the objects; "none" for a model of another world
num_prompts: int = 0  # 1 to 16; the first two are shown
seed: int = 0  # of every run

# %%
from sdilib.lab.experiments import fig11_inversion_steps_3d as study
from sdilib.lab.experiments.shared.objects import compared
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "quality": quality, "evaluator": evaluator}
page = begin("fig11_inversion_steps_3d", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# Only n differs between the runs. It counts steps for the whole range of t: an inversion up to t takes int(n·t) of
# them, but at least one.
#
# Each tick below is one run. *Object*, *colour* and *view* are the shares of 16 views all around in which the
# evaluator sees what was asked for; *IoU* compares silhouettes with those of the nearest object that the
# prompt allows; *saturation* and *fine detail* are ratios to the world's renders of the prompt, called the true
# object below; *kernel distance* compares the views with such renders in the evaluator's features and is 0 where
# they are alike.

# %%
made = compared(page, study.VARIANTS, root=root)
figure = made.draw(ours=study.OURS)
figure

# %%
page.save(figure, made.record, study.claims(made), seconds=made.seconds)

# %% [markdown]
# **What differs from the paper.** The paper measures CLIP-IQA's "quality" and the run time; here the measures are
# the kernel distance to real renders and the sample-forwards, since seconds depend on what else the machine does.
# The time grows less than they do, because the NeRF takes a share of it that n does not change.
#
# The bundled model's runs begin at t = 0.6, the paper's at almost 1 (figure 1 in 3D). So an inversion takes fewer
# steps here than in the paper at the same n: with n = 3 a single one, as it would with n = 1.
#
# On the bundled model, more steps were not shown to improve quality: the mean kernel distances hardly differ, and
# the cost rises.
#
# ## Try
#
# - `sdilib run --prompt "..." --set num_inversion_steps=2`: how few steps will do?
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
