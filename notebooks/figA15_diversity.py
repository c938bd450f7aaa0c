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
# # Figure 15: in 2D, how much images vary with the seed
#
# **The paper's claim.** Appendix C shows objects from eight seeds of each prompt: details vary, but the coarse
# shape hardly does. (Section 3 says in general that guidance costs diversity.)
#
# **This notebook** makes images of each prompt from several seeds with DDIM, SDS and SDI, and measures how far
# apart they are. DDIM shows how much the model itself varies; look at which rows vary less.
#
# ![Figure 15 in 2D](../paper_figures/full/figa15_diversity.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
num_prompts: int = 0  # 1 to 16
num_seeds: int = 0  # a prompt, 2 or more
num_steps: int = 0  # of DDIM and SDI, 2 or more
sds_steps: int = 0  # optimiser steps of SDS, 2 or more
learning_rate: float = 0.0  # of SDS's Adam, above 0
seed: int = 0  # the first; each image has one of its own

# %%
from sdilib.guidance import SDI, SDS
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import figa15_diversity as experiment
from sdilib.lab.notebooks.page import begin
from sdilib.lab.practice import SDS_PRACTISED

where = {"model": model, "folder": folder, "seed": seed, "learning_rate": learning_rate}
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
sizes["guidance_scale"] = guidance_scale
page = begin("figA15_diversity", preset, **where, **sizes, sds_steps=sds_steps)

# %% [markdown]
# A seed sets the noise that a run starts from and the noises drawn on its way: SDS draws one at each step; DDIM,
# and SDI by inversion (τ = 0, no $H(t)$), draw none. The distance between two images is the root mean square
# difference of their pixels, each averaged over 4 × 4 neighbours first so that grain counts little; a prompt's
# distance is the mean over all pairs of its seeds. SDS and SDI see latents that are decoded and encoded again
# before each step, which DDIM's are not. SDS is run as practised, but with larger steps where the
# preset gives it few of them.

# %%
steps = {"num_steps": page.config["sds_steps"], "learning_rate": page.config["learning_rate"]}
practice = SDS_PRACTISED | steps
made = {"DDIM": page.sample()}
made["SDS"] = page.distill(lambda m, _: SDS(m, page.gamma), **practice)
made["SDS, high γ"] = page.distill(lambda m, _: SDS(m, page.high_gamma), **practice)
made["SDI"] = page.distill(lambda m, _: SDI(m, page.gamma))

# %%
prompts = page.items[0]
numbers = experiment.measures(made, prompts)
figure = experiment.draw(made, prompts, numbers)
figure

# %%
page.save(figure, numbers, verdicts(experiment.CLAIMS, numbers))

# %% [markdown]
# **What differs from the paper.** SDS at a high γ varies more than DDIM by this measure, and so does SDI. But
# look at the images: the objects of both are much alike, as the paper says, and what varies most is the burnt
# background behind them, whose blotches have more contrast than DDIM's backgrounds. The measure compares pixels
# of 2D images; the paper compares shapes in 3D.
#
# ## Try
#
# - `SDI(m, page.gamma, Cached(eps))` with `lambda m, eps: ...`: as diverse as DDIM, because it is DDIM. `Cached` and
#   `DDIMInversion` are in `sdilib.inversion`.
# - `DDIMInversion(-page.gamma, tau_max=1/30, entropy=0.3)` as SDI's `kappa`: does $H(t)$ of eq. 11 bring
#   diversity?
# - `sds_steps=1000`: do more steps draw the seeds together?
