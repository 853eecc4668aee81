"""Stretches: many steps of fit in one compiled call, where nothing asks for Python between them.

Such a call gives the bits of the same steps one by one. It ends with the epoch, or after about SECONDS, so that
Ctrl-C is seen in time. A step for which the program has to be prepared, as the first one of a training, is made by
itself: a call that refuses has done nothing.
"""
from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from .steps import ByLayers

if TYPE_CHECKING:
    from .trainer import Trainer

SECONDS = 0.05  # of one call
GROWTH = 8      # by which a call may have more steps than the one before


class Stretches:
    """The compiled calls of a training; ``run`` makes one."""

    def __init__(self, trainer: Trainer):
        scheduler = trainer.scheduler
        by_iteration = scheduler is not None and scheduler.interval == "iteration"
        self.trainer, self.most = trainer, 1
        self.scheduler = scheduler if by_iteration else None
        self.possible = trainer.train.transform is None
        if by_iteration and self.possible:
            from . import ahead  # here, since importing minidl should cost little

            self.possible, self.ahead = ahead.is_foreseen(scheduler), ahead.Ahead

    def run(self, order: np.ndarray, size: int) -> int:
        """Train on the first batches of these rows, ``size`` each, and record the steps; how many rows it were.

        0, and nothing done, where the next step is to be made by itself. FloatingPointError as by Trainer.step.
        """
        trainer = self.trainer
        if not self.possible:
            return 0
        begin = time.perf_counter()
        order, ahead, settings = order[:self.most * size], None, None
        if self.scheduler is not None:
            way = trainer.train.way
            if not isinstance(way, ByLayers) or not way.step.program.compiled_throughout:
                return 0
            ahead = self.ahead(self.scheduler, trainer.optimizer, way.step.program, -(-len(order) // size))
            order, settings = order[:ahead.steps * size], ahead.settings
        try:
            losses = trainer.train.many(order, size, trainer.interrupt, settings) if len(order) else []
        except BaseException:
            if ahead is not None:
                ahead.put_back(0)
            raise
        steps = updated = len(losses)
        if losses and not math.isfinite(losses[-1]):
            updated -= 1
        if ahead is not None and updated < ahead.steps:
            ahead.put_back(updated)
        if not losses:
            return 0
        rates = [trainer.optimizer.lr] * steps if ahead is None else ahead.rates[:steps]
        rows = min(updated * size, len(order))
        trainer.mean.count(rows)
        trainer.record(losses[:updated], rates[:updated])
        if updated < steps:
            trainer.number, trainer.lr = trainer.number + 1, rates[-1]
            raise trainer.not_finite(losses[-1])
        seconds = time.perf_counter() - begin
        self.most = max(1, min(int(steps * SECONDS / seconds), GROWTH * max(steps, self.most)))
        return rows
