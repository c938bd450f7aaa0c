"""What a result was made with: versions of the libraries, and the judge's files. Quick to import."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from sdilib import __version__
from sdilib.storage import hash_files

_LIBRARIES = ("diffusers", "matplotlib", "numpy", "scipy", "torch", "transformers")


def repository() -> Path:
    """Return the repository that holds the working directory, or the working directory itself if there is none."""
    here = Path.cwd()
    return next((p for p in [here, *here.parents] if (p / "paper_figures").is_dir()), here)


def evaluator_folder(name: str) -> Path:
    """Return the folder of an evaluator, which need not exist.

    Args:
        name: "evaluator", the bundled one, or a folder.
    """
    bundled = Path(str(files("sdilib"))) / "models" / "evaluator"
    return bundled if name == "evaluator" else Path(name).expanduser()


def evaluator_hash(name: str) -> str:
    """Return 16 hexadecimal digits that identify an evaluator's files.

    Args:
        name: "evaluator", the bundled one, or a folder.
    """
    return hash_files(evaluator_folder(name), "*.*")


def versions() -> dict[str, str]:
    """Return the versions of Python, this library and those it computes with, and the number of threads."""
    found = {"python": platform.python_version(), "sdilib": __version__}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found | {"threads": os.environ.get("OMP_NUM_THREADS", "")}
