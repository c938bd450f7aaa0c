"""Figure 17: the noise patterns of each kappa, and the one-step denoised images they give."""

from collections.abc import Mapping
from functools import partial

from jaxtyping import Float
from torch import Tensor

from sdilib import inversion
from sdilib.lab.claims import Exact
from sdilib.lab.experiments.shared import path as along
from sdilib.lab.experiments.shared.canvas import canvas, noise_images, picture
from sdilib.lab.experiments.shared.drawing import WIDTH, Figure
from sdilib.stable_diffusion import StableDiffusion


def choices(guidance_scale: float) -> dict[str, along.MakeKappa]:
    """Return a maker of each choice of kappa.

    Args:
        guidance_scale: gamma that the model is sampled with; inversions use it, 0, and its negative.
    """
    inverted = inversion.DDIMInversion
    return {
        "random": inversion.RandomNoise,
        "fixed": inversion.FixedNoise,
        "fixed point": inversion.FixedPoint,
        "descent": inversion.GradientDescent,
        "inversion, γ_inv = γ": partial(inverted, guidance_scale),
        "inversion, γ_inv = 0": partial(inverted, 0.0),
        "inversion, γ_inv = -γ": partial(inverted, -guidance_scale),
        along.BEGUN: partial(along.begun, guidance_scale),
        "cached": inversion.Cached,
    }


CLAIMS = (
    Exact(
        "x0(t) noised with DDIM's own prediction and denoised is x0(t) again (eq. 7)",
        "relative deviation",
        "cached",
        at_most=1e-3,
        note="rounding in float32",
    ),
)

LEFT, TOP, GAP = 0.8, 0.42, 0.07
"""Space at the left and above, and between one time and the next, in inches."""

Latents = Float[Tensor, "items times channels h w"]


Patterns = Mapping[str, tuple[Latents, Latents]]
"""By choice, on CPU: the noises, and latents of the one-step denoised images of x0(t) noised with them."""


def patterns(path: along.Path) -> Patterns:
    """Evaluate each choice along a path.

    Args:
        path: at gamma_fwd.
    """
    made = choices(path.denoise.guidance_scale)
    kappas = {name: along.noises(path, make, name=name) for name, make in made.items()}
    return {name: (kappa, along.denoised(path, kappa)) for name, kappa in kappas.items()}


def measures(path: along.Path, found: Patterns) -> dict[str, dict[str, Float[Tensor, " points"]]]:
    """Return the root mean square of each noise, and how far its denoised image is from x0(t), for each item and time.

    "amplitude" is that of x0(t) itself; see `amplitudes`.

    Args:
        path: along which the choices were evaluated.
        found: from `patterns`.
    """
    size, error, made = along.root_mean_square, along.relative_error, found.items()
    return {
        "deviations": {name: size(kappa).flatten() for name, (kappa, _) in made},
        "relative deviation": {name: error(x0, path.x0).flatten() for name, (_, x0) in made},
        "amplitude": {"x0(t)": amplitudes(path).flatten()},
    }


def amplitudes(path: along.Path) -> Float[Tensor, "items times"]:
    """Return the root mean square of x0(t), relative to that of the latents where the path ends.

    Above 1, the denoised image is not an average of images but larger than an image; kappa grows with it.

    Args:
        path: at gamma_fwd.
    """
    return along.root_mean_square(path.x0) / along.root_mean_square(path.samples[:, None])


def draw(model: StableDiffusion, path: along.Path, found: Patterns) -> Figure:
    """Draw a column per choice and two rows per time: the first item's noise, with its size, and its image below.

    The first item's `amplitudes` are written beside the images.

    Args:
        model: whose VAE decodes.
        path: along which the choices were evaluated.
        found: from `patterns`.
    """
    side = (WIDTH - LEFT) / len(found)
    height = TOP + len(path.times) * (2 * side + GAP)
    figure, axes = canvas(height)
    tops = [height - TOP - k * (2 * side + GAP) for k in range(len(path.times))]
    corner = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}
    for column, (name, (kappa, denoised)) in enumerate(found.items()):
        x = LEFT + (column + 0.485) * side
        head = {"ha": "center", "va": "bottom", "fontsize": 7}
        head |= {"s": name.replace(", ", "\n").replace("γ_inv", r"$γ_\mathrm{inv}$")}
        axes.text(x, height - TOP + 0.05, **head)
        images = along.decoded(model, denoised[:1])[0]
        sizes = along.root_mean_square(kappa[:1])[0].tolist()
        pictures = zip(tops, noise_images(kappa[0]), images, sizes, strict=True)
        for top, noise, image, size in pictures:
            picture(axes, noise, x, top - 0.485 * side, 0.97 * side)
            picture(axes, image, x, top - 1.485 * side, 0.97 * side)
            style = {"fontsize": 6.5, "va": "top", "bbox": corner, "zorder": 5}
            axes.text(LEFT + column * side + 0.04, top - 0.04, f"{size:.2f}", **style)
    for top, t, amplitude in zip(tops, path.times, amplitudes(path)[0].tolist(), strict=True):
        beside = {"ha": "right", "va": "center", "fontsize": 7}
        axes.text(LEFT - 0.06, top - 0.5 * side, f"t = {t:.2g}\nκ", **beside)
        axes.text(LEFT - 0.06, top - 1.5 * side, f"denoised\nx0(t): ×{amplitude:.2f}", **beside)
    return figure
