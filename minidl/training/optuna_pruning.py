"""OptunaPruning: ends a trial of an Optuna study that does worse than the others."""
from __future__ import annotations

from typing import Any

from .callbacks import Callback
from .history import EPOCH_COLUMNS


class OptunaPruning(Callback):
    """Report ``monitor`` after each epoch to an Optuna trial, and raise optuna.TrialPruned where the pruner says so.

    trial : what the study gives to its objective. monitor : a column of the history; all of them are better when
    they are smaller, so the study's direction must be "minimize". Steps count from 0, as pruners expect: epoch 1 is
    step 0. Needs the package optuna (the extra ``minidl[optuna]``): ImportError without it. Raises ValueError for
    an unknown monitor and for a study that maximizes or has several objectives.
    """

    def __init__(self, trial: Any, monitor: str = "validation_loss"):
        try:
            import optuna
        except ImportError as error:
            raise ImportError(f"OptunaPruning: {error}; pip install 'minidl[optuna]' brings it") from error
        if monitor not in EPOCH_COLUMNS:
            known = ", ".join(EPOCH_COLUMNS)
            raise ValueError(f"OptunaPruning: expected monitor to be one of {known}, got {monitor!r}")
        if isinstance(trial, optuna.Trial):
            directions = [direction.name.lower() for direction in trial.study.directions]
            if directions != ["minimize"]:
                raise ValueError(f"OptunaPruning: expected a study of direction minimize, since {monitor} is better "
                                 f"the smaller it is, got {', '.join(directions)}")
        self.trial, self.monitor, self._pruned = trial, monitor, optuna.TrialPruned

    def on_epoch_end(self, epoch, logs):
        value = logs.get(self.monitor)
        if value is None:
            raise ValueError(f"OptunaPruning: this run has no {self.monitor!r}: the targets are no classes")
        self.trial.report(float(value), epoch - 1)
        if self.trial.should_prune():
            raise self._pruned(f"{self.monitor} {value:.4g} at epoch {epoch}")
