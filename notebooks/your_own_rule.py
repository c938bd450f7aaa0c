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
# # Your own rule: a dozen lines, beside SDS and SDI
#
# **The paper's claim, turned into a rule.** DDIM and SDS are one update with two noises $\kappa$: the
# last prediction, or a fresh draw. So there is something between them,
# $\kappa = \sqrt{1 - \eta^2}\,\epsilon_\mathrm{last} + \eta\,\epsilon_\mathrm{fresh}$, which is DDIM at
# $\eta = 0$ and SDS's noise at $\eta = 1$. How much fresh noise does an image bear? Below it is
# written as a rule, and laid beside DDIM, SDS and SDI on the same prompts and seeds, its cost counted.
# Put your own in its place.
#
# ![A rule beside SDS and SDI](../paper_figures/full/your_own_rule.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
model: str = ""  # "mini" (bundled), a folder in diffusers' format, or a hub id
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_prompts: int = 0  # 1 to 16
num_seeds: int = 0  # a prompt, 1 or more
num_steps: int = 0  # of DDIM, SDI and the rule, 2 or more
sds_steps: int = 0  # optimiser steps of SDS, 2 or more
seed: int = 0  # the first of each prompt's seeds

# %%
import time
from functools import partial

from sdilib import text_to_image as generate
from sdilib.guidance import SDI, SDS, Update
from sdilib.lab import presets
from sdilib.lab.claims import table
from sdilib.lab.notebooks.records import figure_folder, save_figure
from sdilib.lab.plotting.own_rule import own_rule
from sdilib.lab.studies import own_rule as study
from sdilib.seeds import normal
from sdilib.stable_diffusion import StableDiffusion

# %% [markdown]
# A rule is called with clean latents `x0`, a time `t` an item, the `view` (its prompt's embeddings,
# and the render where there is one) and a `generator` an item, from which all that is random is drawn:
# so a run repeats, and an image does not depend on its batch. It answers an `Update`.
# `Update.from_noises` makes one of
#
# - `kappa`, the noise that is subtracted, and `eps`, the one that the network predicted;
# - `sigma`, σ(t), in a shape that multiplies `x0`: it turns their difference into latents, for the
#   residual and eq. 5's image;
# - `weight`, w(t): the gradient is w(t) (ε − κ). With w = σ a step of size one is eq. 10;
# - `num_forwards`, what it cost: two sample-forwards an item for a guided prediction.


# %%
class MyRule:
    def __init__(self, model, eps, eta):
        self.model, self.eps, self.eta = model, eps, eta

    def __call__(self, x0, t, view, generator):
        kappa = (1 - self.eta**2) ** 0.5 * self.eps + self.eta * normal(x0, generator)
        x_t = self.model.schedule.add_noise(x0, kappa, t)
        self.eps = self.model.guided(view.prompt, 7.5)(x_t, t)
        sigma = self.model.schedule.sigma(t).reshape(-1, 1, 1, 1).to(x0)
        return Update.from_noises(
            x0, kappa=kappa, eps=self.eps, sigma=sigma, weight=sigma, num_forwards=2 * len(x0)
        )


# %% [markdown]
# This rule remembers its last prediction, so a run that is to be resumed must keep it:
# `state_dict` returns what to keep, as tensors by name, and `load_state_dict` puts it back.
# `distill` calls neither. It yields after each step is complete, and whoever saves the scene and
# the optimiser there saves the rule's state with them; a rule without memory needs no such methods.


# %%
class MyResumableRule(MyRule):
    def state_dict(self):
        return {"eps": self.eps}

    def load_state_dict(self, state):
        self.eps = state["eps"]


# %%
sizes = {"num_prompts": num_prompts, "num_seeds": num_seeds, "num_steps": num_steps}
config = presets.resolve("your_own_rule", preset, model=model, sds_steps=sds_steps, **sizes)
diffusion = StableDiffusion.from_pretrained(config["model"])
chosen = presets.example_prompts(diffusion.draws_world)[: config["num_prompts"]]
work = (diffusion, *generate.items(chosen, config["num_seeds"], first_seed=seed))
practice = {"t_schedule": "random", "learning_rate": 0.1, "num_steps": config["sds_steps"]}
distill = partial(generate.distilled_images, *work, num_steps=config["num_steps"])

# %%
began = time.perf_counter()
made = {"DDIM": generate.ddim_images(*work, num_steps=config["num_steps"])}
made["SDS"] = generate.distilled_images(*work, rule=lambda m, _: SDS(m, 7.5), **practice)
made["SDI"] = distill(rule=lambda m, _: SDI(m))
made["my rule"] = distill(rule=lambda m, eps: MyResumableRule(m, eps, eta=0.5))
at_zero = distill(rule=lambda m, eps: MyResumableRule(m, eps, eta=0.0))
seconds = time.perf_counter() - began

# %%
measures = study.rule_measures(made)
rows = {name: run.images[:: config["num_seeds"]] for name, run in made.items()}
figure = own_rule(rows, chosen, measures)
figure

# %%
study.rule_table(made, measures)

# %% [markdown]
# First of all a rule is held to what it must be in a special case. Then the question that decides:
# is its image closer than SDS's to the one that DDIM makes of the same noise? That is no statement of
# the paper, but it is tested as one, and takes eight prompts.

# %%
special = study.special_case("With η = 0 the rule is DDIM", at_zero, made["DDIM"])
claims = [special, study.closer_than_sds(measures, work[1])]
table(claims)

# %%
cost = {name: [run.num_forwards, run.seconds] for name, run in made.items()}
record = {"numbers": {**measures, "cost": cost}, "claims": claims, "config": config, "seed": seed}
origin = {"notebook_source": "your_own_rule.py", "model_hash": diffusion.hash, "seconds": seconds}
save_figure(figure, "your_own_rule", figure_folder(preset, folder), **record, **origin)

# %% [markdown]
# ## Try
#
# - `eta=0.2` and `eta=1.0`, or η falling with the time: `self.eta * t`, reshaped as `sigma` is.
# - Classifier score distillation (2310.19415): draw κ, and subtract the unconditional prediction,
#   `kappa=self.model.guided(view.prompt, 0.0)(x_t, t)`. It costs one sample-forward more.
# - `eps` scaled to unit deviation before it is remembered: `sdilib.inversion.unit_deviation`.
