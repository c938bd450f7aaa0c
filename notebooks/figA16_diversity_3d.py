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
# **The paper's claim.** Objects of one prompt differ from seed to seed, in their details more than in their
# coarse shape, which hardly varies (appendix C). (Sections 1 and 3 say in general that a high γ costs diversity.)
#
# **This notebook** distils each prompt from several seeds with SDI and SDS, and compares them with as many
# objects drawn by the bundled world itself. Look at how much a row varies, and whether less than the world's.

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
# The seed determines everything that is drawn: the field's first values, cameras, times, noises. How diverse a
# prompt's objects could be is known, because the world draws proportions, shades and light for each of its own
# objects: *the world* is as many of those as there are seeds, seen from the same sides.
#
# *Distance* is the root mean square difference of the views after averaging over 4 × 4 pixels; the mean is over
# all pairs of seeds. *Silhouettes* compares shapes alone, all 16 views together. For *kinds*, the nearest
# member of the prompt's family is fitted to an object's silhouettes. Four numbers describe that member, and an
# object's kind is which of the four lie in the upper half of their range. *Recall* is the share of the family's
# members that lie among the objects, relative to that of as many members drawn at random. Each tick is one prompt.

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
# **What differs from the paper.** The paper shows a few prompts and measures nothing. Here the numbers that
# describe a shape come from a fit, which errs; the world's own objects are fitted in the same way, so they suffer
# the same errors. Failures count as diversity: a result that is no object of its prompt is given a kind all the
# same, and an empty one is far from all others. So does dirt: SDS at a high γ was not shown to be less diverse
# than SDI, but its objects of a prompt differ by their smears as much as by their shapes. SDI's differ more than
# those of SDS at the same γ, as they should, and cover less of the family than as many objects of the world.
#
# ## Try
#
# - `num_seeds=12`: do more seeds reach more kinds?
# - `sdilib run --prompt "a blue rocket" --seed 7 --set entropy=0`: does a seed give another object without H(t)
#   of eq. 11?
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
