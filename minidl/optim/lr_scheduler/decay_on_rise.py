"""Report 003's rule: a rising training loss calls for shorter steps."""
from __future__ import annotations

import math
from typing import ClassVar

from ..group import number
from ..optimizer import Optimizer
from .scheduler import LRScheduler, between_0_and_1, not_nan


class DecayOnRise(LRScheduler):
    """Multiply the rates by ``factor`` whenever the loss of an epoch is above the one before (report 003).

    Raises ValueError unless 0 < factor < 1, and for a loss that is NaN; TypeError for other types.
    """

    metric: ClassVar[str | None] = "loss"

    rules: ClassVar = {**LRScheduler.rules, "factor": between_0_and_1, "last_loss": not_nan}
    factor: float
    last_loss: float

    def __init__(self, optimizer: Optimizer, factor: float = 0.5):
        super().__init__(optimizer, factor=factor, last_loss=math.inf)

    def step(self, loss: float) -> None:
        """One epoch has passed, whose mean training loss was this."""
        loss = number(self._expected("the loss"), loss)
        if math.isnan(loss):
            raise ValueError(f"{self._expected('a loss that is a number')}, got nan")
        self.last_epoch += 1
        if loss > self.last_loss:
            for group in self.optimizer.param_groups:
                group["lr"] *= self.factor
        self.last_loss = loss
