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
# # How much of an update is random?
#
# **The question.** SDS draws new noise for each update, and many rules claim to remove its variance: by inversion, by
# a control variate, or by subtracting a prediction in place of the noise. How much of each rule's update is random,
# and is its mean still that of SDS?
#
# **This notebook** measures both on a model that is exact, so that a rule's own draws are all that varies.
#
# ![Random shares and means](../paper_figures/full/rule_variance.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_points: int = 0  # renders, 1 or more
num_runs: int = 0  # of each rule at each render, 1 or more
num_updates: int = 0  # of each run, 2 or more
seed: int = 0  # of everything random

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import rule_variance as experiment
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_points": num_points, "num_runs": num_runs, "num_updates": num_updates}
page = begin("rule_variance", preset, folder=folder, seed=seed, **sizes)

# %% [markdown]
# The data are six Gaussians on a circle, of which the prompt allows two neighbours. The renders are those that DDIM
# passes through, $x_0(t)$. At each of them, and at one t, every rule is asked for many updates, all at γ = 7.5 and
# $w = \sigma(t)$. Each run of a rule has its own state: SteinDreamer's coefficients, fitted to earlier updates;
# VSD's adapter, which has only begun to learn; CFD's noise.
#
# *Random share* is the variance of a run's updates over their mean square: 0 if all are equal, 1 if they are nothing
# but noise. *Distance of means* is how far the mean of a run's updates is from SDS's, over the length of the
# latter. Many small steps average the variance away, but not this distance.

# %%
size = {key: page.config[key] for key in sizes}
numbers = experiment.measured(experiment.blobs(), seed=seed, **size)
figure = experiment.draw(numbers)
figure

# %% [markdown]
# Each tick is one render, a dot the mean. Green: the rules that invert.

# %%
page.save(figure, numbers, verdicts(experiment.CLAIMS, numbers))

# %% [markdown]
# **What it says.** About half of an SDS update is random, and at low t most of it. *Inversion* removes all of
# that and changes the mean: SDI is another update, not SDS with less noise. *SteinDreamer* is what its authors
# say: less variance, nearly the same mean. *CSD*, and NFSD, which is the same without a negative prompt, have a
# small random share at high t, where their mean is several times as long as SDS's, and a larger one than SDS at
# low t, where their mean is the shorter; their variances differ far less. *CFD* draws its noise once: what is
# variance for SDS is a distance that stays for CFD. That the two are equal within the claim's margin was not
# shown: they vary much from render to render.
#
# Rules with equal numbers are equal here: SJC and HiFA with one step are SDS at the same w, and so is SDS-Bridge in
# its first half; MV-SDI is SDI, without a camera, ESD is VSD.
#
# The plane has two dimensions. Random shares in an image's thousands of dimensions will be others.
#
# ## Try
#
# - `seed=1`: other renders.
# - `num_updates=96`: the small distances of rules with SDS's mean come nearer to 0.
