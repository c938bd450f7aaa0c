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
# # Figure 14: in 2D, from ISM to SDI in four changes
#
# **The paper's claim.** Interval score matching (ISM) is a relative of SDI. It inverts the image too, but without
# the prompt, and it subtracts only the prediction of the last interval. Appendix B leads from ISM to SDI in four
# changes, made one at a time.
#
# **This notebook** makes these changes in 2D, where DDIM's image of the same noise is the goal. Look at whether
# each row comes closer to the first.
#
# ![Figure 14 in 2D](../paper_figures/full/figa14_from_ism.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
num_prompts: int = 0  # 1 to 16
num_seeds: int = 0  # a prompt, 1 or more
ddim_steps: int = 0  # of DDIM, 2 or more
num_steps: int = 0  # optimiser steps of all others, 2 or more
learning_rate: float = 0.0  # of Adam, the same for all, above 0
seed: int = 0  # the first; each image has one of its own

# %%
from functools import partial

from sdilib.guidance import ISM, SDI
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import figa14_from_ism as experiment
from sdilib.lab.experiments.figa14_from_ism import squeezed
from sdilib.lab.notebooks.page import begin

where = {"model": model, "folder": folder, "seed": seed, "learning_rate": learning_rate}
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
sizes["guidance_scale"] = guidance_scale
page = begin("figA14_from_ism", preset, **where, **sizes, ddim_steps=ddim_steps)

# %% [markdown]
# All runs start from the same noise and take the same Adam steps along
# $\sigma(t)\,[\epsilon(x(t), t, y) - \ldots]$, at latents that are decoded and encoded again before each. Each line
# below adds one change.
#
# 1. **ISM**: t ~ U(0.02, 0.5); x(t) by inversion with the empty prompt, from which the last interval's prediction
#    is subtracted.
# 2. **wide t**: t ~ U(0.1, 0.98).
# 3. **annealed t**: the same range, from high to low.
# 4. **conditional inversion**: with the prompt, at $\gamma_\mathrm{inv} = -\gamma$.
# 5. **full κ**: $\kappa = (\bar x(t) - x_0) / \sigma(t)$ is subtracted, which is SDI.

# %%
gamma, drawn = page.gamma, {"learning_rate": page.config["learning_rate"], "t_schedule": "random"}
annealed = drawn | {"t_schedule": "linear"}
made = {"DDIM": page.sample(num_steps=page.config["ddim_steps"])}
made["ISM"] = page.distill(lambda m, _: squeezed(ISM(m, gamma), 0.02, 0.5), **drawn)
made["+ wide t"] = page.distill(lambda m, _: squeezed(ISM(m, gamma), 0.1, 0.98), **drawn)
made["+ annealed t"] = page.distill(lambda m, _: squeezed(ISM(m, gamma), 0.1, 0.98), **annealed)
ism = partial(ISM, guidance_scale=gamma, inversion_guidance_scale=-gamma)
made["+ conditional inversion"] = page.distill(lambda m, _: squeezed(ism(m), 0.1, 0.98), **annealed)
made["+ full κ = SDI"] = page.distill(lambda m, _: squeezed(SDI(m, gamma), 0.1, 0.98), **annealed)

# %%
prompts, numbers = page.items[0], experiment.measures(made)
figure = experiment.draw(made, prompts, numbers)
figure

# %%
page.save(figure, numbers, verdicts(experiment.CLAIMS, numbers, groups=prompts))

# %% [markdown]
# **What differs from the paper.** In 2D only the last of these changes, the full κ, brings images nearer to
# DDIM's, and barely so. The wide range of t and conditional inversion at a negative γ lead away from them, the
# latter in saturation, too. Over all four changes neither saturation nor fine detail was shown to come nearer.
# All rows have blotches on the background, ISM's too, though it inverts only up to t = 0.5; why most changes do
# not help here is not known. The paper makes them in 3D.
#
# ISM here uses the empty prompt, where its authors' code has a long negative one, and an equal grid of inversion
# steps; it is optimised in 2D, not through a 3D scene.
#
# ## Try
#
# - `num_steps=200`, `learning_rate=0.1`: which of the five were only slow?
# - `squeezed(SDI(m, gamma), 0.0, 1.0)` with `learning_rate=None`: the last row as in figure 1.
# - `ISM(m, gamma, num_inversion_steps=1)`: with a single interval its κ is already the full one.
