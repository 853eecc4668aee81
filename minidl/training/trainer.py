"""Trainer: checks the arguments of a training, and does what there is to do around its steps."""
from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .. import random
from ..compiled.conversion import dtype_of
from ..data.augment import Augmentation
from ..data.batches import positive_int
from ..nn.dropout import Dropout
from .callbacks import Progress
from .criterion import as_criterion
from .epoch_mean import EpochMean
from .evaluate import evaluated
from .history import History
from .inputs import arrays_of, augmented, batches_of, check_monitors, check_parts, transformed
from .interrupt import Interrupt
from .steps import TrainingStep
from .stretches import Stretches
from .weighted import as_weighted, weights_of


class Trainer:
    """The checked arguments of ``fit``, and what it does before, between and after the steps.

    ``batches`` gives the rows of each batch of an epoch, ``history`` is the record so far, and
    ``interrupt.requested`` says whether Ctrl-C was pressed.
    """

    def __init__(self, model, criterion, optimizer, data, validation, epochs, batch_size, seed, scheduler, callbacks,
                 transform, augment, progress, captured, sample_weight=None):
        self.criterion = as_criterion("fit", criterion)
        check_parts(model, optimizer, scheduler, callbacks)
        positive_int(epochs, "fit", "epochs")
        positive_int(batch_size, "fit", "batch_size")
        if validation is None:
            check_monitors(scheduler, callbacks)
        arrays = arrays_of("fit: data", data, model, self.criterion, transform)
        self.mean = EpochMean("fit: data", arrays[-1])
        self.held_out = self.held_out_mean = None
        if validation is not None:
            self.held_out = arrays_of("fit: validation", validation, model, self.criterion, transform)
            self.held_out_mean = EpochMean("fit: validation", self.held_out[-1], self.mean.coding,
                                           classes=self.mean.truth is not None)
        if transform is not None:
            transform = transformed("transform", transform, model, alone=len(arrays) == 2)
        for_training = transform
        if augment is not None:
            for_training = augmented(
                transform, transformed("augment", augment, model, alone=len(arrays) == 2))
        vars(model)["_coding"] = self.mean.coding  # evaluate uses it for a target of ones alone
        self.model, self.optimizer, self.epochs, self.batch_size = model, optimizer, epochs, batch_size
        self.scheduler, self.transform, self.augment, self.captured = scheduler, transform, augment, captured
        self.generator = random.generator(seed)
        self.batches = batches_of(data, len(arrays[0]), batch_size, self.generator)
        self.callbacks = [*callbacks, *([Progress()] if progress else [])]
        self.weight, in_training = None, self.criterion
        if sample_weight is not None:
            self.weight = weights_of("fit", sample_weight, len(arrays[0]), dtype_of(model))
            in_training = as_weighted("fit", criterion)
        self.train = TrainingStep(model, in_training, optimizer, arrays, for_training, self.mean, captured, self.weight)
        self.stretches = Stretches(self)
        self.modes_may_differ = True  # from training mode: Python may have run since it was set
        self.history, self.begin = History(), time.perf_counter()
        self.interrupt = Interrupt()

    @contextmanager
    def running(self, resume=None) -> Iterator[None]:
        """Around the training: callbacks are told of its begin and its end, and Ctrl-C waits for the end of a step.

        resume : the file from which it goes on.
        """
        lent = _lend_generator([*self.model.modules(), self.augment], self.generator)
        try:
            with self.interrupt:
                for callback in self.callbacks:
                    callback.on_train_begin(self.model, self.optimizer, self.epochs)
                if resume is not None:
                    from .resume import go_on  # here, since importing minidl should cost little
                    go_on(self, resume)
                yield
                for callback in self.callbacks:
                    callback.on_train_end()
            if self.interrupt.requested:  # after the block: Ctrl-C in on_train_end counts, too
                self.history.stopped = "interrupted"
        finally:
            for thing in lent:
                thing.generator = None

    def remaining(self) -> range:
        """The epochs that are still to be trained, counted from 1: none where a callback has ended the training."""
        return range(len(self.history) + 1, len(self.history) + 1 if self.history.stopped else self.epochs + 1)

    def begin_epoch(self, epoch: int) -> None:
        """Set training mode, and count from zero."""
        self.epoch, self.number = epoch, 0
        self.mean.clear()
        if self.modes_may_differ:
            self.model.train()
        self.modes_may_differ = self.held_out is not None or any(type(one) is not Progress for one in self.callbacks)

    def step(self, rows: np.ndarray) -> None:
        """Train on these rows and record the loss; FloatingPointError if that is not finite."""
        self.lr, self.number = self.optimizer.lr, self.number + 1
        loss, wrong = self.train(rows)
        if not math.isfinite(loss):
            raise self.not_finite(loss)
        self.history.iteration_loss.append(loss)
        self.history.iteration_lr.append(self.lr)
        self.mean.add(loss, wrong, len(rows), None if self.weight is None else float(self.weight[rows].sum()))
        if self.scheduler is not None and self.scheduler.interval == "iteration":
            self.scheduler.step()

    def single_batches(self) -> Iterator[np.ndarray]:
        """The rows of the batches of an epoch that are to be trained one by one, by step().

        Those between them are trained by compiled calls of many steps, where that can be: see ``stretches.py``.
        """
        order, size = self.batches.order(), self.batches.batch_size
        while len(order):
            rows = 0 if self.interrupt.requested else self.stretches.run(order, size)
            if not rows:
                rows, self.modes_may_differ = min(size, len(order)), True
                yield order[:rows]
            if self.interrupt.requested:
                break
            order = order[rows:]

    def record(self, losses: list[float], rates: list[float]) -> None:
        """Record steps that were made in one call."""
        self.history.iteration_loss += losses
        self.history.iteration_lr += rates
        self.number += len(losses)
        self.lr = rates[-1] if rates else self.lr

    def not_finite(self, loss: float) -> FloatingPointError:
        """The error of the present step, whose loss this is."""
        return FloatingPointError(
            f"fit: the loss became {loss} at epoch {self.epoch}, step {self.number} (learning rate {self.lr:g}); "
            "the weights are those before this step")

    def diverged(self, error: FloatingPointError) -> None:
        """Record not_finite() as the end of the training, where others go on."""
        self.history.stopped, self.history.path = str(error).removeprefix("fit: "), self.train.path

    def end_epoch(self) -> bool:
        """Validate, step the schedule, record the epoch, call the callbacks; whether the training is to stop."""
        history = self.history
        history.path = self.train.path
        if self.interrupt.requested:
            return True
        loss, error = self.mean.result()
        logs = {"loss": loss, "error": error, "lr": self.lr} | self._validated()
        if self.scheduler is not None and self.scheduler.interval == "epoch":
            self.scheduler.step(*(() if self.scheduler.metric is None else (logs[self.scheduler.metric],)))
        logs["seconds"] = time.perf_counter() - self.begin
        history.append(logs)
        answers = [callback.on_epoch_end(self.epoch, dict(logs)) for callback in self.callbacks]
        reasons = [str(answer) for answer in answers if answer]
        history.stopped = reasons[0] if reasons else ""
        for callback in self.callbacks:
            callback.on_checkpoint(self.epoch, dict(logs), self.state)
        return bool(reasons) or self.interrupt.requested

    def state(self) -> dict:
        """All that a training needs to go on from here."""
        from .resume import state_of
        return state_of(self)

    def _validated(self) -> dict:
        if self.held_out is None:
            return {"validation_loss": None, "validation_error": None}
        loss, error = evaluated(self.model, self.criterion, self.held_out, self.held_out_mean,
                                max(self.batch_size, 1024), self.transform, self.captured)
        return {"validation_loss": loss, "validation_error": error}


def _lend_generator(things: list, generator) -> list[Dropout | Augmentation]:
    """Set it in every Dropout, and in the augmentation, without a generator; those that were changed."""
    drawing = [thing for thing in things if isinstance(thing, (Dropout, Augmentation))]
    without = [thing for thing in drawing if thing.generator is None]
    for thing in without:
        thing.generator = generator
    return without
