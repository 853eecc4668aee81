"""A learning rate that is reduced for the first epochs."""
from __future__ import annotations

from functools import partial
from typing import ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .chainable import Chainable
from .scheduler import MOST_STEPS, LRScheduler, count


def share(what: str, value: object) -> float:
    """A number in (0, 1]."""
    if not 0 < at_least_zero(what, value) <= 1:
        raise ValueError(f"{what} > 0 and <= 1, got {value}")
    return float(value)  # type: ignore[arg-type]


class ConstantLR(Chainable):
    """Multiply the rates by ``factor`` for the first ``total_iters`` epochs.

    Raises ValueError for a factor outside (0, 1] or total_iters < 0, and TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "factor": share, "total_iters": partial(count, least=0, most=MOST_STEPS)}
    factor: float
    total_iters: int

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5):
        super().__init__(optimizer, factor=factor, total_iters=total_iters)

    def start(self) -> None:
        """Reduce the rates."""
        self._write([group["lr"] * self.factor for group in self.optimizer.param_groups])

    def rate(self, lr: float, group: int) -> float:
        return lr * (1.0 / self.factor) if self.last_epoch == self.total_iters else lr
