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
# # 5. SDI: score distillation via inversion
#
# The paper's finding is that DDIM, written in $x_0(t)$, the image denoised in a single step, *is* SDS with
# another noise. It adds the noise $\kappa$ that it found at $t$, goes on to $t - \tau$, and corrects $x_0$ by
# what the model sees there (eq. 10):
#
# $$x_0(t - \tau) = x_0(t) - \sigma(t - \tau)\,\left[\epsilon\!\left(\sqrt{\alpha(t - \tau)}\,x_0(t)
# + \sqrt{1 - \alpha(t - \tau)}\,\kappa,\; t - \tau\right) - \kappa\right].$$
#
# SDS draws $\kappa$ at random. SDI inverts $x_0$ up to $x(t)$ and takes the noise that turns one into the other:
# $\bar x(t) = x_0 + \sigma(t)\,\kappa$.

# %%
from sdilib.lab.exercises import alpha, check, sigma


# %%
def sdi(x0, x_t, t, t_next, eps):
    """Return x0(t - τ), where t - τ is `t_next`.

    `x_t` is x0 inverted up to t; `eps(x, t)` is the network, with its prompt and γ.
    """
    kappa = ...
    x_next = ...  # x0 with this noise, at t_next
    return ...


# %%
check(sdi)

# %% [markdown]
# [SDI in 60 lines](../sdi_in_60_lines.ipynb) makes an image with this step, with κ found at the time that it is used
# at: the step from $t$ to $t - \tau$ is so short that the two may be taken as one. With the last prediction as
# $\kappa$ it is DDIM: see [the first notebook](../00_start_here.ipynb). Next: [VSD](06_vsd.ipynb).
