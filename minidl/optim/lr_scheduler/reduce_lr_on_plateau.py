"""Reduce the learning rate when a metric has stopped improving."""
from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

from ...autograd.tensor import Tensor
from ..group import at_least_zero, number
from ..optimizer import Optimizer
from .scheduler import LRScheduler, between_0_and_1, count, not_nan, one_of


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rates by ``factor`` after more than ``patience`` epochs in a row without improvement.

    An improvement is a metric below best (1 - threshold) (``threshold_mode="rel"``) or below
    best - threshold ("abs"); with ``mode="max"`` above best (1 + threshold) or best + threshold.
    After a reduction bad epochs do not count for ``cooldown`` epochs. No rate falls below ``min_lr``
    (a number, or one for each group), and changes of at most ``eps`` are not made. A NaN improves nothing.

    Raises ValueError for a value out of its range and TypeError for other types.
    """

    metric: ClassVar[str | None] = "validation_loss"
    rules: ClassVar = {
        **LRScheduler.rules, "mode": partial(one_of, choices=("min", "max")), "factor": between_0_and_1,
        "patience": partial(count, least=0), "threshold": at_least_zero,
        "threshold_mode": partial(one_of, choices=("rel", "abs")), "cooldown": partial(count, least=0),
        "eps": at_least_zero, "best": not_nan, "num_bad_epochs": partial(count, least=0),
        "cooldown_counter": partial(count, least=0)}
    group_rules: ClassVar = {"min_lrs": at_least_zero}
    mode: str
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    min_lrs: list[float]
    eps: float
    best: float
    num_bad_epochs: int
    cooldown_counter: int

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
                 threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
                 min_lr: float | list[float] = 0, eps: float = 1e-8):
        super().__init__(
            optimizer, mode=mode, factor=factor, patience=patience, threshold=threshold,
            threshold_mode=threshold_mode, cooldown=cooldown, min_lrs=min_lr, eps=eps,
            best=-math.inf if mode == "max" else math.inf, num_bad_epochs=0, cooldown_counter=0)

    def _improves(self, metric: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bar = self.best * (1 + sign * self.threshold)
        else:
            bar = self.best + sign * self.threshold
        return metric < bar if self.mode == "min" else metric > bar

    def step(self, metric: float | Tensor) -> None:
        """One epoch has passed, at the end of which the validation loss (or another metric) was this."""
        metric = number(self._expected("the metric"), metric.item() if isinstance(metric, Tensor) else metric)
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
