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
# **The paper's claim.** One render, noised to several t and denoised in one step, by SDS and by
# SDI. A random noise covers the whole view and every draw asks for another image. Noise found by
# inversion lies on the object; its single-step images agree with each other and show intricate
# features already at large t.
#
# ![Figure 6 in 2D](../paper_figures/full/fig06_intermediates.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_prompts: int = 0  # 1 to 16; the first is shown
num_seeds: int = 0  # a prompt, 1 or more
num_steps: int = 0  # of DDIM, which makes the renders, 2 or more
scene_t: float = 0.5  # whose x0(t) is the render: 1 is blurry, 0 finished
seed: int = 0  # the first of each prompt's seeds

# %%
import time

from sdilib import text_to_image as generate
from sdilib.lab import presets
from sdilib.lab.claims import table
from sdilib.lab.notebooks.records import figure_folder, save_figure
from sdilib.lab.plotting.intermediates import intermediate_rows
from sdilib.lab.studies import intermediates as study
from sdilib.lab.studies.residuals import decoded
from sdilib.stable_diffusion import StableDiffusion

# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
config = presets.resolve("fig06_intermediates", preset, model=model, **sizes)
diffusion = StableDiffusion.from_pretrained(config["model"])
chosen = presets.example_prompts(diffusion.draws_world)[: config["num_prompts"]]
prompts, seeds = generate.items(chosen, config["num_seeds"], first_seed=seed)
times = [k / 10 for k in range(1, 10)]

# %% [markdown]
# In 2D a render is an image in the middle of its way: DDIM's $x_0(t)$ at `scene_t`. It is noised to
# every t (eq. 7), by a random κ and by that of DDIM inversion, and denoised by eq. 5 at γ = 7.5.

# %%
began = time.perf_counter()
options = {"times": times, "scene_t": scene_t, "num_steps": config["num_steps"]}
run = study.intermediates(diffusion, prompts, seeds, **options)
render = decoded(diffusion, run.x0[:, None])[:, 0]
denoised = {rule: decoded(diffusion, each) for rule, each in run.denoised.items()}
seconds = time.perf_counter() - began

# %% [markdown]
# Three numbers over t: fine detail of the denoised image; how alike the updates
# $x_0(t) - x_0$ of neighbouring t are; mean square of κ on the object over that on the background.

# %%
measures = study.intermediate_measures(run, render, denoised)
curves = {
    study.DETAIL: (times, measures[study.DETAIL]),
    study.COSINE: (times[1:], measures[study.COSINE]),
    study.PLACE: (times, measures[study.PLACE]),
}

# %%
noised = {rule: decoded(diffusion, each[:1])[0] for rule, each in run.x_t.items()}
firsts = {rule: each[0] for rule, each in denoised.items()}
shown = [k for k, t in enumerate(times) if t in (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)]
rows = study.pictured(render[0], noised, firsts, shown)
figure = intermediate_rows(rows, [0.0, *(times[k] for k in shown)], curves)
figure

# %%
claims = study.intermediate_claims(measures, times, prompts)
table(claims)

# %%
numbers = {"times": times, **measures, "forwards": run.num_forwards}
record = {"numbers": numbers, "claims": claims, "config": config, "seed": seed}
origin = {"notebook_source": "fig06_intermediates.py", "model_hash": diffusion.hash}
to = figure_folder(preset, folder)
save_figure(figure, "fig06_intermediates", to, **record, **origin, seconds=seconds)

# %% [markdown]
# **What differs from the paper.** Its two main points hold here: with inverted noise the updates of
# neighbouring t agree, and $x_0(t)$ is sharp already at large t, where SDS sees a blur of another
# shape each time. But the inverted noise does *not* gather on the object: from small t on it lies
# more on the background, which a plain render gives the model least reason to keep.
#
# ## Try
#
# - `scene_t=1.0`: the first, blurry image; `scene_t=0.0`: the finished one.
# - `kappa=DDIMInversion(guidance_scale=0.0)` or `FixedPoint()` in `study.intermediates`.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
