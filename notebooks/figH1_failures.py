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
# # Failure cases: the worst of figure 2's objects
#
# **The paper's claim.** SDI's typical failures (section 7, appendix H.1): content drifts from one side to another, since
# nothing speaks between opposite views; faces are hollow; a head has a face at the back as well (Janus).

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
root: str = ""  # folder of all 3D runs; "" is runs/ of the repository
quality: str = ""  # preset of each run's own settings
evaluator: str = ""  # that judges the objects; "none" for a model of another world
num_prompts: int = 0  # 1 to 16
num_seeds: int = 0  # of each prompt, 1 or more
seed: int = 0  # the first

# %%
from sdilib.lab.experiments import figh1_failures as study
from sdilib.lab.experiments.shared.objects import compared
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds}
judged = {"quality": quality, "evaluator": evaluator}
page = begin("figH1_failures", preset, model=model, folder=folder, seed=seed, **sizes, **judged)

# %% [markdown]
# The runs are those of figure 2, and nobody picked from them: for each kind of failure there is a measure, and the worst
# objects by it are shown, of two prompts.
#
# - **Janus**: the probability that the evaluator sees the front in views from behind.
# - **drift**: the share of views in which it reads another object, colour or pattern than in most.
# - **hollow**: the share of light that passes through what an outline encloses, beyond that of the true object.
# - **misshapen**: 1 less the intersection over union of the silhouettes with those of the nearest object that the prompt
#   could mean.
#
# The dashed line is the bar above which an object counts as a failure. The bars are ours; the worst is shown whether it
# passes or not.

# %%
made = compared(page, study.VARIANTS, root=root)
found = study.measures(made)
figure = study.draw(made, found)
figure

# %%
failed = study.failed(found)
page.save(figure, found | failed, made.check(study.CLAIMS, failed), seconds=made.seconds)

# %% [markdown]
# **What differs from the paper.** It shows failures that were chosen, and counts none. A hollow face, whose surface bends
# inwards within a right outline, is seen here only where light passes through it. The bundled world has no limbs to
# count.
#
# ## Try
#
# - `num_seeds=12`: how rare is the rarest?
# - `sdilib run --prompt "a red striped cat" --set entropy=0`: does H(t) of eq. 11 keep faces away from the back?
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion, where only holes are measured.
