"""Half cosines, one after the other, each from the learning rate down to a least one."""
from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .scheduler import MOST_STEPS, LRScheduler, count, initial_lrs

period = partial(count, least=1, most=MOST_STEPS)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Let the rates fall along half a cosine, of ``T_0`` epochs, then of T_0 ``T_mult``, T_0 T_mult² and so on:

        lr = eta_min + (lr_initial - eta_min) (1 + cos(π T_cur / T_i)) / 2

    with T_cur the epochs since the last restart and T_i those between two of them.

    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.
    Raises ValueError for T_0 or T_mult < 1 or an eta_min below zero, and TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "T_0": period, "T_mult": period, "T_i": period, "T_cur": at_least_zero,
                       "eta_min": at_least_zero}
    group_rules: ClassVar = {"base_lrs": at_least_zero}
    T_0: int
    T_i: int
    T_mult: int
    T_cur: float
    eta_min: float
    base_lrs: list[float]

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0):
        rates = initial_lrs(optimizer) if isinstance(optimizer, Optimizer) else []  # else refused there
        super().__init__(optimizer, T_0=T_0, T_i=T_0, T_mult=T_mult, T_cur=0, eta_min=eta_min, base_lrs=rates)
        self.start()

    def start(self) -> None:
        """Write the rates of this place between two restarts."""
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        self._write([self.eta_min + (base - self.eta_min) * height for base in self.base_lrs])

    def step(self, epoch: float | None = None) -> None:
        """One epoch has passed; or so many have, a fraction of one, too: ``step(epoch + i / batches)``."""
        if epoch is None:
            self.last_epoch += 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            epoch = at_least_zero(self._expected("epoch"), epoch)
            restarts = self._restarts_until(epoch)
            begin = restarts if self.T_mult == 1 else (self.T_mult ** restarts - 1) // (self.T_mult - 1)
            self.last_epoch, self.T_i = math.floor(epoch), self.T_0 * self.T_mult ** restarts
            self.T_cur = epoch - self.T_0 * begin
        self.start()

    def _restarts_until(self, epoch: float) -> int:
        if self.T_mult == 1:
            return int(epoch // self.T_0)
        restarts, end = 0, self.T_0
        while end <= epoch:
            restarts += 1
            end += self.T_0 * self.T_mult ** restarts
        return restarts
