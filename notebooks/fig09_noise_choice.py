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
# # Figure 9: which noise κ comes closest to solving eq. 8
#
# **The paper's claim.** An SDI step needs the κ that solves eq. 8 at the present image. Noise drawn at
# random, at each step again (SDS) or once, is far from it, and equally far both ways; neither ten fixed-point
# iterations nor ten steps of gradient descent improve on it enough; DDIM inversion at
# $\gamma_\mathrm{inv} = -\gamma$ comes closer, and its images are the better ones.
#
# ![Figure 9 in 2D](../paper_figures/full/fig09_noise_choice.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
num_prompts: int = 0  # 1 to 16
num_seeds: int = 0  # per prompt, 1 or more
path_steps: int = 0  # of the path by DDIM, num_times or more
num_times: int = 0  # of the path, at which κ is asked for
num_steps: int = 0  # of each run that makes images, 2 or more
seed: int = 0  # the first of each prompt's seeds

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import fig09_noise_choice as experiment
from sdilib.lab.experiments.shared.path import ddim_path, images
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
sizes |= {"path_steps": path_steps, "num_times": num_times}
sizes["guidance_scale"] = guidance_scale
page = begin("fig09_noise_choice", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# All choices are asked at the same points: DDIM's own x0(t), eq. 5, at the γ that the model is sampled with. There the answer is
# known, since DDIM's prediction at x(t) solves eq. 8 at x0(t) exactly; *cached* gives it. *Fixed* noise
# is not the noise that the path began with, which would be a part of that answer. One row is not the paper's: an
# inversion *begun* at t = 0.1 with drawn noise, since its first steps are the ones that err (2410.23530). The residual is
# $r(t) = \sigma(t)\,\lVert\kappa - \epsilon(\sqrt{\alpha}\,x_0 + \sqrt{1-\alpha}\,\kappa)\rVert$ (root
# mean square); a band holds the middle half of the items. No $H(t)$, τ = 0.

# %%
size = {"num_steps": page.config["path_steps"], "num_times": page.config["num_times"]}
path = ddim_path(page.model, *page.items, guidance_scale=page.gamma, **size)
numbers = experiment.measures(path)

# %% [markdown]
# And a whole run of eq. 10 with each choice, one image per prompt. There a κ that misses leads the run
# away from DDIM's path, and the next κ is asked for where that has led.

# %%
size = {name: page.config[name] for name in ("num_steps", "guidance_scale")}
rows = images(page.model, page.prompts[:8], seed, experiment.rules(page.gamma), **size)
figure = experiment.draw(rows, page.prompts, path.times, numbers["residuals"], numbers["costs"])
figure

# %%
claims = verdicts(experiment.CLAIMS, numbers, groups=page.items[0])
page.save(figure, {"times": path.times, **numbers}, claims)

# %% [markdown]
# **What differs from the paper.** In the mean over t, inversion solves eq. 8 better than fixed noise, as there. That it does so
# better than noise drawn again at each step was not shown, and both iterations do better than it, at equal cost, too. What
# is behind it is the bundled model's: the first steps of an inversion err where the image is smooth. Begun at t = 0.1 with
# drawn noise, which is not the paper's, it has a lower residual, and its images are free of the blotches that grow along
# the run of the paper's.
#
# A low residual alone is not what makes an image: fixed-point iteration ends in bright patches, and gradient descent, with the
# lowest residual of all, in dull ones. A random κ, drawn again as t falls, gives clean images.
#
# Costs count a backward pass of gradient descent as one forward pass, which it takes about as long as.
# The paper compares runs in 3D, where no κ is cached, since views change.
#
# ## Try
#
# - `GradientDescent(num_iterations=100)`: does descent get there with patience? At what cost?
# - `DDIMInversion(unit=True)`: κ scaled to unit deviation.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
