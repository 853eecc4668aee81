"""What schedules share whose next rate comes from the present one, so that several of them can be chained."""
from __future__ import annotations

from typing import Any

from ..optimizer import Optimizer
from .scheduler import LRScheduler


class Chainable(LRScheduler):
    """A schedule that is a factor of the present rate, or a function of it: ``rate``.

    Since the present rate is the group's, other schedules, and the user, may write there, too.
    """

    def __init__(self, optimizer: Optimizer, **values: Any):
        super().__init__(optimizer, **values)
        self.start()

    def rate(self, lr: float, group: int) -> float:
        """The rate of this group after ``last_epoch`` steps, from the one before."""
        raise NotImplementedError

    def step(self) -> None:
        """One step has passed, an epoch or an iteration. An error leaves the schedule as it was."""
        self.last_epoch += 1
        try:
            self._apply()
        except BaseException:
            self.last_epoch -= 1
            raise

    def _apply(self) -> None:
        self._write([self.rate(group["lr"], i) for i, group in enumerate(self.optimizer.param_groups)])
