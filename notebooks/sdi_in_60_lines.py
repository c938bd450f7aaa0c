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
# # SDI in 60 lines
#
# **This notebook is the whole method and nothing else**: torch, a pipeline of diffusers, a few functions and a
# loop. It runs no line of this library; a test checks that its numbers are the library's. The strip of
# images at the end shows the picture form as $t$ falls.

# %% tags=["parameters"]
prompt: str = "a red spotted mushroom"  # in the bundled model's words
num_steps: int = 20  # from noise to image, 2 or more
num_inversion_steps: int = 10  # n, for the whole range of t; 1 or more
gamma: float = 7.5  # guidance scale of denoising
gamma_inv: float = -7.5  # guidance scale of inversion
seed: int = 0  # of the first noise, all that is random here
model: str = "../sdilib/models/mini"  # a folder or hub id of a Stable Diffusion that predicts ε

# %% [markdown]
# ## A frozen model
#
# We need a network that predicts the noise in a latent, an autoencoder between latents and images, and the prompt
# beside the empty one, as the network reads them. (The import may complain that torchvision is missing; nothing
# here needs it.)

# %%
import torch
from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained(model)
for network in (pipe.unet, pipe.vae, pipe.text_encoder):
    network.requires_grad_(False)
tokens = pipe.tokenizer([prompt, ""], padding="max_length", return_tensors="pt").input_ids
words = pipe.text_encoder(tokens)[0]
log_sigmas = (1 / pipe.scheduler.alphas_cumprod - 1).log() / 2

# %% [markdown]
# ## Noise
#
# With $\bar x(t) = x(t) / \sqrt{\alpha(t)}$, a noisy image is $\bar x(t) = x_0 + \sigma(t)\,\kappa$, where
# $\sigma = \sqrt{1 - \alpha} / \sqrt{\alpha}$: the image itself at $t = 0$, nearly pure noise at $t = 1$. The
# network was trained at whole timesteps, of which the last is $t = 1$; between two of them we interpolate
# $\log \sigma$ linearly.


# %%
def timestep(t):
    return max(t * len(log_sigmas) - 1, 0.0)


def sigma(t):
    low = min(int(timestep(t)), len(log_sigmas) - 2)
    between = torch.lerp(log_sigmas[low], log_sigmas[low + 1], timestep(t) - low)
    return between.exp() if t > 0 else torch.tensor(0.0)


# %% [markdown]
# The noise that the network sees in $\bar x$, guided by $\gamma$ (eq. 3), is
# $\epsilon = \epsilon_\varnothing + \gamma\,(\epsilon_y - \epsilon_\varnothing)$. The network takes
# $x = \bar x / \sqrt{1 + \sigma^2}$ as its input, once for both prompts.


# %%
def predicted(x_bar, t, gamma):
    x = x_bar / (1 + sigma(t) ** 2).sqrt()
    e_y, e_empty = pipe.unet(torch.cat([x, x]), timestep(t), words).sample.chunk(2)
    return e_empty + gamma * (e_y - e_empty)


# %% [markdown]
# ## Invert
#
# Which noise $\kappa$ would the model itself take to be that of $x_0$? One that it finds again once it is added
# (eq. 8). DDIM run backwards, from the image at $t = 0$ up to $t$, comes close: each step moves $\bar x$ along
# the noise predicted where the step begins (eq. 1), and all steps together add $\sigma(t)\,\kappa$.


# %%
def inverted(x0, t):
    x_bar, count = x0, max(1, int(num_inversion_steps * t + 1e-6))
    for step in range(count):
        now, after = t * step / count, t * (step + 1) / count
        x_bar = x_bar + (sigma(after) - sigma(now)) * predicted(x_bar, now, gamma_inv)
    return (x_bar - x0) / sigma(t)


# %% [markdown]
# ## Update
#
# Add $\kappa$ up to $t$, predict, and correct $x_0$ by the difference between the two noises (eq. 10):
# $x_0 \leftarrow x_0 - \sigma(t)\,[\epsilon - \kappa]$.


# %%
def updated(x0, t):
    kappa = inverted(x0, t)
    eps = predicted(x0 + sigma(t) * kappa, t, gamma)
    return x0 - sigma(t) * (eps - kappa)


# %% [markdown]
# A step may leave a latent that the autoencoder would not produce from any image. So before each step it is
# decoded to an image and encoded again.


# %%
def shown(x0):
    return pipe.vae.decode(x0 / pipe.vae.config.scaling_factor).sample.clamp(-1, 1)


def encoded(image):
    return pipe.vae.encode(image).latent_dist.mean * pipe.vae.config.scaling_factor


# %% [markdown]
# ## From noise to an image
#
# The run begins with one denoising of pure noise: $x_0(1)$, a guess at the average of all that the prompt means.
# Then $t$ falls.

# %%
unet = pipe.unet.config
noise = torch.randn(
    (1, unet.in_channels, unet.sample_size, unet.sample_size),
    generator=torch.Generator().manual_seed(seed),
)
x_bar = noise * (1 - pipe.scheduler.alphas_cumprod[-1]).sqrt() * (1 + sigma(1) ** 2).sqrt()
x0 = x_bar - sigma(1) * predicted(x_bar, 1, gamma)
seen = [shown(x0)]
for step in range(1, num_steps):
    x0 = updated(encoded(seen[-1]), 1 - step / num_steps)
    seen.append(shown(x0))

# %% [markdown]
# Some of the images, from $t = 1$ on the left to the last step on the right:

# %%
strip = torch.cat([*seen[:: max(1, num_steps // 6)], seen[-1]], dim=3)
picture = pipe.image_processor.postprocess(strip)[0]
picture.resize((2 * picture.width, 2 * picture.height))

# %% [markdown]
# ## Try
#
# - In `updated`, `kappa = torch.randn_like(x0)`: SDS with $t$ falling. The noise is fresh each time and nothing
#   is inverted.
# - Keep each step's `eps` as the next one's `kappa`, and update `x0` in place of `encoded(seen[-1])`: DDIM, up to
#   rounding.
# - `gamma_inv = 0`, and then 7.5. For which of the three is `eps` closest to `kappa`, as eq. 8 asks?
# - `gamma, gamma_inv = 3, -3`, and other seeds. What of the image stays?
#
# In 3D the image is a render, and the update is pushed through the encoder and the renderer into the scene; the
# rule is the same. The [exercises](exercises/README.md) give you its formulas with blanks.
