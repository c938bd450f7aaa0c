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
# # Figure 6: where the noise lies
#
# **The paper's claim.** Random noise covers the whole view. Noise found by inversion, as in SDI, is concentrated
# on the object; its single-step denoised images are more consistent with each other and show intricate features
# already at large t.
#
# **This notebook** noises one render to several t and denoises it in a single step, by SDS and by SDI. Read along
# the rows of denoised images: do they show the same object at every t, and how sharp is it?
#
# ![Figure 6 in 2D](../paper_figures/full/fig06_intermediates.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
num_prompts: int = 0  # 1 to 16; the first is shown
num_seeds: int = 0  # per prompt, 1 or more
num_steps: int = 0  # of DDIM, which makes the renders, 2 or more
scene_t: float = 0.5  # whose x0(t) is the render: 1 is blurry, 0 finished
seed: int = 0  # the first; each image has one of its own

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import fig06_intermediates as experiment
from sdilib.lab.experiments.shared.path import ddim_path, decoded
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
sizes["guidance_scale"] = guidance_scale
page = begin("fig06_intermediates", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# In 2D the "render" is an image part-way through sampling: DDIM's $x_0(t)$ at `scene_t`. It is noised to every t
# (eq. 9), with a random κ and with the κ of DDIM inversion, and denoised by eq. 5 at the γ that the model is
# sampled with.

# %%
at, gamma = {"num_steps": page.config["num_steps"]}, {"guidance_scale": page.gamma}
path = ddim_path(page.model, *page.items, **at, **gamma).at([scene_t])
run = experiment.intermediates(page.model, path.x0[:, 0], *page.items, **gamma)
render = decoded(page.model, path.x0)[:, 0]
denoised = {rule: decoded(page.model, each.denoised) for rule, each in run.items()}

# %% [markdown]
# Three numbers are drawn over t: the fine detail of the denoised image; how similar the updates $x_0(t) - x_0$ of
# neighbouring t are; and the mean square of κ on the object, divided by that on the background.

# %%
numbers = experiment.measures(path.x0[:, 0], run, render, denoised)
figure = experiment.draw(page.model, run, render, denoised, numbers)
figure

# %%
claims = verdicts(experiment.CLAIMS, numbers, groups=page.items[0])
page.save(figure, {"times": experiment.TIMES, **numbers}, claims)

# %% [markdown]
# **What differs from the paper.** All three points hold: with inverted noise the updates of neighbouring t agree;
# $x_0(t)$ has more fine detail at large t, where SDS's is blurred and changes its shape; and the noise is
# stronger on the object than on the background, most so at large t. But it covers the background, too: the
# difference is small. And at large t SDI's $x_0(t)$ has stronger colours than the render. SDS's κ is a
# new draw at each t; what one draw for all t would do was not measured.
#
# ## Try
#
# - `scene_t=1.0`: the first, blurry image; `scene_t=0.0`: the finished one.
# - `kappa=DDIMInversion(guidance_scale=0.0)` or `FixedPoint()`, from `sdilib.inversion`, in
#   `experiment.intermediates`.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
