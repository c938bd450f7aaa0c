"""Install the wheel into an empty environment of each Python that is here, and use it without network.

Once with the newest versions of its dependencies, once with the lowest that it allows. Run by `make installs`. Prints a table;
what was installed is listed in build/installs/. Exit code 1: something failed, or nothing was tried.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTS = ROOT / "build/installs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    ("sdilib --help", "usage: sdilib"),
    (
        "python -c 'from sdilib import *; print(SDI)'",
        "sdilib.guidance",
    ),  # imports every public name
    ('sdilib run --prompt "a red mug" --rule sdi --preset smoke', "turntable.gif"),
    ('sdilib run --prompt "a blue rocket" --scene image --steps 2', "image.png"),
    ("sdilib runs", "2 runs"),
    ("sdilib runs export sdi-a-red-mug-0", "mesh.glb"),
    (
        shlex.join(["python", "-c", README.partition("```python\n")[2].partition("```")[0]]),
        "(3, 64, 64)",
    ),
)
"""README's, with fewer steps, and what each has to print."""

# Of this machine's environment, what is about its language and its cores.
KEPT = ("LANG", "LC_", "OMP_", "OPENBLAS_", "SDILIB_THREADS")


class Failed(Exception):
    """What failed, in one sentence."""


def call(words: list[str], name: str = "", **options) -> str:
    """Return what a command prints; of one that fails, all of it goes to stderr."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        *_, last = ["", *(done.stderr.strip() or done.stdout.strip()).splitlines()]
        raise Failed(f"{name or shlex.join(words)}: {last or f'exit code {done.returncode}'}")
    return done.stdout


def line(name: str) -> str:
    """Return what one of our files requires of torch."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.search(r"\btorch[>=]=[\w.]+", text)[0]


def names() -> list[str]:
    """Return what the wheel depends on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.match(r"[\w-]+", each)[0] for each in project["dependencies"]]


def find(version: str) -> str | None:
    """Return a Python of this version, on the path or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    name = f"python{version}"
    for program in (name, *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/{name}")))):
        if shutil.which(program):
            # pyenv's, on the path, may only say where one is.
            words = [program, "-c", "import sys, venv; print(sys.executable)"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout.strip()
    return None


def without_network() -> list[str]:
    """Return the words that a command begins with to have no network; none where they do not work."""
    words = ["unshare", "--map-root-user", "--net"]
    works = shutil.which(words[0]) and subprocess.run([*words, "true"], check=False).returncode == 0
    return words if works else []


def install(
    room: Path, tools: Path, python: str, resolution: str, options: argparse.Namespace
) -> None:
    """Make an environment in the room; install torch, as `make env` does, and the wheel with the rest."""
    call([python, "-m", "venv", "--without-pip", str(room / "env")])
    ours = str(room / "env/bin/python")
    pip = [ours, str(tools / "pip"), "install", "--quiet", "--no-compile"]
    # pip cannot take the lowest. Wheels only: no reader builds numpy.
    lowest = [str(tools / "bin/uv"), "pip", "install", "--quiet", "--python", ours]
    lowest += ["--resolution", "lowest-direct", "--only-binary", ":all:"]
    newest, which = resolution == "newest", shlex.split(options.torch_args)
    if not options.cuda:
        # Of torch's builds, those for CUDA need triton.
        (room / "cpu").write_text("triton<0\n")
        which += ["--constraint", str(room / "cpu")]
    try:
        if options.torch or newest:
            call([*pip, *which, options.torch or line("constraints.txt")])
        else:
            call([*lowest, *which, line("pyproject.toml")])
    except Failed as error:
        if options.cuda:
            raise
        advice = "TORCH_ARGS names where one is, CUDA=1 allows another"
        raise Failed(f"no CPU build of torch could be installed: {advice}") from error
    # To uv, lowest-direct is about what it is asked for, and not about what a wheel asks for.
    wheel = [str(path) for path in tools.glob("sdilib-*.whl")]
    asked = ["--requirements", str(ROOT / "pyproject.toml")]
    for name in set(names()) - {"torch"}:
        asked += ["--upgrade-package", name]  # or what came along with torch would stay
    call([*pip, *wheel] if newest else [*lowest, *asked, *wheel])


def files(room: Path) -> set[tuple[str, int]]:
    """Return the files in a room and their times, but for those of runs and for compiled code."""
    return {
        (str(path.relative_to(room)), path.stat().st_mtime_ns)
        for path in room.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.is_relative_to(room / "here/runs")
    }


def use(room: Path, before: list[str]) -> None:
    """Give the commands in an empty folder, with an empty home."""
    home, here, temporary = (room / name for name in ("home", "here", "tmp"))
    for folder in (home, here, temporary):
        folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary)}
    environment |= {"PATH": f"{room / 'env/bin'}:{os.defpath}"}
    if not before:
        environment["HF_HUB_OFFLINE"] = "1"
    there = files(room)
    for command, expected in COMMANDS:
        words = [*before, *shlex.split(command)]
        printed = call(words, command.partition("\n")[0], cwd=here, env=environment)
        if expected not in printed:
            raise Failed(f"{command}: expected {expected!r}, printed {printed!r}")
    if elsewhere := sorted({name for name, _ in files(room) ^ there}):
        raise Failed(f"written outside runs/: {', '.join(elsewhere)}")


def attempt(
    version: str, resolution: str, tools: Path, before: list[str], options: argparse.Namespace
) -> tuple[str, str]:
    """Return torch's version and what failed, if anything; leaves no environment behind."""
    torch = ""
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder).resolve()
        python = str(room / "env/bin/python")
        try:
            install(room, tools, find(version), resolution, options)
            LISTS.mkdir(parents=True, exist_ok=True)
            listed = call([str(tools / "bin/uv"), "pip", "freeze", "--python", python])
            (LISTS / f"{version}-{resolution}.txt").write_text(listed)
            torch = call([python, "-c", "import torch; print(torch.__version__)"]).strip()
            use(room, before)
        except Failed as error:
            return torch, str(error)
    return torch, "ok"


def main() -> int:
    """Print a row per Python and resolution."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", nargs="+", default=["3.11", "3.12", "3.13", "3.14"])
    parser.add_argument("--resolution", nargs="+", default=["newest", "lowest"])
    parser.add_argument("--torch", default="", help="such as torch==2.13.0, in place of ours")
    parser.add_argument("--torch-args", default="", help="to pip or uv, for torch")
    parser.add_argument("--cuda", action="store_true", help="take a CUDA build of torch, too")
    options = parser.parse_args()
    before = without_network()
    rows = [
        ("Python", "versions", "torch", "without network" if before else "with the hub offline")
    ]
    here = [version for version in options.python if find(version)]
    with tempfile.TemporaryDirectory() as folder:
        if here:
            pip = [sys.executable, "-m", "pip"]
            call([*pip, "install", "--quiet", "--target", folder, "pip", "uv"])
            build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
            call([*pip, *build, str(ROOT)])
        for version in options.python:
            if version not in here:
                rows.append((version, "", "", "not found"))
                continue
            for resolution in options.resolution:
                sys.stderr.write(f"Python {version}, {resolution} versions\n")
                told = attempt(version, resolution, Path(folder), before, options)
                rows.append((version, resolution, *told))
    for row in rows:
        sys.stdout.write("{:8}{:10}{:14}{}\n".format(*row))
    tried = [row[3] for row in rows[1:] if row[1]]
    return int(not tried or set(tried) != {"ok"})


if __name__ == "__main__":
    sys.exit(main())
