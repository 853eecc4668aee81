"""A run folder: filled only when the run is complete, and never lost.

The folder itself is neither renamed nor removed, so it may be a volume mounted in a container, the target of
a symbolic link, or the folder that the shell stands in. Files are first written to a folder ``*.part``,
within the run folder, or beside it if there is none yet.
"""
from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from .training.progress import say

MARKER = ".minidl"  # in every folder that minidl wrote, and may therefore replace
ASIDE = re.compile(r"[0-9a-f]{32}\.(part|old)")  # what is being written, and the earlier content
SYSTEM = {"lost+found"}  # at the top of a mounted file system

Write = Callable[[Path], None]


@contextmanager
def run_folder(path: str | os.PathLike) -> Iterator[Callable[[Write], None]]:
    """``with run_folder(path) as keep: outcome = train(); keep(write)`` runs write(folder), then fills ``path``.

    The content of an earlier run is replaced when write has ended without an error. If an error ends the block, or
    ``keep`` is not called, the earlier content stays and nothing is left of the new one.

    Raises, before the block begins, FileExistsError for what is no folder, or one with content that minidl did
    not write, and OSError where nothing can be written. ``keep`` raises OSError if that fails in the end, as on a
    full disk, and says where the result is instead: in the folder ``*.part``, or in a temporary one, to which
    ``write`` is then run again. Other errors of ``write`` are raised, too, and what was written until then stays.
    """
    path = resolved(path)
    _refuse_foreign(path)
    part = path / f"{uuid4().hex}.part" if path.exists() else path.with_name(f"{path.name}.{uuid4().hex}.part")
    stays = False

    def keep(write: Write) -> None:
        nonlocal stays
        try:
            mark(part)  # again, in case it has been removed meanwhile
            write(part)
        except OSError as error:
            place = _elsewhere(write)
            stays = place is None
            where = f"what could be written is in {part}" if place is None else f"the result is kept in {place}"
            raise OSError(f"cannot write to {path}: {_reason(error)}; {where}") from error
        except BaseException:
            stays = True
            say(f"what was written of the result is kept in {part}")
            raise
        stays = True  # also if the move is interrupted
        try:
            _fill(path, part)
        except OSError as error:
            raise OSError(f"cannot write to {path}: {_reason(error)}; the result is kept in {part}") from error
        stays = False

    try:
        mark(part)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise OSError(f"cannot write to {path}: {_reason(error)}") from error
    try:
        yield keep
    finally:
        if not stays:
            shutil.rmtree(part, ignore_errors=True)


def remove_parts(path: str | os.PathLike) -> None:
    """Remove what a process that was killed has left of its new content, within the folder and beside it."""
    path = resolved(path)
    for place, start in ((path, ""), (path.parent, f"{path.name}.")):
        for entry in place.iterdir() if place.is_dir() else ():
            left = entry.name.removeprefix(start)
            if entry.name == start + left and re.fullmatch(r"[0-9a-f]{32}\.part", left) and entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)


def writable_folder(path: str | os.PathLike) -> Path:
    """The folder itself, made where there is none, after a file was written to it and removed.

    Raises OSError where that cannot be done.
    """
    path = resolved(path)
    probe = path / f"{uuid4().hex}.part"
    try:
        mark(probe)
        shutil.rmtree(probe)
    except OSError as error:
        shutil.rmtree(probe, ignore_errors=True)
        raise OSError(f"cannot write to {path}: {_reason(error)}") from error
    return path


def resolved(path: str | os.PathLike) -> Path:
    """The path without symbolic links. OSError for links that lead to each other."""
    resolved = Path(os.path.realpath(path))
    if resolved.is_symlink():
        raise OSError(f"cannot write to {resolved}: {os.strerror(errno.ELOOP)}")
    return resolved


def content(path: str | os.PathLike) -> list[Path]:
    """The content of the folder that a run will replace."""
    path = Path(path)
    if not path.exists():
        return []
    return [entry for entry in path.iterdir() if not ASIDE.fullmatch(entry.name) and entry.name not in SYSTEM]


def write_json(path: Path, content: object) -> None:
    """Strict JSON: ValueError for NaN and infinity."""
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def _refuse_foreign(path: Path) -> None:
    """FileExistsError unless ``path`` is free, an empty folder, or a run folder."""
    if path.exists() and not (path.is_dir() and ((path / MARKER).exists() or not content(path))):
        raise FileExistsError(f"{path} holds files that are no run of minidl; choose another folder")


def mark(folder: Path) -> None:
    """Make the folder, and in it the marker: a file with content, so that a full disk is noticed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text("minidl made this folder, and may replace what is in it\n")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _elsewhere(write: Write) -> Path | None:
    """A folder of temporary files, or else of the working directory, with what ``write`` writes; None if both fail."""
    for place in (tempfile.gettempdir, os.getcwd):
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(prefix="minidl-", dir=place()))
            mark(folder)
            write(folder)
        except OSError:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        else:
            return folder
    return None


def _fill(path: Path, part: Path) -> None:
    """Put the content of ``part`` in the place of that of ``path``; after an error both are as before."""
    _refuse_foreign(path)  # files may have been put there meanwhile
    if not path.exists():
        os.replace(part, path)
        return
    old = path / f"{uuid4().hex}.old"
    moves = [(entry, old / entry.name) for entry in content(path) if entry.name != MARKER]
    moves += [(entry, path / entry.name) for entry in part.iterdir() if entry.name != MARKER]
    done, new = [], not (path / MARKER).exists()
    try:
        mark(path)  # first: if this is interrupted, the folder is still known as minidl's
        old.mkdir()
        for source, target in moves:
            _move(source, target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            with suppress(OSError):  # then it stays in ``old``, which the message says
                _move(target, source)
        with suppress(OSError):
            old.rmdir()
        if old.exists():
            say(f"not all that stood in {path} could be put back; the rest is in {old}")
        elif new:
            with suppress(OSError):
                (path / MARKER).unlink()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    """Rename, or copy and remove where that is refused, as between file systems; after an error nothing has moved."""
    try:
        os.replace(source, target)
        return
    except OSError:
        if not os.path.lexists(source):
            raise
    folder = source.is_dir() and not source.is_symlink()
    try:
        if folder:
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target, follow_symlinks=False)
        try:
            _remove(source)
        except OSError:
            if folder:  # part of it may have been removed
                shutil.copytree(target, source, symlinks=True, dirs_exist_ok=True)
            raise
    except BaseException:
        _remove(target)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
