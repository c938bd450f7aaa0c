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
# # Backgrounds: what stands behind an object
#
# **The question.** While an object is distilled, something must stand behind it. Over a single grey, the optimiser
# may leave grey matter in the air, which no view shows. Over a colour that is drawn anew for each view it may not.
# But if the model has never seen an object before such a colour, it asks for another background, and the only thing
# that can give it is a fog before the colour. Does a method's result, or the order of the methods, hang on this
# choice?
#
# **This notebook** distils the same prompts by four methods over any colour, over soft ones like the bundled
# world's, and over one grey; *random κ* is SDI with a κ that is drawn anew in each step. Read the rows of views in
# groups of three, then *fog*, the share of pixels that are neither empty nor solid, and the kernel distance (lower
# is better).

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
from sdilib.lab.experiments import backgrounds as study
from sdilib.lab.experiments.shared.objects import compared
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "quality": quality, "evaluator": evaluator}
page = begin("backgrounds", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# All objects are judged over the grey of the world's plainest pictures. Each tick below is one run. *Saturation* is
# a ratio to renders of the true object; *IoU* compares silhouettes with the nearest object that the prompt allows.
# The paper's code learns the background; that takes thousands of steps, so it is left out here.

# %%
made = compared(page, study.variants(page.run), root=root)
figure = study.draw(made)
figure

# %%
record = {study.FOG: study.fogs(made), **made.record}
page.save(figure, record, study.claims(made), seconds=made.seconds)

# %% [markdown]
# On the bundled model, the fog of SDS at a high γ comes from vivid backgrounds, which its world never has: over soft
# colours or one grey, less than half of it is left. At the γ of sampling there is less of it to begin with, and SDI
# has little over any background.
#
# The order of the methods hangs on the choice. Over soft colours, as the model knows them, SDI is nearer to real
# renders than SDS at the same γ and than a random κ; over any colour, eight prompts show neither. Over one grey it
# is the other way round: SDS at a high γ is the nearest of all, and nearer than SDI. A single grey also hides what
# is as light as itself, like the walls of the cottage, and this background is the one on which objects are judged.
#
# All other figures in 3D draw any colour. For a model that knows all of them that should cost nothing; on this one
# it adds fog to whatever has a high γ, and a wrong background may cost the other rules more than the eye sees.
#
# ## Try
#
# - `sdilib run --prompt "..." --set background_saturation=0.3`, or `background=fixed`: any of these, alone.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
