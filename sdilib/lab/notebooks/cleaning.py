"""What git sees of a notebook: its cells, without what running and saving it adds.

`make env` makes `cleaned` the filter that `.gitattributes` names, so that outputs are never committed, and `make lab` calls
`tell_git` after each saving, so that a notebook that was only run does not count as changed. Nothing heavy is imported: git
waits for it.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from sdilib.checks import reject

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def cleaned(text: str) -> str:
    """Return a notebook with no outputs, and with no metadata but the kernel that we name and the tags of its cells.

    Args:
        text: of an `.ipynb` of format 4.

    Raises:
        ValueError: something else.
    """
    try:
        notebook = json.loads(text)
        cells = notebook["cells"]
    except (json.JSONDecodeError, LookupError, TypeError):
        reject("notebook", text[:40], "an .ipynb of format 4")
    notebook["metadata"] = {"kernelspec": _KERNEL}
    for cell in cells:
        cell["metadata"] = {k: v for k, v in cell["metadata"].items() if k == "tags"}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
    # As nbformat writes it.
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def tell_git(os_path: str | Path, **_: Any) -> None:
    """Let git know that a notebook has the cells that it had; it takes another size for another content otherwise.

    Args:
        os_path: of what was written. What is no notebook, has other cells, or is not in a repository, is left alone.
    """
    path, git = Path(os_path), shutil.which("git")
    if path.suffix != ".ipynb" or git is None:
        return

    def said(*words: str) -> int:
        words = (git, *words, "--", path.name)
        return subprocess.run(words, cwd=path.parent, capture_output=True).returncode

    if said("diff", "--quiet") == 0:
        said("add", "--update")
