import errno
import hashlib
import json
import math
import stat
from pathlib import Path

import pytest
import torch

from sdilib import storage


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = storage.atomic_write(tmp_path / "a.txt", "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(OSError, match=r"disk full: .*a\.txt"):
        storage.atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_of_one_file_have_a_temporary_one_each(tmp_path, monkeypatch):
    """Also two threads, or hosts whose processes have one number."""
    flush, seen = storage.os.fsync, []

    def noted(descriptor):
        flush(descriptor)
        seen.append({path.name for path in tmp_path.iterdir()})

    monkeypatch.setattr(storage.os, "fsync", noted)
    for content in ("one", "two"):
        storage.atomic_write(tmp_path / "a.txt", content)
    partial = [name for names in seen for name in names - {"a.txt"}]
    assert len(set(partial)) == len(partial) == 2
    for name in partial:
        (tmp_path / name).touch()
    storage.remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_folder_is_flushed_after_the_file_has_its_name(tmp_path, monkeypatch):
    flushed = []

    def noted(descriptor):
        kind = stat.S_ISDIR(storage.os.fstat(descriptor).st_mode)
        flushed.append((kind, (tmp_path / "a.txt").exists()))
        if kind:
            raise OSError(errno.EINVAL, "no folders here")

    monkeypatch.setattr(storage.os, "fsync", noted)
    assert storage.atomic_write(tmp_path / "a.txt", "new").read_text() == "new"
    assert flushed == [(False, False), (True, True)]


def test_content_that_json_cannot_hold_leaves_the_old_file(tmp_path):
    path = storage.write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="JSON"):
        storage.write_json(path, {"x": math.nan})
    assert storage.read_json(path) == {"x": 1}


def test_writing_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "deep" / "er" / "a.bin"
    storage.atomic_write(path, b"one")
    storage.atomic_write(str(path), b"two")
    assert path.read_bytes() == b"two"


def test_json_keeps_text_readable_and_ends_with_a_newline(tmp_path):
    path = storage.write_json(tmp_path / "a.json", {"prompt": "café"})
    assert "café" in path.read_text(encoding="utf-8")
    assert path.read_text(encoding="utf-8").endswith("}\n")


@pytest.mark.parametrize(
    "text", ["../../etc/passwd", "a/b\\c", "CON", "  ", "日本", "-x-", "a\0b", "x" * 500, "é" * 70]
)
def test_a_slug_is_a_safe_file_name(text):
    slug = storage.slug(text)
    assert 0 < len(slug) <= 60
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not slug.startswith("-")
    assert not slug.endswith("-")


def test_a_slug_cut_at_a_hyphen_does_not_end_with_it():
    assert storage.slug("ab cd", length=3) == "ab"


def test_a_hash_ignores_the_order_of_keys_and_sees_every_value():
    one = storage.hash_json({"a": 1, "b": {"c": 2, "d": [3, 4]}})
    assert one == storage.hash_json({"b": {"d": [3, 4], "c": 2}, "a": 1})
    assert one != storage.hash_json({"a": 1, "b": {"c": 2, "d": [4, 3]}})
    assert len(one) == 16
    assert int(one, 16) >= 0


def test_a_folder_hash_sees_bytes_and_names_but_not_the_order_of_writing(tmp_path):
    def folder(name, files):
        for file, content in files:
            storage.atomic_write(tmp_path / name / file, content)
        return storage.hash_files(tmp_path / name)

    one = folder("one", [("u/a.safetensors", "1"), ("v/b.safetensors", "2"), ("note.txt", "x")])
    two = folder("two", [("v/b.safetensors", "2"), ("u/a.safetensors", "1")])
    assert one == two
    assert one != folder("three", [("u/a.safetensors", "2"), ("v/b.safetensors", "1")])
    assert one != folder("four", [("u/a.safetensors", "1"), ("w/b.safetensors", "2")])
    (tmp_path / "one" / "c.safetensors").mkdir()  # a folder is no file, whatever its name
    assert storage.hash_files(tmp_path / "one") == one


def test_a_folder_hash_is_of_all_bytes_but_holds_few_of_them(tmp_path, monkeypatch):
    content = bytes(range(256)) * 5000
    storage.atomic_write(tmp_path / "a.safetensors", content)
    expected = hashlib.sha256(b"a.safetensors\0" + content).hexdigest()[:16]
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read at once"))
    assert storage.hash_files(tmp_path) == expected


def test_tensors_return_with_type_and_bits(tmp_path):
    tensors = {
        "half": torch.arange(6, dtype=torch.float16).reshape(2, 3).T,
        "grad": torch.ones(2, requires_grad=True),
    }
    loaded = storage.load_tensors(storage.save_tensors(tmp_path / "a.safetensors", tensors))
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor.detach())


def test_what_is_read_is_what_json_says(tmp_path):
    path = storage.write_json(tmp_path / "a.json", [1, 2.5, None, "x"])
    assert json.loads(path.read_text()) == storage.read_json(path) == [1, 2.5, None, "x"]
