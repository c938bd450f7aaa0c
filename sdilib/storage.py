"""Files that are either whole or absent: written under a temporary name, flushed, then renamed. No pickle.

Tensors are kept as safetensors, everything else as JSON.
"""

import hashlib
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing it takes seconds, and little here needs it
    import torch

_PARTIAL = re.compile(r"\..+\.[0-9a-f]+")
"""Names of files that are not finished, as `partial_path` gives them."""

_BLOCK = 2**20  # bytes of a file held at once


def slug(text: str, length: int = 60) -> str:
    """Return a safe file name: lower-case ASCII letters, digits and single hyphens.

    Args:
        text: any text, e.g. a prompt.
        length: most characters kept.

    Examples:
        >>> slug("A DSLR photo of a café, ../side view")
        'a-dslr-photo-of-a-cafe-side-view'
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[:length].rstrip("-") or "untitled"


def partial_path(path: Path) -> Path:
    """Return a new name in the same folder, for a file that takes its own when it is whole.

    Args:
        path: its own.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def atomic_write(path: str | Path, content: bytes | str) -> Path:
    """Write a file so that a reader sees either the old one or the new one, never half of one.

    Also after a loss of power; then no file that was written later is there without this one.

    Args:
        path: where; missing folders are created.
        content: the whole content; text is written as UTF-8.

    Returns:
        The path.

    Raises:
        OSError: disk full, or the folder is not writable; it names the path, and the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(path)
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        error.filename = str(path)  # a write that finds the disk full does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot, and the file is whole anyway
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_partial(folder: str | Path) -> None:
    """Remove what killed processes left unfinished; no other process may be writing there.

    Args:
        folder: searched with its subfolders.
    """
    for path in Path(folder).rglob(".*"):
        if _PARTIAL.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> Path:
    """Write JSON atomically, with keys in the order given and a final newline.

    Args:
        path: where.
        content: what `json` can write; nan and infinity are refused, since they are not JSON.

    Returns:
        The path.

    Raises:
        ValueError: nan or infinity in `content`.
    """
    return atomic_write(
        path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Args:
        path: where.

    Raises:
        FileNotFoundError: no such file.
        json.JSONDecodeError: not JSON; names the file.
    """
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(f"{path}: {error.msg}", text, error.pos) from None


def hash_json(content: Any) -> str:
    """Return 16 hexadecimal digits that identify a configuration; the order of keys does not matter.

    Args:
        content: what `json` can write.

    Examples:
        >>> hash_json({"a": 1, "b": 2}) == hash_json({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, allow_nan=False).encode()
    ).hexdigest()[:16]


def hash_files(folder: str | Path, *patterns: str) -> str:
    """Return 16 hexadecimal digits that identify a folder's files, by their relative names and bytes.

    Args:
        folder: where to look.
        *patterns: which files; without any, all safetensors.
    """
    digest = hashlib.sha256()
    found = {path for each in patterns or ("**/*.safetensors",) for path in Path(folder).glob(each)}
    for path in sorted(path for path in found if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]


def save_tensors(path: str | Path, tensors: Mapping[str, "torch.Tensor"]) -> Path:
    """Write tensors as safetensors, atomically, with a digest of their bits.

    Args:
        path: where.
        tensors: by name.

    Returns:
        The path.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return atomic_write(path, save(plain, metadata={"digest": _digest(plain)}))


def load_tensors(path: str | Path) -> dict[str, "torch.Tensor"]:
    """Read tensors written by `save_tensors`, or by another program without a digest, onto the CPU.

    Args:
        path: where.

    Raises:
        FileNotFoundError: no such file.
        OSError: the bits are not those that were written, or the file is cut off; the message names it.
    """
    from safetensors import SafetensorError, safe_open

    open(path, "rb").close()  # safetensors does not say why it cannot
    try:
        with safe_open(str(path), "pt") as file:
            written = (file.metadata() or {}).get("digest")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # not a mapping
    except SafetensorError as error:
        raise OSError(f"{path}: expected a whole file of tensors ({error})") from error
    if written not in (None, _digest(tensors)):
        raise OSError(f"{path}: expected the bits that were written, and some have changed since")
    return tensors


def _digest(tensors: Mapping[str, "torch.Tensor"]) -> str:
    import torch

    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def under(tensors: Mapping[str, "torch.Tensor"], prefix: str) -> dict[str, "torch.Tensor"]:
    """Return the entries whose key starts with a prefix, with the prefix removed.

    Args:
        tensors: by name.
        prefix: prefix of the keys, e.g. "model.".

    Examples:
        >>> import torch
        >>> under({"a.x": torch.tensor(1), "b.x": torch.tensor(2)}, "a.")
        {'x': tensor(1)}
    """
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def optimizer_tensors(optimizer: "torch.optim.Optimizer") -> dict[str, "torch.Tensor"]:
    """Return an optimiser's moments by "number.name"; its settings are for the caller to keep.

    Args:
        optimizer: whose state is tensors only, such as Adam.
    """
    state = optimizer.state_dict()["state"]
    return {f"{k}.{name}": v for k, moments in state.items() for name, v in moments.items()}


def load_optimizer_tensors(
    optimizer: "torch.optim.Optimizer", tensors: Mapping[str, "torch.Tensor"]
) -> None:
    """Restore an optimiser's moments in place.

    Args:
        optimizer: one with the parameters and settings that the moments were saved with.
        tensors: from `optimizer_tensors`.
    """
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".")
        moments.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
