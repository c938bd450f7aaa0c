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
# # Figure 1: DDIM, SDS and SDI in 2D
#
# **The paper's claim.** At the same $\gamma = 7.5$, the same frozen model draws sharp images by DDIM (a) and
# blurry ones by SDS (b). With a noise that agrees with DDIM's, SDS matches its quality (c). In 2D that noise can
# be cached from the previous step, and the two are then equal; found by inversion, it makes them almost
# identical. (Panels d and e are in 3D, where SDS at $\gamma = 100$ over-saturates.)
#
# **This notebook** makes images with each method from the same noise. Compare the rows with DDIM's, then the
# panels below: does SDI come closer to DDIM than SDS does?
#
# ![Figure 1 in 2D](../paper_figures/full/fig01_teaser.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
num_prompts: int = 0  # 1 to 16
num_seeds: int = 0  # a prompt, 1 or more
num_steps: int = 0  # of DDIM and SDI, 2 or more
sds_steps: int = 0  # optimiser steps of SDS, 2 or more
seed: int = 0  # the first; each image has one of its own

# %%
from sdilib.guidance import SDI, SDS
from sdilib.inversion import Cached, RandomNoise
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import fig01_teaser as experiment
from sdilib.lab.experiments.shared.path import begun
from sdilib.lab.notebooks.page import begin
from sdilib.lab.practice import SDS_PRACTISED

where = {"model": model, "folder": folder, "seed": seed, "sds_steps": sds_steps}
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
page = begin("fig01_teaser", preset, **where, **sizes, guidance_scale=guidance_scale)

# %% [markdown]
# Every method makes one image per prompt and seed, all from the same noise. In 2D the image is its own scene,
# $g(\psi, c) = \psi$, in latent space. Before each step, latents are decoded and encoded again, so that an
# inversion sees an image; eq. 10 has no such step, nor has the cached κ (figure X1 compares both).
#
# - **DDIM**, eq. 2, and **SDI with the cached κ**, eq. 10 with the previous prediction, are one sampler in two
#   variables.
# - **SDS**, Algorithm 1: t uniformly random, κ random, Adam; at SDI's γ and at a high one. It is also run with
#   SDI's own steps and annealed t, where it differs from SDI in κ alone.
# - **SDI by inversion**, eq. 10 with κ from DDIM inversion at $\gamma_\mathrm{inv} = -\gamma$ (n = 10, no $H(t)$,
#   τ = 0). One row, not in the paper, *begins* the inversion at t = 0.1 from drawn noise.
#
# γ is the scale that the model is sampled with: 7.5 for Stable Diffusion, and 3 for the bundled model, which
# shows hardly more of a prompt's words at a higher one (its card has the numbers). A *high γ* is 100 and 40
# respectively.

# %%
practice, gamma = SDS_PRACTISED | {"num_steps": page.config["sds_steps"]}, page.gamma
made = {"DDIM": page.sample()}
made["SDS"] = page.distill(lambda m, _: SDS(m, gamma), **practice)
made["SDS, high γ"] = page.distill(lambda m, _: SDS(m, page.high_gamma), **practice)
made["SDS, annealed t"] = page.distill(lambda m, _: SDI(m, gamma, RandomNoise()))
made["SDI, inverted κ"] = page.distill(lambda m, _: SDI(m, gamma))
made["SDI, begun κ"] = page.distill(lambda m, _: SDI(m, gamma, begun(gamma)))
made["SDI, cached κ"] = page.distill(lambda m, eps: SDI(m, gamma, Cached(eps)))

# %%
prompts, numbers = page.items[0], experiment.measures(made)
figure = experiment.draw(made, prompts, numbers)
figure

# %%
page.save(figure, numbers, verdicts(experiment.CLAIMS, numbers, groups=prompts))

# %% [markdown]
# **What differs from the paper.** As in the paper, SDS is blurred at DDIM's γ and burnt at a high one, and the
# identity holds to rounding. But SDI by the paper's inversion does not come near DDIM's image: it ends farther
# from it than SDS, in saturation, too. Blotches grow on the background, and the saturation and fine detail with
# them. This begins in the first steps of the inversion: one that *begins* at t = 0.1 from drawn noise leads nearer
# to DDIM's image and leaves no blotches, though some backgrounds are tinted. Inversions are known to err there
# where images are smooth (2410.23530); why they do so much on the bundled model was not measured. That the
# inversion begun later ends nearer to DDIM's image than SDS, or to its fine detail, was not shown, but its
# saturation is nearer: it makes an image of its own. Runs in 3D begin at a lower t (figure 1 in 3D).
#
# With SDI's annealing and whole steps, SDS has on average no less fine detail than DDIM, although its κ is
# random, and it costs less than SDI. So here a random κ alone does not blur. Random t and small steps do; which
# of the two, these rows do not tell.
#
# Whether a large model behaves as the paper says remains to be tested with `preset="gpu"`.
#
# ## Try
#
# - `sds_steps=1000`: does SDS sharpen with patience?
# - `SDI(m, gamma, DDIMInversion(guidance_scale=0.0))` in place of the default -γ, or `FixedPoint()`: both
#   are in `sdilib.inversion`.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
