"""The algorithms' figure shows the source as it stands, and its claim can fail."""

import ast
import inspect
import textwrap

from sdilib.guidance import SDI, SDS
from sdilib.inversion import DDIMInversion
from sdilib.lab.claims import verdicts
from sdilib.lab.experiments import figa12_algorithms as experiment
from sdilib.lab.experiments.figa12_algorithms import CHARACTERS, aligned, body, draw


def documented(x):
    """Say something."""
    # a comment
    if x:
        return "x"

    return documented


def bare(x):
    return x


def test_a_body_is_the_source_without_signature_and_docstring():
    assert body(documented) == ["# a comment", "if x:", '    return "x"', "", "return documented"]
    assert body(bare) == ["return x"]


def test_the_rules_bodies_are_those_of_their_source():
    for rule in (SDS, SDI):
        node = ast.parse(textwrap.dedent(inspect.getsource(rule.direction))).body[0]
        shown = ast.parse("def f():\n" + textwrap.indent("\n".join(body(rule.direction)), "    "))
        assert [ast.dump(s) for s in shown.body[0].body] == [ast.dump(s) for s in node.body[1:]]


def test_aligned_lines_stand_at_one_height_and_none_is_lost():
    left, right = ["a", "b", "c", "d"], ["a", "x", "y", "c", "d", "e"]
    rows = aligned(left, right)
    assert rows == [
        ("a", "a", True),
        ("b", "x", False),
        (None, "y", False),
        ("c", "c", True),
        ("d", "d", True),
        (None, "e", False),
    ]
    sources = body(SDS.direction), body(SDI.direction)
    rows = aligned(*sources)
    for side, source in enumerate(sources):
        assert [row[side] for row in rows if row[side] is not None] == source
    assert all((row[0] == row[1]) is row[2] for row in rows)
    assert "noise = normal(x0, generator)" in [row[0] for row in rows if not row[2]]


def test_the_figure_holds_every_word_of_both_sources():
    sources = body(SDS.direction), body(SDI.direction)
    figure = draw(aligned(*sources), (("one", "first"), ("two", "second")))
    (axes,) = figure.axes
    code = [text for text in axes.texts if text.get_family() == ["monospace"]]
    assert max(len(text.get_text()) for text in code) <= CHARACTERS
    middle = axes.get_xlim()[1] / 2
    for side, source in enumerate(sources):
        mine = [t.get_text() for t in code if (t.get_position()[0] > middle) == bool(side)]
        words = [w for w in " ".join(mine).split() if w != "#"]
        assert words == [w for w in " ".join(source).split() if w != "#"]


def test_sdi_with_a_random_kappa_is_sds_and_another_kappa_is_not(tiny, monkeypatch):
    prompts = ["a red mug", "a blue rocket", "a green cactus"]
    before = tiny.num_forwards
    (claim,) = verdicts(experiment.CLAIMS, experiment.measures(tiny, prompts))
    assert claim.holds
    assert claim.n == 3
    assert tiny.num_forwards - before == 4 * 3
    monkeypatch.setattr(experiment, "RandomNoise", DDIMInversion)
    (claim,) = verdicts(experiment.CLAIMS, experiment.measures(tiny, prompts))
    assert not claim.holds
