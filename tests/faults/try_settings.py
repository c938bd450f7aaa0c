"""Settings of runs as a user gives them, right or refused in one sentence; prints how many were refused.

A process of its own, since the suite's holds annotations, and refuses much before the library sees it.
"""

import json
import sys
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st
from test_inputs import OFTEN, anything

from sdilib.text_to_3d import Text3D
from sdilib.text_to_image import Text2D

refused: list[str] = []


@OFTEN
@given(kind=st.sampled_from([Text3D, Text2D]), data=st.data())
def check(kind, data):
    name = data.draw(st.sampled_from([each.name for each in fields(kind)]))
    value = data.draw(anything)
    try:
        made = kind(**{"prompt": "a red mug"} | {name: value})
    except ValueError as error:
        refused.append(str(error))
        assert "\n" not in refused[-1]
        assert "=" in refused[-1].partition(": expected ")[0]
    else:
        again = json.loads(json.dumps(made.settings(), allow_nan=False))
        assert kind.of(**again) == made


if __name__ == "__main__":
    check()
    sys.stdout.write(f"{len(refused)}\n")
