"""Reduce the learning rate when a metric has stopped improving."""
from __future__ import annotations

import math
from typing import ClassVar

from ..group import at_least_zero, number
from ..optimizer import Optimizer
from .scheduler import LRScheduler, between_0_and_1, count, one_of


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rates by ``factor`` after more than ``patience`` epochs in a row without improvement.

    An improvement is a metric below best (1 - threshold) (``threshold_mode="rel"``) or below
    best - threshold ("abs"); with ``mode="max"`` above best (1 + threshold) or best + threshold.
    After a reduction bad epochs do not count for ``cooldown`` epochs. No rate falls below ``min_lr``
    (a number, or one for each group), and changes of at most ``eps`` are not made. A NaN improves nothing.

    Raises ValueError for a value out of its range and TypeError for other types.
    """

    metric: ClassVar[str | None] = "validation_loss"

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
                 threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
                 min_lr: float | list[float] = 0, eps: float = 1e-8):
        super().__init__(optimizer)
        self.mode = one_of(self._expected("mode"), mode, ("min", "max"))
        self.factor = between_0_and_1(self._expected("factor"), factor)
        self.patience = count(self._expected("patience"), patience, least=0)
        self.threshold = at_least_zero(self._expected("threshold"), threshold)
        self.threshold_mode = one_of(self._expected("threshold_mode"), threshold_mode, ("rel", "abs"))
        self.cooldown = count(self._expected("cooldown"), cooldown, least=0)
        self.min_lrs = self._per_group("min_lr", min_lr)
        self.eps = at_least_zero(self._expected("eps"), eps)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0

    def _improves(self, metric: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bar = self.best * (1 + sign * self.threshold)
        else:
            bar = self.best + sign * self.threshold
        return metric < bar if self.mode == "min" else metric > bar

    def step(self, metric: float) -> None:
        """One epoch has passed, at the end of which the validation loss (or another metric) was this."""
        metric = number(self._expected("the metric"), metric)
        self.last_epoch += 1
        if self._improves(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, least)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr
