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
# # Figure 10 in 3D: γ of the inversion and of the denoising
#
# **The paper's claim.** With γ = 7.5 for both inversion and denoising, the object drifts in a random direction.
# With both at 0 it does not converge, for lack of guidance. With the inversion alone at 0 it takes the right
# shape but is over-saturated. With inversion at −7.5 and denoising at 7.5 it is accurate and not over-saturated.
#
# **This notebook** distils the same prompts with each of these four pairs. Compare the rows of views first, then
# the kernel distance (lower is better), on which the claims are decided.
#
# ![Figure 10 in 3D](../paper_figures/full/fig10_guidance_scales_3d.png)

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
from sdilib.lab.experiments import fig10_guidance_scales_3d as study
from sdilib.lab.experiments.shared.objects import compared
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "quality": quality, "evaluator": evaluator}
page = begin("fig10_guidance_scales_3d", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# Each tick below is one run. *Object*, *colour* and *view* are the shares of 16 views all around in which the
# evaluator sees what was asked for; *IoU* compares silhouettes with those of the nearest object that the
# prompt allows; *saturation* and *fine detail* are ratios to the world's renders of the prompt, called the true
# object below; *kernel distance* compares the views with such renders in the evaluator's features and is 0 where
# they are alike.

# %%
made = compared(page, study.variants(page.run), root=root)
figure = made.draw(ours=study.OURS)
figure

# %%
page.save(figure, made.record, made.check(study.CLAIMS), seconds=made.seconds)

# %% [markdown]
# γ is the scale that the model is sampled with: 7.5 for Stable Diffusion, 3 for the bundled model (figure 1 in
# 3D). A pair names the inversion's scale first and that of denoising second.
#
# **What differs from the paper.** (γ, γ) is as bad as in the paper: its object is recognised in few of the views,
# and (-γ, γ) is far better on every prompt. That (-γ, γ) is better than (0, γ) was not shown, and on average
# (0, γ) is no more saturated. (0, 0) makes the same lump of every prompt, since nothing in it knows the prompt.
# Figure 10 in 2D has the residuals of the same strategies and a map over both γ.
#
# ## Try
#
# - `sdilib run --prompt "..." --inversion-guidance-scale -1`: between (0, γ) and (-γ, γ).
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
