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
# # Figure 4: the variable that score distillation evolves
#
# **The paper's claim.** DDIM is usually seen as a process on noisy images $x(t)$. A scene under distillation is
# never noisy: it goes from a blurry cloud to a sharp object. So does $x_0(t)$, the image that one denoising step
# makes of $x(t)$ (eq. 5). Rewritten in that variable (eqs. 6, 10), DDIM becomes a rule for updating renders, and
# SDI approximates its noise by inversion.
#
# **This notebook** samples with DDIM, distils latent scenes with SDI, and lays the three variables side by side.
# Look at which of DDIM's two rows the scene resembles, and at the curves below.
#
# ![Figure 4 in 2D](../paper_figures/full/fig04_evolution.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
num_prompts: int = 0  # sampled by DDIM, 1 to 16; the first is shown
num_scenes: int = 0  # of these, distilled as well: at most num_prompts
num_steps: int = 0  # of DDIM and SDI, 2 or more
num_columns: int = 7  # times shown, 2 to 8
plane_seed: int = 10  # of the run in the plane
seed: int = 0  # the first; each prompt has one of its own

# %%
from sdilib.guidance import SDI
from sdilib.inversion import Cached
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import fig04_evolution as experiment
from sdilib.lab.experiments.shared.path import ddim_path, decoded, sdi_with
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "num_scenes": num_scenes, "num_steps": num_steps}
sizes["guidance_scale"] = guidance_scale
page = begin("fig04_evolution", preset, model=model, folder=folder, seed=seed, **sizes)
prompts, seeds = page.items

# %% [markdown]
# DDIM's run gives both variables, $x(t)$ and $x_0(t)$. Beside them stands a latent scene, $g(\psi, c) = \psi$,
# updated by eq. 10 with κ from DDIM inversion, as in 3D. A second scene uses the cached κ, which in 2D makes
# eq. 10 equal to DDIM. Both scenes begin at $x_0(1)$. Before each of its steps the first is decoded and encoded
# again, so that the inversion sees an image; eq. 10 has no such step (figure X1 compares both).

# %%
size = {name: page.config[name] for name in ("num_steps", "guidance_scale")}
few = slice(page.config["num_scenes"])
path = ddim_path(page.model, prompts, seeds, **size)
some = page.model, prompts[few], seeds[few]
scene = experiment.distilled(*some, rule=lambda m, _: SDI(m, page.gamma), **size)
cached = experiment.distilled(*some, rule=sdi_with(Cached, page.gamma), **size)
latents = {"x(t)": path.x_t, "scene": scene, "x0(t)": path.x0}
images = {name: decoded(page.model, each) for name, each in latents.items()}

# %% [markdown]
# Panel e shows the same in the plane, where the denoiser is exact: each step of DDIM moves $\bar x(t)$ towards
# $x_0(t)$; in the other variable that is a step from $x_0(t)$ to $x_0(t-\tau)$.
#
# Three numbers are drawn over t: the fine detail of the decoded image, its distance from the image at the end of
# the run, and the change of the latents from step to step.

# %%
numbers = experiment.measures(latents, images, cached)
run = experiment.plane_path(plane_seed)
figure = experiment.draw(images, path.times, numbers, run, num_columns=num_columns)
figure

# %%
page.save(figure, {"times": path.times, **numbers}, verdicts(experiment.CLAIMS, numbers))

# %% [markdown]
# **What differs from the paper.** $x_0(t)$ and the scene both go from blurry to sharp, and the cached κ gives
# exactly DDIM. But with the inverted κ the scene goes to an end of its own, and over t it approaches that end
# more as $x(t)$ does than as $x_0(t)$ does. Its background gathers colour that DDIM's does not have (figure 10
# shows other γ of the inversion), which may be part of its fine detail.
#
# ## Try
#
# - `rule=sdi_with(RandomNoise, page.gamma)` for the scene, from `sdilib.inversion`: a random κ at every step.
# - `plane_seed=82`, `plane_seed=29`: other runs in the plane.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
