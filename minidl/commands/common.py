"""Helpers of all commands: errors of one line, numbers from the command line, the folders of results."""
from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import runs
from ..files import part_of
from ..training.progress import say

FAILED, USAGE, INTERRUPTED = 1, 2, 130  # exit codes


class CommandError(Exception):
    """An error as one line for the user, and the exit code."""

    def __init__(self, message: str, code: int = FAILED):
        super().__init__(message)
        self.code = code


def at_least(least: int) -> Callable[[str], int]:
    """A type for argparse: an int >= ``least``."""
    def convert(text: str) -> int:
        value = int(text)
        if value < least:
            raise ValueError
        return value

    convert.__name__ = f"int >= {least}"  # argparse: "invalid int >= 1 value: '0'"
    return convert


@contextmanager
def announced_folder(path: Path, going_on: bool = False) -> Iterator[Callable[[runs.Write], None]]:
    """runs.run_folder(path), with a message on standard error when it will replace another.

    going_on : the run in it is gone on with; what it has left aside is removed.
    """
    if going_on:
        runs.remove_parts(path)
    with runs.run_folder(path) as keep:
        if runs.content(path) and not going_on:
            say(f"the run in {path} will be replaced")
        yield keep


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file, which is renamed to ``path`` when the block ends without an error."""
    with part_of(path) as part:
        yield part
        os.replace(part, path)


@contextmanager
def beside_runs(log: Path) -> Iterator[None]:
    """Let an OSError of the block also say that the runs in the file ``log`` are kept."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{error}; the runs are kept in {log}, and the same command writes the rest") from error


def can_plot(skipped: str) -> bool:
    """Whether matplotlib can be imported; if not, say so on standard error."""
    if importlib.util.find_spec("matplotlib") is None:
        say(f"{skipped}: matplotlib is not installed; pip install 'minidl[plot]' brings it")
        return False
    try:
        importlib.import_module("matplotlib")
    except Exception as error:  # of any class, as a RuntimeError for a user without a home folder
        say(f"{skipped}: matplotlib cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}")
        return False
    return True
