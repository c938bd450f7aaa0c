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
# # The world: objects that are known exactly, and a model that draws them
#
# The paper judges images of Stable Diffusion, where no prompt has a true answer. The bundled model was instead
# trained on a small procedural world of sixteen objects in eight colours and four patterns, each a signed
# distance with paint. So blur, over-saturation, a wrong shape or a second face can be measured. This page shows
# what is known of the world and how well the model draws it; compare the samples with the renders above them.
#
# ![The world's objects](../paper_figures/full/the_world_objects.png)
#
# ![Samples beside renders](../paper_figures/full/the_world_samples.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figures go; "" is paper_figures/<preset>
evaluator: str = "evaluator"  # the bundled one, or a folder of another
num_prompts: int = 0  # 1 to 16
num_seeds: int = 0  # a prompt, 1 or more
num_steps: int = 0  # of DDIM, 2 or more
seed: int = 0  # the first; each image has one of its own

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import the_world as experiment
from sdilib.lab.experiments.shared.scales import sweep
from sdilib.lab.images import items
from sdilib.lab.model_card import quality, quality_table
from sdilib.lab.notebooks.page import begin

where = {"model": model, "folder": folder, "seed": seed, "evaluator": evaluator}
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
page = begin("the_world", preset, **where, **sizes)

# %% [markdown]
# ## What is known
#
# An object is a function of space: its signed distance, with the paint of each part. Pictures are traced from it,
# so the exact silhouette, depth and shape come with each.
#
# A prompt names the object, its colour and its pattern, and leaves the rest open: proportions, shades, the
# position of the pattern, the grain of the surface, light, background and camera are drawn for each picture. Each
# row shows eight pictures of one prompt. Results in 3D are compared with the nearest member of this family.

# %%
rows = experiment.world_rows()
figure = experiment.draw_world(rows)
figure

# %%
known = experiment.world_measures()
numbers = known | {"rows": [row.label for row in rows]}
page.save(figure, numbers, verdicts(experiment.WORLD_CLAIMS, known), name="the_world_objects")

# %% [markdown]
# The model reads captions like these; three in four name the view. About 8 in 100 combinations of object, colour
# and pattern appear in no training picture.

# %%
experiment.captions(8)

# %% [markdown]
# ## What the model draws
#
# The top row shows renders. Below them are samples of the same prompts by DDIM from the same noise, at each
# guidance scale γ of eq. 3. The evaluator, a small CLIP trained on renders alone, measures how well an image fits
# its prompt and whether object, colour, pattern and view are right.

# %%
chosen, judge = quality.balanced_items(page.config["num_prompts"]), page.evaluator
renders = quality.renders(quality.scenes_of(chosen, seed=seed), image_size=judge.image_size)
asked = [item.prompt for item in chosen]
prompts, seeds = items(asked, page.config["num_seeds"], first_seed=seed)
scales, steps = experiment.SCALES, page.config["num_steps"]
made = sweep(page.model, prompts, seeds, scales=scales, num_steps=steps)

# %%
numbers = experiment.sweep_measures(made, judge, prompts, renders)
figure = experiment.draw_sweep(made, prompts, renders, numbers)
figure

# %%
claims = verdicts(experiment.SWEEP_CLAIMS, numbers, groups=prompts)
page.save(figure, numbers, claims, name="the_world_samples")

# %% [markdown]
# **What differs from the paper.** Guidance does what the paper says: at γ = 1 words are missed; saturation rises
# with γ, to far above that of renders; and from 15 on images fit their prompts less and less. They fit best
# at γ between 3 and 7.5, and are as saturated as renders between 1 and 3, so the figures sample this model at
# γ = 3. Of what a prompt asks for, the model most often gets the view and the pattern wrong.
#
# ## How good the model is
#
# From the model's card: more samples, held-out combinations, distances to renders.

# %%
quality_table(page.config["model"])

# %% [markdown]
# ## Try
#
# - `sdilib.lab.world.mesh.mesh(scene, resolution=256)`: an object's surface as triangles.
# - `quality.balanced_items(16, held_out=True)`: prompts whose combinations the model never saw.
# - `judge.attributes(renders).words("pattern")`: what the evaluator sees in the true pictures.
