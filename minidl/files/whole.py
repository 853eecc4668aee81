"""Files that appear whole or not at all."""
from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, to be written and then renamed; it is removed afterwards."""
    part = path.with_name(f"{path.name}.{os.urandom(8).hex()}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def put(part: Path, path: Path) -> None:
    """Rename ``part`` to ``path``, so that a machine that stops at any moment leaves the old file or the new one.

    The content is flushed to the disk before the name is given, and the folder, which holds the name, after it.
    """
    with part.open("r+b") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that does not flush folders
                raise
        finally:
            os.close(folder)


def remove_parts_of(path: Path) -> None:
    """Remove what a process that was killed while it wrote ``path`` has left beside it."""
    left = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}\.part")
    for other in path.parent.iterdir():
        if left.fullmatch(other.name):
            other.unlink(missing_ok=True)


def check_regular(path: str | os.PathLike) -> None:
    """ValueError for a device or a pipe, of which nobody knows where it ends. FileNotFoundError for a missing file."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a folder is refused when it is opened
        raise ValueError("expected a regular file, got a device or a pipe")
