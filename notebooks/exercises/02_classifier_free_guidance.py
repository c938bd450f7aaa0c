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
# # 2. Classifier-free guidance
#
# The network predicts the noise in $x(t)$ twice, with the prompt $y$ and with the empty prompt $\varnothing$. The
# difference points to what the prompt asks for. Guidance follows it by the scale $\gamma$ (eq. 3): at
# $\gamma = 0$ the prediction is the unconditional one, at $\gamma = 1$ the conditional one, and above that it
# overshoots:
#
# $$\epsilon = \epsilon_\varnothing + \gamma\,(\epsilon_y - \epsilon_\varnothing).$$
#
# (Some papers write $(1 + w)\,\epsilon_y - w\,\epsilon_\varnothing$. Which $w$ is $\gamma = 7.5$?)

# %%
from sdilib.lab.exercises import check


# %%
def guide(e_y, e_empty, gamma):
    """Return ε at the scale `gamma`, from the predictions for the prompt and for the empty one."""
    return ...


# %%
check(guide)

# %% [markdown]
# [Explore](../explore.ipynb) has γ as a field: make an image at 0, 1, 7.5 and 30. Next: [SDS](03_sds.ipynb).
