"""The parts of one training: what is checked before it, and what is done around its steps."""
from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .. import random
from ..data.batches import positive_int
from ..nn.dropout import Dropout
from ..nn.module import Module
from .callbacks import Progress
from .criterion import as_criterion
from .epoch_mean import EpochMean
from .evaluate import evaluated
from .history import History
from .inputs import arrays_of, batches_of, check_monitors, check_parts, transformed
from .interrupt import Interrupt
from .steps import TrainingStep


class Trainer:
    """What ``fit`` was given, checked; what it does before, between and after the steps.

    ``batches`` gives the rows of each batch of an epoch, ``history`` is what the training was like so far,
    ``interrupt.asked`` whether somebody pressed Ctrl-C.
    """

    def __init__(self, model, criterion, optimizer, data, validation, epochs, batch_size, seed, scheduler, callbacks,
                 transform, progress, captured):
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
            transform = transformed(transform, model, alone=len(arrays) == 2)
        vars(model)["_coding"] = self.mean.coding  # what evaluate takes a target of ones alone for
        self.model, self.optimizer, self.epochs, self.batch_size = model, optimizer, epochs, batch_size
        self.scheduler, self.transform, self.captured = scheduler, transform, captured
        self.generator = random.generator(seed)
        self.batches = batches_of(data, len(arrays[0]), batch_size, self.generator)
        self.watchers = [*callbacks, *([Progress()] if progress else [])]
        self.train = TrainingStep(model, self.criterion, optimizer, arrays, transform, self.mean, captured)
        self.history, self.begin = History(), time.perf_counter()
        self.interrupt = Interrupt()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Around the training: callbacks hear of its begin and its end, and Ctrl-C waits for the end of a step."""
        lent = _lend_generator(self.model, self.generator)
        try:
            with self.interrupt:
                for watcher in self.watchers:
                    watcher.on_train_begin(self.model, self.optimizer, self.epochs)
                yield
                for watcher in self.watchers:
                    watcher.on_train_end()
            if self.interrupt.asked:  # after the block, so that Ctrl-C in on_train_end counts, too
                self.history.stopped = "interrupted"
        finally:
            for module in lent:
                module.generator = None

    def begin_epoch(self, epoch: int) -> None:
        """Into training mode, and count from zero."""
        self.epoch, self.number = epoch, 0
        self.mean.clear()
        self.model.train()

    def step(self, rows: np.ndarray) -> None:
        """Train on these rows and record the loss; FloatingPointError if that is not finite."""
        self.lr, self.number = self.optimizer.lr, self.number + 1
        loss, wrong = self.train(rows)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"fit: the loss became {loss} at epoch {self.epoch}, step {self.number} (learning rate {self.lr:g}); "
                "the weights are those before this step")
        self.history.iteration_loss.append(loss)
        self.history.iteration_lr.append(self.lr)
        self.mean.add(loss, wrong, len(rows))
        if self.scheduler is not None and self.scheduler.interval == "iteration":
            self.scheduler.step()

    def end_epoch(self) -> bool:
        """Validate, step the schedule, record the epoch, ask the callbacks; whether the training is to stop."""
        history = self.history
        history.path = self.train.path
        if self.interrupt.asked:
            return True
        loss, error = self.mean.result()
        logs = {"loss": loss, "error": error, "lr": self.lr} | self._validated()
        if self.scheduler is not None and self.scheduler.interval == "epoch":
            self.scheduler.step(*(() if self.scheduler.metric is None else (logs[self.scheduler.metric],)))
        logs["seconds"] = time.perf_counter() - self.begin
        history.append(logs)
        answers = [watcher.on_epoch_end(self.epoch, dict(logs)) for watcher in self.watchers]
        reasons = [str(answer) for answer in answers if answer]
        history.stopped = reasons[0] if reasons else ""
        return bool(reasons) or self.interrupt.asked

    def _validated(self) -> dict:
        if self.held_out is None:
            return {"validation_loss": None, "validation_error": None}
        loss, error = evaluated(self.model, self.criterion, self.held_out, self.held_out_mean,
                                max(self.batch_size, 1024), self.transform, self.captured)
        return {"validation_loss": loss, "validation_error": error}


def _lend_generator(model: Module, generator) -> list[Dropout]:
    """Give it to every Dropout that has none; the modules that got it."""
    dropouts = [module for module in model.modules() if isinstance(module, Dropout)]
    without = [module for module in dropouts if module.generator is None]
    for module in without:
        module.generator = generator
    return without
