"""The file of a sweep: one line of JSON that names the task, then one for each run, appended as it ends.

    {"sweep of": "minidl.sweep.task.train"}
    {"settings": {"layers": 2}, "seed": 0, "result": {"accuracy": 0.97}, "error": null, "seconds": 1.5}

A run that was repeated has several lines, of which the last counts. A last line without its end was
cut short when a run was killed: it is removed.
"""
from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import part_of
from ..training.progress import say

LOG = "sweep.jsonl"  # in the folder of ``minidl sweep``


@dataclass(frozen=True)
class Run:
    """The outcome of a task: its ``result``, or the ``error`` {"type", "message", "traceback"}; one is None.

    seconds : of the task alone, on the machine that ran it.
    """

    settings: dict[str, Any]
    seed: int
    result: dict[str, Any] | None
    error: dict[str, str] | None
    seconds: float

    @property
    def identity(self) -> str:
        """The identity of a run."""
        return identity(self.settings, self.seed)


def identity(settings: dict[str, Any], seed: int) -> str:
    """The JSON of settings and seed, whatever the order of the keys. 1, 1.0 and true are three things."""
    return json.dumps([settings, seed], sort_keys=True)


def parsed(path: str | os.PathLike, line: bytes, number: int) -> Run:
    """The run that a line tells. ValueError, which names the line, for another text."""
    try:
        return Run(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}, line {number}: expected a run of a sweep, got "
                         f"{line[:80].decode(errors='replace')!r} ({error})") from error


def read(path: str | os.PathLike) -> list[Run]:
    """The runs in a file, or in the one in the folder of ``minidl sweep``, which stays as it is; it may still grow.

    Raises ValueError for a file that is no sweep's, OSError where there is none.
    """
    path = Path(path) / LOG if Path(path).is_dir() else Path(path)
    content = path.read_bytes()
    if not content.startswith(b'{"sweep of": '):
        raise ValueError(f"{path}: expected the file of a sweep, got one that begins with "
                         f"{content[:80].decode(errors='replace')!r}")
    lines = content[:content.rfind(b"\n") + 1].splitlines()[1:]
    runs = [parsed(path, line, number) for number, line in enumerate(lines, 2)]
    return list({run.identity: run for run in runs}.values())


class Log:
    """The runs in the file at ``path`` (``runs``, by identity), and ``append``. A context manager.

    Raises ValueError, and leaves the file as it is, when it is the file of another task, no such file at
    all, or damaged before its last line; OSError when it cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike, task: str):
        self.path = Path(path)
        header = json.dumps({"sweep of": task}).encode() + b"\n"
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[:content.rfind(b"\n") + 1]
        if not (content.startswith(header) or header.startswith(content)):
            raise ValueError(f"{path}: expected the file of a sweep of {task}, got one that begins with "
                             f"{content[:80].decode(errors='replace')!r}")
        lines = whole.splitlines()[1:]
        runs = [parsed(self.path, line, number) for number, line in enumerate(lines, 2)]
        self.runs = {run.identity: run for run in runs}
        self._header, self._size = header, len(whole)
        self.fled: Path | None = None  # the file to which the runs go when this one cannot be written
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (closed by __exit__)
        try:
            if len(whole) < len(content):
                self._file.truncate(len(whole))
            if not whole:
                self._write(header)
        except BaseException:
            self._file.close()
            raise

    def append(self, run: Run) -> None:
        """Add a run, to the file too, or where that fails to a temporary one that all runs are copied to.

        Raises OSError if that fails, too.
        """
        line = _line(run)
        self.runs[run.identity] = run
        try:
            self._write(line)
        except OSError as error:
            if self.fled is not None:
                raise
            self._flee(error)

    def _write(self, line: bytes) -> None:
        """Write all of it or, if possible, nothing."""
        left = memoryview(line)
        try:
            while left:
                left = left[self._file.write(left):]
        except OSError:
            with suppress(OSError):  # then the next one to open it removes the incomplete line
                self._file.truncate(self._size)
            raise
        self._size += len(line)

    def _all(self) -> bytes:
        return self._header + b"".join(map(_line, self.runs.values()))

    def _flee(self, reason: OSError) -> None:
        """Continue in a file in the folder for temporary files."""
        place = Path(tempfile.mkdtemp(prefix="minidl-")) / self.path.name
        file = open(place, "ab", buffering=0)  # noqa: SIM115 (closed by __exit__)
        self._file.close()
        self._file, self._size, self.fled, self._reason = file, 0, place, reason.strerror or str(reason)
        self._write(self._all())
        say(f"cannot write to {self.path}: {self._reason}; the runs go to {place}")

    def _come_back(self, fled: Path) -> None:
        """Write all runs to the file of this log, if that is possible now."""
        path = Path(os.path.realpath(self.path))
        with part_of(path) as part:
            part.write_bytes(self._all())
            os.replace(part, path)
        shutil.rmtree(fled.parent, ignore_errors=True)
        say(f"the runs are in {self.path} again")

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exception) -> None:
        """Close the file. OSError if the runs are in another one, unless there is another error already."""
        self._file.close()
        if self.fled is None:
            return
        try:
            self._come_back(self.fled)
        except OSError as error:
            if exception[0] is None:
                raise OSError(f"cannot write to {self.path}: {self._reason}; "
                              f"the runs are kept in {self.fled}") from error


def _line(run: Run) -> bytes:
    return json.dumps(asdict(run), allow_nan=False).encode() + b"\n"
