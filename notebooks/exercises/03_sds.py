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
# # 3. SDS: score distillation sampling
#
# A render $x_0$ should look as the prompt says. Add noise to it, ask the model which noise it sees, and compare
# (eq. 4): the difference between the prediction and the noise that was added is what the model would change.
#
# $$x(t) = \sqrt{\alpha(t)}\,x_0 + \sqrt{1 - \alpha(t)}\,\mathrm{noise}, \qquad
# \nabla_{x_0} = w(t)\,[\epsilon(x(t), t) - \mathrm{noise}].$$
#
# The weight here is $w(t) = \sigma(t)$, as in the paper. Much code uses $1 - \alpha(t)$ instead.

# %%
from sdilib.lab.exercises import alpha, check, sigma


# %%
def sds(x0, t, noise, eps):
    """Return the gradient in x0.

    `eps(x_t, t)` is the network, with its prompt and γ; `alpha(t)` and `sigma(t)` are there.
    """
    x_t = ...
    weight = ...
    return ...


# %%
check(sds)

# %% [markdown]
# No gradient of the network appears: only the scene is differentiated, by the chain rule, with this as the
# gradient of its render. Next: [the noise that need not be random](04_ddim_inversion.ipynb).
