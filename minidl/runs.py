"""A run folder: written under another name, and there under its own only when it is complete."""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

MARKER = ".minidl"  # in every folder that minidl wrote, and may therefore replace


@contextmanager
def run_folder(path: str | os.PathLike) -> Iterator[Path]:
    """A new folder to write to, which takes the name ``path`` when the block ends well.

    A run folder that stood there is replaced; after an exception it stands as before and nothing is left
    of the new one. Raises, before the block begins, FileExistsError for a folder with content that
    minidl did not write, and OSError where no folder can be made.
    """
    path = Path(path).absolute()
    if not replaceable(path):
        raise FileExistsError(f"{path} holds files that are no run of minidl; choose another folder")
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        part.mkdir(parents=True)
        (part / MARKER).touch()
    except OSError as error:
        raise OSError(f"cannot write to {path}: {error.strerror}") from error
    try:
        yield part
        _swap(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def replaceable(path: Path) -> bool:
    """Whether ``path`` is free, an empty folder, or a run folder."""
    if not path.exists():
        return True
    return path.is_dir() and ((path / MARKER).exists() or not any(path.iterdir()))


def _swap(part: Path, path: Path) -> None:
    """Rename ``part`` to ``path``; what stood there goes, or comes back if the renaming fails."""
    if not path.exists():
        os.replace(part, path)
        return
    old = path.with_name(f"{path.name}.{uuid4().hex}.old")
    os.replace(path, old)
    try:
        os.replace(part, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, content: object) -> None:
    """Strict JSON: ValueError for NaN and infinity."""
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
