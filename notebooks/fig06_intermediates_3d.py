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
# # Figure 6 in 3D: what SDS and SDI see in a render, at several t
#
# **The paper's claim.** Noised with a random κ and denoised, the same render of a 3D object becomes a different
# image at each t. Noised with the κ of DDIM inversion, which lies on the object, it becomes images that agree
# with each other and show intricate features already at large t.
#
# **This notebook** does this to renders of half-finished objects. Read along the rows of denoised images: do they
# show the same object at every t, and how sharp is it?
#
# ![Figure 6 in 3D](../paper_figures/full/fig06_intermediates_3d.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
root: str = ""  # folder of all 3D runs; "" is runs/ of the repository
quality: str = ""  # preset of each run's own settings
num_prompts: int = 0  # 1 to 16; one side of the first is shown
seed: int = 0  # the first; each prompt has one of its own

# %%
import time

from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import fig06_intermediates as experiment
from sdilib.lab.experiments.shared.objects import compared, halfway, sides
from sdilib.lab.experiments.shared.path import decoded
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "quality": quality}
page = begin("fig06_intermediates_3d", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# The renders show four sides of each object after half of SDI's steps. Each is encoded, noised to every t
# (eq. 9), with a random κ and with the κ of DDIM inversion, and denoised by eq. 5 at the γ of the runs.

# %%
made = compared(page, halfway(page.run), root=root, seeds_apart=True)
began = time.perf_counter()
render, prompts = sides(made.looked["SDI"], page.prompts)
x0 = page.model.encode(render.to(page.model.device)).detach()
seeds, gamma = [seed + k for k in range(len(prompts))], page.run["guidance_scale"]
run = experiment.intermediates(page.model, x0, prompts, seeds, guidance_scale=gamma)
denoised = {rule: decoded(page.model, each.denoised) for rule, each in run.items()}

# %% [markdown]
# Three numbers are drawn over t: the fine detail of the denoised image; how similar the updates $x_0(t) - x_0$ of
# neighbouring t are; and the mean square of κ on the object, divided by that on the background.

# %%
numbers = experiment.measures(x0, run, render, denoised)
figure = experiment.draw(page.model, run, render, denoised, numbers)
figure

# %%
objects_shown = [prompt.rpartition(", ")[0] for prompt in prompts]
claims = verdicts(experiment.CLAIMS, numbers, groups=objects_shown)
seconds = made.seconds + time.perf_counter() - began
page.save(figure, {"times": experiment.TIMES, **numbers}, claims, seconds=seconds)

# %% [markdown]
# **What differs from the paper.** All three points hold on every object: with inverted noise, neighbouring t pull
# in the same direction, images denoised at large t have more fine detail, and κ lies on the object. But to the
# eye, part of SDI's detail at large t is too much colour, on the background as well. And SDS's κ is a new draw at
# each t: what one draw for all t would do to the first number was not measured. The runs themselves begin at t =
# 0.6.
#
# ## Try
#
# - `kappa=DDIMInversion(unit=True)`, from `sdilib.inversion`, in `experiment.intermediates`: κ at unit deviation.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
