"""A program: commands on a disk that is nearly full, then on one with room. Needs mounts of its own: `unshare -rm`.

Each line on its input is [words of the command, KiB that are free, or null for enough, files to begin with]. Where files
are given, all others are removed; null keeps what the command before has left. It answers with [exit code, what was said,
digests of the files that are there then].
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sdilib.cli import main


def run(words: list[str], place: Path) -> tuple[int, str]:
    """The exit code of a command in a folder, in a process of its own, and what it says."""
    with tempfile.TemporaryFile("w+") as said:
        if not (child := os.fork()):
            for stream in (1, 2):
                os.dup2(said.fileno(), stream)
            os.chdir(place)
            os._exit(main(words))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return code, said.read()


def contents(place: Path) -> dict[str, str]:
    """Digests of all files below a folder, by name."""
    files = (path for path in sorted(place.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def leave(kib: int | None, disk: Path) -> None:
    """Leave so many KiB free on a disk, or enough for everything."""
    disk_of = os.statvfs(disk)
    used = (disk_of.f_blocks - disk_of.f_bfree) * disk_of.f_frsize // 1024
    size = 2**20 if kib is None else used + kib
    subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)


if __name__ == "__main__":
    disk = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)
    for line in sys.stdin:
        words, kib, files = json.loads(line)
        if files is not None:
            leave(None, disk)
            for path in disk.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for name, source in files.items():
                (disk / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, disk / name)
        leave(kib, disk)
        answer = *run(words, disk), contents(disk)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
