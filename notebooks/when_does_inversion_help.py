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
# # When does inversion help?
#
# **The question.** SDS draws its noise; SDI finds it by inversion. Is that the better noise for *any* model, or
# only for networks such as Stable Diffusion?
#
# **This notebook** runs every rule on models that are exact, where the truth is known and each model differs from
# the first in one respect. Look at the distance to the nearest texture (lower is better): where does *sdi* beat
# *sds*, and where does it need $H(t)$?
#
# ![Every rule on exact models](../paper_figures/full/when_does_inversion_help.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_rings: int = 0  # of each method on each model, 1 or more
num_steps: int = 0  # of a run of whole steps, 2 or more
seed: int = 0  # the first ring's

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import when_does_inversion_help as experiment
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_rings": num_rings, "num_steps": num_steps}
page = begin("when_does_inversion_help", preset, folder=folder, seed=seed, **sizes)

# %% [markdown]
# ## The ring
#
# This is 3D distillation in one dimension: the object is a texture on a circle, and its views are overlapping
# windows. A texture is a wave, whose number of cycles is its class, with a finer wave on top. The prompt names
# the class and leaves both phases open, as a prompt leaves open how an object is turned and where its spots are.
# The denoiser of a window is the exact one for all textures, guided at γ = 7.5 towards the class; a rule calls it
# as it would call a network.
#
# The models: *perfect*, with data that deviate little from the textures; *sharper* and *broader* data; *with an
# error*, a fixed and rough function of x(t) added to the prediction; and *classes alike*, whose numbers of cycles
# are so close that one view does not tell the classes apart and guidance has to.
#
# The methods: every rule of the library as it is; SDS with random t and small steps, as practised, and with as
# many sample-forwards as SDI; SDI with $H(t) = 0.3$, the little noise that eq. 11 adds to κ, and with other
# inversions. Unless stated otherwise, t falls linearly, $w = \sigma(t)$, and a step is whole: each point becomes
# the mean of its views' targets.

# %%
size = {"num_rings": page.config["num_rings"], "num_steps": page.config["num_steps"]}
numbers, runs = experiment.measured(seed=seed, **size)
sweeps = experiment.swept(seed=seed, **size)

# %% [markdown]
# *Distance* is to the nearest texture of any class (anything below 0.001 is drawn there). *Amplitude* and *fine*
# are the amplitudes of the two waves as shares of the true ones. *Coherence* is the share of windows that see the
# same texture as the majority. Each tick is one ring, a dot the mean.

# %%
figure = experiment.draw(numbers, runs, sweeps)
figure

# %%
derived = experiment.derived(numbers, sweeps)
claims = verdicts(experiment.CLAIMS, numbers | derived)
page.save(figure, numbers | sweeps | derived, claims)

# %% [markdown]
# **What it says.** *Annealing t* does most of the work: a random κ, redrawn as t falls, comes near to a texture
# wherever a view tells the classes apart, with small steps as well, while SDS with a random t keeps an average
# that is too large and lacks the fine wave.
#
# *Inversion alone* is the worse noise for a perfect model, most likely because nothing in it is random: a render
# that is symmetrical about an open phase stays so, and the fine wave, whose phases are equally likely, hardly
# begins. Whatever breaks the tie should help, and the $H(t)$ of eq. 11 does. With it SDI ends nearer to a texture
# than a random κ on every model at equal steps, and at equal cost on all but two: with sharper data a single ring
# that ends far from every texture hides the difference, with classes alike several do. An error in the prediction
# helps SDI without $H(t)$, too; whether a network's own errors do is not known.
#
# *Where one view does not tell the classes apart*, guidance at γ = 7.5 with whole steps carries a random κ away
# from all textures, which only many more steps undo. SDI, whose inversion has a negative γ, ends nearer. Now and
# then it, too, ends far from every texture, with $H(t)$ or without. Which ring does so depends on the last digits
# of the arithmetic; that $H(t)$ helps there was *not shown*. At γ = 1 a random κ ends nearer than SDI without
# $H(t)$.
#
# *Small steps* do a random κ no harm. SDI without $H(t)$ stays far from every texture at each size of step.
#
# Of the other rules, PFD ends nearer than SDI with $H(t)$ where the classes are alike, and no difference between
# them was shown elsewhere; nothing in it is random either, but it denoises in many steps. The ring lacks one
# thing: a network that is reliable only near the noise it was trained on. κ grows as data sharpen, and an exact
# model does not mind (figure A17 shows one that may).
#
# ## Try
#
# - `num_rings=32`: how many of the textures does each rule reach?
# - `sdilib score my_rule.py`: your own rule's row.
