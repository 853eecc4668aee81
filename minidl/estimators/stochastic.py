"""Training in batches, as scikit-learn's estimators train: the same order of samples, the same reasons to stop."""
from __future__ import annotations

import math
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from ..nn import BatchNorm1d
from ..training.callbacks import Callback
from ..training.criterion import as_criterion
from ..training.epoch_mean import EpochMean
from ..training.evaluate import evaluated
from ..training.interrupt import Interrupt
from ..training.steps import TrainingStep
from .losses import Objective, objective

NOT_FINITE = ("Solver produced non-finite parameter weights. The input data may contain large values and need to be "
              "preprocessed.")


class Samples(NamedTuple):
    """Inputs (dense or sparse rows), encoded targets, those that the user gave, and weights or None."""

    x: Any
    target: np.ndarray
    given: np.ndarray
    weight: np.ndarray | None

    def of(self, rows) -> Samples:
        weight = None if self.weight is None else self.weight[rows]
        return Samples(self.x[rows], self.target[rows], self.given[rows], weight)


class Run:
    """One call of fit or partial_fit."""

    def __init__(self, estimator, samples: Samples, held_out: Samples | None, incremental: bool):
        self.estimator, self.samples, self.held_out = estimator, samples, held_out
        self.model, self.rates, self.incremental = estimator.module_, estimator._rates, incremental
        self.count = len(samples.target)
        self.batch_size = _batch_size(estimator.batch_size, self.count)
        self.transform = _dense if hasattr(samples.x, "toarray") else None
        self.objective, self.step = self._step(estimator._kept if incremental else None)
        estimator._kept = (self.objective, self.step) if incremental else None
        self.scheduler, self.callbacks = estimator._scheduler, list(estimator.callbacks or ())
        self._check_observers()
        self.begin, self.best = time.monotonic(), None
        self.order = np.arange(self.count, dtype=np.intp)
        # BatchNorm has no statistics of a single sample: a last batch of one is left out.
        alone = any(isinstance(module, BatchNorm1d) for module in self.model.modules())
        self.fewest = 2 if alone and self.count > 1 else 1

    def _step(self, kept: tuple[Objective, TrainingStep] | None) -> tuple[Objective, TrainingStep]:
        """The loss and the step; those of the last partial_fit, where they are of the same parts and kind of data."""
        estimator, samples = self.estimator, self.samples
        arrays, weighted = [samples.x, samples.target], samples.weight is not None
        if kept is not None:
            wanted, step = kept
            same = step.parts[0] is self.model and step.parts[2] is self.rates.optimizer
            if same and wanted.loss is estimator._loss and step.transform is self.transform \
                    and (step.weight is not None) == weighted:
                step.take(arrays, samples.weight)
                return kept
        wanted = objective(estimator._loss, estimator.out_activation_, estimator.n_outputs_, weighted)
        mean = EpochMean("fit", samples.target, classes=False)
        return wanted, TrainingStep(self.model, wanted.criterion, self.rates.optimizer, arrays, self.transform, mean,
                                    captured=True, weight=samples.weight)

    def _check_observers(self) -> None:
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise ValueError(f"callbacks: expected minidl's Callbacks, got {callback!r}")
        metric = None if self.scheduler is None else self.scheduler.metric
        for column in [*[callback.monitor for callback in self.callbacks], metric]:
            if column is not None and column.startswith("validation") and self.held_out is None:
                raise ValueError(f"{column} is measured with early_stopping=True alone")
        self.measured = bool(self.callbacks) or metric is not None

    def train(self) -> None:
        """All epochs; the estimator's attributes tell what came of them."""
        estimator = self.estimator
        estimator.n_iter_ = 0
        epochs = 1 if self.incremental else estimator.max_iter
        interrupt = Interrupt()
        with interrupt, np.errstate(over="ignore", invalid="ignore"):
            for callback in self.callbacks:
                callback.on_train_begin(self.model, self.rates.optimizer, epochs)
            while not (self._epoch(interrupt) or self.incremental or interrupt.requested):
                if estimator.n_iter_ == estimator.max_iter:
                    warnings.warn(f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the "
                                  "optimization hasn't converged yet.", ConvergenceWarning, stacklevel=5)
                    break
            for callback in self.callbacks:
                callback.on_train_end()
        if interrupt.requested:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        if self.best is not None:
            self.model.load_state_dict(self.best)
        self.model.eval()

    def _epoch(self, interrupt: Interrupt) -> bool:
        """One epoch; whether training stops after it."""
        estimator, rates = self.estimator, self.rates
        if estimator.shuffle:
            places = np.arange(self.count)
            estimator._random_state.shuffle(places)
            self.order = self.order[places]
        self.model.train()
        total = self._batches(interrupt)
        if interrupt.requested:
            return True
        estimator.n_iter_ += 1
        estimator.loss_ = total / self.count
        estimator.t_ += self.count
        estimator.loss_curve_.append(estimator.loss_)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        self._judge()
        asked = self._observed()
        rates.end_epoch(estimator.t_)
        return self._stops() or asked or self._late()

    def _batches(self, interrupt: Interrupt) -> float:
        """Train on every batch; the sum of the losses, each times its number of samples."""
        rates, step, order, size = self.rates, self.step, self.order, self.batch_size
        weight, reported, total = self.samples.weight, self.objective.reported, 0.0
        each_iteration = self.scheduler is not None and self.scheduler.interval == "iteration"
        for begin in range(0, self.count, size):
            rows = order[begin:begin + size]
            count = len(rows)
            if count < self.fewest:
                break
            mass = count if weight is None else float(weight[rows].sum())
            rates.before_batch(mass)
            penalty = rates.penalty()
            loss, _ = step(rows)
            if not math.isfinite(loss):
                raise ValueError(f"{NOT_FINITE} (The loss became {loss} in epoch {self.estimator.n_iter_ + 1}.)")
            total += (loss * reported + (penalty / mass if mass else 0.0)) * count
            if each_iteration:
                self.scheduler.step()
            if interrupt.requested or self._late():
                break
        return total

    def _late(self) -> bool:
        most = self.estimator.max_seconds
        return most is not None and time.monotonic() - self.begin >= most

    def _judge(self) -> None:
        """Count the epochs without a better score, or else a better loss."""
        estimator, held_out = self.estimator, self.held_out
        if held_out is None:
            loss = estimator.loss_
            better = not loss > estimator.best_loss_ - estimator.tol
            estimator.best_loss_ = min(loss, estimator.best_loss_)
        else:
            self.model.eval()
            score = estimator._score(held_out.x, held_out.given, held_out.weight)
            estimator.validation_scores_.append(score)
            if estimator.verbose:
                print(f"Validation score: {score:f}")
            better = not score < estimator.best_validation_score_ + estimator.tol
            if score > estimator.best_validation_score_:
                estimator.best_validation_score_, self.best = score, self.model.state_dict()
        estimator._no_improvement_count = 0 if better else estimator._no_improvement_count + 1

    def _observed(self) -> bool:
        """Step the schedule by the epoch, call the callbacks; whether one asks to stop."""
        scheduler, lr = self.scheduler, self.rates.optimizer.lr
        logs = {"loss": self.estimator.loss_, "error": None, "validation_loss": None, "validation_error": None,
                "lr": lr, "seconds": time.monotonic() - self.begin}
        if self.measured and self.held_out is not None:
            logs |= self._validated()
        if scheduler is not None and scheduler.interval == "epoch":
            scheduler.step(*(() if scheduler.metric is None else (logs[scheduler.metric],)))
        answers = [callback.on_epoch_end(self.estimator.n_iter_, dict(logs)) for callback in self.callbacks]
        return any(answers)

    def _validated(self) -> dict:
        held_out, estimator = self.held_out, self.estimator
        assert held_out is not None
        criterion = objective(estimator._loss, estimator.out_activation_, estimator.n_outputs_, False)
        mean = EpochMean("fit", held_out.target, classes=False)
        loss, _ = evaluated(self.model, as_criterion("fit", criterion.criterion), [held_out.x, held_out.target], mean,
                            1024, self.transform, captured=True)
        score = estimator.validation_scores_[-1]
        return {"validation_loss": loss * criterion.reported, "validation_score": score,
                "validation_error": 100 * (1 - score) if is_classifier(estimator) else None}

    def _stops(self) -> bool:
        """Whether there was no improvement for too long, and the learning rate cannot be lowered either."""
        estimator = self.estimator
        if estimator._no_improvement_count <= estimator.n_iter_no_change:
            return False
        what = "Training loss" if self.held_out is None else "Validation score"
        message = f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} " \
                  "consecutive epochs."
        goes_on = self.rates.goes_on()
        if goes_on:
            estimator._no_improvement_count = 0
        if estimator.verbose:
            then = f"Setting learning rate to {self.rates.optimizer.lr:f}" if goes_on else "Stopping."
            print(f"{message} {then}")
        return not goes_on


def _dense(rows) -> np.ndarray:
    """Rows of a sparse matrix as an array."""
    return rows.toarray()


def _batch_size(given, count: int) -> int:
    if given == "auto":
        return min(200, count)
    if given > count:
        warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                      stacklevel=6)
    return min(given, count)
