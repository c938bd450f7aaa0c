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
# # Figure 16: how much 3D objects vary with the seed
#
# **The paper's claim.** Objects of one prompt differ from seed to seed, in detail more than in their coarse shape, which
# hardly varies (appendix C). SDS at γ = 100 pays for its low variance with diversity.

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
root: str = ""  # folder of all 3D runs; "" is runs/ of the repository
quality: str = ""  # preset of each run's own settings
evaluator: str = ""  # that judges the objects; "none" for a model of another world
num_prompts: int = 0  # 1 to 16; the first two are shown
num_seeds: int = 0  # per prompt, 2 or more
seed: int = 0  # the first of each prompt's seeds

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import figa16_diversity_3d as study
from sdilib.lab.experiments.shared.objects import compared
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds}
judged = {"quality": quality, "evaluator": evaluator}
where = {"model": model, "folder": folder, "seed": seed}
page = begin("figA16_diversity_3d", preset, **where, **sizes, **judged)

# %% [markdown]
# A seed is all that is drawn: the field's first values, cameras, times, noises. The world says how diverse a prompt's
# objects could be, for it draws proportions, shades and light of each of its own objects: *the world* is as many
# of those as there are seeds, seen from the same sides.
#
# *Distance* is the root mean square of the views' difference after averaging over 4 × 4 pixels, the mean over all pairs of
# seeds. *Silhouettes apart* compares shapes alone, all 16 views together. For *kinds* the member of the prompt's family
# that is nearest to an object is fitted to its silhouettes: four numbers say which one it is, and which of them are in
# their upper halves is its kind. A tick is one prompt.

# %%
made = compared(page, study.variants(page.run), root=root)
seen = study.views(made)
shapes = study.fitted_shapes(seen, made.prompts) if study.WORLD in seen else {}

# %%
numbers = study.measures(seen, shapes, made.prompts)
figure = study.draw(seen, shapes, made.prompts, numbers)
figure

# %%
claims = verdicts(study.CLAIMS, numbers)
page.save(figure, numbers | {"shapes": shapes}, claims, seconds=made.seconds)

# %% [markdown]
# **What differs from the paper.** It shows a few prompts and measures nothing. A family's numbers are found by a fit, which
# errs; the world's own objects are fitted in the same way, so that it errs for them as well. What is no object of its
# prompt at all has a kind, too.
#
# ## Try
#
# - `num_seeds=12`: do more seeds reach more kinds?
# - `sdilib run --prompt "a blue rocket" --seed 7 --set entropy=0`: without H(t) of eq. 11, is a seed's object another one?
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
