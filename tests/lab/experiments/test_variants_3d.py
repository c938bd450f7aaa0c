"""Which runs the figures in 3D compare: those that are meant to be shared are the same run, and no others."""

import pytest

from sdilib.lab import presets
from sdilib.lab.experiments import (
    convergence,
    fig01_teaser_3d,
    fig02_gallery,
    fig04_evolution_3d,
    fig07_methods,
    fig08_ablation,
    fig09_noise_choice_3d,
    fig10_guidance_scales_3d,
    fig11_inversion_steps_3d,
    figa13_ism,
    figa14_from_ism_3d,
    figa16_diversity_3d,
    figh1_failures,
)
from sdilib.lab.experiments.shared.objects import run_of
from sdilib.lab.runs import address

SETTINGS = presets.resolve("run3d", "laptop")
FIGURES = {
    "1": fig01_teaser_3d.variants(SETTINGS),
    "2": fig02_gallery.VARIANTS,
    "4": fig04_evolution_3d.VARIANTS,
    "8": fig08_ablation.variants(SETTINGS),
    "9": fig09_noise_choice_3d.VARIANTS,
    "10": fig10_guidance_scales_3d.variants(SETTINGS),
    "11": fig11_inversion_steps_3d.VARIANTS,
    "A13": figa13_ism.variants(SETTINGS),
    "A14": figa14_from_ism_3d.variants(SETTINGS),
    "A16": figa16_diversity_3d.variants(SETTINGS),
    "H1": figh1_failures.VARIANTS,
}
OTHERS = {
    "7": fig07_methods.variants("ISM", SETTINGS),
    "convergence": convergence.variants(SETTINGS, 2),
}


def names(figure):
    return {
        name: address(run_of(SETTINGS, "a red mug", **changes), "weights")
        for name, changes in (FIGURES | OTHERS)[figure].items()
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
        "A13": figa13_ism.OURS,
        "A14": figa14_from_ism_3d.OURS,
        "A16": "SDI",
        "H1": "SDI",
    }
    assert len({names(figure)[name] for figure, name in ours.items()}) == 1
    assert names("1")["SDS"] == names("8")["SDS"]
    for burnt_or_blurry in ("SDS", "SDS, high γ"):
        assert names("1")[burnt_or_blurry] == names("A16")[burnt_or_blurry]
    assert names("7")["ISM"] == names("A13")[figa13_ism.ISM]
    annealed = f"{convergence.ISM}, {SETTINGS['steps']} steps"
    assert names("convergence")[annealed] == names("A13")[figa13_ism.ANNEALED]
    assert names("9")["random"] == names("8")[fig08_ablation.RANDOM]


@pytest.mark.parametrize("figure", FIGURES)
def test_no_two_methods_of_a_figure_are_the_same_run(figure):
    found = names(figure)
    assert len(set(found.values())) == len(found)
