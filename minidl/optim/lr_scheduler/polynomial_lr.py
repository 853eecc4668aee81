"""Polynomial decay of the learning rate to zero."""
from __future__ import annotations

from functools import partial
from typing import ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .chainable import Chainable
from .scheduler import MOST_STEPS, LRScheduler, count


class PolynomialLR(Chainable):
    """Let the rates fall to zero in ``total_iters`` epochs: lr = lr_initial (1 - epoch / total_iters)^power.

    Raises ValueError for total_iters or a power below zero, and TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "total_iters": partial(count, least=0, most=MOST_STEPS),
                       "power": at_least_zero}
    total_iters: int
    power: float

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0):
        super().__init__(optimizer, total_iters=total_iters, power=power)

    def rate(self, lr: float, group: int) -> float:
        if self.last_epoch > self.total_iters:
            return lr
        rest, before = (1.0 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1))
        return lr * (rest / before) ** self.power
