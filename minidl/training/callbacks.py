"""Callbacks: observe a training run, and may stop it."""
from __future__ import annotations

import importlib
import math
import warnings
from typing import TYPE_CHECKING, Any

from .history import EPOCH_COLUMNS
from .progress import Bar

if TYPE_CHECKING:
    from ..nn import Module
    from ..optim.optimizer import Optimizer

# Callbacks in files of their own, which are read when they are asked for: a training seldom needs them.
ELSEWHERE = {"CSVLogger": "loggers", "JSONLinesLogger": "loggers", "LivePlot": "live_plot",
             "OptunaPruning": "optuna_pruning", "TensorBoard": "loggers"}


def __getattr__(name: str) -> Any:
    if name not in ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{ELSEWHERE[name]}", __package__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *ELSEWHERE})


class Callback:
    """The base: ``fit`` calls these methods; override what is of interest.

    on_train_begin(model, optimizer, epochs) once; on_epoch_end(epoch, logs) after each epoch, counted
    from 1, logs a dict of the history's columns: a true result stops the training, and text says why;
    on_train_end() once, unless an error ended the training. ``monitor`` names the history's column that
    the callback needs, if any: fit refuses to start a run that will not record it.
    """

    monitor: str | None = None

    def on_train_begin(self, model: Module, optimizer: Optimizer, epochs: int) -> None:
        pass

    def on_epoch_end(self, epoch: int, logs: dict) -> object:
        return None

    def on_train_end(self) -> None:
        pass


class EarlyStopping(Callback):
    """Stop when ``monitor`` has not fallen by more than ``min_delta`` for ``patience`` epochs.

    At the end the model has the weights of its best epoch, unless ``restore_best`` is False. Where no epoch
    had a finite ``monitor``, there is no best one: the model keeps its last weights, and the reason for
    stopping, or else a RuntimeWarning at the end, says so.
    Raises ValueError for a patience below 1, a negative min_delta or an unknown quantity, and, when
    training, for one that the run does not record.
    """

    def __init__(self, patience: int = 10, monitor: str = "validation_loss", min_delta: float = 0.0,
                 restore_best: bool = True):
        if patience < 1 or not min_delta >= 0:
            raise ValueError(
                f"EarlyStopping: expected patience >= 1 and min_delta >= 0, got {patience}, {min_delta}")
        if monitor not in EPOCH_COLUMNS:
            known = ", ".join(EPOCH_COLUMNS)
            raise ValueError(f"EarlyStopping: expected monitor to be one of {known}, got {monitor!r}")
        self.patience, self.monitor = patience, monitor
        self.min_delta, self.restore_best = min_delta, restore_best

    def on_train_begin(self, model, optimizer, epochs):
        self.model, self.best, self.best_epoch, self.best_state = model, math.inf, 0, None
        self.never = ""  # the warning at the end, if that does not change

    def on_epoch_end(self, epoch, logs):
        value = logs.get(self.monitor)
        if value is None:
            raise ValueError(f"EarlyStopping: this run has no {self.monitor!r}: the targets are no classes")
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self.best_state = value, epoch, self.model.state_dict()
            self.never = ""
            return None
        if not self.best_epoch:
            self.never = f"{self.monitor} was never a finite number in {epoch} epochs"
        if epoch - self.best_epoch < self.patience:
            return None
        reason, self.never = self.never, ""
        return reason or f"no better {self.monitor} than {self.best:.4g} (epoch {self.best_epoch})"

    def on_train_end(self):
        if self.restore_best and self.best_state is not None:
            self.model.load_state_dict(self.best_state)
        if self.never:
            warnings.warn(f"EarlyStopping: {self.never}; the model keeps the weights that it has", RuntimeWarning,
                          stacklevel=2)


class Progress(Callback):
    """The state of the run on standard error, or ``stream``: a bar on a terminal, elsewhere about ten plain lines.

    A stream that fails, or is None, does not end the training: see ``minidl.training.progress``.
    """

    def __init__(self, stream=None):
        self.stream = stream

    def on_train_begin(self, model, optimizer, epochs):
        self.bar = Bar(epochs, self.stream, unit="epoch")

    def on_epoch_end(self, epoch, logs):
        self.bar.show(epoch, "  ".join(
            f"{name.replace('_', ' ')} {logs[name]:.4g}{' %' if name.endswith('error') else ''}"
            for name in ("loss", "error", "validation_loss", "validation_error") if logs[name] is not None))

    def on_train_end(self):
        self.bar.end()
