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
# **The paper's claim.** Gradient descent stays close to the random noise that it begins with;
# fixed-point iteration drifts the wrong way; DDIM inversion gives patterns around the object, and
# those at $\gamma_\mathrm{inv} = -7.5$ go with the image best: denoising it in one step keeps it.
#
# ![Figure 17 in 2D](../paper_figures/full/figa17_noise_patterns.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
path_steps: int = 0  # of the path by DDIM, 2 or more
times: list = [0.9, 0.7, 0.5, 0.3, 0.1]  # t of the rows, in (0, 1]
prompt: str = ""  # "" is the model's first example
seed: int = 0  # of the path's start; what κ draws comes from another stream of it

# %%
import time

from sdilib.lab import presets
from sdilib.lab.claims import table
from sdilib.lab.notebooks.records import figure_folder, save_figure
from sdilib.lab.plotting.patterns import patterns
from sdilib.lab.studies import residuals as study
from sdilib.stable_diffusion import StableDiffusion

# %%
config = presets.resolve("figA17_noise_patterns", preset, model=model, path_steps=path_steps)
diffusion = StableDiffusion.from_pretrained(config["model"])
shown = prompt or presets.example_prompts(diffusion.draws_world)[0]
denoise = diffusion.guided(diffusion.embed([shown]), 7.5)

# %% [markdown]
# κ of each choice at DDIM's own x0(t), and below it the image that one denoising step makes of x0(t)
# noised with it, eq. 5. With the right κ, that of *cached*, it is x0(t) itself. A pattern shows the
# first three latent channels as colours, standardised; the number in its corner is its root mean
# square before that, 1 for the noise of training.

# %%
began = time.perf_counter()
steps = config["path_steps"]
start = study.start(diffusion, [seed])
path = study.ddim_path(denoise, start, [seed], num_steps=steps, num_times=steps).at(times)
found = {name: study.noises(path, denoise, make) for name, make in study.PATTERNS.items()}
denoised = {name: study.denoised(path, denoise, each.kappa) for name, each in found.items()}
images = {name: study.decoded(diffusion, latents)[0] for name, latents in denoised.items()}
seconds = time.perf_counter() - began

# %%
kappas = {name: each.kappa[0] for name, each in found.items()}
deviations = {name: study.deviation(each.kappa)[0] for name, each in found.items()}
figure = patterns(kappas, images, path.times, deviations)
figure

# %%
claims = [study.cached_claim(path, denoised["cached"])]
table(claims)

# %%
numbers = {"prompt": shown, "times": path.times, "deviations": deviations}
record = {"numbers": numbers, "claims": claims, "config": config, "seed": seed}
origin = {"notebook_source": "figA17_noise_patterns.py", "model_hash": diffusion.hash}
to = figure_folder(preset, folder)
save_figure(figure, "figa17_noise_patterns", to, **record, **origin, seconds=seconds)

# %% [markdown]
# **What differs from the paper.** At high t the pattern of the inverted κ is the object's shape, as
# there, but it is also too large: at t = 0.9 its deviation is 2.6 where noise has 1, for every
# $\gamma_\mathrm{inv}$. (The render is nearly an average then, from which a model this small infers little.) From
# t = 0.5 on it is near 1, and from 0.3 on fainter on the object than around it: figure 6 measures that.
# Fixed-point iteration is as far off (2.3), and stays so longest; gradient descent is so in the middle (1.6 at t = 0.7).
#
# One prompt decides nothing about what the patterns look like: it is for the eye. Figure 9 measures.
#
# ## Try
#
# - `prompt="a teal checkered mug"`, `seed=1`: where do the patterns lie?
# - `times=[1.0, 0.95, 0.9, 0.85]`: the first steps, where there is hardly an image yet.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
