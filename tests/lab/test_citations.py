"""What a run is to be cited by."""

import pytest

from sdilib.guidance.named import RULES
from sdilib.lab import citations
from sdilib.lab.citations import bibtex, cited
from sdilib.lab.methods import METHODS
from sdilib.lab.runs.folders import settings_of
from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D


def test_a_run_is_cited_by_its_rule_scene_model_and_settings():
    run = Text3D("a mug", rule="sds", model="owner/name", perp_neg=1.0)
    keys = cited(settings_of(run))
    assert keys[:2] == ["lukoianov2024score", "poole2023dreamfusion"]
    assert {"mueller2022instant", "armandpour2023re", "rombach2022high"} <= set(keys)
    assert len(set(keys)) == len(keys)
    image = cited(settings_of(Text2D("a mug", rule="ism")))
    assert "liang2024luciddreamer" in image
    assert "sdilib" in image
    assert not {"mueller2022instant", "rombach2022high", "poole2023dreamfusion"} & set(image)


def test_every_rule_and_every_key_has_an_entry():
    assert set(RULES) | {method.rule for method in METHODS.values()} <= set(citations._RULES)
    keys = {key for each in citations._RULES.values() for key in each}
    for key in (
        keys | set(citations._SETTINGS.values()) | set(cited({"rule": "x", "model": "mini"}))
    ):
        entry = bibtex(key)
        assert entry.count("{") == entry.count("}")
        assert "title = {" in entry
    with pytest.raises(ValueError, match="did you mean poole2023dreamfusion"):
        bibtex("poole2022dreamfusion")
