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
# # 6. VSD: variational score distillation
#
# ProlificDreamer offers another remedy for SDS. It subtracts not the noise but a prediction of it, by a second
# network $\phi$ that learns during the run what the *scene's* renders look like:
#
# $$\nabla_{x_0} = w(t)\,[\epsilon(x(t), t) - \epsilon_\phi(x(t), t)], \qquad
# \mathcal{L}_\phi = \mathrm{mean}\,(\epsilon_\phi(x(t), t) - \mathrm{noise})^2.$$
#
# So the two take turns: the scene follows the gradient, and $\phi$ its loss. The model's prediction is guided by
# $\gamma$; that of $\phi$ is not ($\gamma = 1$). Again $w(t) = \sigma(t)$.

# %%
from sdilib.lab.exercises import alpha, check, sigma


# %%
def vsd(x0, t, noise, eps, phi, gamma):
    """Return the gradient in x0, and the loss of φ.

    `eps(x_t, t, gamma)` is the model, `phi(x_t, t, gamma)` is φ, each guided by the γ it is given.
    """
    x_t = ...
    gradient = ...
    loss = ...
    return gradient, loss


# %%
check(vsd)

# %% [markdown]
# For a single image a perfect $\phi$ knows the noise itself, which makes it SDS again. `help("sdilib.guidance")`
# lists more rules, and [your own](../your_own_rule.ipynb) takes a dozen lines.
