"""A rule of one's own: refused in a sentence where no run could use it, and ranked on the ring."""

import pytest
import torch

from sdilib.guidance import SDS, Update
from sdilib.guidance.named import RULES
from sdilib.lab.benchmark import scoring
from sdilib.lab.benchmark.scoring import check_rule, draw_ring, my_method, ring_ranking

HEAD = """
import random
import numpy as np
import torch
from dataclasses import replace
from sdilib.guidance import SDS
class Mine:
    def __init__(self, denoiser, guidance_scale=7.5):
        self.inner = SDS(denoiser, guidance_scale)
    def __call__(self, x0, t, view, generator):
        update = self.inner(x0, t, view, generator)
"""


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(scoring, "_STEPS", 4)


@pytest.fixture
def rule(tmp_path):
    def make(*lines: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(HEAD + "".join(f"        {line}\n" for line in lines))
        return str(path)

    return make


def test_a_rule_as_it_should_be_passes(rule, tiny):
    check_rule(rule("return update"), {"guidance_scale": 3.0, "t_schedule": "random"}, tiny)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x0 = torch.randn(2); return update", "the global stream of torch"),
        ("x0 = np.random.rand(); return update", "the global stream of numpy"),
        (
            "return replace(update, gradient=update.gradient + random.random())",
            "the global stream of random",
        ),
        (
            "return replace(update, gradient=update.gradient * (random.random() < 0.5))",
            "the global stream of random",
        ),
        (
            "return replace(update, gradient=update.gradient + np.random.default_rng().random())",
            "if asked again",
        ),
        ("return update.gradient", "expected one that returns an Update, not Tensor"),
        (
            "return replace(update, gradient=update.gradient / 0)",
            "expected one whose gradient is finite, also at t = 1",
        ),
        (
            "return replace(update, gradient=update.gradient / (t[0] > 0.1))",
            "expected one whose gradient is finite, also at t = 0.02",
        ),
        ("return replace(update, eps=update.eps / (t[0] < 0.9))", "also at t = 1"),
        ("return x0.missing", "expected one that answers (it raised AttributeError"),
        ("raise NotImplementedError('later')", "it raised NotImplementedError: later"),
    ],
)
def test_a_rule_that_no_run_could_use_is_refused(rule, tiny, line, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its text is compared
        check_rule(rule(line), {}, tiny)
    assert str(caught.value).startswith("rule=")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_for_objects_a_rule_is_asked_with_a_camera_an_image_and_a_depth(rule, tiny):
    where = rule(
        "assert view.camera.views == ('front', 'side')",
        "assert view.image.shape == (2, 3, 16, 16) and view.depth.shape == (2, 16, 16)",
        "return update",
    )
    check_rule(where, {}, tiny, "nerf")
    with pytest.raises(ValueError, match="it raised AttributeError"):
        check_rule(where, {}, tiny)


@pytest.mark.parametrize("name", RULES)
def test_each_rule_of_the_library_passes(name, tiny):
    check_rule(name, {}, tiny, "nerf")


def test_a_rule_of_a_wrong_shape_is_refused(rule, tiny, monkeypatch):
    fields = {
        name: torch.zeros(2, *tiny.latent_shape)
        for name in ("gradient", "target", "denoised", "kappa")
    }
    fields |= {"eps": torch.zeros(2, 1, 8, 8), "residual": torch.zeros(2)}

    def filled(self, x0, *rest):
        made = object.__new__(Update)
        for name, value in fields.items():
            object.__setattr__(made, name, value)
        return made

    monkeypatch.setattr(SDS, "__call__", filled)
    with pytest.raises(
        ValueError, match=r"whose eps has the shape \(2, 4, 8, 8\), not \(2, 1, 8, 8\)"
    ):
        check_rule(rule("return update"), {}, tiny)


def test_a_rules_own_name_stands_in_the_table(rule):
    where = rule("return update")
    name, method = my_method(where, {"t_schedule": "random"})
    assert name == "mine"
    assert method.settings("image") == {"rule": where, "t_schedule": "random"}
    with pytest.raises(ValueError, match="expected an existing file"):
        my_method("none.py", {})


@pytest.mark.parametrize(
    ("stages", "settings", "message"),
    [
        (["ring"], {"guidance": 3}, "did you mean guidance_scale"),
        (["image"], {"guidance": 3}, "did you mean guidance_scale"),
        (["ring", "nerf"], {"camera": 3}, "did you mean cameras"),
        (["ring"], {"learning_rate": 0.1}, "setting='learning_rate': expected one of guidance_"),
        (["image", "nerf"], {"cameras": 3}, "setting='cameras': expected one of guidance_scale"),
        (["image"], {"seed": 3}, "setting='seed': expected one of guidance_scale, "),
        (["ring"], {"t_end": 3.0}, "t_end=3.0: expected a number in"),
        (["ring"], {"guidance_scale": "high"}, "guidance_scale='high': expected a value of type"),
    ],
)
def test_a_setting_that_a_stage_does_not_read_is_refused(rule, stages, settings, message):
    with pytest.raises(ValueError, match=message):
        my_method(rule("return update"), settings, stages)


def test_settings_of_a_runs_scene_and_of_a_noise_pass(rule):
    my_method(rule("return update"), {"t_end": 0.1, "guidance_scale": 3}, ["ring"])
    my_method(rule("return update"), {"cameras": 3, "t_start": 0.9}, ["ring", "nerf"])
    my_method("sdi", {"kappa": "fixed point", "num_inversion_steps": 3}, ["ring", "image"])


def test_methods_are_ranked_and_drawn_on_the_ring(short):
    ranking = ring_ranking({"SDS": {"rule": "sds"}, "SDI": {"rule": "sdi"}})
    assert ranking.cells.keys() == {"SDS", "SDI"}
    assert {"distance", "class", "modes covered"} <= {c.measure for c in ranking.measured}
    assert "Means over rings (16), with" in ranking.table.markdown()
    figure = draw_ring(ranking)
    named = [label.get_text() for label in figure.subfigs[0].axes[0].get_yticklabels()]
    assert named == ["SDS", "SDI"]


def test_on_the_ring_a_copy_of_a_rule_equals_it_and_only_what_it_is_given_differs(rule, short):
    mine = {"rule": rule("return update")}
    given = mine | {"guidance_scale": 1.0, "t_schedule": "random", "learning_rate": 0.1}
    ranking = ring_ranking({"SDS": {"rule": "sds"}, "mine": mine, "other": given})
    distance = {name: row["distance"].mean for name, row in ranking.cells.items()}
    assert distance["SDS"] == distance["mine"] != distance["other"]
    assert "other: guidance_scale=1.0, t_schedule=random." in ranking.notes
    assert not [note for note in ranking.notes if note.startswith("mine")]


def test_a_rule_that_fails_on_the_ring_is_left_out_and_named(rule):
    mine = {"rule": rule("return replace(update, gradient=update.gradient / 0)")}
    ranking = ring_ranking({"SDS": {"rule": "sds"}, "mine": mine})
    assert ranking.cells.keys() == {"SDS"}
    assert ranking.notes[-1].startswith("Left out: mine (")
