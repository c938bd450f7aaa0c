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
# # Figure 3: what the guidance scale does to samples
#
# **The paper's claim.** Classifier-free guidance (eq. 3) moves the prediction away from the
# unconditional one by γ. At small γ the model ignores words of the prompt; at high γ its images
# are over-saturated. SDS needs γ = 100 to get anything sharp and pays in colour; DDIM does with 7.5.
#
# ![Figure 3](../paper_figures/full/fig03_guidance_scale.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
evaluator: str = ""  # "evaluator" (bundled), a folder, or "none" for a model of another world
num_prompts: int = 0  # 1 to 16; the first four are shown
num_seeds: int = 0  # a prompt, 2 or more
num_steps: int = 0  # of DDIM, 2 or more
seed: int = 0  # the first of each prompt's seeds

# %%
import time

from sdilib import text_to_image as generate
from sdilib.lab import presets
from sdilib.lab.claims import table
from sdilib.lab.evaluator import Evaluator
from sdilib.lab.notebooks.records import figure_folder, save_figure
from sdilib.lab.plotting.guidance_scale import guidance_scales
from sdilib.lab.studies.guidance_scale import SCALES, scale_claims, scale_measures
from sdilib.lab.studies.world import guidance_sweep
from sdilib.stable_diffusion import StableDiffusion

# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
config = presets.resolve("fig03_guidance_scale", preset, model=model, evaluator=evaluator, **sizes)
diffusion = StableDiffusion.from_pretrained(config["model"])
judge = Evaluator.optional(config["evaluator"])
chosen = presets.example_prompts(diffusion.draws_world)[: config["num_prompts"]]
prompts, seeds = generate.items(chosen, config["num_seeds"], first_seed=seed)

# %% [markdown]
# The same noise at each γ, so that a row shows one image as γ grows.

# %%
began = time.perf_counter()
made = guidance_sweep(diffusion, prompts, seeds, scales=SCALES, num_steps=config["num_steps"])
measures = scale_measures(made, prompts, judge)
seconds = time.perf_counter() - began

# %% [markdown]
# The evaluator, a small CLIP trained on renders alone, counts which words of the prompt (object,
# colour, pattern, view) an image shows. Saturation is that of the most colourful tenth of the
# pixels; clipped are values at an end of the range of colours; diversity is the mean distance
# between images of one prompt.

# %%
firsts = {y: prompts.index(y) for y in chosen[:4]}
rows = {y: generate.across(made.values(), i) for y, i in firsts.items()}
figure = guidance_scales(rows, SCALES, measures)
figure

# %%
claims = scale_claims(measures, prompts)
table(claims)

# %%
cost = {f"{scale:g}": [run.num_forwards, run.seconds] for scale, run in made.items()}
record = {"numbers": {**measures, "cost": cost}, "claims": claims, "config": config, "seed": seed}
origin = {"notebook_source": "fig03_guidance_scale.py", "model_hash": diffusion.hash}
to = figure_folder(preset, folder)
save_figure(figure, "fig03_guidance_scale", to, **record, **origin, seconds=seconds)

# %% [markdown]
# **What differs from the paper.** At γ = 1 words are ignored, as the paper says (the bundled model is
# trained on captions half of which belong to another picture, as the web's often do), and guidance
# costs diversity. High γ burns images: colours leave their range, backgrounds get dirty, and beyond 30
# words are lost again. That HSV saturation rises was not shown: the world's paint is saturated
# from the start and burnt colours turn dark or pale.
#
# ## Try
#
# - `num_seeds=16`: diversity is a mean over pairs, so it steadies quickly.
# - `notebooks/the_world`: the same sweep beside true renders of the prompts.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
