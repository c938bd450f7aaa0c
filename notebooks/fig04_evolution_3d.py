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
# # Figure 4 in 3D: a NeRF over the times of its run
#
# **The paper's claim.** A render under score distillation goes from a blurry cloud to a sharp object, as
# $x_0(t)$ does in DDIM, not from noise to an image, as $x(t)$ does.
#
# ![Figure 4 in 3D](../paper_figures/full/fig04_evolution_3d.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
root: str = ""  # folder of all 3D runs; "" is runs/ of the repository
quality: str = ""  # preset of each run's own settings
num_prompts: int = 0  # 1 to 16; the first four are shown
seed: int = 0  # of every run

# %%
from sdilib.lab import presets
from sdilib.lab.claims import table
from sdilib.lab.notebooks.records import figure_folder, save_figure
from sdilib.lab.plotting.objects import turns
from sdilib.lab.studies import comparisons as study
from sdilib.lab.studies.comparison import compared
from sdilib.stable_diffusion import StableDiffusion

# %%
sizes = {"num_prompts": num_prompts, "quality": quality}
config = presets.resolve("fig04_evolution_3d", preset, model=model, **sizes)
settings = presets.resolve("run3d", config["quality"], model=config["model"])
diffusion = StableDiffusion.from_pretrained(config["model"])
prompts = presets.example_prompts(diffusion.draws_world)[: config["num_prompts"]]

# %% [markdown]
# One view of each NeRF as its run by SDI goes on: the runs of figure 1.

# %%
options = {"model": diffusion, "evaluator": None, "seed": seed, "root": root}
made = compared({study.SDI: {}}, prompts, settings, **options)
frames = [run.frames for run in made.runs[study.SDI]]
times = list(max(frames, key=len))  # of a run that did not diverge

# %%
rows = study.filmed(frames, prompts)
figure = turns(dict(list(rows.items())[:4]), [f"t = {t:.2f}" for t in times])
figure

# %%
measures = study.film_measures(rows)
claims = study.film_claims(measures, list(rows))
table(claims)

# %%
numbers = {"times": times, **measures}
record = {"numbers": numbers, "claims": claims, "config": config | {"run": settings}, "seed": seed}
origin = {"notebook_source": "fig04_evolution_3d.py", "model_hash": diffusion.hash}
to = figure_folder(preset, folder)
save_figure(figure, "fig04_evolution_3d", to, **record, **origin, seconds=made.seconds)

# %% [markdown]
# **What differs from the paper.** The run begins as the soft blob that the NeRF is initialised with, not
# as $x_0(1)$. From there it goes as the paper says: the shape is there by t = 0.8, colours settle until
# about 0.5, and details come last.
#
# ## Try
#
# - `{"SDS": {"rule": "sds", "t_schedule": "random"}}` in `compared`: a run whose t does not fall.
# - `model="<folder or hub id>"`, `preset="gpu"`: the same on Stable Diffusion.
