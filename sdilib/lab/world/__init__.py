"""A procedural 3D world with known ground truth: objects, captions, pictures, data sets.

Numba's cache checks only the file of the outermost function: after a change in `shapes`, `render`
would still run the old code. So cached code older than any source file here is dropped on import.
"""

from pathlib import Path


def _drop_stale_code(folder):
    """Delete compiled code that is older than the newest source file beside it."""
    newest = max(path.stat().st_mtime for path in folder.glob("*.py"))
    for index in (folder / "__pycache__").glob("*.nbi"):
        if index.stat().st_mtime < newest:
            index.unlink(missing_ok=True)


_drop_stale_code(Path(__file__).parent)
