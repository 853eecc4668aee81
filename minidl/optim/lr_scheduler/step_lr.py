"""Step decay: the learning rate drops every few epochs."""
from __future__ import annotations

from functools import partial
from typing import ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .scheduler import LRScheduler, count


class StepLR(LRScheduler):
    """Multiply the rates by ``gamma`` every ``step_size`` epochs: lr = lr_initial gamma^⌊epoch / step_size⌋.

    Report 001's step decay is ``StepLR(optimizer, step_size=10, gamma=0.5)``.

    Raises ValueError for step_size < 1 or a gamma below zero, and TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "step_size": partial(count, least=1), "gamma": at_least_zero}
    step_size: int
    gamma: float

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        super().__init__(optimizer, step_size=step_size, gamma=gamma)

    def step(self) -> None:
        """One epoch has passed."""
        self.last_epoch += 1
        if self.last_epoch % self.step_size == 0:
            for group in self.optimizer.param_groups:
                group["lr"] *= self.gamma
