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
# # Algorithms 1 and 2: SDS and SDI differ in the noise
#
# **The paper's claim.** Score distillation is DDIM in another variable, with one term replaced: where DDIM would
# subtract the noise $\kappa$ that solves eq. 8, SDS (Algorithm 1) subtracts a fresh random one. SDI (Algorithm 2)
# uses a better $\kappa$ and lets t fall from 1, as DDIM does.
#
# **This notebook** shows both algorithms as this library runs them: the direction of the two rules, ε − κ, read
# from their source files when the figure is made. Look at the tinted lines, where they differ.
#
# ![Algorithms 1 and 2 from the code](../paper_figures/full/figa12_algorithms.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_prompts: int = 0  # 1 to 16
seed: int = 0  # of latents and noise

# %%
from sdilib.guidance import SDI, SDS
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import figa12_algorithms as experiment
from sdilib.lab.notebooks.page import begin

# %%
given = {"model": model, "folder": folder, "seed": seed, "num_prompts": num_prompts}
page = begin("figA12_algorithms", preset, **given)

# %% [markdown]
# The rest of each algorithm is shared. `WeightedRule` multiplies the direction by w(t), and one loop, `distill`,
# renders, asks the rule at some t, and steps the optimiser along its gradient; the two differ there only in how t
# runs. `renoise` is not part of Algorithm 2: it switches to the published code's variant.

# %%
rows = experiment.aligned(experiment.body(SDS.direction), experiment.body(SDI.direction))
figure = experiment.draw(rows)
figure

# %% [markdown]
# With a random κ, the right column computes what the left one does: at the same w(t), t and noise the two
# gradients are equal bit by bit.

# %%
numbers = experiment.measures(page.model, page.prompts, seed=seed)
lines = [[left or "", right or "", same] for left, right, same in rows]
page.save(figure, {"lines": lines, **numbers}, verdicts(experiment.CLAIMS, numbers))

# %% [markdown]
# **What differs from the paper.** Nothing in the updates: with the same noise the two are equal bit by bit. The
# paper's Algorithm 2 ends at $t = 0.2$ and inverts to $t + \tau$; here these are settings of a run (`t_end`) and
# of the inversion (`tau_max`), which is a single call, `self.kappa`.
#
# ## Try
#
# - `experiment.aligned(experiment.body(SDI.direction), experiment.body(ISM.direction))`: what separates SDI from
#   ISM, which is in `sdilib.guidance`.
# - `experiment.measures(page.model, page.prompts, guidance_scale=100.0)`: at DreamFusion's γ.
# - `model="<folder or hub id>"`: the same on Stable Diffusion.
