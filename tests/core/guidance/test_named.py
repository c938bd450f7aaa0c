"""Rules by name: their settings, a rule of one's own, and the same update as the class built by hand."""

import re
from dataclasses import replace

import pytest
import torch

from sdilib.guidance import ISM, PFD, SDI, SDS, View
from sdilib.guidance.named import (
    KAPPAS,
    RULES,
    make_rule,
    rule_settings,
    rule_version,
)
from sdilib.inversion import (
    Cached,
    DDIMInversion,
    FixedNoise,
    FixedPoint,
    GradientDescent,
    RandomNoise,
)
from sdilib.seeds import generator as generator_at
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

OWN = '''
"""A rule of a reader's own."""
from dataclasses import dataclass
from typing import Any

from sdilib.guidance import SDS, Update


@dataclass(frozen=True)
class Damped:
    denoiser: Any
    guidance_scale: float = 20.0
    share: float = 0.5
    repeats: int = 2

    def __call__(self, x0, t, view, generator):
        update = SDS(self.denoiser, self.guidance_scale)(x0, t, view, generator)
        noises = {"kappa": update.kappa, "eps": update.kappa + self.share * (update.eps - update.kappa)}
        schedule = self.denoiser.schedule
        return Update.from_noises(x0, t, **noises, schedule=schedule, num_forwards=2)


@dataclass
class Note:
    """Not a rule: nothing calls it."""

    text: str = ""
'''


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "damped.py"
    path.write_text(OWN)
    return path


def updated(rule, oracle):
    """What a rule answers at a fixed point, on fixed draws."""
    x0 = torch.randn(2, 4, 2, 2, dtype=torch.float64, generator=generator_at(0, 0, "x0"))
    t = torch.tensor([0.8, 0.3], dtype=torch.float64)
    each = [generator_at(0, 0, "guidance", item) for item in range(2)]
    return rule(x0, t, View(oracle.prompt([[0], [1]])), each)


def assert_same(rule, other, oracle):
    one, two = updated(rule, oracle), updated(other, oracle)
    for name in ("gradient", "target", "kappa", "eps", "residual"):
        assert torch.equal(getattr(one, name), getattr(two, name)), name
    assert one.num_forwards == two.num_forwards


SHARED = {"guidance_scale": 7.5, "weight": "sigma"}
INVERSION = {
    "inversion_guidance_scale": -7.5,
    "num_inversion_steps": 10,
    "tau_max": 0.0,
    "entropy": 0.0,
    "unit": False,
    "inversion_start": 0.0,
}
OF_KAPPA = {
    "inversion": INVERSION,
    "random": {},
    "fixed": {},
    "cached": {},
    "fixed point": {"num_inversion_steps": 10},
    "gradient descent": {"num_inversion_steps": 10, "descent_rate": 0.3},
}


def test_each_rule_has_its_settings_with_one_gamma_for_all():
    assert rule_settings("sds") == SHARED
    own = {"num_inversion_steps": 10, "inversion_guidance_scale": 0.0}
    assert rule_settings("ism") == SHARED | own
    assert set(OF_KAPPA) == set(KAPPAS)
    assert rule_settings("sdi") == rule_settings("sdi", {"kappa": "inversion"})
    for kappa, settings in OF_KAPPA.items():
        expected = SHARED | {"renoise": True, "kappa": kappa} | settings
        assert rule_settings("sdi", {"kappa": kappa}) == expected


def test_what_is_given_goes_before_the_default():
    given = {"kappa": "fixed point", "num_inversion_steps": 3, "weight": "1", "guidance_scale": 1.0}
    assert rule_settings("sdi", given) == given | {"renoise": True}


def test_an_integer_stands_for_a_float_and_becomes_one():
    gamma = rule_settings("sds", {"guidance_scale": 100})["guidance_scale"]
    assert (gamma, type(gamma)) == (100.0, float)


def test_a_value_that_the_rule_refuses_is_named_as_it_was_given(oracle):
    with pytest.raises(ValueError, match="inversion_guidance_scale=nan: expected a finite number"):
        make_rule("sdi", oracle, {"inversion_guidance_scale": float("nan")})
    with pytest.raises(ValueError, match=r"^weight='sgima': .*did you mean sigma\?$"):
        make_rule("sds", oracle, {"weight": "sgima"})


BY_HAND = {
    "inversion": DDIMInversion,
    "random": RandomNoise,
    "fixed": FixedNoise,
    "cached": Cached,
    "fixed point": FixedPoint,
    "gradient descent": GradientDescent,
}


@pytest.mark.parametrize("kappa", KAPPAS)
def test_sdi_by_name_is_the_class_built_by_hand(kappa, oracle):
    made = make_rule("sdi", oracle, {"kappa": kappa})
    assert_same(made, SDI(oracle, 7.5, kappa=BY_HAND[kappa]()), oracle)


@pytest.mark.parametrize(("name", "kind"), [("sds", SDS), ("ism", ISM)])
def test_a_rule_by_name_is_the_class_built_by_hand(name, kind, oracle):
    assert_same(make_rule(name, oracle, {}), kind(oracle, 7.5), oracle)


def test_settings_reach_the_rule_and_its_noise(oracle):
    flat = {"guidance_scale": 3.0, "weight": "1-alpha", "renoise": False}
    inner = {"num_inversion_steps": 4, "tau_max": 0.1, "entropy": 0.3, "unit": True}
    made = make_rule("sdi", oracle, flat | inner | {"inversion_guidance_scale": -1.0})
    assert_same(made, SDI(oracle, **flat, kappa=DDIMInversion(-1.0, **inner)), oracle)
    given = {"kappa": "gradient descent", "num_inversion_steps": 3, "descent_rate": 0.1}
    made = make_rule("sdi", oracle, given)
    assert_same(made, SDI(oracle, 7.5, kappa=GradientDescent(3, 0.1)), oracle)
    made = make_rule("ism", oracle, {"num_inversion_steps": 2, "weight": "1"})
    assert_same(made, ISM(oracle, 7.5, num_inversion_steps=2, weight="1"), oracle)


def test_the_cached_noise_begins_with_the_prediction_given(oracle):
    eps = torch.ones(2, 4, 2, 2, dtype=torch.float64)
    assert torch.equal(
        updated(make_rule("sdi", oracle, {"kappa": "cached"}, eps=eps), oracle).kappa, eps
    )


def test_a_rule_of_ones_own_comes_from_a_file(own, oracle):
    settings = {"guidance_scale": 7.5, "share": 0.5, "repeats": 2}
    for name in (str(own), f"{own}:Damped"):
        assert rule_settings(name) == settings
        halved = updated(make_rule(name, oracle, {}), oracle)
        whole = updated(SDS(oracle, 7.5), oracle)
        torch.testing.assert_close(halved.gradient, whole.gradient / 2)
        doubled = updated(make_rule(name, oracle, {"share": 1}), oracle)
        torch.testing.assert_close(doubled.gradient, whole.gradient)
    with pytest.raises(ValueError, match=r"^setting='shares': .*did you mean share\?$"):
        rule_settings(str(own), {"shares": 1})


def test_a_rule_of_ones_own_comes_from_a_module(own, oracle, monkeypatch):
    monkeypatch.syspath_prepend(own.parent)
    assert rule_settings("damped:Damped", {"share": 0.25})["share"] == 0.25
    made = make_rule("damped:Damped", oracle, {})
    assert_same(made, make_rule(str(own), oracle, {}), oracle)
    assert_same(make_rule("sdilib.guidance.sds:SDS", oracle, {}), SDS(oracle, 7.5), oracle)


def test_a_file_may_put_off_its_annotations(own, oracle):
    # dataclasses then look them up in sys.modules.
    own.write_text("from __future__ import annotations\n" + OWN.partition(chr(34) * 3 + "\n")[2])
    assert rule_settings(str(own))["share"] == 0.5


@pytest.mark.parametrize("kind", [Text2D, Text3D])
@pytest.mark.parametrize("name", RULES)
def test_no_rule_of_the_library_calls_a_setting_as_the_run_does(name, kind):
    assert kind("a red mug", rule=name).rule_settings.items() >= rule_settings(name).items() - {
        ("entropy", 0.0),
        ("tau_max", 0.0),
    }  # which are the paper's in 3D


@pytest.mark.parametrize(("kind", "name"), [(Text2D, "seed"), (Text3D, "size")])
def test_a_rule_that_calls_its_setting_as_the_run_does_is_refused(kind, name, own):
    # Side by side in one table of settings, one would hide the other.
    own.write_text(OWN.replace("repeats", name))
    message = f"expected a rule without a setting called {name}, which is the run's own$"
    with pytest.raises(ValueError, match=message):
        kind("a red mug", rule=str(own))


def test_a_file_must_say_which_of_its_rules_is_meant(own, tmp_path):
    own.write_text(OWN + "\n\nclass Other(Damped):\n    share = 0.1\n")
    found = re.escape(
        "expected a file that defines one rule, or file.py:Rule (found: Damped, Other)"
    )
    with pytest.raises(ValueError, match=found):
        rule_settings(str(own))
    assert rule_settings(f"{own}:Damped")["repeats"] == 2
    message = "^rule='Dampd': expected one of Damped, Other; did you mean Damped"
    with pytest.raises(ValueError, match=message):
        rule_settings(f"{own}:Dampd")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(ValueError, match=r"found: none"):
        rule_settings(str(tmp_path / "empty.py"))


def test_an_edited_file_is_another_version_and_the_librarys_rules_have_none(own):
    assert {rule_version(name) for name in RULES} == {""}
    first = rule_version(str(own))
    assert first == rule_version(f"{own}:Damped") != ""
    own.write_text(OWN.replace("share: float = 0.5", "share: float = 0.6"))
    assert rule_version(str(own)) != first
    assert rule_settings(str(own))["share"] == 0.6


@pytest.mark.parametrize("kind", [Text2D, Text3D])
def test_settings_are_split_between_a_run_and_its_rule(kind):
    flat = {"prompt": "a red mug", "rule": "sdi", "steps": 5, "kappa": "fixed"}
    run = kind.of(**flat, guidance_scale=3.0)
    assert (run.prompt, run.rule, run.steps) == ("a red mug", "sdi", 5)
    assert run.rule_settings == rule_settings("sdi", {"kappa": "fixed", "guidance_scale": 3.0})
    # Given together they are all the rule's.
    both = kind.of(**flat, rule_settings={"weight": "1"})
    assert both.rule_settings == rule_settings("sdi", {"kappa": "fixed", "weight": "1"})
    with pytest.raises(ValueError, match=r"^setting='step': .*did you mean steps\?$"):
        kind.of(prompt="a red mug", step=5)
    with pytest.raises(ValueError, match=r"^setting='entropi': .*did you mean entropy\?$"):
        kind.of(prompt="a red mug", entropi=0.3)


@pytest.mark.parametrize(
    ("text", "ending", "message"),
    [
        ("@dataclass\nclass A: ...\n", "", r"a file that Python can run \(NameError"),
        ("class Own(Exception): ...\nraise Own(1)\n", "", r"a file that Python can run \(Own: 1"),
        ("def rule(x0, t, view, generator): ...\n", ":rule", "a class, which is called"),
    ],
)
def test_a_file_that_makes_no_rule_is_refused_in_a_sentence(text, ending, message, tmp_path):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=rf"^rule=.*: expected {message}"):
        rule_settings(f"{tmp_path / 'mine.py'}{ending}")


def test_a_file_is_run_once_until_it_is_edited(tmp_path, capsys):
    path = tmp_path / "loud.py"
    text = "print('loaded')\nclass Loud:\n    def __call__(self, *seen): ...\n"
    path.write_text(text)
    for _ in range(3):
        rule_settings(str(path))
    assert capsys.readouterr().out == "loaded\n"
    path.write_text(text + "# edited\n")
    rule_settings(str(path))
    assert capsys.readouterr().out == "loaded\n"


def test_a_rule_derived_from_sdi_takes_a_noise_by_name(oracle, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from sdilib import SDI\n\n\nclass Mine(SDI):\n    pass\n")
    settings = rule_settings(str(path), {"kappa": "inversion"})
    assert settings == rule_settings("sdi", {"kappa": "inversion"})
    assert isinstance(make_rule(str(path), oracle, {"kappa": "random"}).kappa, RandomNoise)
    assert Text3D("a mug", rule=str(path)).rule_settings["entropy"] == 0.3


def test_what_a_module_cannot_import_is_named(tmp_path, monkeypatch):
    (tmp_path / "lacking.py").write_text("import not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="No module named 'not_there'"):
        rule_settings("lacking:Rule")


def test_gamma_of_the_inversion_follows_gamma(oracle):
    assert rule_settings("sdi", {"guidance_scale": 3.0})["inversion_guidance_scale"] == -3.0
    assert rule_settings("pfd", {"guidance_scale": 3.0})["inversion_guidance_scale"] == -2.0
    for name, kind in (("sdi", SDI), ("pfd", PFD)):
        changed = replace(kind(oracle), guidance_scale=3.0)
        assert_same(make_rule(name, oracle, {"guidance_scale": 3.0}), changed, oracle)
