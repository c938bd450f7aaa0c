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
# # Convergence: how long is long enough
#
# **The question.** The paper compares methods after 10,000 optimiser steps, or 25,000. After fewer steps, a
# comparison may measure how fast a method is rather than where it ends. For each method, after how many steps do
# further ones change nothing? Who is ahead at equal steps, and who at equal cost?
#
# **This notebook** runs each method at several lengths. Look for the ring on each curve: from there on it is
# flat. A curve without a ring still falls at the last length.

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
root: str = ""  # folder of all 3D runs; "" is runs/ of the repository
quality: str = ""  # preset of each run's own settings
evaluator: str = ""  # that judges the objects; "none" for a model of another world
num_prompts: int = 0  # 1 to 16; the first is shown
num_seeds: int = 0  # per prompt, 1 or more
num_lengths: int = 0  # of the runs, 2 or more: half the preset's steps, and twice as many each time
seed: int = 0  # the first of each prompt's seeds

# %%
from sdilib.lab.experiments import convergence as study
from sdilib.lab.experiments.shared.objects import compared
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_lengths": num_lengths}
sizes |= {"quality": quality, "evaluator": evaluator}
page = begin("convergence", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# Each length is a separate run, because t falls over the whole of it; a run of twice the length does not continue
# the shorter one. (SDS draws t at each step.) All make one update per target. The band covers the middle half of
# the runs. A ring marks the length from which a curve is flat: everything after it gains at most a tenth of what
# came before. A curve that gets worse counts as flat.
#
# *Kernel distance* compares 16 views with renders of the true object in the evaluator's features and is 0 where
# they are alike; *object* and *colour* are the shares of the views in which the evaluator sees what was asked
# for.

# %%
steps = study.lengths(page.run, page.config["num_lengths"])
made = compared(page, study.variants(page.run, page.config["num_lengths"]), root=root)
figure = study.draw(made, steps)
figure

# %%
numbers = study.curves(made, steps)
flat = study.flat_lengths(made, steps)
record = {"steps": steps, "flat from": flat, "curves": numbers, **made.record}
page.save(figure, record, study.claims(made, steps), seconds=made.seconds)

# %% [markdown]
# The first claims say which methods gain little by the last doubling. Where one still gains, a comparison at that
# length is about speed, and a figure that makes it should say so.
#
# On the bundled model SDI's mean is best at the shortest length and worsens from there, which counts as flat;
# ISM's is flat from the next. The means of the rules that draw their noise still fall at the last length, where no
# method is shown to be ahead. The curves over sample-forwards lie much closer together than those over steps.
#
# ## Try
#
# - `num_lengths=5`: does anything change after that?
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
