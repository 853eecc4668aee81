"""Callbacks that write a line an epoch: CSVLogger and JSONLinesLogger, and TensorBoard its event files."""
from __future__ import annotations

import csv
import io
import json
import os
import time
from pathlib import Path

from .callbacks import Callback
from .history import EPOCH_COLUMNS, encoded

COLUMNS = ("epoch", *EPOCH_COLUMNS)


class LineLogger(Callback):
    """The base of both: a file that is opened, appended to and closed after each epoch, so that a crash loses nothing.

    append : go on after what is there, rather than write the file anew; a last line without its end, as a killed
    process leaves it, is removed, and so are the lines of epochs that a resumed training repeats. Folders on the way
    are made. Raises OSError where the file cannot be written, before the first step.
    """

    def __init__(self, path: str | os.PathLike, append: bool = False):
        self.path, self.append = Path(path), append

    def on_train_begin(self, model, optimizer, epochs):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        before = self.path.read_bytes() if self.append and self.path.exists() else b""
        whole = before[:before.rfind(b"\n") + 1]
        self.check(whole)
        with open(self.path, "r+b" if before else "wb") as file:
            file.truncate(len(whole))
            if not whole:
                file.write(self.head())

    def on_epoch_end(self, epoch, logs):
        with open(self.path, "ab") as file:
            file.write(self.line({"epoch": epoch} | {name: logs[name] for name in EPOCH_COLUMNS}))

    def state_dict(self) -> dict:
        """How long the file is, so that a training that goes on from here can drop what was written later."""
        return {"bytes": self.path.stat().st_size}

    def load_state_dict(self, state: dict) -> None:
        """Remove the lines of epochs that are trained again, from a file that is continued. ValueError for no state."""
        if state.keys() != {"bytes"} or type(state["bytes"]) is not int or state["bytes"] < 0:
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected bytes, got {str(state)[:200]}")
        if self.append and state["bytes"] < self.path.stat().st_size:
            os.truncate(self.path, state["bytes"])

    def head(self) -> bytes:
        """What stands before the first line."""
        return b""

    def check(self, before: bytes) -> None:
        """Raise ValueError where the file's content is not one to go on after."""

    def line(self, row: dict) -> bytes:
        """The line of an epoch."""
        raise NotImplementedError


class CSVLogger(LineLogger):
    """A line an epoch as CSV (RFC 4180): epoch, then the history's columns, empty where nothing was measured.

    See LineLogger for ``append``. Raises ValueError for a file with other columns that is to be continued.
    """

    def head(self) -> bytes:
        return _csv(COLUMNS)

    def check(self, before: bytes) -> None:
        first = before.splitlines(keepends=True)[:1]
        if first and first[0].rstrip() != self.head().rstrip():
            raise ValueError(f"CSVLogger: expected {self.path} to begin with {self.head().decode().rstrip()!r}, got "
                             f"{first[0][:80].decode(errors='replace').rstrip()!r}")

    def line(self, row: dict) -> bytes:
        return _csv(["" if row[name] is None else row[name] for name in COLUMNS])


class JSONLinesLogger(LineLogger):
    """A JSON object a line: {"epoch": 1, "loss": ..., ...}, null where nothing was measured; see LineLogger.

    JSON has no NaN and no infinities: they are the strings "NaN", "Infinity" and "-Infinity", as in a History's file.
    """

    def line(self, row: dict) -> bytes:
        values = dict(zip(EPOCH_COLUMNS, encoded([row[name] for name in EPOCH_COLUMNS]), strict=True))
        return json.dumps({"epoch": row["epoch"]} | values, allow_nan=False).encode() + b"\n"


def _csv(values) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().encode()


TAGS = {"loss": "loss/training", "validation_loss": "loss/validation", "error": "error/training",
        "validation_error": "error/validation", "lr": "learning rate", "seconds": "seconds"}


class TensorBoard(Callback):
    """Event files for TensorBoard: a scalar an epoch for each of the history's columns that is measured.

    log_dir : the folder of this run; ``tensorboard --logdir`` shows a folder of such folders. Loss and error of
    training and of validation stand under one heading, as ``loss/training`` and ``loss/validation``. Each epoch is
    written out before the next begins. Needs the package tensorboard (the extra ``minidl[tensorboard]``), whose own
    writer it uses: ImportError without it.
    """

    def __init__(self, log_dir: str | os.PathLike):
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ImportError(f"TensorBoard: {error}; pip install 'minidl[tensorboard]' brings it") from error
        self.log_dir = Path(log_dir)
        self._made = EventFileWriter, Event, Summary

    def on_train_begin(self, model, optimizer, epochs):
        writer_of, self._event_of, self._summary_of = self._made
        self.writer = writer_of(os.fspath(self.log_dir))

    def on_epoch_end(self, epoch, logs):
        values = [self._summary_of.Value(tag=tag, simple_value=logs[name]) for name, tag in TAGS.items()
                  if logs[name] is not None]
        self.writer.add_event(self._event_of(wall_time=time.time(), step=epoch, summary=self._summary_of(value=values)))
        self.writer.flush()

    def on_train_end(self):
        self.writer.close()
