"""Bad input of any kind, by any way in: one sentence that begins with its name, and nothing written."""

import contextlib
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from sdilib.cli import main
from sdilib.lab import sweeps
from sdilib.lab.notebooks import runner
from sdilib.lab.presets import NOTEBOOKS, PRESETS
from sdilib.schedule import T_SCHEDULES
from sdilib.text_to_image import Text2D

NOTEBOOK_FOLDER = Path(__file__).parents[2] / "notebooks"
OFTEN = settings(
    max_examples=max(25, round(400 * float(os.environ.get("SDILIB_SOAK", "0")))),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(),
    words,
    st.lists(st.floats(), max_size=3),
    st.dictionaries(words, st.integers(), max_size=2),
)


def is_number(text: str, kind: type) -> bool:
    try:
        return math.isfinite(kind(text))
    except ValueError:
        return False


no_integer = words.filter(lambda text: not is_number(text, int))
no_number = st.one_of(words, st.sampled_from(["nan", "inf", "-inf"])).filter(
    lambda text: not is_number(text, float)
)
blank = st.text(" \t\n", min_size=1, max_size=3)
negative = st.integers(-(10**9), -1).map(str)
names = [each.name for each in fields(Text2D)]


def unknown(*known: str) -> st.SearchStrategy[str]:
    return words.filter(lambda text: text not in known)


OPTIONS = {
    "--steps": st.one_of(no_integer, negative, st.just("1")),
    "--seed": st.one_of(no_integer, negative),
    "--guidance-scale": no_number,
    "--inversion-guidance-scale": no_number,
    "--scene": unknown("nerf", "image"),
    "--preset": unknown(*PRESETS),
    "--rule": unknown("sdi", "sds", "ism"),
    "--model": words.map(lambda text: f"no/such/{text}"),
    "--device": unknown("", "cpu").filter(lambda text: text.strip().partition(":")[0] != "cpu"),
    "--prompt": blank,
    "--negative-prompt": blank,
    "--set=steps": no_integer,
    "--set=seed": st.one_of(no_integer, negative),
    "--set=learning_rate": st.one_of(no_number, negative),
    "--set=t_end": st.one_of(no_number, negative),
    "--set=t_schedule": unknown(*T_SCHEDULES),
    "--set=kappa": unknown(
        "inversion", "random", "fixed", "cached", "fixed point", "gradient descent"
    ),
}


@OFTEN
@given(st.sampled_from(sorted(OPTIONS)).flatmap(lambda k: st.tuples(st.just(k), OPTIONS[k])))
def test_bad_options_of_run(tmp_path_factory, bad):
    option, value = bad
    words = "run --prompt x --scene image --model tiny --preset smoke".split()
    said, place = io.StringIO(), tmp_path_factory.mktemp("run")
    with contextlib.chdir(place), contextlib.redirect_stderr(said):
        code = main([*words, f"{option}={value}"])
    assert (code, said.getvalue().count("\n")) == (2, 1), said.getvalue()
    assert not list(place.iterdir())


inside = words.filter(lambda text: not text.startswith(("/", "~")) and ".." not in text)
no_model = words.map(lambda text: f"no/such/{text}")
COMMANDS: dict[str, list[str]] = {
    "runs": ["--root", "--density", "--resolution", "--size", "--crumbs", "list", "show", "export"],
    "sweep": ["--workers", "--threads", "--scheduler", "--slurm", "--root", "t.toml", "t.csv"],
    "score": ["--stages", "--methods", "--prompts", "--seeds", "--workers", "--set", "--out"],
    "cite": ["--root"],
    "grade": ["--seconds", "x.py", "x.ipynb"],
    "notebook": ["--build", "--preset", "--model", "--folder", "--plan", "01", "seed=1"],
    "stale": ["--again", "--preset", "--model", "--folder", "01"],
    "gallery": ["--folder"],
    "check-figures": ["--preset", "--folder"],
    "same-numbers": ["--folder", "."],
}
"""What each command reads, in a folder where there is nothing to work on."""

BAD = {
    "score rule.py": {
        "--stages": unknown("ring", "image", "nerf"),
        "--methods": unknown("paper", "all"),
        "--prompts": st.one_of(no_integer, negative),
        "--seeds": st.one_of(no_integer, negative, st.just("0")),
        "--workers": st.one_of(no_integer, negative, st.just("0")),
        "--preset": unknown(*PRESETS),
        "--set": unknown("often=1").filter(lambda text: not text.startswith("guidance_scale=")),
    },
    "model-card": {
        "--model": no_model,
        "--evaluator": no_model,
        "--count": st.one_of(no_integer, negative),
    },
    "gpu-check": {"--model": no_model, "--size": st.one_of(no_integer, negative)},
    "stale": {
        "--preset": unknown(*PRESETS),
        "--model": st.just("stabilityai/stable-diffusion-2-1"),
    },
    "check-figures": {"--preset": unknown(*PRESETS)},
    "train vae": {
        "--count": st.one_of(no_integer, negative),
        "--vae.batch": st.one_of(no_integer, negative, st.just("0")),
        "--vae.loop.learning-rate": st.one_of(no_number, negative),
    },
    "train unet": {"--unet.dropped": st.one_of(no_number, negative)},
}
"""Values that each command refuses, before it begins what takes minutes."""


def said_by(place: Path, command: list[str]) -> tuple[int, str]:
    """The exit code of a command in a folder, and what it says on standard error."""
    said = io.StringIO()
    with contextlib.chdir(place), contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(said):
            return main(command), said.getvalue()


@OFTEN
@given(
    st.sampled_from(sorted(COMMANDS)).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.lists(st.one_of(st.sampled_from(COMMANDS[name]), inside, st.just("\n")), max_size=4),
        )
    )
)
def test_any_words_after_a_command_are_right_or_refused(tmp_path_factory, asked):
    name, given_words = asked
    place = tmp_path_factory.mktemp("command")
    code, said = said_by(place, [name, *given_words])
    assert code in (0, 1, 2)
    assert said.count("\n") in {0: [0], 1: [0, 1], 2: [1]}[code], said
    assert not list(place.iterdir()) or code == 0


@OFTEN
@given(
    st.sampled_from(sorted(BAD)).flatmap(
        lambda command: st.sampled_from(sorted(BAD[command])).flatmap(
            lambda option: st.tuples(st.just(command), st.just(option), BAD[command][option])
        )
    )
)
def test_bad_options_of_other_commands(tmp_path_factory, bad):
    from made_up import RULE  # which `try_settings`, a program of its own, does not find

    command, option, value = bad
    place = tmp_path_factory.mktemp("command")
    (place / "rule.py").write_text(RULE)
    code, said = said_by(place, [*command.split(), f"{option}={value}"])
    assert (code, said.count("\n")) == (2, 1), said
    assert [path.name for path in place.iterdir()] == ["rule.py"]


def test_a_runs_settings_are_right_or_refused():
    script = Path(__file__).with_name("try_settings.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > OFTEN.max_examples / 2


@OFTEN
@given(data=st.data())
def test_parameters_of_notebooks_are_right_or_refused_before_a_kernel_starts(
    tmp_path_factory, data
):
    notebook = data.draw(st.sampled_from(sorted(NOTEBOOKS.keys() - {"run", "run3d"})))
    name = data.draw(st.one_of(st.sampled_from([*NOTEBOOKS[notebook], "seed"]), words))
    value, started = data.draw(st.one_of(words, st.integers(-50, 50).map(str))), []
    place = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner, "_execute", lambda *given: started.append(given))
        try:
            runner.run_notebook(
                NOTEBOOK_FOLDER / f"{notebook}.py",
                preset="smoke",
                folder=place / "figures",
                build=place / "build",
                given={name: value},
            )
        except ValueError as error:
            said = str(error)
        else:
            said = ""
    bad = name == "seed" and value.lstrip("-").isdecimal() and int(value) < 0
    if said or bad:
        assert "\n" not in said
        assert ": expected " in said
        assert not list(place.iterdir())
    assert len(started) == (not said)


def in_toml(value: object) -> str:
    """A value as TOML writes it; what TOML has no word for, as Python would."""
    if isinstance(value, dict):
        pairs = (f"{in_toml(key)} = {in_toml(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(in_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


settings_of_runs = st.dictionaries(
    st.one_of(st.sampled_from([*names, "scene", "preset", "each", "runs"]), words),
    st.one_of(anything, st.lists(anything, max_size=3)),
    max_size=3,
)
fields_of_runs = st.lists(st.sampled_from(["a mug", "sds", "7", "", "1e9", '"']), max_size=4)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of a sweep, by its ending and its bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["toml", "csv"])), draw(st.binary(max_size=40))
    if draw(st.booleans()):
        rows = [["prompt", *draw(st.lists(st.sampled_from([*names, "", "x"]), max_size=2))]]
        rows += draw(st.lists(fields_of_runs, max_size=3))
        return "csv", "\n".join(map(",".join, rows)).encode()
    parts = [{"prompt": "a mug", "model": "tiny"} | draw(settings_of_runs)]
    parts += [draw(settings_of_runs) for _ in range(2)]
    lines = [
        [f"{in_toml(key)} = {in_toml(value)}" for key, value in part.items()] for part in parts
    ]
    heads = draw(st.permutations(["[each]", "[[runs]]"]))
    text = [*lines[0], heads[0], *lines[1], heads[1], *lines[2]]
    return "toml", "\n".join(text[: draw(st.integers(1, len(text)))]).encode()


@OFTEN
@given(table=tables())
def test_the_table_of_a_sweep_is_right_or_refused_before_a_run_is_made(tmp_path_factory, table):
    ending, content = table
    said, started, place = io.StringIO(), [], tmp_path_factory.mktemp("sweep")
    (place / f"table.{ending}").write_bytes(content)
    with contextlib.ExitStack() as held:
        patched = held.enter_context(pytest.MonkeyPatch.context())
        patched.setattr(sweeps, "sweep", lambda *runs, **_: iter(started.extend(runs) or ()))
        held.enter_context(contextlib.chdir(place))
        held.enter_context(contextlib.redirect_stdout(io.StringIO()))
        held.enter_context(contextlib.redirect_stderr(said))
        try:
            code = main(["sweep", f"table.{ending}"])
        except TypeCheckError:  # in tests alone, which hold annotations
            return
    assert (code, said.getvalue().count("\n")) == ((0, 0) if started else (2, 1)), said.getvalue()
    assert len(list(place.iterdir())) == 1
