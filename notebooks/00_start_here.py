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
# # Start here: SDS is DDIM with the wrong noise
#
# **The paper's claim.** Score distillation (SDS) takes the same step as the sampler DDIM, written in
# the variable $x_0(t)$, the image denoised in a single step. They differ in one term: the noise
# $\kappa$ that is added before denoising. DDIM keeps the noise it predicted a step ago, SDS draws a
# fresh one. SDI finds it again by inverting DDIM.
#
# ![The argument in the plane](../paper_figures/full/start_here_plane.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where figures go; "" is paper_figures/<preset>
num_points: int = 0  # paths in the plane, 1 or more
num_prompts: int = 0  # prompts for the images, 1 to 16
num_steps: int = 0  # of DDIM and SDI, 5 or more
sds_steps: int = 0  # optimiser steps of SDS, 3 or more
seed: int = 0  # of everything random

# %%
import time
from functools import partial

from sdilib import text_to_image as generate
from sdilib.guidance import SDI, SDS
from sdilib.inversion import Cached
from sdilib.lab import presets
from sdilib.lab.claims import table
from sdilib.lab.experiments.shared.drawing import image_rows
from sdilib.lab.notebooks.records import figure_folder, save_figure
from sdilib.lab.plotting.plane import toy_argument
from sdilib.lab.studies import toy
from sdilib.lab.studies.plane import plane_claims
from sdilib.lab.studies.teaser import same_sampler
from sdilib.stable_diffusion import StableDiffusion

# %%
sizes = {"num_points": num_points, "num_prompts": num_prompts, "num_steps": num_steps}
config = presets.resolve("00_start_here", preset, model=model, sds_steps=sds_steps, **sizes)
save = partial(save_figure, folder=figure_folder(preset, folder), config=config, seed=seed)

# %% [markdown]
# ## In the plane, where everything is known
#
# Five Gaussians on a circle. Their noise prediction has a closed form, so DDIM, SDI and SDS need no
# network. Each line below is one $x_0(t)$, beginning near the middle (at $t=1$ a single denoising
# step knows only the average) and ending at $t=0$. All methods make eq. 10's step,
# $x_0 \leftarrow x_0 - \sigma(t)\,[\epsilon(x_t) - \kappa]$; only $\kappa$ differs.

# %%
began = time.perf_counter()
mixture = toy.ring()
points = {"num_points": config["num_points"], "seed": seed}
along = {**points, "num_steps": config["num_steps"]}
paths, late = (toy.toy_paths(mixture, t_from=t_from, **along) for t_from in (1.0, 0.2))
practised = toy.practised_sds(mixture, num_steps=10 * config["sds_steps"], **points)
times, errors = toy.update_errors(mixture, **along)
plane = toy_argument(paths, late, practised, times, errors)
plane

# %%
in_plane = plane_claims(mixture, paths, late, practised, errors)
numbers = {"times": times, "mean_error": {name: values.mean(1) for name, values in errors.items()}}
numbers |= {"ends": {name: x0[-1] for name, x0 in paths.x0.items()}, "practised": practised}
origin = {"notebook_source": "00_start_here.py", "model_hash": ""}
elapsed = time.perf_counter() - began
save(plane, "start_here_plane", numbers=numbers, claims=in_plane, seconds=elapsed, **origin)
table(in_plane)

# %% [markdown]
# The identity is exact, and the random κ is what makes SDS jump (b) and, with the small steps of
# practice, average (e). Inversion is a remedy and no identity: it finds the noise of a point that
# already shows where it will end (c), not of one that is still the average of all; begun at t = 1 it
# stays in the middle. The paper's runs in 3D add a little noise to it (eq. 11).
#
# ## On a text-to-image model
#
# The same in images, in 2D, where the image is its own scene: $g(\psi, c) = \psi$. All begin at the
# same $x_0(1)$. SDS is run as practised (random t, Adam), at DDIM's own γ = 7.5.

# %%
began = time.perf_counter()
diffusion = StableDiffusion.from_pretrained(config["model"])
chosen = presets.example_prompts(diffusion.draws_world)[: config["num_prompts"]]
work = (diffusion, *generate.items(chosen, 1, first_seed=seed))
practice = {"num_steps": config["sds_steps"], "t_schedule": "random", "learning_rate": 0.1}
made = {"DDIM": generate.ddim_images(*work, num_steps=config["num_steps"])}
made["SDI, cached κ"] = generate.distilled_images(
    *work, rule=lambda m, eps: SDI(m, kappa=Cached(eps)), num_steps=config["num_steps"]
)
made["SDS, γ = 7.5"] = generate.distilled_images(*work, rule=lambda m, _: SDS(m, 7.5), **practice)

# %%
pictures = image_rows({name: run.images for name, run in made.items()}, chosen)
claims = [same_sampler(made["DDIM"], made["SDI, cached κ"])]
numbers = {"cost": {name: [run.num_forwards, run.seconds] for name, run in made.items()}}
elapsed = time.perf_counter() - began
origin["model_hash"] = diffusion.hash
save(pictures, "start_here_images", numbers=numbers, claims=claims, seconds=elapsed, **origin)
pictures

# %%
table(claims)

# %% [markdown]
# The upper two rows are one picture, made in two ways. `fig01_teaser` measures the third, and what
# inversion does on images, over more prompts and seeds.
#
# ## Try
#
# - `num_steps=100`: DDIM's ends follow the mixture more closely, and SDI's with them.
# - `toy.ring(std=0.3)`: wide modes. From which `t_from` on does inversion follow DDIM now?
# - `toy.ring(2)`: two modes, and an average that lies between them.
