"""A disk that is full before a command has ended: one sentence, and the same command ends once there is room."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_up import RULE

import sdilib

ROOT = Path(sdilib.__file__).parents[1]
FIGURES = ROOT / "paper_figures" / "full"
SWEEP = 'model = "tiny"\npreset = "smoke"\nscene = "image"\nprompt = "a red mug"\n[each]\nseed = [0, 1]\n'
OBJECT = "run --prompt mug --model tiny --preset smoke"
COMMANDS = {
    "object": OBJECT,
    "image": f"{OBJECT} --scene image",
    "export": "runs export sdi-mug-0",
    "sweep": "sweep sweep.toml --workers 1",
    "score": "score rule.py --stages ring --preset smoke",
    "notebook": "notebook notebooks/figA19_in_distribution.py --preset smoke",
    "notebooks": "notebooks",
    "gallery": "gallery figures",
}
SLOW = ("export", "sweep", "score", "notebook")
"""They take from ten seconds to a minute each time: `make soak` tries them."""


@pytest.fixture(scope="module")
def ask(tmp_path_factory) -> Iterator[Callable]:
    """Runs a command on a disk with so many KiB free, and with these files or with what the last one has left."""
    isolated = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*isolated, "true"], capture_output=True).returncode:
        pytest.skip("needs a system where a user may mount disks of their own: unshare -rm")
    program, disk = Path(__file__).parent / "on_a_small_disk.py", tmp_path_factory.mktemp("disk")
    env = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*isolated, sys.executable, program, disk], env=env, **pipes) as process:

        def ask(words: str, kib: int | None, files: dict[str, str] | None):
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps([words.split(), kib, files]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


def lasting(found: dict[str, str]) -> dict[str, str]:
    """The files that are to be the same whenever they are made: not those that say how long it took."""
    timed = ("done.json", ".lock", ".ipynb", "figa19_in_distribution.json", "one.json")
    return {name: digest for name, digest in found.items() if not name.endswith(timed)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_sentence_and_then_costs_nothing(name, ask, tmp_path, sample, times):
    if name in SLOW and not times(0, 1):
        pytest.skip("takes a minute or more: make soak tries it")
    files = {"notebooks/figA19_in_distribution.py": ROOT / "notebooks/figA19_in_distribution.py"}
    files |= {f"figures/{path.name}": path for path in FIGURES.glob("fig01*")}
    for written, content in (("rule.py", RULE), ("sweep.toml", SWEEP)):
        (tmp_path / written).write_text(content)
        files[written] = tmp_path / written
    files = {name: str(path) for name, path in files.items()}
    words = COMMANDS[name]

    def begin(kib: int | None):
        if name != "export":
            return ask(words, kib, files)
        assert ask(OBJECT, None, files)[0] == 0
        return ask(words, kib, None)

    code, said, whole = begin(None)
    assert code == 0, said
    assert whole.keys() > files.keys()
    refused = 0
    for kib in [0, *sample([4, 16, 64, 256, 1024], 1)]:
        code, said, _ = begin(kib)
        assert code in (0, 1, 2)
        assert "Traceback" not in said
        assert said.count("\nsdilib: ") <= 1
        assert ("space left on" in said) is bool(code), said
        refused += bool(code)
        code, said, then = ask(words, None, None)
        assert code == 0, said
        assert lasting(then) == lasting(whole), kib
    assert refused
