"""Which runs the figures in 3D compare: those that are meant to be shared are the same run, and no others."""

import pytest

from sdilib.lab import presets
from sdilib.lab.experiments import (
    fig01_teaser_3d,
    fig02_gallery,
    fig04_evolution_3d,
    fig08_ablation,
    fig09_noise_choice_3d,
    fig10_guidance_scales_3d,
    fig11_inversion_steps_3d,
)
from sdilib.lab.experiments.shared.objects import run_of
from sdilib.lab.runs import address

SETTINGS = presets.resolve("run3d", "laptop")
FIGURES = {
    "1": fig01_teaser_3d.VARIANTS,
    "2": fig02_gallery.VARIANTS,
    "4": fig04_evolution_3d.VARIANTS,
    "8": fig08_ablation.variants(SETTINGS),
    "9": fig09_noise_choice_3d.VARIANTS,
    "10": fig10_guidance_scales_3d.VARIANTS,
    "11": fig11_inversion_steps_3d.VARIANTS,
}


def names(figure):
    return {
        name: address(run_of(SETTINGS, "a red mug", **changes), "weights")
        for name, changes in FIGURES[figure].items()
    }


def test_every_figure_shares_the_run_that_is_sdi():
    ours = {
        "1": "SDI",
        "2": "SDI",
        "4": "SDI",
        "8": fig08_ablation.OURS,
        "9": fig09_noise_choice_3d.OURS,
        "10": fig10_guidance_scales_3d.OURS,
        "11": fig11_inversion_steps_3d.OURS,
    }
    assert len({names(figure)[name] for figure, name in ours.items()}) == 1
    assert names("1")["SDS, γ = 7.5"] == names("8")["SDS"]
    assert names("9")["random"] == names("8")[fig08_ablation.RANDOM]


@pytest.mark.parametrize("figure", FIGURES)
def test_no_two_methods_of_a_figure_are_the_same_run(figure):
    found = names(figure)
    assert len(set(found.values())) == len(found)
