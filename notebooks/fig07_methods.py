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
# # Figure 7: SDI beside other authors' methods
#
# **The paper's claim.** SDI's objects are at least as detailed and plausible as those of the state of the art,
# without training a further network, further supervision or a second stage.
#
# **This notebook** distils the same prompts with each method. Compare the rows of views first, then the kernel
# distance (lower is better).

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
root: str = ""  # folder of all runs; "" is runs/ of the repository
methods: str = ""  # "paper" (its six, and ISM), "all", or names with commas
quality: str = ""  # preset of each run's own settings
evaluator: str = ""  # that judges the objects; "none" for a model of another world
num_prompts: int = 0  # 1 to 16; the first two are shown
seed: int = 0  # the first; each prompt has one of its own

# %%
from sdilib.lab.experiments import fig07_methods as study
from sdilib.lab.experiments.shared.objects import compared
from sdilib.lab.notebooks.page import begin

judged = {"quality": quality, "evaluator": evaluator, "methods": methods}
where = {"model": model, "folder": folder, "seed": seed}
page = begin("fig07_methods", preset, num_prompts=num_prompts, **where, **judged)

# %% [markdown]
# There is one run per method and prompt: the same runs as in Table 1 at equal steps.

# %%
variants = study.variants(page.config["methods"], page.run)
made = compared(page, variants, root=root, seeds_apart=True)
figure = made.draw(study.OURS)
figure

# %%
page.save(figure, made.record, study.claims(made), seconds=made.seconds)

# %% [markdown]
# **What differs from the paper.** The paper shows the pictures that other authors published, made with their own
# systems and after ten thousand steps and more; NFSD is among them, SJC and ESD are not. Here all methods take the
# same few steps, with the same NeRF and cameras, and only the rule and its settings differ; γ is scaled to what the
# bundled model is sampled with.
#
# On the bundled model, SDI's views were not shown to be nearer to real renders than those of any other method, nor
# does any interval say that another's are nearer than SDI's. All objects are recognised. SDS, SJC and HiFA, at a high
# γ, are the most saturated; VSD and ESD have the most fine detail and ragged surfaces; SDI and ISM are the smoothest,
# and SDI's colours are between those of ISM and of the rules at a high γ. VSD's and ESD's adapters learn faster here
# than at their authors' rate, at which they would learn little in so few steps. SDI's step costs the most.
#
# ## Try
#
# - `make table1`: the same methods in numbers, in 2D also at equal cost.
# - `methods="all"`: with ten others, such as NFSD, CSD and MV-SDI.
# - `methods="SDS,SDI"`: only some.
