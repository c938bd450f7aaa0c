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
# # Figure 19: why an inverted κ keeps a render in distribution
#
# **The paper's claim.** A denoiser knows images that were noised to t. A render is not one of its data's images:
# it is blurry while t is high, and with an independent noise it becomes a noisy image that the model has never
# seen. A noise obtained from the render itself, by inversion, takes it to where the model's noisy images are.
#
# **This notebook** computes in the plane, exactly, what the paper draws as a sketch, and adds a noise between the
# two: the inverted one with the $H(t)$ of eq. 11. Look at whether the noised renders lie where the model's noisy
# data are dense.
#
# ![Figure 19](../paper_figures/full/figa19_in_distribution.png)

# %% tags=["parameters"]
preset: str = "laptop"  # smoke, laptop, full or gpu: sets what is left at 0 or ""
folder: str = ""  # where the figure goes; "" is paper_figures/<preset>
num_points: int = 0  # renders, 1 or more
num_steps: int = 0  # of DDIM, 4 or more
t: float = 0.4  # that panels a to d are drawn at, in [0, 1]
lag: float = 0.8  # time at which the renders of panel f stay, in [0.5, 1]
seed: int = 0  # of everything random

# %%
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import figa19_in_distribution as experiment
from sdilib.lab.notebooks.page import begin

# %%
sizes = {"num_points": num_points, "num_steps": num_steps}
page = begin("figA19_in_distribution", preset, folder=folder, seed=seed, **sizes)

# %% [markdown]
# The data are three Gaussians, so the denoiser and the density $p_t$ of its noisy data have closed forms. The
# renders are DDIM's $x_0(t)$, which begin near the middle of all data and end in one of the Gaussians. Each is
# noised to the time of the next step, as in eqs. 9 and 10, with four κ: the noise that DDIM itself predicted,
# which is not available in 3D; the inverted one, alone and with $H(t) = 0.3$; and a random one.
#
# The *bulk* of $p_t$ is the smallest region that holds 95 % of the noisy data; a sample of them lies outside with
# probability 0.05 (e). *Spread* is the mean squared distance from the middle, relative to that of the noisy data;
# it is 1 for a sample of them (g). In panel f the renders stay put while t keeps falling, so they are blurrier
# than t says, as happens where SDS draws t at random. Panel h shows how far the denoised image lies from the
# render: the length of a step of eq. 10.

# %%
mixture, size = experiment.blobs(), {key: page.config[key] for key in sizes}
pace = experiment.noised(mixture, seed=seed, **size)
late = experiment.noised(mixture, lag=lag, seed=seed, **size)
figure = experiment.draw(mixture, pace, late, t=t)
figure

# %%
numbers = experiment.measures(pace, late)
curves = {"times": pace.times, "late_times": late.times, "curves": experiment.curves(pace, late)}
drawn = {"t": t, "lag": lag}
page.save(figure, numbers | curves | drawn, verdicts(experiment.CLAIMS, numbers))

# %% [markdown]
# **What differs from the paper.** The paper's sketch holds for a render that keeps pace: inverted, a single one
# stays where the noisy data are dense, and its step is shorter. But a *sample* of the noisy data lies outside the
# bulk now and then, and inverted renders hardly ever do: until t is low they crowd in the middle of the plane,
# while DDIM's own noises spread as the data do, and random ones nearly so. Being likely is not the same as being
# typical. $H(t)$ restores a little of that spread. And inversion does not save a render that lags: at low t,
# where there are no noisy data between the Gaussians, it lies outside as often as with a random noise, or more.
#
# The plane has two dimensions; what happens in an image's thousands of dimensions need not show here.
#
# ## Try
#
# - `t=0.1`, `t=0.7`: panels a to d near the end and early.
# - `lag=1.0`: the blurriest render of all.
# - `plane.ring(8)`, from `sdilib.lab.experiments.shared`, in place of `experiment.blobs()`: data that lie closer
#   to each other.
