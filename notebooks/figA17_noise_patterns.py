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
# # Figure 17: what the noise looks like
#
# **The paper's claim.** Gradient descent stays close to the random noise that it begins with, and fixed-point
# iteration drifts the wrong way. DDIM inversion gives patterns around the object, and those at
# $\gamma_\mathrm{inv} = -\gamma$ are the most compatible with the image.
#
# **This notebook** draws the κ of each choice at several t along DDIM's path, and below each κ the image that one
# denoising step makes with it. Look for the κ that keeps the image as in the column *cached*.
#
# ![Figure 17 in 2D](../paper_figures/full/figa17_noise_patterns.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
path_steps: int = 0  # of the path by DDIM, 2 or more
times: list = [0.9, 0.7, 0.5, 0.3, 0.1]  # t of the rows, in (0, 1]
prompt: str = ""  # "" is the model's first example
seed: int = 0  # of the path's start; what κ draws comes from another stream of it

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import figa17_noise_patterns as experiment
from sdilib.lab.experiments.shared.path import ddim_path
from sdilib.lab.notebooks.page import begin

# %%
given = {"model": model, "folder": folder, "seed": seed, "path_steps": path_steps}
page = begin("figA17_noise_patterns", preset, **given, guidance_scale=guidance_scale)
shown = prompt or page.prompts[0]

# %% [markdown]
# κ is found at DDIM's own x0(t). The image below it is x0(t) noised with that κ and denoised in one step by
# eq. 5; with the right κ, that of *cached*, it is x0(t) itself. One column, an inversion *begun* at t = 0.1 from
# drawn noise, is not in the paper. A pattern shows the first three latent channels as colours, standardised; the
# number in its corner is its root mean square before that, which is 1 for the noise used in training. Beside the
# images stands the amplitude of x0(t) itself, as a multiple of that of the image at the end of the path.

# %%
size = {"num_steps": page.config["path_steps"], "guidance_scale": page.gamma}
path = ddim_path(page.model, [shown], [seed], **size).at(times)
found = experiment.patterns(path)
figure = experiment.draw(page.model, path, found)
figure

# %%
numbers = experiment.measures(path, found)
drawn = {"prompt": shown, "times": path.times}
page.save(figure, drawn | numbers, verdicts(experiment.CLAIMS, numbers))

# %% [markdown]
# **What differs from the paper.** As in the paper, gradient descent still looks like random noise, and the
# pattern of an inverted κ has the object's shape. At low t its deviation is far too small, with hardly any noise
# where the image is smooth; a little less so at $\gamma_\mathrm{inv} = -\gamma$ than at the others. Begun at
# t = 0.1 from random noise, κ looks like noise from there on. At high t the object dissolves with
# $\gamma_\mathrm{inv} = \gamma$, and changes colour with fixed-point iteration. With
# $\gamma_\mathrm{inv} = -\gamma$ it looks cleanest, but it is not what *cached* shows: of the three inversions,
# this one leads farthest from x0(t) at every t shown.
#
# One prompt proves nothing: this figure is for the eye, and its only claim is an identity. Figure 9 measures the
# choices, and figure 10 the γ of the inversion.
#
# ## Try
#
# - `prompt="a teal checkered mug"`, `seed=1`: where do the patterns lie?
# - `times=[1.0, 0.95, 0.9, 0.85]`: the first steps, where there is hardly an image yet.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
