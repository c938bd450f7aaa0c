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
# **The paper's claim.** DDIM is usually seen as a process on noisy images $x(t)$. A scene that is
# distilled is never noisy: it goes from a blurry cloud to a sharp object. So does $x_0(t)$, the
# image that one step of denoising makes of $x(t)$ (eq. 5). Rewritten in that variable (eqs. 6, 10),
# DDIM becomes a rule for updating renders, which is what SDI is.
#
# ![Figure 4 in 2D](../paper_figures/full/fig04_evolution.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_prompts: int = 0  # sampled by DDIM, 1 to 16; the first is shown
num_scenes: int = 0  # of these, distilled as well: at most num_prompts
num_steps: int = 0  # of DDIM and SDI, 2 or more
num_columns: int = 7  # times shown, 2 to 8
plane_seed: int = 10  # of the run in the plane
seed: int = 0  # of every prompt's noise

# %%
import time

from sdilib.guidance import SDI
from sdilib.inversion import Cached
from sdilib.lab import presets
from sdilib.lab.claims import table
from sdilib.lab.notebooks.records import figure_folder, save_figure
from sdilib.lab.plotting.evolution import evolution
from sdilib.lab.studies import evolution as study
from sdilib.lab.studies.residuals import decoded
from sdilib.stable_diffusion import StableDiffusion

# %%
sizes = {"num_prompts": num_prompts, "num_scenes": num_scenes, "num_steps": num_steps}
config = presets.resolve("fig04_evolution", preset, model=model, **sizes)
diffusion = StableDiffusion.from_pretrained(config["model"])
prompts = presets.example_prompts(diffusion.draws_world)[: config["num_prompts"]]
distilled = prompts[: config["num_scenes"]]
seeds, steps = [seed] * len(prompts), config["num_steps"]

# %% [markdown]
# DDIM's run gives both variables, $x(t)$ and $x_0(t)$. Beside them a latent scene,
# $g(\psi, c) = \psi$, that eq. 10 moves: by κ from DDIM inversion, as in 3D, and by the cached κ,
# which in 2D makes it DDIM itself. Both begin at $x_0(1)$.

# %%
began = time.perf_counter()
run = study.sampled(diffusion, prompts, seeds, num_steps=steps)
at = {"seeds": seeds[: len(distilled)], "num_steps": steps}
scene = study.distilled(diffusion, distilled, rule=lambda m, _: SDI(m), **at)
cached = study.distilled(diffusion, distilled, rule=lambda m, eps: SDI(m, kappa=Cached(eps)), **at)
latents = {"x(t)": run.x_t, "scene": scene, "x0(t)": run.x0}
images = {name: decoded(diffusion, each) for name, each in latents.items()}
seconds = time.perf_counter() - began

# %% [markdown]
# The same in the plane, where the denoiser is exact: each step of DDIM goes from $\bar x(t)$ towards
# $x_0(t)$, and in the other variable that is a step from $x_0(t)$ to $x_0(t-\tau)$.

# %%
mixture = study.three_blobs()
plane = study.plane_trajectory(mixture, seed=plane_seed).since(0.7)

# %% [markdown]
# Three numbers over t: fine detail of the decoded image; its distance from the image that the run
# ends with; and the change of the latents from step to step.

# %%
detail = {name: study.fine_detail(each) for name, each in images.items()}
ends = {name: each[:, -1] for name, each in images.items()} | {"x(t)": images["x0(t)"][:, -1]}
distance = {name: study.distance_to_end(each, ends[name]) for name, each in images.items()}
change = {name: study.change_per_step(each) for name, each in latents.items()}
curves = {"fine detail": (run.times, detail), "distance to the end": (run.times, distance)}
curves["change per step"] = (run.times[1:], change)

# %%
shown = study.pick(run.times, num_columns)
rows = {name: each[0, shown] for name, each in images.items()}
columns = [run.times[k] for k in shown]
figure = evolution(rows, columns, curves, plane, study.density(mixture))
figure

# %%
claims = study.evolution_claims(run, cached, detail, distance, prompts)
table(claims)

# %%
numbers = {"times": run.times, "fine detail": detail, "distance": distance, "change": change}
record = {"numbers": numbers, "claims": claims, "config": config, "seed": seed}
origin = {"notebook_source": "fig04_evolution.py", "model_hash": diffusion.hash}
to = figure_folder(preset, folder)
save_figure(figure, "fig04_evolution", to, **record, **origin, seconds=seconds)

# %% [markdown]
# **What differs from the paper.** Both go from blurry to sharp, and the cached κ gives DDIM itself. With
# the inverted κ the scene lags: over t it nears its own end more as $x(t)$ does than as $x_0(t)$ does.
#
# ## Try
#
# - `rule=lambda m, _: SDS(m, 7.5)` for the scene: a random κ at every step.
# - `plane_seed=82`, `plane_seed=29`: other runs in the plane.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
