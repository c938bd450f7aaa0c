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
# **The paper's claim.** Score distillation makes a 3D object with a 2D image model: it renders the object, asks
# the model what is wrong with the picture, and corrects the object. Its first form, SDS, takes the same step as
# the image sampler DDIM, once DDIM is written in the variable $x_0(t)$, the image denoised in a single step. They
# differ in one term, the noise $\kappa$ that is added before denoising: DDIM keeps the noise it predicted one
# step earlier, while SDS draws a fresh one. SDI approximates it by inverting DDIM.
#
# **This notebook** runs the three side by side in the plane, where everything is exact, and then DDIM, SDI with
# DDIM's own noise, and SDS on a small text-to-image model. Compare the paths with DDIM's: with DDIM's own noise
# SDI lies on top of it (a), while SDS jumps (b) and, run as in practice, ends in the middle of everything (e).
#
# ![The argument in the plane](../paper_figures/full/start_here_plane.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where figures go; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
num_points: int = 0  # paths in the plane, 1 or more
num_prompts: int = 0  # prompts for the images, 1 to 16
num_steps: int = 0  # of DDIM and SDI, 5 or more
sds_steps: int = 0  # optimiser steps of SDS, 3 or more
seed: int = 0  # of everything random

# %%
from sdilib.guidance import SDI, SDS
from sdilib.inversion import Cached
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import start_here as experiment
from sdilib.lab.experiments.shared import images, plane
from sdilib.lab.experiments.shared.drawing import image_rows
from sdilib.lab.notebooks.page import begin
from sdilib.lab.practice import SDS_PRACTISED

where = {"model": model, "folder": folder, "seed": seed, "num_points": num_points}
sizes = {"num_prompts": num_prompts, "num_steps": num_steps, "sds_steps": sds_steps}
page = begin("00_start_here", preset, **where, **sizes, guidance_scale=guidance_scale)

# %% [markdown]
# ## In the plane, where everything is known
#
# The data are five Gaussians on a circle. Their noise prediction has a closed form, so DDIM, SDI and SDS need no
# network. Each line below is one $x_0(t)$, which ends at $t=0$. In a and b it begins near the middle (at $t=1$ a
# single denoising step knows little more than the average), in c at a lower t. All methods of a to c take the step of
# eq. 10, $x_0 \leftarrow x_0 - \sigma(t)\,[\epsilon(x_t) - \kappa]$; only $\kappa$ differs.

# %%
mixture, points = plane.ring(), {"num_points": page.config["num_points"], "seed": seed}
along = points | {"num_steps": page.config["num_steps"]}
paths, late = (plane.follow(mixture, t_from=t_from, **along) for t_from in (1.0, 0.2))
practised = experiment.practised_sds(mixture, num_steps=10 * page.config["sds_steps"], **points)
errors = experiment.update_errors(mixture, **along)
figure = experiment.draw(paths, late, practised, errors)
figure

# %%
measures = experiment.measures(mixture, paths, late, practised, errors)
curve = {"mean_error": {name: each.mean(0) for name, each in errors.items()}}
ends = {"ends": {name: x0[-1] for name, x0 in paths.x0.items()}, "practised": practised}
numbers = measures | {"times": paths.times[1:]} | curve | ends
claims = verdicts(experiment.PLANE_CLAIMS, measures)
page.save(figure, numbers, claims, name="start_here_plane")

# %% [markdown]
# With DDIM's own κ the identity is exact. A random κ makes SDS jump (b) and, with the small steps used in
# practice, average (e). Inversion is a remedy but not an identity: it finds the noise of a point that already
# shows where it will end (c), not of one that is still the average of all; started at t = 1 it stays in the
# middle. The paper's 3D runs add a little noise to the inverted κ (eq. 11).
#
# ## On a text-to-image model
#
# The same with images, in 2D, where the image is its own scene: $g(\psi, c) = \psi$. All runs start from the same
# $x_0(1)$. SDS is run as practised (random t, Adam), at DDIM's own γ, which is 7.5 for Stable Diffusion and 3 for
# the bundled model.

# %%
practice = SDS_PRACTISED | {"num_steps": page.config["sds_steps"]}
made = {"DDIM": page.sample()}
made["SDI, cached κ"] = page.distill(lambda m, eps: SDI(m, page.gamma, Cached(eps)))
made["SDS"] = page.distill(lambda m, _: SDS(m, page.gamma), **practice)
figure = image_rows(*images.firsts(made, page.items[0]))
figure

# %%
numbers = images.measures(made)
claims = verdicts(experiment.IMAGE_CLAIMS, numbers)
page.save(figure, numbers, claims, name="start_here_images")

# %% [markdown]
# The upper two rows are the same picture, made in two ways. `fig01_teaser` measures the third row, and what
# inversion does to images, over more prompts and seeds.
#
# ## Try
#
# - `num_steps=100`: DDIM's ends follow the mixture more closely, and SDI's with them.
# - `plane.ring(std=0.3)`: wide modes. From which `t_from` on does inversion follow DDIM now?
# - `plane.ring(2)`: two modes, and an average that lies between them.
