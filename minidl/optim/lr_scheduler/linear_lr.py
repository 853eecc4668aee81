"""A factor of the learning rate that goes from one number to another: warm-up, or a linear decay."""
from __future__ import annotations

from functools import partial
from typing import ClassVar

from ..optimizer import Optimizer
from .chainable import Chainable
from .constant_lr import share
from .cyclic_lr import at_most_1
from .scheduler import MOST_STEPS, LRScheduler, count


class LinearLR(Chainable):
    """Let the factor of the rates go from ``start_factor`` to ``end_factor`` in ``total_iters`` epochs, then stay:

        lr = lr_initial (start + (end - start) min(epoch / total_iters, 1))

    A warm-up of ten epochs before another schedule:

        SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=10), CosineAnnealingLR(optimizer, 90)], [10])

    Raises ValueError for a start outside (0, 1], an end outside [0, 1] or total_iters < 0, and TypeError for other
    types.
    """

    rules: ClassVar = {**LRScheduler.rules, "start_factor": share, "end_factor": at_most_1,
                       "total_iters": partial(count, least=0, most=MOST_STEPS)}
    start_factor: float
    end_factor: float
    total_iters: int

    def __init__(self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0,
                 total_iters: int = 5):
        super().__init__(optimizer, start_factor=start_factor, end_factor=end_factor, total_iters=total_iters)

    def start(self) -> None:
        """Multiply the rates by the first factor."""
        self._write([group["lr"] * self.start_factor for group in self.optimizer.param_groups])

    def rate(self, lr: float, group: int) -> float:
        if self.last_epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        factor = 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)
        return lr * max(factor, 0.0)  # where it is to end at 0, rounding may leave less
