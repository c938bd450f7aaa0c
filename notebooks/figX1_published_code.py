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
# # Beyond the paper: what the published code computes in place of eq. 10
#
# **The question.** The paper inverts the image to $t + \tau$, $\tau \sim U(0, 1/30)$, and noises
# it to t with the κ found there. The code published with it gives the network the inversion's end
# itself, a noise level of $t + \tau$ with τ up to 0.1, as if that were at t:
#
# $$x(t)' = \sqrt{\alpha(t+\tau)}\,x_0 + \sqrt{1-\alpha(t+\tau)}\,\kappa \quad\text{for}\quad
# x(t) = \sqrt{\alpha(t)}\,x_0 + \sqrt{1-\alpha(t)}\,\kappa .$$
#
# So each step keeps $\sqrt{\alpha(t+\tau)/\alpha(t)} < 1$ of $x_0$ before the network adds its
# part. Is contrast lost by it, and saturation? Or does it tame an inversion that is too strong?
#
# ![The published code's variant](../paper_figures/full/figx1_published_code.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_prompts: int = 0  # 1 to 16
num_seeds: int = 0  # a prompt, 1 or more
num_steps: int = 0  # of DDIM and SDI, 3 or more
seed: int = 0  # the first of each prompt's seeds

# %%
import time
from functools import partial

from sdilib import text_to_image as generate
from sdilib.guidance import SDI
from sdilib.inversion import DDIMInversion
from sdilib.lab import presets
from sdilib.lab.claims import table
from sdilib.lab.notebooks.records import figure_folder, save_figure
from sdilib.lab.plotting.published_code import published_code
from sdilib.lab.studies import published_code as study
from sdilib.schedule import time_grid
from sdilib.stable_diffusion import StableDiffusion

# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
config = presets.resolve("figX1_published_code", preset, model=model, **sizes)
diffusion = StableDiffusion.from_pretrained(config["model"])
chosen = presets.example_prompts(diffusion.draws_world)[: config["num_prompts"]]
prompts, seeds = generate.items(chosen, config["num_seeds"], first_seed=seed)
times = time_grid(config["num_steps"])[1:-1]

# %% [markdown]
# Eq. 10 with and without τ, and the published variant at its own τ and at the paper's. All draw
# the same numbers for τ. DDIM's images of the same noises say how much contrast there should be,
# and their latents what deviation of x(t) the network was trained on:
# $\sqrt{\alpha\,\mathrm{Var}(x_0) + 1-\alpha}$.

# %%
began = time.perf_counter()
size = {"num_steps": config["num_steps"]}
made = {"DDIM": generate.ddim_images(diffusion, prompts, seeds, **size)}
watched = partial(study.watched_images, diffusion, prompts, seeds, **size)
wide, narrow = DDIMInversion(tau_max=0.1), DDIMInversion(tau_max=1 / 30)
traced = {"eq. 10, τ = 0": watched(rule=lambda m, _: SDI(m))}
traced["eq. 10, τ ≤ 0.1"] = watched(rule=lambda m, _: SDI(m, kappa=wide))
traced["published, τ ≤ 0.1"] = watched(rule=lambda m, _: SDI(m, kappa=wide, renoise=False))
traced["published, τ ≤ 1/30"] = watched(rule=lambda m, _: SDI(m, kappa=narrow, renoise=False))
seconds = time.perf_counter() - began

# %%
made |= {name: run for name, (run, _) in traced.items()}
over_t = {"deviations": {name: deviations for name, (_, deviations) in traced.items()}}
over_t["expected"] = study.expected_deviation(made["DDIM"].latents, times, diffusion.schedule)
kept = {"published, τ ≤ 0.1": 0.1, "published, τ ≤ 1/30": 1 / 30}
kept = {name: study.damping(diffusion.schedule, times, tau) for name, tau in kept.items()}
measures = study.published_measures(made)
rows = {name: run.images[:: config["num_seeds"]] for name, run in made.items()}
figure = published_code(rows, chosen, measures, times=times, kept=kept, **over_t)
figure

# %%
latents = made["DDIM"].latents[:16]
claims = [study.published_formula(diffusion, prompts[:16], seeds[:16], latents)]
claims += study.published_claims(measures, over_t["deviations"], over_t["expected"], prompts)
table(claims)

# %%
cost = {name: [run.num_forwards, run.seconds] for name, run in made.items()}
numbers = {**measures, **over_t, "kept": kept, "times": times, "cost": cost}
record = {"numbers": numbers, "claims": claims, "config": config, "seed": seed}
origin = {
    "notebook_source": "figX1_published_code.py",
    "model_hash": diffusion.hash,
    "seconds": seconds,
}
save_figure(figure, "figx1_published_code", figure_folder(preset, folder), **record, **origin)

# %% [markdown]
# **What differs from the paper.** The published step is eq. 10's with another κ, exactly, which keeps as little as
# 0.77 of x0. But neither contrast nor saturation is lost by it, as far as 16 prompts show: in a latent
# image the network puts back at each step what was taken. Nor does it tame the inversion: its x(t)
# deviates more, not less, from what it should. Eq. 10 itself bears τ up to 0.1 without a change of 5 %.
# All of them are dirty, since in 2D inversion from t = 1 is (figure 9).
#
# The published code differs in more than this: it adds noise along the inversion, and its γ is one
# higher where no negative prompt is used. Both are left out here, so that one thing changes.
#
# ## Try
#
# - `DDIMInversion(tau_max=0.1, unit=True)`: is there anything left to tame?
# - `DDIMInversion(tau_max=0.1, guidance_scale=0.0)`: the same with the empty prompt.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
