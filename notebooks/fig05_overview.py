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
# # Figure 5: one step of SDI
#
# **The paper's claim.** A step of SDI renders the scene, inverts the render by DDIM up to noise level t, denoises
# it at t - τ with the frozen model, and sends the denoised image back into the scene. The noise κ found by inversion
# depends on the render, whereas SDS draws a random one at every step.
#
# **This notebook** draws the paper's diagram of the method with the pictures of a real step in its boxes. The
# scene is a latent image in the middle of its run, $g(\psi, c) = \psi$; in 3D a camera would be drawn at each
# step. Compare the two denoised images at the right with the render: SDI's above, SDS's (dashed) below.
#
# ![Figure 5 in 2D](../paper_figures/full/fig05_overview.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
guidance_scale: float = 0.0  # γ that the model is sampled with
num_prompts: int = 0  # measured, 1 to 16; the first is drawn
num_steps: int = 0  # of the run, 2 or more
t: float = 0.8  # of the step, in (0, 1)
seed: int = 0  # the first; each prompt has one of its own

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import fig05_overview as experiment
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_prompts": num_prompts, "num_steps": num_steps}
sizes["guidance_scale"] = guidance_scale
page = begin("fig05_overview", preset, model=model, folder=folder, seed=seed, **sizes)

# %% [markdown]
# Eq. 10 with the cached κ, which is DDIM, brings each scene to t. From there SDI, with κ from inversion at
# $\gamma_\mathrm{inv} = -\gamma$, and SDS, with a random κ, each take one step. The residual written below $x(t)$
# is that of eq. 8; it is 0 where κ is the noise that the model finds.

# %%
size = {name: page.config[name] for name in ("num_steps", "guidance_scale")}
made = experiment.one_step(page.model, *page.items, t=t, **size)
figure = experiment.draw(experiment.images(page.model, made), made, page.prompts[0])
figure

# %%
numbers = experiment.measures(made)
drawn = {"prompt": page.prompts[0], "t": made.t, "ladder_times": made.ladder_times}
page.save(figure, drawn | numbers, verdicts(experiment.CLAIMS, numbers, groups=page.items[0]))

# %% [markdown]
# **What differs from the paper.** Neither claim was shown at this step, although on the prompt shown SDI's target
# looks cleaner. Here τ = 0: the image is inverted up to the t at which it is denoised. Over a whole path an
# inversion at -γ solves eq. 8 a little better than a random κ (figure 9). The paper shows the step on a 3D render;
# here it is taken on an image of the bundled model. In 2D DDIM knows the exact κ, so the distance to its own next
# x0(t) can be measured, too.
#
# ## Try
#
# - `t=0.95`, `t=0.4`: the step early and late in the run.
# - `one_step(..., inversion=DDIMInversion(guidance_scale=0.0))`, from `sdilib.inversion`: another κ in the green box.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
