"""Published methods as data: each can be run, and the tables' prompts are the paper's and no search's."""

import pytest
from made_up import RULE

from sdilib.guidance.named import RULES
from sdilib.lab.methods import (
    METHODS,
    PAPERS,
    candidates,
    known_methods,
    method_of,
    paper_prompts,
    search_prompts,
    table_prompts,
)
from sdilib.lab.practice import SDS_3D, SDS_PRACTISED, high_sds
from sdilib.lab.runs.folders import SCENES


@pytest.mark.parametrize("scene", SCENES)
def test_each_method_whose_rule_there_is_can_be_run_at_each_setting(scene):
    for method in known_methods("all").values():
        tried = list(candidates(method, scene))
        assert tried[0] == method.settings(scene)
        assert 3 <= len(tried) <= 8
        for settings in tried:
            assert SCENES[scene].of(prompt="a red mug", **settings).rule == method.rule


def test_the_papers_methods_come_first():
    assert list(METHODS)[: len(PAPERS)] == list(PAPERS)
    there = [name for name in [*PAPERS, "ISM"] if METHODS[name].rule in RULES]
    assert list(known_methods("paper")) == there
    assert known_methods("ISM, SDI").keys() == {"ISM", "SDI"}


def test_a_method_named_twice_is_refused():
    with pytest.raises(ValueError, match="methods='SDS, SDI,SDS': expected each method once, not"):
        known_methods("SDS, SDI,SDS")


def test_sds_is_the_one_of_the_figures_at_its_authors_gamma():
    assert METHODS["SDS"].settings("image").items() >= SDS_PRACTISED.items()
    assert METHODS["SDS"].settings("nerf").items() >= SDS_3D.items()
    assert METHODS["SDS"].settings("nerf", 3.0).items() >= high_sds({"guidance_scale": 3.0}).items()


def test_every_rule_is_some_methods_and_a_readers_own_is_run_like_sdi(tmp_path):
    assert {method_of(rule).rule for rule in RULES} == set(RULES)
    (tmp_path / "mine.py").write_text(RULE)
    mine = str(tmp_path / "mine.py")
    assert method_of(mine).settings("image") == {"rule": mine}
    with pytest.raises(ValueError, match="rule='sdz'"):
        method_of("sdz")


def test_an_images_methods_differ():
    left_out = known_methods("all").keys() - known_methods("all", "image").keys()
    assert left_out == {"ESD", "MV-SDI"}
    assert "ESD" in known_methods("ESD", "image")


def test_a_gamma_is_scaled():
    methods = known_methods("all")
    assert methods["SDS"].settings("nerf", 3.0)["guidance_scale"] == 40.0
    assert methods["CSD"].settings("nerf", 3.0)["guidance_scale"] == 40.0
    assert methods["CFD"].settings("nerf", 3.0)["guidance_scale"] == pytest.approx(28.4)
    assert methods["SDS-Bridge"].settings("image")["guidance_scale"] == 40.0
    assert methods["SDS-Bridge"].settings("nerf")["first_share"] == 0.8


def test_the_papers_numbers_have_a_mean_each():
    for row in PAPERS.values():
        assert list(row) == list(PAPERS["SDI"])
    assert PAPERS["SDI"]["CLIP Score"] == (33.47, 2.49)


def test_the_paper_has_43_prompts_and_the_search_has_others():
    assert (len(paper_prompts()), len(set(paper_prompts()))) == (43, 43)
    assert paper_prompts()[27] == "A DSLR photograph of a hamburger"
    for draws_world in (True, False):
        assert not set(search_prompts(draws_world)) & set(table_prompts(draws_world))


def test_an_adapter_learns_faster_in_a_shorter_run():
    vsd = METHODS["VSD"]
    rates = [vsd.settings("nerf", steps=n)["adapter_rate"] for n in (25_000, 10_000, 120)]
    assert rates == pytest.approx([1e-4, 2.5e-4, 0.01])
    (own, *others) = candidates(vsd, "nerf", 3.0, 120)
    assert {each["adapter_rate"] for each in (own, *others)} == {0.01}


def test_in_2d_rules_that_draw_their_noise_are_free_and_those_that_invert_see_images():
    for name, method in known_methods("all", "image").items():
        free = method.settings("image").get("latents") == "free"
        assert free == (method.rule not in ("sdi", "ism", "mv-sdi", "pfd"))
        assert "latents" not in method.settings("nerf"), name
