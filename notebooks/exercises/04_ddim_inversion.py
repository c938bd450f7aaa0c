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
# # 4. DDIM inversion
#
# DDIM turns noise into an image by small steps in $\bar x = x / \sqrt{\alpha}$ along the predicted noise (eqs. 1
# and 2). The same steps upwards, from the image at $t = 0$, end in the noise from which DDIM would have made the
# image. From $s$ to $s' > s$, with the prediction taken where the step begins:
#
# $$\bar x(s') = \bar x(s) + [\sigma(s') - \sigma(s)]\;\epsilon(x(s), s), \qquad x(s) = \sqrt{\alpha(s)}\,\bar x(s).$$

# %%
from itertools import pairwise

from sdilib.lab.exercises import alpha, check, sigma


# %%
def invert(x0, times, eps):
    """Return x(t) at the last of the `times`, which rise from 0, where x̄ is x0.

    `eps(x, s)` is the network, with its prompt and γ.
    """
    x_bar = x0
    for s, after in pairwise(times):
        x = ...  # what the network is asked about, at the time s
        x_bar = ...  # the step from s to after
    return ...


# %%
check(invert)

# %% [markdown]
# What all steps together have added, $(\bar x(t) - x_0) / \sigma(t)$, is a noise that belongs to *this* image:
# the $\kappa$ of the next exercise, [SDI](05_sdi.ipynb).
