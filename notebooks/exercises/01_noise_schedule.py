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
# # 1. The noise schedule
#
# A diffusion model learns from noisy images, from hardly any noise to nothing but noise. Of the variance of the
# image, step $k$ keeps the share $1 - \beta_k$ and replaces the rest with noise. After steps $0$ to $k$ that
# gives
#
# $$x(t) = \sqrt{\alpha}\,x_0 + \sqrt{1 - \alpha}\,\epsilon, \qquad \alpha = \prod_{i=0}^{k} (1 - \beta_i).$$
#
# Divided by $\sqrt{\alpha}$, this is the image itself plus noise:
# $\bar x(t) = x(t) / \sqrt{\alpha} = x_0 + \sigma\,\epsilon$. What is that $\sigma$?
#
# Fill in the blanks, `...`, then run all cells.

# %%
from sdilib.lab.exercises import check


# %%
def add_noise(x0, noise, betas, k):
    """Return x(t) and σ after the steps 0 to k, of which `betas` has one number each."""
    alpha = ...
    x_t = ...
    sigma = ...
    return x_t, sigma


# %%
check(add_noise)

# %% [markdown]
# The paper measures time as $t = (k + 1) / 1000$, from the image at $t = 0$ to noise at $t = 1$, and writes
# $\alpha(t)$ and $\sigma(t)$. In the next exercises they are functions. Next:
# [guidance](02_classifier_free_guidance.ipynb).
