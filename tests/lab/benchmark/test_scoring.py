"""A rule of one's own: refused in a sentence where no run could use it, and ranked on the ring."""

import pytest
import torch

from sdilib.guidance import SDS, Update
from sdilib.lab.benchmark.scoring import check_rule, my_method, ring_ranking
from sdilib.lab.methods import METHODS

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
        ("return replace(update, gradient=update.gradient + random.random())", "if asked again"),
        ("return update.gradient", "expected one that returns an Update, not Tensor"),
        (
            "return replace(update, gradient=update.gradient / 0)",
            "expected one whose gradient is finite",
        ),
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


def test_methods_are_ranked_on_the_ring():
    ranking = ring_ranking({name: METHODS[name] for name in ("SDS", "SDI")})
    assert set(ranking.cells) <= {"SDS", "SDI"}
    assert "SDI" in ranking.cells
    assert {"distance", "class", "modes covered"} <= {c.measure for c in ranking.measured}
