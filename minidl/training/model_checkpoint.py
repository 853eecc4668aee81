"""ModelCheckpoint: a training in a file, from which it goes on."""
from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

from ..checkpoint import save
from ..data.batches import positive_int
from ..files.whole import remove_parts_of
from .callbacks import Callback
from .history import EPOCH_COLUMNS


class ModelCheckpoint(Callback):
    """Save all of the training to ``path`` after an epoch, such that ``fit(..., resume=path)`` goes on from there.

        save = ModelCheckpoint("run.safetensors")
        minidl.fit(model, criterion, optimizer, (X, y), epochs=900, callbacks=[save])
        minidl.fit(model, criterion, optimizer, (X, y), epochs=900, callbacks=[save], resume="run.safetensors")

    path : a safetensors file; ``"run-{epoch:03d}.safetensors"`` is one for each epoch. ``minidl.load(path)["model"]``
        are the weights.
    every : epochs from one to the next. seconds : the least time between two, but for that of the last epoch.
    save_best_only : only where ``monitor`` has fallen below all earlier values.
    note : what else to keep, as ``minidl.save`` takes it; it is not read by ``resume``.

    The file is written aside, flushed and renamed, so there is always a whole one: of this epoch, or the one before.
    Raises ValueError for every < 1, seconds < 0, an unknown column or a .npz file, TypeError for other types.
    """

    def __init__(self, path: str | os.PathLike, *, every: int = 1, seconds: float = 0.0, save_best_only: bool = False,
                 monitor: str = "validation_loss", note: Any = None):
        self.path, self.every = os.fspath(path), positive_int(every, "ModelCheckpoint", "every")
        if not seconds >= 0:
            raise ValueError(f"ModelCheckpoint: expected seconds >= 0, got {seconds}")
        if monitor not in EPOCH_COLUMNS:
            raise ValueError(
                f"ModelCheckpoint: expected monitor to be one of {', '.join(EPOCH_COLUMNS)}, got {monitor!r}")
        if Path(self._named(1)).suffix.lower() == ".npz":
            raise ValueError(f"ModelCheckpoint: expected a safetensors file, got {self.path!r}")
        self.seconds, self.note, self.best = seconds, note, math.inf
        self.monitor = monitor if save_best_only else None

    def _named(self, epoch: int) -> str:
        return self.path.format(epoch=epoch) if "{epoch" in self.path else self.path

    def on_train_begin(self, model, optimizer, epochs):
        self.epochs, self.saved, self.best = epochs, time.perf_counter(), math.inf
        self.prepare(Path(self._named(1)))

    def prepare(self, path: Path) -> None:
        """Remove what a process has left that was killed while it wrote. FileNotFoundError where there is no folder."""
        remove_parts_of(path)

    def on_checkpoint(self, epoch, logs, state):
        now = time.perf_counter()
        if epoch < self.epochs and (epoch % self.every or now - self.saved < self.seconds):
            return
        if self.monitor is not None:
            value = logs.get(self.monitor)
            if value is None:
                raise ValueError(f"ModelCheckpoint: this run has no {self.monitor!r}: the targets are no classes")
            if not value < self.best:
                return
            self.best = value
        self.write(self._named(epoch), state() | ({} if self.note is None else {"note": self.note}))
        self.saved = now

    def write(self, path: str, content: dict) -> None:
        """Write the file."""
        save(path, content)

    def state_dict(self):
        return {} if self.monitor is None else {"best": self.best}

    def load_state_dict(self, state):
        if self.monitor is None:
            super().load_state_dict(state)
        elif state.keys() != {"best"} or type(state["best"]) is not float:
            raise ValueError(f"ModelCheckpoint.load_state_dict: expected best, a number, got {str(state)[:80]}")
        else:
            self.best = state["best"]
