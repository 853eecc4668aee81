"""Half a cosine from the learning rate down to a least one."""
from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .chainable import Chainable
from .scheduler import MOST_STEPS, LRScheduler, count, initial_lrs


class CosineAnnealingLR(Chainable):
    """Let the rates fall from lr_initial to ``eta_min`` in ``T_max`` epochs, along half a cosine:

        lr = eta_min + (lr_initial - eta_min) (1 + cos(π epoch / T_max)) / 2

    Each rate is computed from the one before, as in PyTorch. After T_max epochs they rise again.

    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.
    Raises ValueError for T_max < 1 or an eta_min below zero, and TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "T_max": partial(count, least=1, most=MOST_STEPS), "eta_min": at_least_zero}
    group_rules: ClassVar = {"base_lrs": at_least_zero}
    T_max: int
    eta_min: float
    base_lrs: list[float]

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        rates = initial_lrs(optimizer) if isinstance(optimizer, Optimizer) else []  # else refused there
        super().__init__(optimizer, T_max=T_max, eta_min=eta_min, base_lrs=rates)

    def rate(self, lr: float, group: int) -> float:
        t, period = self.last_epoch, self.T_max
        if (t - 1 - period) % (2 * period) == 0:  # the one before was the least
            return lr + (self.base_lrs[group] - self.eta_min) * (1 - math.cos(math.pi / period)) / 2
        share = (1 + math.cos(math.pi * t / period)) / (1 + math.cos(math.pi * (t - 1) / period))
        return share * (lr - self.eta_min) + self.eta_min
