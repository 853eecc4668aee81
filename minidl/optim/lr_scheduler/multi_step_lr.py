"""Step decay at epochs that one names."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..group import at_least_zero
from ..optimizer import Optimizer
from .chainable import Chainable
from .scheduler import LRScheduler, count


def counts(what: str, value: Any) -> list[int]:
    """A list of integers >= 0, in ascending order."""
    if not isinstance(value, list):
        raise TypeError(f"{what} to be a list of ints, got {value!r}")
    return sorted(count(what, x, least=0) for x in value)


class MultiStepLR(Chainable):
    """Multiply the rates by ``gamma`` at each epoch of ``milestones``, twice where one stands there twice.

    Raises ValueError for a milestone or a gamma below zero, and TypeError for other types.
    """

    rules: ClassVar = {**LRScheduler.rules, "milestones": counts, "gamma": at_least_zero}
    milestones: list[int]
    gamma: float

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1):
        points = milestones if isinstance(milestones, str) else list(milestones)  # a text is refused by the rule
        super().__init__(optimizer, milestones=points, gamma=gamma)

    def start(self) -> None:
        """Milestone 0 counts from the beginning."""
        self._apply()

    def rate(self, lr: float, group: int) -> float:
        return lr * self.gamma ** self.milestones.count(self.last_epoch)
