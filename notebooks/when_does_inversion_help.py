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
# **The question.** SDI finds by inversion the noise that SDS draws. Is that the better noise for *any* model, or
# for networks such as Stable Diffusion only? Here the models are exact and the truth is known, so that each
# difference between two numbers has one cause.

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
# 3D distillation in one dimension: a texture on a circle is the object, windows that overlap are its views. A texture
# is a wave, whose number of cycles is its class, with a finer one on it. The prompt names the class and leaves both
# phases open, as a prompt leaves open how an object is turned and where its spots are. The denoiser of a window is
# the exact one of all textures, guided at γ = 7.5 toward the class; a rule asks it as it would ask a network.
#
# The models: *perfect*, with data that deviate little from the textures; *sharper* and *broader* data; *with an
# error*, a fixed and rough function of x(t) added to the prediction; and *classes alike*, where the classes' cycles
# are so near to each other that one view does not tell them apart and guidance has to.
#
# The methods: every rule of the library as it is; SDS with random t and small steps, as practised, and with as many
# sample-forwards as SDI; SDI with $H(t) = 0.3$, the little noise that eq. 11 adds to κ, and with other inversions. If
# nothing else is said, t falls linearly, $w = \sigma(t)$, and a step is whole: each point becomes the mean of its
# views' targets.

# %%
size = {"num_rings": page.config["num_rings"], "num_steps": page.config["num_steps"]}
numbers, runs = experiment.measured(seed=seed, **size)
sweeps = experiment.swept(seed=seed, **size)

# %% [markdown]
# *Distance* is to the nearest texture, of any class (what is nearer than 0.001 is drawn there). *Amplitude* and
# *fine* are shares of the true amplitudes of both waves. *Coherence* is the share of windows that see the same
# texture as most. A tick is a ring, a dot the mean.

# %%
figure = experiment.draw(numbers, runs, sweeps)
figure

# %%
derived = experiment.derived(numbers, sweeps)
claims = verdicts(experiment.CLAIMS, numbers | derived)
page.save(figure, numbers | sweeps | derived, claims)

# %% [markdown]
# **What it says.** *Annealing t* is most of it: a random κ, drawn again as t falls, comes near to a texture wherever a view
# tells the classes apart, while SDS with a random t keeps an average that is too large and lacks the fine wave.
#
# *Inversion alone* is the worse noise for a perfect model, and for one reason: nothing in it draws. A render that is
# symmetrical about an open phase stays so, and the fine wave, whose phases are equally likely, never begins. What breaks
# the tie cures it: the $H(t)$ of eq. 11, with which SDI ends nearer to a texture than a random κ even at equal cost,
# since it leaves no grain behind; or an error of the prediction's own. No network is perfect, so each brings
# some of that cure with it. (With sharper data one ring that chose no fine phase hides the difference.)
#
# *Where one view does not tell the classes apart*, guidance at γ = 7.5 carries a random κ away from all textures by whole
# steps, which only many more of them undo. Inversion at a negative γ finds the noise that takes back what guidance
# put in, and with $H(t)$ it does so at every γ. At γ = 1, where there is nothing to take back, SDI without it was not
# shown to differ from a random κ.
#
# *Small steps* do a random κ no harm: they average over what it draws. SDI without $H(t)$ stays where no phase is chosen.
#
# Of the other rules PFD, whose steps back draw nothing either but are many, does as well as SDI with $H(t)$. What the ring
# does not have is a network that is at home only near the noise it was trained on: κ grows as data sharpen, and an exact
# model does not mind (figure A17 shows one that may).
#
# ## Try
#
# - `num_rings=32`: how many of the textures does each rule reach?
# - `sdilib score my_rule.py`: your own rule's row.
