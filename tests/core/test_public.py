"""What a reader imports from sdilib itself is there, and costs nothing before it is used."""

import subprocess
import sys

import pytest

import sdilib


@pytest.mark.parametrize("name", sdilib.__all__)
def test_every_public_name_is_there(name):
    assert getattr(sdilib, name) is not None


def test_no_public_name_is_a_module():
    code = (
        "from types import ModuleType; from sdilib import *; from sdilib import ddim, distill; "
        "raise SystemExit([n for n, v in list(globals().items()) if isinstance(v, ModuleType) and n[0] != '_'] or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'SDIS'"):
        sdilib.SDIS  # noqa: B018


def test_importing_the_package_imports_no_torch():
    code = "import sdilib, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
