"""The file of a sweep: one line of JSON that names the task, then one for each run, appended as it ends.

    {"sweep of": "minidl.sweep_task.train"}
    {"settings": {"layers": 2}, "seed": 0, "result": {"accuracy": 0.97}, "error": null, "seconds": 1.5}

A run that was repeated has several lines, of which the last counts. A last line without its end was
cut short when a run was killed: it is taken off.
"""
from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """What became of a task: its ``result``, or the ``error`` {"type", "message", "traceback"}; one is None.

    seconds : of the task alone, on the machine that ran it.
    """

    settings: dict[str, Any]
    seed: int
    result: dict[str, Any] | None
    error: dict[str, str] | None
    seconds: float

    @property
    def identity(self) -> str:
        """By which a run is known again."""
        return identity(self.settings, self.seed)


def identity(settings: dict[str, Any], seed: int) -> str:
    """The JSON of settings and seed, whatever the order of the keys. 1, 1.0 and true are three things."""
    return json.dumps([settings, seed], sort_keys=True)


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
        runs = [self._parsed(line, number) for number, line in enumerate(lines, 2)]
        self.runs = {run.identity: run for run in runs}
        self._file = open(self.path, "ab")  # noqa: SIM115 (closed by __exit__)
        if len(whole) < len(content):
            self._file.truncate(len(whole))
        if not whole:
            self._write(header)

    def _parsed(self, line: bytes, number: int) -> Run:
        try:
            return Run(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.path}, line {number}: expected a run of a sweep, got "
                             f"{line[:80].decode(errors='replace')!r} ({error})") from error

    def append(self, run: Run) -> None:
        """Add a run, to the file too."""
        self._write(json.dumps(asdict(run), allow_nan=False).encode() + b"\n")
        self.runs[run.identity] = run

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exception) -> None:
        self._file.close()
